//! One request to a running otload.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::guard::Token;
use crate::diagnostic::Diagnostic;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    token: Option<Token>,
}

/// Where otload listens unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:9464";

const WITHIN: Duration = Duration::from_secs(10);
/// In characters, of why it is not well.
const LONGEST_CAUSE: usize = 500;
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// Nobody is there, or not otload.
    Unreachable(Diagnostic),
    /// otload says no.
    Refused(StatusCode, Diagnostic),
}

impl Client {
    /// Of `host:port`, a host, or `http://host:port`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn try_new(to: &str, token: Option<Token>) -> Result<Self, Diagnostic> {
        let wrong = |error: &str| {
            Err(Diagnostic::error(format!("`--to {to}`: {error}")).hint("write it as HOST:PORT, like 127.0.0.1:9464"))
        };
        if to.starts_with("https://") {
            return wrong("otload serves plain HTTP");
        }
        let bare = to.strip_prefix("http://").unwrap_or(to).trim_end_matches('/');
        let Ok(authority) = bare.parse::<http::uri::Authority>() else { return wrong("this is no address") };
        if authority.host().is_empty() || bare.contains('@') {
            return wrong("this is no address");
        }
        let address = if authority.port().is_some() { bare.to_owned() } else { format!("{bare}:9464") };
        Ok(Self { address, token })
    }

    /// Asks for what is at `path`; with a body it is a POST.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, body) = self.send(path, body)?;
        let Ok(value) = serde_json::from_slice::<Value>(&body) else {
            return Err(self.stranger(status));
        };
        if status.is_success() {
            return Ok(value);
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let problem = Diagnostic::error(text("error").unwrap_or("it was refused without a reason"));
        Err(Failure::Refused(status, text("hint").map_or(problem.clone(), |hint| problem.hint(hint))))
    }

    /// The state of the run.
    ///
    /// # Errors
    /// See [`Failure`]; also when what answers is no otload.
    pub fn status(&self) -> Result<Value, Failure> {
        let status = self.ask("/api/v1/status", None)?;
        if status["phase"].is_string() { Ok(status) } else { Err(self.stranger(StatusCode::OK)) }
    }

    /// Whether it serves, which everybody may ask.
    ///
    /// # Errors
    /// See [`Failure`]; also when what answers is no otload.
    pub fn health(&self) -> Result<(), Failure> {
        let (status, body) = self.send("/healthz", None)?;
        match status {
            _ if status.is_success() && body.trim_ascii() == b"ok" => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => {
                let cause: String = String::from_utf8_lossy(body.trim_ascii()).chars().take(LONGEST_CAUSE).collect();
                Err(Failure::Refused(status, Diagnostic::error(format!("otload on {} is not well: {cause}", self.address))))
            }
            _ => Err(self.stranger(status)),
        }
    }

    fn send(&self, path: &str, body: Option<&Value>) -> Result<(StatusCode, Bytes), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let asked = async { tokio::time::timeout(WITHIN, self.exchange(path, body)).await };
        let answer = runtime.block_on(asked);
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        match answer {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable("there is no answer within 10 seconds")),
        }
    }

    async fn exchange(&self, path: &str, body: Option<&Value>) -> Result<(StatusCode, Bytes), Failure> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| self.not_there(&error))?;
        let broken = |error: hyper::Error| self.unreachable(&format!("the connection broke off: {error}"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(if body.is_some() { Method::POST } else { Method::GET })
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(|error| self.unreachable(&error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let whole = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let whole = whole.map_err(|error| self.unreachable(&format!("the answer broke off: {error}")))?;
        driver.abort();
        Ok((status, whole.to_bytes()))
    }

    fn not_there(&self, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            let problem = Diagnostic::error(format!("nothing listens on {}", self.address));
            let hint = "start a run, or `otload serve`; each prints its address after `metrics:`, and --to names it here";
            return Failure::Unreachable(problem.hint(hint));
        }
        self.unreachable(&error.to_string())
    }

    /// Whoever is there is another program.
    fn stranger(&self, status: StatusCode) -> Failure {
        self.unreachable(&format!("what answers there (with status {}) is another program", status.as_u16()))
    }

    fn unreachable(&self, why: &str) -> Failure {
        let problem = Diagnostic::error(format!("cannot talk to otload on {}: {why}", self.address));
        Failure::Unreachable(problem.hint("--to names the address that a run prints after `metrics:`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:1234", "127.0.0.1:1234"),
            ("http://box:80/", "box:80"),
            ("box", "box:9464"),
            ("[::1]:5", "[::1]:5"),
            ("[::1]", "[::1]:9464"),
        ] {
            assert_eq!(Client::try_new(text, None).unwrap().address, address);
        }
        for text in ["https://box", "a b", "", "user@box", "http://box/path"] {
            assert!(Client::try_new(text, None).is_err(), "{text}");
        }
    }
}
