//! What servers do with connections, by nginx: early refusals of large bodies, connections that end after some requests or some time,
//! no answer at all, https behind http, cookies for TLS alone. In clear, over TLS and over HTTP/2, over both transports.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Authority, Counts, Nginx, Otload, code_of};

/// Each server once in clear, once over TLS, and once over HTTP/2.
const WAYS: [&str; 3] = ["clear", "tls", "http2"];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Authority::create(folder.path(), "ca").issue("good", &["127.0.0.1", "cars.test"], (2020, 2120));
    std::fs::write(folder.path().join("large.bin"), vec![b'x'; 10 << 20]).unwrap();
    folder
}

fn start(folder: &Path, directives: &str) -> Nginx {
    let tls = format!("ssl_certificate good.pem; ssl_certificate_key good.key; {directives}");
    Nginx::start(folder, &[("clear", "", directives), ("tls", "ssl", &tls), ("http2", "ssl http2", &tls)])
}

/// The summary of a user who goes through `flow` once.
fn run(folder: &Path, nginx: &Nginx, way: (&str, &str), flow: &str) -> Value {
    run_with(folder, nginx, way, flow, "users: 1, iterations: 1")
}

/// Under this load, with two workers.
fn run_with(folder: &Path, nginx: &Nginx, (way, transport): (&str, &str), flow: &str, load: &str) -> Value {
    let scheme = if way == "clear" { "http" } else { "https" };
    let version = if way == "http2" { "2" } else { "1.1" };
    let port = |name: &str| nginx.address(name).port().to_string();
    let flow = flow.replace("CLEAR", &port("clear")).replace("TLS", &port("tls"));
    let text = format!(
        "host: {scheme}://{}\nhttp: {{transport: {transport}, version: {version}, tls: {{ca: ca.pem}}, resolve: {{cars.test: 127.0.0.1}}}}\n\
         users:\n  - tasks:\n      - name: all\n        flow:\n{flow}load: {{{load}}}\n\
         validity: {{max_generator_time: 1h, busy: 100%}}\n",
        nginx.address(way)
    );
    let (file, out) = (folder.join("scenario.yaml"), tempfile::tempdir().unwrap());
    std::fs::write(&file, text).unwrap();
    let out = out.path().join("out");
    let arguments = ["run", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--listen", "127.0.0.1:0", "--workers", "2"];
    let finished = Otload::command_within(Duration::from_secs(60), &arguments);
    let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    finished.expect_code(code_of(&summary));
    summary
}

/// Each way over each transport that goes it.
fn ways() -> impl Iterator<Item = (&'static str, &'static str)> {
    let each = WAYS.into_iter().flat_map(|way| ["wire", "reqwest"].map(|transport| (way, transport)));
    each.filter(|way| *way != ("http2", "wire"))
}

#[test]
fn a_large_body_is_refused_before_it_was_sent() {
    let folder = folder();
    let nginx = start(folder.path(), "client_max_body_size 1k;");
    let flow = "
          - {post: /, name: large, body_file: large.bin}
          - {post: /, name: small, body: x, expect: {status: 200}}
";
    for way in ways() {
        let summary = run(folder.path(), &nginx, way, &flow[1..]);
        let totals = &summary["totals"];
        assert_eq!(totals["failure_reasons"], json!({"status": 1}), "{way:?} {summary:#}");
        assert_eq!(totals["statuses"], json!({"200": 1, "413": 1}), "{way:?}");
    }
}

#[test]
fn connections_end_after_some_requests_or_some_time() {
    let folder = folder();
    let nginx = start(folder.path(), "keepalive_requests 3;");
    let flow = "
          - loop: {count: 10}
            flow:
              - {get: /, expect: {status: 200}}
              - {post: /, body: x, expect: {status: 200}}
";
    for way in ways() {
        let summary = run(folder.path(), &nginx, way, &flow[1..]);
        assert_eq!(
            (&summary["totals"]["requests"], &summary["totals"]["failures"]),
            (&json!(20), &json!(0)),
            "{way:?} {summary:#}"
        );
        assert_eq!((&summary["connections_opened"], &summary["totals"]["retried"]), (&json!(7), &json!(0)), "{way:?}");
    }
    let nginx = start(folder.path(), "keepalive_timeout 100ms;");
    let flow = "
          - loop: {count: 4}
            flow:
              - {get: /, expect: {status: 200}}
              - think: 400ms
              - {post: /, body: x, expect: {status: 200}}
";
    for way in ways() {
        let summary = run(folder.path(), &nginx, way, &flow[1..]);
        assert_eq!(
            (&summary["totals"]["requests"], &summary["totals"]["failures"]),
            (&json!(8), &json!(0)),
            "{way:?} {summary:#}"
        );
        assert_eq!(summary["totals"]["retried"], 0, "{way:?}");
        // A machine that is slow may let more of them end.
        let opened = summary["connections_opened"].as_u64().unwrap();
        assert!((5..=8).contains(&opened), "{way:?}: {opened}");
    }
}

#[test]
fn no_answer_is_a_connection_that_was_closed() {
    let folder = folder();
    let nginx = start(folder.path(), "location / { return 444; }");
    let flow = "
          - {get: /, name: get}
          - {post: /, name: post, body: x}
";
    for way in ways() {
        let summary = run(folder.path(), &nginx, way, &flow[1..]);
        // In HTTP/2 the stream is reset, and the connection stays.
        let (reason, opened) = if way.0 == "http2" { ("reset", 1) } else { ("closed", 2) };
        assert_eq!(summary["totals"]["failure_reasons"], json!({reason: 2}), "{way:?} {summary:#}");
        assert_eq!((&summary["connections_opened"], &summary["totals"]["retried"]), (&json!(opened), &json!(0)), "{way:?}");
    }
}

#[test]
fn https_behind_http_and_cookies_for_tls_alone() {
    let folder = folder();
    let nginx = start(
        folder.path(),
        "location /up { return 301 https://cars.test:TLS/who; } location /who { add_header Set-Cookie \"safe=1; Secure; Path=/\"; \
         add_header Set-Cookie \"open=2; Path=/\"; default_type text/plain; return 200 \"$scheme cookies=$http_cookie auth=$http_authorization\"; } \
         location /packed { gzip on; gzip_min_length 1; gzip_types text/plain; default_type text/plain; return 200 'packed packed packed'; }",
    );
    // By a name: what is on this machine may have such cookies in clear, as in browsers.
    let flow = "
          - {get: 'http://cars.test:CLEAR/up', name: up, auth: {basic: {user: ann, password: s3cret}}, expect: {body: {equals: 'https cookies= auth='}}}
          - {get: 'http://cars.test:CLEAR/who', name: clear, expect: {body: {equals: 'http cookies=open=2 auth='}}}
          - {get: 'https://cars.test:TLS/who', name: tls, expect: {body: {contains: 'safe=1'}}}
          - {get: /packed, expect: {headers: {content-encoding: gzip}, body: {equals: packed packed packed}}}
";
    for transport in ["wire", "reqwest"] {
        let summary = run(folder.path(), &nginx, ("tls", transport), &flow[1..]);
        assert_eq!((&summary["totals"]["failures"], &summary["totals"]["redirects"]), (&json!(0), &json!(1)), "{summary:#}");
    }
}

#[test]
fn both_count_the_same() {
    // Without bodies, which nginx does not count here, as it does not read them.
    let flow = "
          - {get: '/{{ random_int(1, 100000) }}', name: get, headers: {x-user: '{{ user_id }}'}}
          - {post: /, name: post, headers: {x-text: '{{ random_string(300) }}'}}
";
    for (way, transport) in ways() {
        let folder = folder();
        let nginx = start(folder.path(), "keepalive_requests 50;");
        let summary = run_with(folder.path(), &nginx, (way, transport), &flow[1..], "users: 20, iterations: 1000");
        let count = |field: &str| summary["totals"][field].as_u64().unwrap();
        assert_eq!((count("requests"), count("failures")), (2000, 0), "{way} {transport} {summary:#}");
        let found = Counts {
            requests: usize::try_from(count("requests") + count("retried")).unwrap(),
            connections: usize::try_from(summary["connections_opened"].as_u64().unwrap()).unwrap(),
            received_bytes: count("bytes_sent"),
            sent_bytes: count("bytes_received"),
        };
        let seen = nginx.counts(way, found.requests);
        if way == "http2" {
            // There bytes are those of frames, with packed heads.
            assert_eq!((found.requests, found.connections), (seen.requests, seen.connections), "{way} {transport}");
        } else {
            assert_eq!(found, seen, "{way} {transport}");
        }
    }
}
