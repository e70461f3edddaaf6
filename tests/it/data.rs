//! What users send: rows of data, tokens and files, as a target sees them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::kit::{Otload, Recorded, Recorder, free_address};

/// Runs a scenario whose files lie beside it.
fn run(scenario: &str, files: &[(&str, &[u8])], arguments: &[&str]) -> serde_json::Value {
    run_to(0, scenario, files, arguments)
}

/// One that ends with `code`.
fn run_to(code: i32, scenario: &str, files: &[(&str, &[u8])], arguments: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    // Tests run side by side, and are late now and then.
    std::fs::write(&path, format!("{scenario}\nvalidity: {{max_generator_time: 1h, busy: 100%}}\n")).unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let out = folder.path().join("out");
    let mut all = vec!["run", path.to_str().unwrap(), "--quiet", "--listen", "127.0.0.1:0", "--linger", "0s"];
    all.extend(["--out", out.to_str().unwrap()]);
    all.extend(arguments);
    Otload::command(&all).expect_code(code);
    serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap()
}

const BOTH: [&str; 2] = ["wire", "reqwest"];

fn ok() -> Recorder {
    Recorder::start(|_| (200, "{\"ok\":true}".to_owned()))
}

const ACCOUNTS: &[u8] = b"id,email\n0,a@x\n1,b@x\n2,c@x\n3,d@x\n4,e@x\n5,f@x\n6,g@x\n7,h@x\n8,i@x\n9,j@x\n";

#[test]
fn ten_users_never_share_a_row_of_a_queue() {
    for transport in BOTH {
        check_ten_users_never_share_a_row_of_a_queue(transport);
    }
}

