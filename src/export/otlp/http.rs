//! OTLP over HTTP/1.1 with protobuf, over the crate `reqwest`; and what each status means.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::Message as _;
use reqwest::redirect::Policy;
use reqwest::retry;
use rustls::ClientConfig;
use serde_json::Value;

use super::exporter::Exporter;
use super::grpc::RpcStatus;
use super::message::Message;
use super::sender::{Again, Trouble, cause, find};
use super::settings::Compression;
use crate::clock;
use crate::diagnostic::Diagnostic;
use crate::trace::queue::Dropped;

const PROTOBUF: &str = "application/x-protobuf";

#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: url::Url,
    headers: HeaderMap,
    gzip: bool,
    largest_answer: usize,
}

impl Http {
    pub(super) fn new(exporter: &Exporter, tls: ClientConfig, largest_answer: usize) -> Result<Self, Diagnostic> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            // Attempts are counted above.
            .retry(retry::never().max_retries_per_request(0))
            // Only over HTTP/1.1 does an attempt that is given up end its connection too.
            .http1_only()
            .pool_max_idle_per_host(2)
            .build()
            .map_err(|error| Diagnostic::error(format!("no HTTP client could be made: {}", cause(&error))))?;
        let gzip = exporter.compression == Compression::Gzip;
        let mut headers = exporter.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("otload/", env!("CARGO_PKG_VERSION"))));
        headers.remove(header::CONTENT_ENCODING);
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self { client, url: exporter.endpoint.clone(), headers, gzip, largest_answer })
    }

    /// The message as it is sent, in each attempt.
    pub(super) fn body(&self, message: Bytes) -> io::Result<Bytes> {
        if !self.gzip {
            return Ok(message);
        }
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&message)?;
        Ok(packed.finish()?.into())
    }

    pub(super) async fn send<M: Message>(&self, body: Bytes) -> Result<M::Answer, Trouble> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        let (status, kind) = (response.status(), response.headers().get(header::CONTENT_TYPE).cloned());
        let wish = response.headers().get(header::RETRY_AFTER).and_then(|value| wish(value.to_str().ok()?));
        let body = match read(&mut response, self.largest_answer).await {
            Ok(body) => body,
            // Its status says enough.
            Err(_) if !status.is_success() => Bytes::new(),
            Err(trouble) => return Err(trouble),
        };
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_lowercase();
        let is_protobuf = kind.starts_with(PROTOBUF) || kind.starts_with("application/protobuf");
        if status.is_success() {
            // The specification asks for an answer in the form of the question; some receivers answer in JSON all the same.
            let json = kind.starts_with("application/json").then(|| serde_json::from_slice::<Value>(&body).ok()).flatten();
            if let Some(answer) = json.filter(Value::is_object) {
                return Ok(M::of_json(&answer));
            }
            if !body.is_empty() && !is_protobuf && !kind.is_empty() {
                let message = format!("its answer is `{kind}` instead of `{PROTOBUF}`; is this where it takes OTLP?");
                return Err(Trouble::new(Dropped::Protocol, Again::Never, message));
            }
            return M::Answer::decode(body)
                .map_err(|error| Trouble::new(Dropped::Protocol, Again::Never, format!("its answer makes no sense: {error}")));
        }
        let again = match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => wish.map_or(Again::AfterPause, Again::After),
            _ => Again::Never,
        };
        let text = if is_protobuf {
            RpcStatus::decode(body).map(|status| status.message).unwrap_or_default()
        } else {
            String::from_utf8_lossy(&body).trim().to_owned()
        };
        let colon = if text.is_empty() { "" } else { ": " };
        Err(Trouble::new(Dropped::Rejected, again, format!("{status}{colon}{text}")))
    }
}

async fn read(response: &mut reqwest::Response, most: usize) -> Result<Bytes, Trouble> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + piece.len() > most {
            return Err(Trouble::new(Dropped::Protocol, Again::Never, "its answer is too long"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

fn broken(error: &reqwest::Error) -> Trouble {
    if let Some(tls) = find::<rustls::Error>(error) {
        return Trouble::new(Dropped::Unreachable, Again::AfterPause, format!("no TLS: {tls}"));
    }
    if let Some(hyper) = find::<hyper::Error>(error).filter(|hyper| hyper.is_parse()) {
        let message = format!("its answer is not HTTP/1.1 ({hyper}); does it take gRPC instead?");
        return Trouble::new(Dropped::Protocol, Again::Never, message);
    }
    let what = if error.is_connect() { "no connection" } else { "the connection was cut" };
    Trouble::new(Dropped::Unreachable, Again::AfterPause, format!("{what}: {}", cause(error)))
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn wish(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let until = Duration::try_from_secs_f64(date.as_second() as f64 - clock::timestamp().unix_seconds());
    // A date that has passed: at once.
    Some(until.unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wish(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(wish("0"), Some(Duration::ZERO));
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let seconds = clock::timestamp().unix_seconds() as i64 + 60;
        let date = jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let found = wish(&date).unwrap();
        assert!(found > Duration::from_secs(58) && found <= Duration::from_secs(60), "{found:?}");
        assert_eq!((wish("soon"), wish("-1"), wish("")), (None, None, None));
    }
}
