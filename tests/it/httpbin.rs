//! httpbin under gunicorn, a server that nobody here wrote, says what it was sent: the scenarios in `httpbin/` go through all it
//! has and compare. Each is run over both transports, which must come to the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Authority, Gunicorn, Nginx, Otload, free_address};

/// What is not the same over `reqwest`: it does not see the framing of chunks, nor how much of a body came before a timeout.
const FRAMED: [&str; 7] = [
    "GET /stream/20",
    "a stream that nobody looks at",
    "GET /stream-bytes/50000",
    "GET /stream/0",
    "timeout in the body",
    "body_too_large in chunks",
    "body_too_large",
];

/// What came of one scenario over one transport.
#[derive(Debug)]
struct Came {
    summary: Value,
}

impl Came {
    /// A field of each request, by its name.
    fn each(&self, field: &str) -> BTreeMap<String, Value> {
        let all = self.summary["requests"].as_array().unwrap();
        all.iter().map(|request| (request["request"].as_str().unwrap().to_owned(), request[field].clone())).collect()
    }

    fn totals(&self, field: &str) -> &Value {
        &self.summary["totals"][field]
    }

    fn checks(&self, field: &str) -> u64 {
        self.summary["checks"].as_array().unwrap().iter().map(|check| check[field].as_u64().unwrap()).sum()
    }
}

/// Runs `scenario` with two workers, in a folder with its files.
fn run(scenario: &str, transport: &str, server: &Gunicorn, closed: u16) -> Came {
    run_at(&server.url(), scenario, transport, server, closed)
}