fn check_ten_users_never_share_a_row_of_a_queue(transport: &str) {
    let target = ok();
    let scenario = "http: {transport: TRANSPORT}\ndata: {accounts: {csv: accounts.csv, order: queue, per: user}}\n\
        users: [{wait_time: 10ms, tasks: [{get: \"/{{ accounts.id }}/{{ user_id }}\", name: row}]}]\n\
        load: {users: 10, run_time: 1s}\n";
    let scenario = scenario.replace("TRANSPORT", transport);
    let summary = run(&scenario, &[("accounts.csv", ACCOUNTS)], &["--host", &target.url(), "--workers", "2"]);
    assert_eq!(summary["totals"]["failures"], 0);
    let mut pairs: Vec<String> = target.requests().iter().map(|request| request.line().to_owned()).collect();
    pairs.sort();
    pairs.dedup();
    // Whichever user has which: ten rows, ten users, ten pairs.
    let part = |at: usize| {
        pairs.iter().map(|pair| pair.split('/').nth(at).unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((pairs.len(), part(1).len(), part(2).len()), (10, 10, 10), "{pairs:?}");
}

#[test]
fn the_run_ends_with_its_data() {
    let target = ok();
    for (at_end, note) in [
        ("stop_user", "the data has come to its end, and all users with it"),
        ("stop_run", "`accounts` has given its last row, and the run stopped"),
    ] {
        let scenario = format!(
            "data: {{accounts: {{csv: accounts.csv, order: queue, at_end: {at_end}}}}}\n\
             users: [{{tasks: [{{get: \"/{at_end}/{{{{ accounts.id }}}}\", name: row}}]}}]\nload: {{users: 3, run_time: 60s}}\n"
        );
        let summary = run(&scenario, &[("accounts.csv", ACCOUNTS)], &["--host", &target.url()]);
        assert!(summary["duration_seconds"].as_f64().unwrap() < 20.0, "{summary:#}");
        assert_eq!(summary["notes"].as_array().unwrap().iter().filter(|said| *said == note).count(), 1, "{summary:#}");
        let mut rows: Vec<String> =
            target.requests().iter().map(|request| request.line().to_owned()).filter(|line| line.contains(at_end)).collect();
        rows.sort();
        assert_eq!(rows, (0..10).map(|row| format!("GET /{at_end}/{row}")).collect::<Vec<_>>());
    }
}

/// What each user sent, in its order, as far as both of two runs let it come; and how much that is.
fn by_user(requests: &[Recorded]) -> BTreeMap<String, Vec<Recorded>> {
    let mut users: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    for request in requests {
        let mut request = request.clone();
        // The ports of two targets differ, and where a transport writes the length and the host among the headers.
        request.head.retain(|line| !line.starts_with("host:"));
        request.head[1..].sort();
        users.entry(request.header("x-user").unwrap().to_owned()).or_default().push(request);
    }
    users
}

#[test]
fn with_a_seed_two_runs_send_identical_requests() {
    let scenario = "
data:
  accounts: {csv: accounts.csv, per: user}
  turns: {csv: accounts.csv}
  shuffled: {csv: accounts.csv, order: shuffle}
  any: {csv: accounts.csv, order: random, per: request}
http: {transport: TRANSPORT, headers: {x-user: \"{{ user_id }}\"}}
users:
  - wait_time: {between: [1ms, 20ms]}
    on_start: [{post: /login, json: {user: \"{{ accounts.email }}\"}}]
    tasks:
      - {get: \"/{{ turns.id }}/{{ shuffled.id }}/{{ any.id }}/{{ random_int(1, 1000) }}\", name: rows, weight: 2}
      - {post: /photo, multipart: {id: \"{{ uuid() }}\", photo: {file: photo.jpg}}}
load: {users: 7, run_time: 1500ms}
";
    let files: &[(&str, &[u8])] = &[("accounts.csv", ACCOUNTS), ("photo.jpg", b"a photo")];
    // Different numbers of workers, transports, and targets of different speeds.
    let runs = [("1", 0u64, "wire"), ("2", 3, "wire"), ("2", 0, "reqwest"), ("1", 3, "reqwest")];
    let [first, others @ ..] = runs.map(|(workers, delay, transport)| {
        let target = Recorder::start(move |_| {
            std::thread::sleep(Duration::from_millis(delay));
            (200, "{}".to_owned())
        });
        let scenario = scenario.replace("TRANSPORT", transport);
        let summary = run(&scenario, files, &["--host", &target.url(), "--seed", "42", "--workers", workers]);
        assert_eq!(summary["totals"]["failures"], 0, "{summary:#}");
        by_user(&target.requests())
    });
    assert_eq!(first.len(), 7);
    for second in others {
        let mut compared = 0;
        for (user, one) in &first {
            let other = &second[user];
            let both = one.len().min(other.len());
            assert!(both > 3, "user {user}: {} and {} requests", one.len(), other.len());
            assert_eq!(one[..both], other[..both], "user {user}");
            compared += both;
        }
        assert!(compared > 7 * 10, "{compared}");
    }
    // Another seed sends something else.
    let target = ok();
    run(&scenario.replace("TRANSPORT", "auto"), files, &["--host", &target.url(), "--seed", "43"]);
    assert_ne!(by_user(&target.requests())["1"][..3], first["1"][..3]);
}

#[test]
fn a_token_is_renewed_under_load_with_one_request_at_a_time() {
    for transport in BOTH {
        check_a_token_is_renewed_under_load_with_one_request_at_a_time(transport);
    }
}

fn check_a_token_is_renewed_under_load_with_one_request_at_a_time(transport: &str) {
    let number = AtomicU64::new(0);
    let tokens = Recorder::start(move |request| {
        assert_eq!(request.text(), "grant_type=client_credentials&scope=read");
        let number = number.fetch_add(1, Ordering::SeqCst);
        (200, format!("{{\"access_token\": \"token-{number}\", \"token_type\": \"Bearer\", \"expires_in\": 2}}"))
    });
    let target = ok();
    let scenario = format!(
        "http: {{transport: {transport}, auth: {{oauth2: {{token_url: \"{}/token\", client_id: me, client_secret: very-secret-9, scope: read}}}}}}\n\
         users: [{{wait_time: 5ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 50, run_time: 4s}}\n",
        tokens.url()
    );
    let summary = run(&scenario, &[], &["--host", &target.url(), "--workers", "2"]);
    let seen = target.requests();
    assert_eq!(summary["totals"]["failures"], 0, "{summary:#}");
    assert_eq!(summary["totals"]["requests"], seen.len(), "token requests are no load");
    // Each lasts 2 s, and is renewed when 1.6 s of them are over.
    let asked = tokens.requests().len();
    assert!((2..=4).contains(&asked), "{asked} token requests");
    let mut used: Vec<_> = seen.iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    used.sort();
    used.dedup();
    assert_eq!(used, (0..used.len()).map(|number| format!("Bearer token-{number}")).collect::<Vec<_>>());
    assert!(used.len() >= 2 && used.len() <= asked, "{used:?}");
}

#[test]
fn a_token_server_that_refuses_is_told_of_and_not_asked_more_than_once_a_second() {
    let tokens = Recorder::start(|_| (400, "{\"error\": \"invalid_scope\"}".to_owned()));
    let target = ok();
    let scenario = format!(
        "users: [{{tasks: [{{get: /cars, auth: {{oauth2: {{token_url: \"{}/token\", client_id: me, client_secret: very-secret-9}}}}}}]}}]\n\
         load: {{users: 20, run_time: 2500ms}}\n",
        tokens.url()
    );
    let summary = run_to(1, &scenario, &[], &["--host", &target.url()]);
    assert_eq!(target.requests().len(), 0);
    assert!((2..=4).contains(&tokens.requests().len()), "{}", tokens.requests().len());
    let failures = summary["totals"]["failures"].as_u64().unwrap();
    assert!((20..=80).contains(&failures), "{failures}");
    let text = summary.to_string();
    let server = tokens.url().replace("http://", "");
    assert!(text.contains(&format!("no token from {server}: the status is 400 (invalid_scope)")), "{summary:#}");
    assert!(!text.contains("very-secret-9"));
}

#[test]
fn what_is_sent_is_what_the_file_says_and_secrets_are_not_shown() {
    let target = Recorder::start(|request| (200, serde_json::json!({"said": request.head}).to_string()));
    let large: Vec<u8> = (0..3u32 << 20).map(|at| (at % 251) as u8).collect();
    let scenario = format!(
        "host: {}\nusers:\n  - tasks:\n\
         \x20     - {{post: /multipart, multipart: {{title: t, photo: {{file: photo.jpg}}}}}}\n\
         \x20     - {{put: /large, body_file: large.bin}}\n\
         \x20     - {{put: /packed, body_file: large.bin, compress: gzip}}\n\
         \x20     - {{post: /graphql, graphql: {{query: \"{{ cars {{ id }} }}\", variables: {{n: \"{{{{ user_id }}}}\"}}}}}}\n\
         \x20     - {{get: /basic, auth: {{basic: {{user: ann, password: s3cret-7}}}}}}\n\
         \x20     - {{get: /aws, auth: {{aws_sigv4: {{access_key: AK, secret_key: s3cret-8, session_token: s3cret-9, region: r, service: s}}}}}}\n\
         load: {{users: 1}}\n",
        target.url()
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sent.yaml");
    std::fs::write(&path, scenario).unwrap();
    std::fs::write(folder.path().join("photo.jpg"), b"\xff\xd8\xff").unwrap();
    std::fs::write(folder.path().join("large.bin"), &large).unwrap();
    let once = Otload::command(&["check", path.to_str().unwrap(), "--once"]).expect_code(0);
    let seen: BTreeMap<String, Recorded> =
        target.requests().into_iter().map(|request| (request.line().split('/').nth(1).unwrap().to_owned(), request)).collect();
    let multipart = &seen["multipart"];
    let boundary = multipart.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = [
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\nt\r\n--{boundary}\r\n").into_bytes(),
        b"content-disposition: form-data; name=\"photo\"; filename=\"photo.jpg\"\r\ncontent-type: image/jpeg\r\n\r\n\xff\xd8\xff"
            .to_vec(),
        format!("\r\n--{boundary}--\r\n").into_bytes(),
    ];
    assert_eq!(multipart.body, expected.concat());
    assert!(seen["large"].body == large && seen["large"].header("content-encoding").is_none());
    assert_eq!(seen["large"].header("content-type"), Some("application/octet-stream"));
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&seen["packed"].body[..]), &mut unpacked).unwrap();
    assert!(unpacked == large && seen["packed"].header("content-encoding") == Some("gzip"));
    assert!(seen["packed"].body.len() < large.len() / 4);
    assert_eq!(seen["graphql"].text(), "{\"query\":\"{ cars { id } }\",\"variables\":{\"n\":1}}");
    assert_eq!(seen["basic"].header("authorization"), Some("Basic YW5uOnMzY3JldC03"));
    let aws = &seen["aws"];
    assert!(aws.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential=AK/"));
    assert_eq!(aws.header("x-amz-security-token"), Some("s3cret-9"));
    // The target says all headers again.
    assert!(once.stdout.contains("authorization: ***"), "{}", once.stdout);
    for secret in ["YW5uOnMzY3JldC03", "s3cret-7", "s3cret-8", "s3cret-9", "Signature="] {
        assert!(!once.stdout.contains(secret), "{secret}: {}", once.stdout);
    }
}

#[test]
fn streams_come_out_as_the_scenario_says() {
    for transport in BOTH {
        check_streams_come_out_as_the_scenario_says(transport);
    }
}

fn check_streams_come_out_as_the_scenario_says(transport: &str) {
    let host = format!("http://{}", free_address());
    let scenario = "http: {transport: TRANSPORT}\nusers:\n  - tasks:\n      - name: t\n        flow:\n\
        \x20         - {get: /prices, name: until, stream: {until: events == 3}, expect: {json: {$.car: 4}, max_time: 900ms}}\n\
        \x20         - {get: /prices, name: never, stream: {until: event.data == \"nothing\"}}\n\
        \x20         - {get: /prices, name: listened, stream: {max_time: 300ms}, expect: {status: 200, body: {contains: price_eur}}}\n\
        \x20         - {get: /prices, name: too late, stream: {until: event.event == \"close\", max_time: 300ms}}\n\
        \x20         - {get: /prices, name: wrong, stream: {until: event.json.no.such > 1}}\n\
        \x20         - {get: /nothing, name: missing, stream: {until: events == 1}}\n\
        load: {users: 1, iterations: 1}\n";
    let scenario = scenario.replace("TRANSPORT", transport);
    let summary = run(&scenario, &[], &["--host", &host, "--demo"]);
    let of = |name: &str| {
        let requests = summary["requests"].as_array().unwrap();
        let request = requests.iter().find(|request| request["request"] == name).unwrap();
        (request["requests"].as_u64().unwrap(), request["failures"].as_u64().unwrap())
    };
    assert_eq!(
        ["until", "never", "listened", "too late", "wrong", "missing"].map(of),
        [(1, 0), (1, 1), (1, 0), (1, 1), (1, 1), (1, 1)]
    );
    let text = summary.to_string();
    for message in [
        "the stream ended after 20 events, and its `until` was true for none",
        "timed out after 300ms while receiving the body",
        "`until` of the stream: `event.json.no` is undefined",
        "the status is 404",
    ] {
        assert!(text.contains(message), "{message}: {summary:#}");
    }
}
