//! What is captured is the same over both transports, from a server that answers as servers do.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::super::once::{Seen, run_once};
use super::*;

/// A server on a free port that answers each request by its path; it ends with the process.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let (status, headers, body) = answer(path, &head);
                let length = body.len();
                let text = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes());
            });
        }
    });
    format!("http://{address}")
}

fn answer(path: &str, head: &str) -> (&'static str, String, String) {
    match path {
        "/login" => {
            ("302 Found", "location: /home\r\nset-cookie: session=s1; Path=/; HttpOnly\r\nx-hop: first\r\n".into(), String::new())
        }
        "/home" => {
            let cookie = head.lines().find_map(|line| line.to_lowercase().strip_prefix("cookie: ").map(str::to_owned));
            let page = format!(
                "<html><head><title>H\u{f6}me</title></head><body><form><input name=csrf value='a&amp;b'></form>\
                 <a class=next href='/cars?page=2'>go <b>on</b></a><a href='/x'>X</a><p>{}</p></body></html>",
                cookie.unwrap_or_default()
            );
            (
                "200 OK",
                "content-type: text/html; charset=utf-8\r\nset-cookie: seen=1; Path=/\r\nx-id: 7\r\nx-id: 8\r\n".into(),
                page,
            )
        }
        "/cars?page=2" => (
            "200 OK",
            "content-type: application/json\r\n".into(),
            r#"{"cars":[{"id":5},{"id":6.5},{"id":"x"}],"next":null}"#.into(),
        ),
        "/nothing" => ("204 No Content", String::new(), String::new()),
        _ => ("404 Not Found", String::new(), "?".into()),
    }
}

#[test]
fn captures_are_the_same_over_both_transports() {
    let yaml = format!(
        "host: {}\nsetup: [{{get: /home, capture: {{first: {{header: x-id}}}}}}]\nusers: [{{name: u, tasks: [{{name: t, flow: [
  {{get: /login, capture: {{session: {{cookie: session}}, seen: {{cookie: seen}}, ids: {{header: x-id, pick: all}}, hop: {{header: x-hop, default: none}},
    title: {{css: title}}, csrf: {{css: 'input[name=csrf]', attribute: value}}, next: {{css: a.next, attribute: href}}, text: {{css: a.next}},
    links: {{css: a, attribute: href, pick: all}}, sent: {{regex: '<p>([^<]*)</p>'}}}}}},
  {{get: '{{{{ next }}}}', name: cars, expect: {{that: \"setup.first == '7'\"}}, capture: {{all: {{json: '$.cars[*].id', pick: all}}, end: {{json: $.next}}, none: {{json: $.none, default: {{a: [1]}}}}}}}},
  {{get: /nothing, capture: {{left: {{regex: x, default: ''}}}}}},
  {{get: /lost, expect: {{status: 404}}, capture: {{id: {{json: $.id}}}}}}]}}]}}]\nload: {{users: 1}}",
        server()
    )
    .replace("none: {json", "nothing: {json");
    let source = Arc::new(Source { name: "test.yaml".into(), text: yaml });
    let (plan, _) =
        scenario::compile(source, &Overrides::default()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let plan = Arc::new(plan);
    for kind in TransportKind::ALL {
        let client = Client::try_with(&plan.http, kind).unwrap();
        let (mut captured, mut failures) = (Vec::new(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let failed = runtime.block_on(run_once(&plan, &client, 1, |seen| {
            if let Seen::Request { captured: found, failure, .. } = seen {
                captured.extend(found.into_iter().map(|(name, value)| format!("{name}={value}")));
                failures.extend(failure);
            }
        }));
        let expected = [
            r#"first="7""#,
            r#"session="s1""#,
            r#"seen="1""#,
            r#"ids=["7","8"]"#,
            r#"hop="none""#,
            "title=\"H\u{f6}me\"",
            r#"csrf="a&b""#,
            r#"next="/cars?page=2""#,
            r#"text="go on""#,
            r#"links=["/cars?page=2","/x"]"#,
            r#"sent="session=s1""#,
            r#"all=[5,6.5,"x"]"#,
            "end=null",
            r#"nothing={"a":[1]}"#,
            r#"left="""#,
        ];
        assert_eq!(captured, expected, "{kind:?}");
        assert_eq!(
            (failed, failures),
            (1, vec!["capture: id: $.id: the body is not JSON (expected value at line 1 column 1): `?`".to_owned()]),
            "{kind:?}"
        );
    }
}
