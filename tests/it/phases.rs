//! What a target does before the head of its answer, and between head and end, is what the phases say.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::kit::{Form, Otload, Prometheus};

const BEFORE_HEAD: Duration = Duration::from_millis(40);
const BEFORE_END: Duration = Duration::from_millis(25);

/// A server, and a proxy too, that takes its time twice. It ends with the test's process.
fn slow_target() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => seen.extend_from_slice(&chunk[..read]),
        }
        if seen.ends_with(b"\r\n\r\n") {
            if String::from_utf8_lossy(&seen).contains("/gone ") {
                return Ok(());
            }
            seen.clear();
            std::thread::sleep(BEFORE_HEAD);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")?;
            std::thread::sleep(BEFORE_END);
            stream.write_all(b"hello")?;
        }
    }
}

/// 60 requests of three users, and one that nobody answers; `more` is of the scenario.
fn check(more: &str, tells_send: bool) {
    let target = slow_target();
    let scenario = format!(
        "{more}\nusers: [{{name: U, tasks: [{{get: /cars}}]}}]\nload: {{iterations: 60, users: 3}}\n\
         teardown: [{{get: /gone}}]\n"
    )
    .replace("PROXY", &format!("http://{target}"));
    let host = format!("http://{target}");
    let run = Otload::run(&scenario, &["--host", &host, "--linger", "30s"]);
    let prometheus = Prometheus::start(run.metrics(), Form::Text);
    let finished = run.wait(Duration::from_secs(60));
    let series = |figure: &str, phase: &str| {
        let labels = format!("request='GET /cars',phase='{phase}'");
        prometheus.value(&format!("last_over_time(otload_request_phase_seconds_{figure}{{{labels}}}[1h])"))
    };
    let cars = finished.request("GET /cars");
    let known = [("wait", 60.0, BEFORE_HEAD), ("receive", 60.0, BEFORE_END), ("connect", 3.0, Duration::ZERO)];
    for (phase, count, delay) in known {
        let (counted, sum) = (series("count", phase), series("sum", phase).unwrap());
        let (mean, delay) = (sum / count, delay.as_secs_f64());
        assert_eq!(counted, Some(count), "{phase}");
        // A busy machine oversleeps, and never the other way.
        assert!(mean >= delay * 0.99 && mean < delay + 0.1, "{phase} took {mean} on average");
        let told = &cars["phases"][phase];
        assert_eq!(told["requests"], count as u64);
        assert!((told["mean_seconds"].as_f64().unwrap() - mean).abs() < 1e-6, "{told} and {mean}");
    }
    assert_eq!(series("count", "send"), Some(if tells_send { 60.0 } else { 0.0 }));
    assert_eq!((series("count", "tls"), series("count", "first_event")), (None, None));
    // All of a request's time, but for moments between one phase and the next.
    let phases = ["connect", "send", "wait", "receive"].map(|phase| series("sum", phase).unwrap_or(0.0));
    let service = prometheus.value("sum(last_over_time(otload_request_service_seconds_sum{request='GET /cars'}[1h]))").unwrap();
    let sum: f64 = phases.iter().sum();
    assert!(sum <= service && sum > service - 60.0 * 0.005, "{phases:?} of {service}");
    let other = "sum(last_over_time(otload_request_phase_seconds_count{request='GET /gone'}[1h]))";
    assert_eq!(prometheus.value(other), Some(0.0));
    assert_eq!(finished.summary()["totals"]["failures"], 1);
}

#[test]
fn phases_are_where_the_time_went() {
    check("", true);
}

/// Over the transport of proxies and HTTP/2, which cannot tell when a request was written.
#[test]
fn phases_are_where_the_time_went_behind_a_proxy() {
    check("http: {proxy: PROXY}", false);
}
