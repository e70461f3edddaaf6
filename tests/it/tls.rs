//! TLS by nginx and Caddy: whom otload believes, who believes otload, what is spoken, and how a failure is explained. Each over
//! both transports, which must say the same.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Authority, Caddy, Nginx, Otload, code_of};

/// One request of a scenario, and what comes of it.
pub(crate) struct Case<'a> {
    pub(crate) url: String,
    pub(crate) expected: Expected<'a>,
}

pub(crate) enum Expected<'a> {
    /// A part of what nginx says.
    Answer(&'a str),
    /// A reason, and all of the text but the address, which stands in it as `PEER`.
    Failure(&'a str, &'a str),
}

use Expected::{Answer, Failure};

/// Certificates: `ca` signs all but those of `foreign`.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (ca, foreign) = (Authority::create(folder.path(), "ca"), Authority::create(folder.path(), "foreign"));
    ca.issue("good", &["cars.test", "127.0.0.1"], (2020, 2120));
    ca.issue("other", &["other.example", "*.other.example"], (2020, 2120));
    ca.issue("expired", &["cars.test"], (2019, 2020));
    ca.issue("early", &["cars.test"], (2110, 2120));
    ca.issue("nameless", &[], (2020, 2120));
    foreign.issue("unknown", &["cars.test"], (2020, 2120));
    ca.issue("user", &["user"], (2020, 2120));
    ca.issue("old-user", &["user"], (2019, 2020));
    foreign.issue("stranger", &["user"], (2020, 2120));
    folder
}

/// A server of `nginx` that shows this certificate.
fn showing(certificate: &str, directives: &str) -> String {
    format!("ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key; {directives}")
}

/// A run of all cases with these settings of `http` over each of `transports`.
pub(crate) fn prove(folder: &Path, settings: &str, transports: &[&str], cases: &[Case<'_>]) -> Vec<Value> {
    let steps: String = cases
        .iter()
        .enumerate()
        .map(|(number, case)| {
            let expect = match case.expected {
                Answer(part) => format!(", expect: {{status: 200, body: '{part}'}}"),
                Failure(..) => String::new(),
            };
            format!("        - {{get: '{}', name: case {number}{expect}}}\n", case.url)
        })
        .collect();
    let run = |transport: &&str| {
        let text = format!(
            "http:\n  transport: {transport}\n  resolve: {{cars.test: 127.0.0.1, far.test: 127.0.0.1}}\n{settings}\
             users:\n  - tasks:\n    - name: all\n      flow:\n{steps}load: {{users: 1, iterations: 1}}\n\
             validity: {{max_generator_time: 1h, busy: 100%}}\n"
        );
        let (file, out) = (folder.join(format!("{transport}.yaml")), tempfile::tempdir().unwrap());
        std::fs::write(&file, text).unwrap();
        let out = out.path().join("out");
        let arguments = ["run", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        let finished = Otload::command_within(Duration::from_secs(60), &arguments);
        let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
        finished.expect_code(code_of(&summary));
        let requests = summary["requests"].as_array().unwrap();
        assert_eq!(requests.len(), cases.len());
        for (number, case) in cases.iter().enumerate() {
            let request = requests.iter().find(|request| request["request"] == format!("case {number}")).unwrap();
            let found = (&request["failure_reasons"], &request["failure_examples"]);
            let (_, rest) = case.url.split_once("://").unwrap();
            match case.expected {
                Answer(_) => assert_eq!(found, (&json!({}), &json!({})), "{transport}, {}", case.url),
                Failure(reason, text) => {
                    let text = text.replace("PEER", rest.trim_end_matches('/'));
                    assert_eq!(found, (&json!({reason: 1}), &json!({reason: text})), "{transport}, {}", case.url);
                }
            }
        }
        summary
    };
    let summaries: Vec<_> = transports.iter().map(run).collect();
    if transports == BOTH {
        assert_eq!(summaries[0]["connections_opened"], summaries[1]["connections_opened"]);
    }
    summaries
}

const BOTH: [&str; 2] = ["wire", "reqwest"];

fn case<'a>(nginx: &Nginx, server: &str, host: &str, expected: Expected<'a>) -> Case<'a> {
    Case { url: format!("https://{host}:{}/", nginx.address(server).port()), expected }
}

