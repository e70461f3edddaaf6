//! Reads the environment's `OTEL_*`: of a signal, or else in general; says what makes no sense, and never shows a value that
//! may be secret.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use url::Url;

use super::exporter::{Signal, bare, insert, suggested};
use super::settings::{Compression, Protocol};
use crate::diagnostic::{Diagnostic, Problems};

pub(super) struct Environment<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    signal: Signal,
    pub(super) problems: Problems,
}

impl<'a> Environment<'a> {
    pub(super) fn new(env: &'a dyn Fn(&str) -> Option<String>, signal: Signal) -> Self {
        Self { env, signal, problems: Problems::default() }
    }

    /// What is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn warn(&mut self, name: &str, message: String, hint: &str) {
        self.problems.push(Diagnostic::warning(format!("the environment variable {name} {message}")).hint(hint));
    }

    fn refuse(&mut self, name: &str, message: &str, hint: &str) {
        self.problems.push(Diagnostic::error(format!("the environment variable {name} {message}")).hint(hint));
    }

    /// `OTEL_EXPORTER_OTLP_TRACES_{what}`, and whether it is of the signal; or `OTEL_EXPORTER_OTLP_{what}`.
    fn option(&self, what: &str) -> Option<(String, String, bool)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", self.signal.upper());
        if let Some(value) = self.variable(&own) {
            return Some((own, value, true));
        }
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        self.variable(&general).map(|value| (general, value, false))
    }

    /// True is `true`, in any case.
    pub(super) fn is_true(&mut self, name: &str) -> bool {
        let Some(value) = self.variable(name) else { return false };
        let value = value.trim();
        if value.eq_ignore_ascii_case("true") {
            return true;
        }
        if !value.eq_ignore_ascii_case("false") {
            self.warn(name, format!("is `{value}`, which counts as false"), "set it to `true` or `false`");
        }
        false
    }

    pub(super) fn protocol(&mut self) -> Option<Protocol> {
        let (name, value, _) = self.option("PROTOCOL")?;
        match value.trim() {
            "grpc" => Some(Protocol::Grpc),
            "http/protobuf" => Some(Protocol::Http),
            "http/json" => {
                self.refuse(&name, "asks for `http/json`, which otload does not speak", "set it to `http/protobuf` or `grpc`");
                None
            }
            other => {
                let message = format!("is `{other}`, which is no protocol of OTLP, and is ignored");
                self.warn(&name, message, "set it to `grpc` or `http/protobuf`");
                None
            }
        }
    }

    /// Where to, and how if that was not `asked` for. `None` when it has been refused.
    pub(super) fn endpoint(&mut self, asked: Option<Protocol>) -> Option<(Url, Protocol)> {
        let default = |protocol: Protocol| match protocol {
            Protocol::Grpc => "http://localhost:4317".to_owned(),
            Protocol::Http => format!("http://localhost:4318{}", self.signal.path()),
        };
        let Some((name, value, own)) = self.option("ENDPOINT") else {
            let protocol = asked.unwrap_or(Protocol::Grpc);
            return Url::parse(&default(protocol)).ok().map(|url| (url, protocol));
        };
        let value = value.trim();
        let example = "set it to a URL such as `http://127.0.0.1:4317`";
        let full = if value.contains("://") {
            value.to_owned()
        } else if asked == Some(Protocol::Http) {
            self.refuse(&name, "has no scheme", "OTLP over HTTP needs `http://` or `https://` in front");
            return None;
        } else {
            // A bare name and port is what gRPC calls a target: safe, unless the environment says otherwise.
            format!("{}://{value}", if self.insecure() { "http" } else { "https" })
        };
        let mut url = match Url::parse(&full) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => {
                // The value is not shown: it may hold a password.
                self.refuse(&name, "is not the URL of a collector", example);
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            let header = "OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…";
            self.refuse(&name, "holds user and password, which would be seen in messages", &format!("use a header: {header}"));
            return None;
        }
        let protocol = asked.unwrap_or_else(|| suggested(&url));
        match protocol {
            Protocol::Grpc => bare(&mut url),
            // The signal's own is used as it is.
            Protocol::Http if own => {}
            Protocol::Http => {
                let path = format!("{}{}", url.path().trim_end_matches('/'), self.signal.path());
                url.set_path(&path);
            }
        }
        Some((url, protocol))
    }

    fn insecure(&mut self) -> bool {
        let Some((name, _, _)) = self.option("INSECURE") else { return false };
        self.is_true(&name)
    }

    pub(super) fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some((name, _, _)) = self.option("HEADERS") else { return headers };
        for (at, (key, value)) in self.pairs(&name).into_iter().enumerate() {
            if !insert(&mut headers, &key.to_lowercase(), &value) {
                let message = format!("holds something that is no header, and is ignored: entry {}", at + 1);
                self.warn(&name, message, "write `name=value,other=value`, with values percent-encoded");
            }
        }
        headers
    }

    pub(super) fn compression(&mut self) -> Option<Compression> {
        let (name, value, _) = self.option("COMPRESSION")?;
        match value.trim() {
            "gzip" => Some(Compression::Gzip),
            "none" => Some(Compression::None),
            other => {
                let message = format!("is `{other}`, which otload does not speak, and is ignored");
                self.warn(&name, message, "set it to `gzip` or `none`");
                None
            }
        }
    }

    pub(super) fn timeout(&mut self) -> Option<Duration> {
        let (name, value, _) = self.option("TIMEOUT")?;
        match value.trim().parse() {
            Ok(milliseconds) if milliseconds > 0 => Some(Duration::from_millis(milliseconds)),
            _ => {
                let message = format!("is `{}`, which is no number of milliseconds above 0, and is ignored", value.trim());
                self.warn(&name, message, "for ten seconds set it to `10000`");
                None
            }
        }
    }

    /// The path, and what names it.
    pub(super) fn file(&mut self, what: &str) -> Option<(PathBuf, String)> {
        let (name, value, _) = self.option(what)?;
        Some((PathBuf::from(value.trim()), name))
    }

    /// `key=value,other=value`, percent-decoded. What is not of this form is warned of, and left out.
    pub(super) fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(value) = self.variable(name) else { return Vec::new() };
        let mut pairs = Vec::new();
        for (at, entry) in value.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
            let pair = entry.split_once('=').map(|(key, value)| (decoded(key.trim()), decoded(value.trim())));
            match pair {
                Some((Some(key), Some(value))) if !key.is_empty() => pairs.push((key, value)),
                _ => {
                    // The entry itself is not shown: it may be a token.
                    let message = format!("holds something that is not `name=value`, and is ignored: entry {}", at + 1);
                    self.warn(name, message, "write `name=value,other=value`, with values percent-encoded");
                }
            }
        }
        pairs
    }
}

/// `None` when the bytes are no text.
fn decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
