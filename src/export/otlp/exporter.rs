//! Where a signal goes, and how: what the file says, or else the environment (`OTEL_EXPORTER_OTLP_*`), or else the default of
//! the OpenTelemetry specification ("OpenTelemetry Protocol Exporter", "Environment Variable Specification").
//!
//! ```text
//!              file > OTEL_EXPORTER_OTLP_TRACES_X > OTEL_EXPORTER_OTLP_X > default
//!  protocol    … or `http` when the endpoint has a path or the port 4318; grpc
//!  endpoint    gRPC: scheme, name and port                              http://localhost:4317
//!              HTTP: of the file as it is, `/v1/traces` if it has no path; of the signal's variable as it is; of the general
//!                    variable with `/v1/traces` appended                http://localhost:4318/v1/traces
//! ```
//!
//! An empty variable is one that is not set. A value that makes no sense is ignored with a warning, as the specification wants
//! it; but an endpoint or a protocol that cannot be used is an error: the spans would go somewhere else, or nowhere.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::environment::Environment;
use super::settings::{Compression, Headers, Identity, Protocol, SERVICE_NAME, Target};
use crate::diagnostic::{Diagnostic, Problems};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// A collector, with nothing left open. `headers` are marked as sensitive: they are not shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Exporter {
    pub signal: Signal,
    /// Whole, without user and password.
    pub endpoint: Url,
    pub protocol: Protocol,
    pub headers: HeaderMap,
    pub compression: Compression,
    /// Of one attempt.
    pub timeout: Duration,
    pub tls: TlsFiles,
}

/// PEM files, and what names each: a key of the file or a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: Option<(PathBuf, String)>,
    pub cert: Option<(PathBuf, String)>,
    pub key: Option<(PathBuf, String)>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// `None` when the environment turns the export off.
    pub exporter: Option<Exporter>,
    /// The variable that turns it off.
    pub off: Option<String>,
    pub warnings: Problems,
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Resolves `target` in the environment `env`.
///
/// # Errors
/// An endpoint or a protocol that cannot be used; with all warnings.
pub fn resolve(target: &Target, signal: Signal, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, Problems> {
    let mut env = Environment::new(env, signal);
    if let Some(variable) = turned_off(&mut env, signal) {
        return Ok(Resolved { exporter: None, off: Some(variable), warnings: env.problems });
    }
    let exporter = exporter(target, signal, &mut env);
    match exporter {
        Some(exporter) if !env.problems.has_errors() => {
            Ok(Resolved { exporter: Some(exporter), off: None, warnings: env.problems })
        }
        _ => Err(env.problems),
    }
}

/// The identity that the environment gives, `otload` by default; and warnings.
pub fn identity(env: &dyn Fn(&str) -> Option<String>) -> (Identity, Problems) {
    let mut env = Environment::new(env, Signal::Traces);
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (name, value) in env.pairs("OTEL_RESOURCE_ATTRIBUTES") {
        attributes.retain(|(known, _)| *known != name);
        attributes.push((name, value));
    }
    if !env.problems.is_empty() {
        // The specification: all of it is discarded.
        attributes.clear();
    }
    let named = attributes.iter().position(|(name, _)| name == "service.name").map(|at| attributes.remove(at).1);
    let own = env.variable("OTEL_SERVICE_NAME");
    let service_name = own.or(named).filter(|name| !name.is_empty()).unwrap_or_else(|| SERVICE_NAME.to_owned());
    (Identity { service_name, attributes }, env.problems)
}

fn turned_off(env: &mut Environment<'_>, signal: Signal) -> Option<String> {
    if env.is_true("OTEL_SDK_DISABLED") {
        return Some("OTEL_SDK_DISABLED".to_owned());
    }
    let name = format!("OTEL_{}_EXPORTER", signal.upper());
    let value = env.variable(&name)?;
    let mut exporters = value.split(',').map(str::trim);
    if value.trim().eq_ignore_ascii_case("none") {
        return Some(name);
    }
    if !exporters.any(|exporter| exporter == "otlp") {
        env.warn(&name, format!("asks for `{value}`, and otload exports OTLP only"), "unset it, or set it to `otlp` or `none`");
    }
    None
}

fn exporter(target: &Target, signal: Signal, env: &mut Environment<'_>) -> Option<Exporter> {
    let asked = target.protocol.or_else(|| env.protocol());
    let (endpoint, protocol) = match &target.endpoint {
        Some(url) => {
            let protocol = asked.unwrap_or_else(|| suggested(url));
            (of_the_file(url, protocol, signal), protocol)
        }
        None => env.endpoint(asked)?,
    };
    // A port of the other protocol is the usual slip, and what comes of it is hard to read.
    let other = match protocol {
        Protocol::Grpc if endpoint.port() == Some(4318) => Some(("gRPC", "HTTP", "http")),
        Protocol::Http if endpoint.port() == Some(4317) => Some(("HTTP", "gRPC", "grpc")),
        _ => None,
    };
    if let Some((spoken, usual, word)) = other {
        let message = format!("OTLP over {spoken} goes to {}, whose port is usually that of {usual}", shown(&endpoint));
        env.problems.push(Diagnostic::warning(message).hint(format!("if it is not meant so: `protocol: {word}`")));
    }
    let headers = if target.headers.0.is_empty() { env.headers() } else { header_map(&target.headers) };
    let file = |path: &Option<PathBuf>, key: &str| path.clone().map(|path| (path, format!("`tls.{key}`")));
    Some(Exporter {
        signal,
        endpoint,
        protocol,
        headers,
        compression: target.compression.or_else(|| env.compression()).unwrap_or(Compression::None),
        timeout: target.timeout.or_else(|| env.timeout()).unwrap_or(TIMEOUT),
        tls: TlsFiles {
            ca: file(&target.ca, "ca").or_else(|| env.file("CERTIFICATE")),
            cert: file(&target.cert, "cert").or_else(|| env.file("CLIENT_CERTIFICATE")),
            key: file(&target.key, "key").or_else(|| env.file("CLIENT_KEY")),
        },
    })
}

fn of_the_file(url: &Url, protocol: Protocol, signal: Signal) -> Url {
    let mut url = url.clone();
    match protocol {
        Protocol::Grpc => bare(&mut url),
        Protocol::Http if matches!(url.path(), "" | "/") => url.set_path(signal.path()),
        Protocol::Http => {}
    }
    url
}

/// Leaves scheme, name and port.
pub(super) fn bare(url: &mut Url) {
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
}

/// What an endpoint looks like when nobody says.
pub(super) fn suggested(url: &Url) -> Protocol {
    if url.port() == Some(4318) || !matches!(url.path(), "" | "/") { Protocol::Http } else { Protocol::Grpc }
}

/// As messages may show it: without query, which may hold a key.
pub(super) fn shown(url: &Url) -> String {
    let text = url.as_str().split(['?', '#']).next().unwrap_or_default();
    text.trim_end_matches('/').to_owned()
}

fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in &headers.0 {
        // The scenario's compiler has made sure that it can be one.
        insert(&mut map, name, value);
    }
    map
}

/// Whether it could be a header, and one that does not follow from the message.
pub(super) fn insert(map: &mut HeaderMap, name: &str, value: &str) -> bool {
    let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) else { return false };
    if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::HOST, header::TE].contains(&name) {
        return false;
    }
    value.set_sensitive(true);
    map.insert(name, value);
    true
}

// === Signal ===

impl Signal {
    /// As names of variables have it.
    pub(super) fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// For people: what is exported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// Where it goes on a collector.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }
}

#[cfg(test)]
mod tests;