#[test]
fn whom_otload_believes_and_what_is_spoken() {
    let folder = certificates();
    let good = |directives: &str| showing("good", directives);
    let servers = [
        ("good", "ssl", good("")),
        ("other", "ssl", showing("other", "")),
        ("expired", "ssl", showing("expired", "")),
        ("early", "ssl", showing("early", "")),
        ("nameless", "ssl", showing("nameless", "")),
        ("unknown", "ssl", showing("unknown", "")),
        ("authority", "ssl", showing("ca", "")),
        ("1.2", "ssl", good("ssl_protocols TLSv1.2;")),
        ("1.3", "ssl", good("ssl_protocols TLSv1.3;")),
        ("1.1", "ssl", good("ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;")),
        ("weak", "ssl", good("ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-SHA;")),
        ("choosy", "ssl", "ssl_reject_handshake on;".to_owned()),
        ("plain", "", String::new()),
        ("h2", "ssl http2", good("")),
    ];
    let servers: Vec<_> = servers.iter().map(|(name, listen, directives)| (*name, *listen, directives.as_str())).collect();
    let nginx = Nginx::start(folder.path(), &servers);
    let case = |server: &str, host: &str, expected| case(&nginx, server, host, expected);
    let not_accepted = |text: &str| format!("the certificate of PEER is not accepted: {text}");
    let unknown = not_accepted(
        "nobody we trust has signed it; set `http.tls.ca` to the file of the authority that did, or `http.tls.insecure: true`",
    );

    // Its authority is named.
    let other = not_accepted(
        "it is for other.example, *.other.example, not for cars.test; `http.tls.server_name` sets the name to expect",
    );
    let address = not_accepted(
        "it is for other.example, *.other.example, not for 127.0.0.1; `http.tls.server_name` sets the name to expect",
    );
    let expired = not_accepted("it has expired, on 2020-01-01T00:00:00Z");
    let early = not_accepted("it is not valid before 2110-01-01T00:00:00Z; is the clock of this machine right?");
    let nameless = not_accepted("it has no name (`subjectAltName`), so it is not for cars.test");
    let authority = not_accepted(
        "it is an authority's own (`CA:TRUE`), which no server may use; let the authority sign one for the server, or set \
         `http.tls.insecure: true`",
    );
    let cases = [
        case("good", "cars.test", Answer("tls=TLSv1.2 http=HTTP/1.1 reused=. name=cars.test")),
        case("good", "127.0.0.1", Answer("tls=TLSv1.2 http=HTTP/1.1 reused=. name= ")),
        case("1.2", "cars.test", Answer("tls=TLSv1.2 http=HTTP/1.1 reused=.")),
        case("1.3", "cars.test", Answer("tls=TLSv1.3 http=HTTP/1.1 reused=.")),
        case("h2", "cars.test", Answer("http=HTTP/1.1")),
        case("other", "cars.test", Failure("tls", &other)),
        case("other", "127.0.0.1", Failure("tls", &address)),
        case("expired", "cars.test", Failure("tls", &expired)),
        case("early", "cars.test", Failure("tls", &early)),
        case("nameless", "cars.test", Failure("tls", &nameless)),
        case("authority", "cars.test", Failure("tls", &authority)),
        case("unknown", "cars.test", Failure("tls", &unknown)),
        case("1.1", "cars.test", Failure("tls", "PEER speaks neither TLS 1.2 nor 1.3, and otload no other")),
        case(
            "weak",
            "cars.test",
            Failure(
                "tls",
                "PEER refused the TLS handshake (alert HandshakeFailure): it and otload have no cipher, key exchange or signature \
                 in common",
            ),
        ),
        case(
            "choosy",
            "cars.test",
            Failure("tls", "PEER does not know the name that it was asked for; `http.tls.server_name` sets another"),
        ),
        case("plain", "cars.test", Failure("tls", "PEER does not speak TLS; is the URL meant to be http://?")),
        // And the user is well.
        case("good", "cars.test", Answer("reused=")),
        Case {
            url: format!("http://cars.test:{}/", nginx.address("good").port()),
            expected: Failure("status", "the status is 400"),
        },
    ];
    prove(folder.path(), "  version: 1.1\n  tls: {ca: ca.pem}\n", &BOTH, &cases);

    // It is not, or another is.
    for settings in ["", "  tls: {ca: foreign.pem}\n"] {
        prove(folder.path(), settings, &BOTH, &[case("good", "cars.test", Failure("tls", &unknown))]);
    }

    // All are believed.
    let names = ["good", "other", "expired", "early", "nameless", "unknown", "authority"];
    let cases: Vec<_> = names.iter().map(|name| case(name, "cars.test", Answer("name=cars.test"))).collect();
    prove(folder.path(), "  tls: {insecure: true}\n", &BOTH, &cases);

    // Under another name.
    let wrong =
        not_accepted("it is for cars.test, 127.0.0.1, not for a.other.example; `http.tls.server_name` sets the name to expect");
    let cases = [
        case("other", "cars.test", Answer("name=a.other.example")),
        case("other", "127.0.0.1", Answer("name=a.other.example")),
        case("good", "cars.test", Failure("tls", &wrong)),
    ];
    prove(folder.path(), "  tls: {ca: ca.pem, server_name: a.other.example}\n", &BOTH, &cases);

    // HTTP/2, where it is offered.
    let ca = "  tls: {ca: ca.pem}\n";
    let cases = [
        case("h2", "cars.test", Answer("http=HTTP/2.0")),
        case("good", "cars.test", Answer("http=HTTP/1.1")),
        case("h2", "127.0.0.1", Answer("http=HTTP/2.0")),
        case("expired", "cars.test", Failure("tls", &expired)),
    ];
    prove(folder.path(), ca, &["auto", "reqwest"], &cases);
    prove(folder.path(), ca, &["wire"], &[case("h2", "cars.test", Answer("http=HTTP/1.1"))]);
    let cases = [
        case("h2", "cars.test", Answer("http=HTTP/2.0")),
        case(
            "good",
            "cars.test",
            Failure("tls", "PEER speaks none of the versions of HTTP that were offered; see `http.version`"),
        ),
        case("h2", "cars.test", Answer("http=HTTP/2.0")),
    ];
    for summary in prove(folder.path(), &format!("  version: 2\n{ca}"), &["auto", "reqwest"], &cases) {
        assert_eq!(summary["connections_opened"], 2, "one of them kept");
    }
}

