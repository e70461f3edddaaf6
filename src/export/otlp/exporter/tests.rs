//! Tables: file and environment on the left, where it goes on the right.

use std::collections::HashMap;

use super::*;
use crate::export::otlp::settings::Compression::Gzip;

type Vars<'a> = &'a [(&'a str, &'a str)];

fn resolved(target: &Target, signal: Signal, vars: Vars<'_>) -> Result<Resolved, String> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    let env = |name: &str| vars.get(name).map(|value| (*value).to_owned());
    resolve(target, signal, &env).map_err(|problems| problems.render(false))
}

fn exporter(target: &Target, signal: Signal, vars: Vars<'_>) -> Exporter {
    let resolved = resolved(target, signal, vars).unwrap();
    assert_eq!(resolved.warnings.render(false), "", "{vars:?}");
    resolved.exporter.unwrap()
}

fn target(endpoint: &str) -> Target {
    Target { endpoint: Some(endpoint.parse().unwrap()), ..Target::default() }
}

#[test]
fn the_endpoint_and_the_protocol() {
    use Signal::{Logs, Metrics, Traces};
    let (grpc, http) = (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"));
    let all = |url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let own = |url| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url);
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE");
    let rows: &[(Signal, Vars<'_>, Protocol, &str)] = &[
        (Traces, &[], Protocol::Grpc, "http://localhost:4317/"),
        (
            Traces,
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_PROTOCOL", " ")],
            Protocol::Grpc,
            "http://localhost:4317/",
        ),
        (Traces, &[http], Protocol::Http, "http://localhost:4318/v1/traces"),
        (Metrics, &[http], Protocol::Http, "http://localhost:4318/v1/metrics"),
        (Logs, &[http], Protocol::Http, "http://localhost:4318/v1/logs"),
        // The general one is a base, the signal's is used as it is.
        (Traces, &[http, all("http://c:1")], Protocol::Http, "http://c:1/v1/traces"),
        (Traces, &[http, all("http://c:1/")], Protocol::Http, "http://c:1/v1/traces"),
        (Traces, &[http, all("https://c/otlp/")], Protocol::Http, "https://c/otlp/v1/traces"),
        (Traces, &[http, all("https://c/otlp?x=y")], Protocol::Http, "https://c/otlp/v1/traces?x=y"),
        (Traces, &[http, own("http://c:1")], Protocol::Http, "http://c:1/"),
        (Traces, &[http, own("http://c:1/spans"), all("http://d:1")], Protocol::Http, "http://c:1/spans"),
        (Metrics, &[http, own("http://c:1/spans"), all("http://d:1")], Protocol::Http, "http://d:1/v1/metrics"),
        // gRPC takes scheme, name and port.
        (Traces, &[grpc, all("https://c:1/otlp?x=y")], Protocol::Grpc, "https://c:1/"),
        (Traces, &[grpc, all("c:1")], Protocol::Grpc, "https://c:1/"),
        (Traces, &[grpc, all("c:1"), insecure], Protocol::Grpc, "http://c:1/"),
        (Traces, &[grpc, all("https://c:1"), insecure], Protocol::Grpc, "https://c:1/"),
        (Traces, &[all("c:1"), insecure, ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false")], Protocol::Grpc, "https://c:1/"),
        // Nobody says which: the endpoint suggests it.
        (Traces, &[all("http://c:1")], Protocol::Grpc, "http://c:1/"),
        (Traces, &[all("http://c:4318")], Protocol::Http, "http://c:4318/v1/traces"),
        (Traces, &[all("https://c/otlp")], Protocol::Http, "https://c/otlp/v1/traces"),
        (Traces, &[http, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"), all("http://c:1")], Protocol::Grpc, "http://c:1/"),
        (
            Traces,
            &[http, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"), all("http://c:1")],
            Protocol::Http,
            "http://c:1/v1/traces",
        ),
    ];
    for (signal, vars, protocol, endpoint) in rows {
        let found = exporter(&Target::default(), *signal, vars);
        assert_eq!((found.protocol, found.endpoint.as_str()), (*protocol, *endpoint), "{vars:?}");
    }
    let rows: &[(&str, Option<Protocol>, Vars<'_>, Protocol, &str)] = &[
        ("http://f:1", None, &[own("http://c:1"), all("http://c:2")], Protocol::Grpc, "http://f:1/"),
        ("http://f:1", None, &[http], Protocol::Http, "http://f:1/v1/traces"),
        ("http://f:1", Some(Protocol::Grpc), &[http], Protocol::Grpc, "http://f:1/"),
        ("http://f:4318", None, &[], Protocol::Http, "http://f:4318/v1/traces"),
        ("http://f:1/otlp", None, &[], Protocol::Http, "http://f:1/otlp"),
        ("http://f:1/otlp", Some(Protocol::Grpc), &[], Protocol::Grpc, "http://f:1/"),
        ("http://f:1/", Some(Protocol::Http), &[], Protocol::Http, "http://f:1/v1/traces"),
    ];
    for (file, protocol, vars, expected, endpoint) in rows {
        let found = exporter(&Target { protocol: *protocol, ..target(file) }, Traces, vars);
        assert_eq!((found.protocol, found.endpoint.as_str()), (*expected, *endpoint), "{file} {vars:?}");
    }
}

#[test]
fn the_rest_of_the_options() {
    let defaults = exporter(&Target::default(), Signal::Traces, &[]);
    assert_eq!((defaults.timeout, defaults.compression), (Duration::from_secs(10), Compression::None));
    assert_eq!((defaults.headers.len(), defaults.tls), (0, TlsFiles::default()));
    let vars: Vars<'_> = &[
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=general"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", " Authorization = Bearer%20t%3D1 ,x-b=2%2C3,"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/own.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/other.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/own.key"),
    ];
    let found = exporter(&Target::default(), Signal::Traces, vars);
    let headers: Vec<_> = found.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("authorization", "Bearer t=1"), ("x-b", "2,3")]);
    assert!(!format!("{found:?}").contains("t=1"), "values of headers are secrets");
    assert_eq!((found.compression, found.timeout), (Gzip, Duration::from_millis(1500)));
    let file = |path: &str, name: &str| Some((PathBuf::from(path), name.to_owned()));
    let expected = TlsFiles {
        ca: file("/ca.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        cert: file("/own.pem", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"),
        key: file("/own.key", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    };
    assert_eq!(found.tls, expected);
    assert_eq!(exporter(&Target::default(), Signal::Logs, vars).headers["a"], "general");
    let file = Target {
        headers: Headers(vec![("x-own".into(), "file".into())]),
        compression: Some(Compression::None),
        timeout: Some(Duration::from_secs(3)),
        ca: Some("/file.pem".into()),
        ..Target::default()
    };
    let found = exporter(&file, Signal::Traces, vars);
    assert_eq!((found.headers.len(), &found.headers["x-own"]), (1, &HeaderValue::from_static("file")));
    assert_eq!((found.compression, found.timeout), (Compression::None, Duration::from_secs(3)));
    assert_eq!(found.tls.ca, Some(("/file.pem".into(), "`tls.ca`".into())));
}

#[test]
fn the_environment_turns_it_off() {
    let off = |signal, vars: Vars<'_>| {
        let resolved = resolved(&target("http://f:1"), signal, vars).unwrap();
        (resolved.exporter.is_none(), resolved.off)
    };
    let on = (false, None);
    assert_eq!(off(Signal::Traces, &[("OTEL_SDK_DISABLED", "True")]), (true, Some("OTEL_SDK_DISABLED".into())));
    assert_eq!(off(Signal::Traces, &[("OTEL_SDK_DISABLED", "false")]), on);
    assert_eq!(off(Signal::Metrics, &[("OTEL_METRICS_EXPORTER", "none")]), (true, Some("OTEL_METRICS_EXPORTER".into())));
    assert_eq!(off(Signal::Traces, &[("OTEL_METRICS_EXPORTER", "none")]), on);
    assert_eq!(off(Signal::Logs, &[("OTEL_LOGS_EXPORTER", "console,otlp")]), on);
}

#[test]
fn what_makes_no_sense_is_said_without_its_value_when_that_may_be_secret() {
    let rows: &[(&str, &str, &str)] = &[
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "tcp",
            "OTEL_EXPORTER_OTLP_PROTOCOL is `tcp`, which is no protocol of OTLP, and is ignored",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "10s",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT is `10s`, which is no number of milliseconds",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "OTEL_EXPORTER_OTLP_TIMEOUT is `0`"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "OTEL_EXPORTER_OTLP_COMPRESSION is `zstd`"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=1,t0ken",
            "OTEL_EXPORTER_OTLP_HEADERS holds something that is not `name=value`, and is ignored: entry 2",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a b=t0ken",
            "OTEL_EXPORTER_OTLP_HEADERS holds something that is no header, and is ignored: entry 1",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=t0ken%FF", "is not `name=value`"),
        ("OTEL_SDK_DISABLED", "yes", "OTEL_SDK_DISABLED is `yes`, which counts as false"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER asks for `zipkin`"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://c:4318/",
            "OTLP over gRPC goes to http://c:4318, whose port is usually that of HTTP",
        ),
    ];
    for (name, value, message) in rows {
        let target = if *value == "http://c:4318/" {
            Target { protocol: Some(Protocol::Grpc), ..Target::default() }
        } else {
            Target::default()
        };
        let found = resolved(&target, Signal::Traces, &[(name, value)]).unwrap();
        let said = found.warnings.render(false);
        assert!(said.starts_with("warning: ") && said.contains(message) && said.contains("hint: "), "{said}");
        assert!(!said.contains("t0ken"), "{said}");
        assert!(found.exporter.is_some());
    }
    let rows: &[(&str, &str, &str)] = &[
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            "OTEL_EXPORTER_OTLP_PROTOCOL asks for `http/json`, which otload does not speak",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tcp://c:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not the URL of a collector"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of a collector"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ann:t0ken@c:1", "OTEL_EXPORTER_OTLP_ENDPOINT holds user and password"),
    ];
    for (name, value, message) in rows {
        let said = resolved(&Target::default(), Signal::Traces, &[(name, value)]).unwrap_err();
        assert!(said.starts_with("error: ") && said.contains(message) && said.contains("hint: "), "{said}");
        assert!(!said.contains("t0ken"), "{said}");
    }
    let vars = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318")];
    assert!(
        resolved(&Target::default(), Signal::Traces, &vars).unwrap_err().contains("OTEL_EXPORTER_OTLP_ENDPOINT has no scheme")
    );
}

#[test]
fn who_it_is() {
    let found = |vars: Vars<'_>| {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let (identity, problems) = identity(&|name: &str| vars.get(name).map(|value| (*value).to_owned()));
        (identity.service_name, identity.attributes, problems.render(false))
    };
    let pairs = |pairs: Vars<'_>| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    assert_eq!(found(&[]), ("otload".into(), vec![], String::new()));
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb,service.name=cars, host.name = h ,team=c");
    let expected = pairs(&[("host.name", "h"), ("team", "c")]);
    assert_eq!(found(&[attributes]), ("cars".into(), expected.clone(), String::new()));
    assert_eq!(found(&[attributes, ("OTEL_SERVICE_NAME", "load")]), ("load".into(), expected, String::new()));
    let (name, attributes, said) = found(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,broken")]);
    assert_eq!((name.as_str(), attributes.len()), ("otload", 0), "the specification: all of it is discarded");
    assert!(said.contains("OTEL_RESOURCE_ATTRIBUTES holds something that is not `name=value`"), "{said}");
}
