//! Through a forward proxy: tinyproxy, in clear by the whole URL and over TLS by CONNECT, and microsocks, by SOCKS5; and what is
//! said when it refuses.

use std::net::SocketAddr;

use crate::kit::{Authority, Microsocks, Nginx, Tinyproxy, free_address};
use crate::tls::Expected::{Answer, Failure};
use crate::tls::{Case, prove};

/// By whichever transport: it is `reqwest`.
const BOTH: [&str; 2] = ["auto", "reqwest"];

fn settings(proxy: &str) -> String {
    by("http", proxy)
}

fn by(scheme: &str, proxy: &str) -> String {
    format!("  proxy: '{scheme}://{proxy}'\n  tls: {{ca: ca.pem}}\n")
}

#[test]
fn requests_and_tunnels() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), "ca");
    authority.issue("good", &["localhost"], (2020, 2120));
    authority.issue("expired", &["localhost"], (2019, 2020));
    let tls = |name: &str| format!("ssl_certificate {name}.pem; ssl_certificate_key {name}.key;");
    let (good, expired) = (tls("good"), tls("expired"));
    let servers = [("plain", "", ""), ("tls", "ssl", &*good), ("h2", "ssl http2", &*good), ("expired", "ssl", &*expired)];
    let nginx = Nginx::start(folder.path(), &servers);
    let url = |scheme: &str, server: &str| format!("{scheme}://localhost:{}/", nginx.address(server).port());
    let proxy = Tinyproxy::start("BasicAuth ann s3cret");
    let late = format!(
        "the certificate of PEER (by the proxy {}) is not accepted: it has expired, on 2020-01-01T00:00:00Z",
        proxy.address
    );
    let cases = [
        Case { url: url("http", "plain"), expected: Answer("http=HTTP/1.1 reused= name= client= via=1.1 proxy (tinyproxy") },
        Case { url: url("https", "tls"), expected: Answer("http=HTTP/1.1 reused=. name=localhost client= via=") },
        Case { url: url("https", "h2"), expected: Answer("http=HTTP/2.0") },
        Case { url: url("https", "expired"), expected: Failure("tls", &late) },
    ];
    prove(folder.path(), &settings(&format!("ann:s3cret@{}", proxy.address)), &BOTH, &cases);
    assert_eq!((proxy.requests("GET http://localhost:"), proxy.requests("CONNECT localhost:")), (2, 6));

    let wanted =
        format!("the proxy {} does not let otload in; write the right user and password into `http.proxy`", proxy.address);
    let status = "the status is 407; the proxy does not let otload in; write the right user and password into `http.proxy`";
    let cases = [
        Case { url: url("https", "tls"), expected: Failure("connect_error", &wanted) },
        Case { url: url("http", "plain"), expected: Failure("status", status) },
    ];
    prove(folder.path(), &settings(&proxy.address.to_string()), &BOTH, &cases);
    // To the wrong ones this proxy says 401.
    let refused = |proxy: SocketAddr| format!("the proxy {proxy} does not connect to PEER: it is not allowed to, or cannot");
    let text = refused(proxy.address);
    let cases = [
        Case { url: url("https", "tls"), expected: Failure("connect_error", &text) },
        Case { url: url("http", "plain"), expected: Failure("status", "the status is 401") },
    ];
    prove(folder.path(), &settings(&format!("ann:other@{}", proxy.address)), &BOTH, &cases);

    let narrow = Tinyproxy::start("ConnectPort 443");
    let text = refused(narrow.address);
    let cases = [Case { url: url("https", "tls"), expected: Failure("connect_error", &text) }];
    prove(folder.path(), &settings(&narrow.address.to_string()), &BOTH, &cases);

    let closed: SocketAddr = free_address();
    let nobody = format!("connection refused by PEER (by the proxy {closed})");
    let cases = ["https", "http"].map(|scheme| Case { url: url(scheme, "tls"), expected: Failure("connect_refused", &nobody) });
    prove(folder.path(), &settings(&closed.to_string()), &BOTH, &cases);
}

#[test]
fn by_socks() {
    let folder = tempfile::tempdir().unwrap();
    Authority::create(folder.path(), "ca").issue("good", &["localhost", "cars.test", "127.0.0.1"], (2020, 2120));
    let nginx = Nginx::start(
        folder.path(),
        &[("plain", "", ""), ("tls", "ssl", "ssl_certificate good.pem; ssl_certificate_key good.key;")],
    );
    let port = |server: &str| nginx.address(server).port();
    let url = |scheme: &str, host: &str, server: &str| format!("{scheme}://{host}:{}/", port(server));
    let proxy = Microsocks::start();
    // Who looks the name up: otload, which knows `cars.test` by `resolve`, or the proxy, which does not.
    for (scheme, host) in [("socks5", "cars.test"), ("socks5h", "localhost")] {
        let cases = [
            Case { url: url("http", host, "plain"), expected: Answer("http=HTTP/1.1") },
            Case { url: url("https", host, "tls"), expected: Answer("http=HTTP/1.1") },
        ];
        prove(folder.path(), &by(scheme, &format!("ann:s3cret@{}", proxy.address)), &BOTH, &cases);
    }
    let mut targets = proxy.targets();
    targets.sort();
    let mut expected: Vec<_> = ["127.0.0.1", "localhost"]
        .iter()
        .flat_map(|host| [port("plain"), port("tls")].map(|port| format!("{host}:{port}")))
        .flat_map(|target| [target.clone(), target])
        .collect();
    expected.sort();
    assert_eq!(targets, expected);

    let refused =
        format!("the proxy {} does not let otload in; write the right user and password into `http.proxy`", proxy.address);
    let cases = [("http", "plain"), ("https", "tls")];
    let cases = cases
        .map(|(scheme, server)| Case { url: url(scheme, "localhost", server), expected: Failure("connect_error", &refused) });
    for credentials in ["ann:other@", ""] {
        prove(folder.path(), &by("socks5", &format!("{credentials}{}", proxy.address)), &BOTH, &cases);
    }
    // Of the target, and of the proxy itself.
    let closed = free_address();
    let refused = format!("connection refused by PEER (by the proxy {})", proxy.address);
    let cases = [Case { url: format!("http://localhost:{}/", closed.port()), expected: Failure("connect_refused", &refused) }];
    prove(folder.path(), &by("socks5", &format!("ann:s3cret@{}", proxy.address)), &BOTH, &cases);
    let nobody = format!("cannot connect to the proxy {closed}");
    let cases = [Case { url: url("http", "localhost", "plain"), expected: Failure("connect_error", &nobody) }];
    prove(folder.path(), &by("socks5", &closed.to_string()), &BOTH, &cases);
}
