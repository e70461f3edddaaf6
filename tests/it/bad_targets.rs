//! Targets that misbehave, seen from the command line: each failure has its reason, none takes longer than its bound.
//! The whole table of misbehaviour is in the tests of `src/http`, over every transport.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::kit::{Otload, free_address};

/// A server that answers each connection's first request with these bytes and closes; with `None` it never answers.
fn answers(bytes: Option<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let bytes = bytes.clone();
            match bytes {
                None => silent.push(stream),
                Some(bytes) => {
                    std::thread::spawn(move || {
                        let _ = stream.read(&mut [0; 4096]);
                        let _ = stream.write_all(&bytes);
                    });
                }
            }
        }
    });
    address
}

#[test]
fn each_misbehaviour_has_its_reason() {
    let http = |address: SocketAddr| format!("http://{address}");
    let response = |head: &str, body: &str| Some(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}").into_bytes());
    let cases = [
        ("connect_refused", http(free_address())),
        ("dns", "http://no-such-host.invalid".to_owned()),
        ("timeout", http(answers(None))),
        ("closed", http(answers(response("200 OK\r\ncontent-length: 100", "half")))),
        ("body_too_large", http(answers(response("200 OK\r\ncontent-length: 5000", &"x".repeat(5000))))),
        ("redirect_limit", http(answers(response("302 Found\r\nlocation: /again\r\ncontent-length: 0", "")))),
        ("protocol", http(answers(Some(b"this is no HTTP at all\r\n\r\n".to_vec())))),
        ("closed", http(answers(Some(Vec::new())))),
        ("status", http(answers(response("503 Busy\r\ncontent-length: 0", "")))),
    ];
    // Each a user type of its own, in one run that is over when each has asked twice.
    let users: String = cases
        .iter()
        .enumerate()
        .map(|(n, (reason, url))| {
            // A resolver without a network may take its time.
            let timeout = if *reason == "dns" { "20s" } else { "700ms" };
            format!("  - {{name: u{n}, fixed_count: 1, wait_time: 10ms, tasks: [{{get: \"{url}/x\", name: case {n}, timeout: {timeout}}}]}}\n")
        })
        .collect();
    let scenario = format!(
        "http: {{max_body: 4KiB, redirects: 5, connect_timeout: 20s}}\nusers:\n{users}load: {{users: {}, run_time: 2s}}\n",
        cases.len()
    );
    let finished = Otload::run(&scenario, &[]).wait(Duration::from_secs(60)).expect_code(1);
    for (n, (reason, url)) in cases.iter().enumerate() {
        let request = finished.request(&format!("case {n}"));
        let reasons = request["failure_reasons"].as_object().unwrap();
        assert_eq!(reasons.keys().collect::<Vec<_>>(), [reason], "case {n}, {url}");
        assert_eq!(request["failures"], request["requests"], "case {n}");
        assert!(request["requests"].as_u64().unwrap() >= 1, "case {n}");
        let longest = request["service_time_seconds"]["max"].as_f64().unwrap();
        assert!(longest < if *reason == "dns" { 20.5 } else { 1.5 }, "case {n} took {longest} s");
    }
}