#[test]
fn a_user_resumes_its_sessions() {
    let folder = certificates();
    let servers = [("1.2", "ssl_protocols TLSv1.2;"), ("1.3", "ssl_protocols TLSv1.3;")];
    let servers = servers.map(|(name, directives)| (name, showing("good", directives)));
    let servers: Vec<_> = servers.iter().map(|(name, directives)| (*name, "ssl", directives.as_str())).collect();
    let nginx = Nginx::start(folder.path(), &servers);
    for server in nginx.names() {
        let cases = [".", "r", "r"].map(|reused| format!("reused={reused} "));
        let cases: Vec<_> = cases.iter().map(|answer| case(&nginx, server, "cars.test", Answer(answer))).collect();
        for summary in prove(folder.path(), "  keep_alive: false\n  tls: {ca: ca.pem}\n", &BOTH, &cases) {
            assert_eq!(summary["connections_opened"], 3);
        }
    }
}

#[test]
fn who_believes_otload() {
    for version in ["1.1", "auto", "2"] {
        check_who_believes_otload(version);
    }
}

fn check_who_believes_otload(version: &str) {
    let transports = if version == "1.1" { BOTH } else { ["auto", "reqwest"] };
    let folder = certificates();
    let mutual = showing("good", "ssl_client_certificate ca.pem; ssl_verify_client on;");
    let nginx = Nginx::start(folder.path(), &[("mutual", "ssl http2", &mutual)]);
    let caddies = ["tls1.2", "tls1.3"].map(|version| Caddy::start_mutual(folder.path(), version));
    let with = |user: &str| {
        let own = if user.is_empty() { String::new() } else { format!(", cert: {user}.pem, key: {user}.key") };
        format!("  version: {version}\n  tls: {{ca: ca.pem{own}}}\n")
    };
    let urls = caddies.each_ref().map(|caddy| format!("https://cars.test:{}/", caddy.address().port()));
    let at_caddies = |texts: [&'static str; 2]| {
        urls.iter().zip(texts).map(|(url, text)| Case { url: url.clone(), expected: Failure("tls", text) }).collect::<Vec<_>>()
    };
    let wanted = "PEER wants a client certificate: set `http.tls.cert` and `http.tls.key`";
    prove(folder.path(), &with(""), &transports, &at_caddies([wanted, wanted]));
    let refused = "PEER does not accept the certificate of `http.tls.cert`: it does not trust the authority that signed it";
    // hyper keeps what the server said after the handshake to itself when it speaks HTTP/2.
    let later = "PEER does not accept the certificate of `http.tls.cert`: it closed the connection right after the TLS handshake";
    let then = |text| if version == "1.1" { text } else { later };
    prove(folder.path(), &with("stranger"), &transports, &at_caddies([refused, then(refused)]));
    let late = "PEER does not accept the certificate of `http.tls.cert`: it has expired, or is not valid yet";
    prove(folder.path(), &with("old-user"), &transports, &at_caddies([late, then(late)]));
    let cases: Vec<_> = urls.iter().map(|url| Case { url: url.clone(), expected: Answer("hello") }).collect();
    prove(folder.path(), &with("user"), &transports, &cases);

    // nginx lets the handshake go well, and answers with a status.
    let at_nginx = |expected| [case(&nginx, "mutual", "cars.test", expected)];
    let wanted = "the status is 400; the server wants a client certificate: set `http.tls.cert` and `http.tls.key`";
    prove(folder.path(), &with(""), &transports, &at_nginx(Failure("status", wanted)));
    let refused = "the status is 400; the server asked for a client certificate, and may not accept that of `http.tls.cert`";
    prove(folder.path(), &with("stranger"), &transports, &at_nginx(Failure("status", refused)));
    prove(folder.path(), &with("user"), &transports, &at_nginx(Answer("client=CN=user")));
}