/// With another host for all that is relative.
fn run_at(host: &str, scenario: &str, transport: &str, server: &Gunicorn, closed: u16) -> Came {
    let folder = tempfile::tempdir().unwrap();
    let text = scenario
        .replace("TRANSPORT", transport)
        .replace("PORT", &server.address().port().to_string())
        .replace("CLOSED", &closed.to_string());
    // Tests run side by side, and are late now and then.
    let files = [
        ("scenario.yaml", format!("{text}validity: {{max_generator_time: 1h, busy: 100%}}\n").into_bytes()),
        ("photo.jpg", b"\xff\xd8\xff\0\xff\x80\r\n--".to_vec()),
        ("note.txt", b"line 1\r\nline 2\n".to_vec()),
        ("large.txt", ["0123456789abcde\n".repeat(655_359).as_bytes(), b"123456789the end"].concat()),
    ];
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let (file, out) = (folder.path().join("scenario.yaml"), folder.path().join("out"));
    let arguments = ["run", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--host", host];
    let arguments = [&arguments[..], &["--listen", "127.0.0.1:0", "--workers", "2"]].concat();
    Otload::command_within(Duration::from_secs(120), &arguments).expect_code(0);
    let summary = std::fs::read(out.join("summary.json")).unwrap();
    Came { summary: serde_json::from_slice(&summary).unwrap() }
}

/// Runs `scenario` over both transports, and compares.
fn over_both(scenario: &str, server: &Gunicorn) -> [Came; 2] {
    // Nobody listens there.
    let closed = free_address().port();
    let both = ["wire", "reqwest"].map(|transport| run(scenario, transport, server, closed));
    let [wire, reqwest] = &both;
    for field in ["requests", "failures", "redirects", "retried", "statuses", "failure_reasons", "bytes_sent"] {
        assert_eq!(wire.each(field), reqwest.each(field), "{field}");
    }
    let examples = |came: &Came| {
        let mut examples = came.each("failure_examples");
        // It says how long it took.
        examples.remove("check max_time");
        examples
    };
    assert_eq!(examples(wire), examples(reqwest));
    let received = |came: &Came| {
        let mut received = came.each("bytes_received");
        received.retain(|name, _| !FRAMED.contains(&name.as_str()));
        received
    };
    assert_eq!(received(wire), received(reqwest));
    assert_eq!(wire.summary["connections_opened"], reqwest.summary["connections_opened"]);
    both
}

/// Runs a scenario in which all is well: so many requests, redirects and checks, and connections at most.
#[track_caller]
fn all_well(scenario: &str, (requests, redirects, checks): (u64, u64, u64), connections: u64) -> [Came; 2] {
    let both = over_both(scenario, &Gunicorn::start_httpbin());
    for came in &both {
        assert_eq!(came.totals("failures"), 0, "{:#?}", came.each("failure_examples"));
        assert_eq!((came.totals("requests"), came.totals("redirects")), (&json!(requests), &json!(redirects)));
        assert_eq!((came.checks("successes"), came.checks("failures")), (checks, 0));
        assert_eq!(came.summary["connections_opened"], connections, "kept alive, whatever came");
    }
    both
}

#[test]
fn every_method_and_class_of_status() {
    let both = all_well(include_str!("httpbin/methods.yaml"), (56, 0, 120), 1);
    for came in &both {
        let statuses = came.totals("statuses").as_object().unwrap();
        assert_eq!((statuses.len(), &statuses["200"], &statuses["429"]), (40, &json!(12), &json!(5)), "{statuses:?}");
    }
}

#[test]
fn redirects_by_path_by_url_and_to_another_host() {
    all_well(include_str!("httpbin/redirects.yaml"), (15, 31, 32), 2);
}

#[test]
fn cookies_and_credentials() {
    all_well(include_str!("httpbin/sessions.yaml"), (16, 3, 23), 1);
}

#[test]
fn bodies_of_all_kinds_arrive_as_they_are() {
    for came in all_well(include_str!("httpbin/bodies.yaml"), (16, 0, 40), 1) {
        // Twice 10 MiB each way in each of two rounds, and what JSON needs for their ends of lines.
        for way in ["bytes_sent", "bytes_received"] {
            let bytes = came.totals(way).as_u64().unwrap();
            assert!((40 << 20..43 << 20).contains(&bytes), "{bytes} {way}");
        }
    }
}

#[test]
fn codings_framings_ranges_and_delays() {
    for came in all_well(include_str!("httpbin/responses.yaml"), (56, 0, 94), 1) {
        let least = |name: &str| came.each("service_time_seconds")[name]["min"].as_f64().unwrap();
        assert!((1.0..20.0).contains(&least("GET /delay/1")), "{}", least("GET /delay/1"));
        assert!((0.4..20.0).contains(&least("drip")), "{}", least("drip"));
    }
}

#[test]
fn users_keep_to_themselves() {
    let server = Gunicorn::start_httpbin();
    for came in ["wire", "reqwest"].map(|transport| run(include_str!("httpbin/users.yaml"), transport, &server, 1)) {
        assert_eq!(came.totals("failures"), 0, "{:#?}", came.each("failure_examples"));
        let turns = came.each("requests")["a cookie for each turn"].as_u64().unwrap();
        assert!(turns >= 40, "{turns} turns of 120 tasks");
        assert!(came.checks("successes") >= 6 * turns && came.checks("failures") == 0);
        assert_eq!(came.summary["connections_opened"], 10, "each has its own");
    }
}

#[test]
fn settings_are_of_all_requests_or_of_one() {
    let server = Gunicorn::start_httpbin();
    for came in over_both(include_str!("httpbin/settings.yaml"), &server) {
        // Eight rounds of each task.
        assert_eq!(came.totals("failure_reasons"), &json!({"redirect_limit": 8, "timeout": 8}));
        let (requests, redirects) = (came.totals("requests").as_u64().unwrap(), came.totals("redirects").as_u64().unwrap());
        assert_eq!((requests, redirects), (8 * 8, 8 * (1 + 2 + 1)));
        assert_eq!(came.checks("failures"), 0, "{:#?}", came.each("failure_examples"));
        assert_eq!(came.summary["connections_opened"], requests + redirects, "none is used again");
    }
}

#[test]
fn the_same_over_http2() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), "ca");
    authority.issue("good", &["127.0.0.1"], (2020, 2120));
    let server = Gunicorn::start_httpbin();
    let to_httpbin = format!(
        "client_max_body_size 0; location / {{ proxy_pass {}; proxy_http_version 1.1; proxy_set_header Host $http_host; \
         proxy_set_header Connection \"\"; proxy_pass_header Server; add_header x-spoken $server_protocol always; }}",
        server.url()
    );
    let tls = format!("ssl_certificate good.pem; ssl_certificate_key good.key; {to_httpbin}");
    let nginx = Nginx::start(folder.path(), &[("clear", "http2", &to_httpbin), ("tls", "ssl http2", &tls)]);
    let scenarios = [
        (include_str!("httpbin/methods.yaml"), 56, 121),
        (include_str!("httpbin/sessions.yaml"), 16, 23),
        (include_str!("httpbin/bodies.yaml"), 16, 40),
    ];
    for (scheme, version) in [("http", "2"), ("https", "2"), ("https", "auto")] {
        let name = if scheme == "http" { "clear" } else { "tls" };
        let host = format!("{scheme}://{}", nginx.address(name));
        for (scenario, requests, checks) in scenarios {
            let settings = format!("auto, version: {version}, tls: {{insecure: true}}");
            // nginx refuses TRACE, and says what it was asked by.
            let scenario = scenario
                .replace("TRACE", "PUT")
                .replace("server: gunicorn,", "server: gunicorn, x-spoken: HTTP/2.0,")
                .replace("http://ann:s3cret@127.0.0.1:PORT", &host.replace("://", "://ann:s3cret@"));
            let came = run_at(&host, &scenario, &settings, &server, 1);
            assert_eq!(came.totals("failures"), 0, "{scheme} {version} {:#?}", came.each("failure_examples"));
            assert_eq!((came.totals("requests"), came.checks("successes")), (&json!(requests), checks));
        }
    }
}

#[test]
fn each_failure_has_its_reason() {
    let server = Gunicorn::start_httpbin();
    for came in over_both(include_str!("httpbin/wrong.yaml"), &server) {
        for (name, reasons) in came.each("failure_reasons") {
            // Named after its reason; those of the end are well.
            let expected = match name.split(' ').next().unwrap() {
                "well" | "as" => json!({}),
                reason => json!({reason: 1}),
            };
            assert_eq!(reasons, expected, "{name}");
        }
        let reasons = json!({"status": 4, "check": 4, "capture": 2, "timeout": 2, "redirect_limit": 3, "protocol": 1,
            "connect_refused": 1, "body_too_large": 2});
        assert_eq!((came.totals("requests"), came.totals("failure_reasons")), (&json!(21), &reasons));
        let examples = came.each("failure_examples");
        for (name, reason, text) in [
            ("check json", "check", "json $.args.a: $.args.a finds nothing".to_owned()),
            ("status 401", "status", "the status is 401".to_owned()),
            ("timeout", "timeout", format!("timed out after 300ms while waiting for the response from {}", server.address())),
            (
                "timeout in the body",
                "timeout",
                format!("timed out after 400ms while receiving the body from {}", server.address()),
            ),
            (
                "redirect_limit of a loop",
                "redirect_limit",
                format!("more than 5 redirects, the last one to {}/redirect-to?url=", server.url()),
            ),
            ("protocol", "protocol", "the redirect leads to `ftp:`, which is neither http nor https".to_owned()),
            (
                "body_too_large in chunks",
                "body_too_large",
                "the body is larger than `max_body` (64KiB); raise it if that is expected".to_owned(),
            ),
        ] {
            assert_eq!(examples[name][reason], text, "{name}");
        }
        let longest = came.each("service_time_seconds")["timeout"]["max"].as_f64().unwrap();
        assert!((0.3..2.0).contains(&longest), "{longest}");
    }
}
