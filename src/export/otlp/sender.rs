//! Sends a message until it is taken, or it is plain that it will not be.
//!
//! ```text
//!  attempt ─ ok ────────────────────────────────▶ Accepted (in part, perhaps)
//!     │ └─── an error that is not worth repeating ▶ Failed
//!     │ worth repeating (OTLP specification, "Failures", "Retryable response codes")
//!     ▼
//!  pause: 0.5 s, 1 s, 2 s, 4 s, with jitter; or what the collector asks for
//!     │
//!     └─▶ attempt … at most 5, and 30 s in all; then Failed with the reason of the last one
//! ```
//!
//! Nothing is kept: who sends holds the message. What the collector asks for holds for all messages that come after, too.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;

use super::exporter::{Exporter, shown};
use super::grpc::Grpc;
use super::http::Http;
use super::message::Message;
use super::settings::Protocol;
use crate::clock::{self, Instant};
use crate::diagnostic::Diagnostic;
use crate::http::settings::{TlsSettings, Version};
use crate::http::tls::{Names, named_config};
use crate::random::Random;
use crate::trace::queue::Dropped;
use crate::units::format_duration;

/// A way to a collector. A clone is the same way.
#[derive(Clone, Debug)]
pub struct Sender(Arc<Inner>);

/// How long it is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub attempts: u32,
    /// From the first attempt to the end of the last.
    pub total: Duration,
    /// The first pause; each after it is twice as long.
    pub pause: Duration,
    pub longest_pause: Duration,
    /// In bytes; a longer answer makes no sense.
    pub largest_answer: usize,
}

/// What the collector took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How many items it refused.
    pub rejected: u64,
    /// Why; or a warning, when it refused none.
    pub message: String,
}

/// The message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub reason: Dropped,
    /// Names the collector and the cause; without secrets.
    pub message: String,
}

#[derive(Debug)]
struct Inner {
    exporter: Exporter,
    policy: Policy,
    line: Line,
    /// The collector wants to be left alone until then.
    not_before: Mutex<Option<Instant>>,
    random: Mutex<Random>,
}

#[derive(Debug)]
enum Line {
    Grpc(Box<Grpc>),
    Http(Box<Http>),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: Dropped,
    pub(super) message: String,
    pub(super) again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    AfterPause,
    /// The collector says when.
    After(Duration),
}

/// What a collector asks for is believed up to here.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// So much of a collector's text is shown.
const LONGEST_TEXT: usize = 300;

// === impl Sender ===

impl Sender {
    /// Reads the certificates; connects when the first message is sent.
    ///
    /// # Errors
    /// Files of certificates that cannot be used.
    pub fn new(exporter: Exporter, policy: Policy) -> Result<Self, Diagnostic> {
        let line = match exporter.protocol {
            Protocol::Grpc => Line::Grpc(Box::new(Grpc::new(&exporter, tls(&exporter, Version::Http2)?, policy.largest_answer)?)),
            Protocol::Http => Line::Http(Box::new(Http::new(&exporter, tls(&exporter, Version::Http1)?, policy.largest_answer)?)),
        };
        // Jitter only has to differ from the neighbour's.
        let seed = clock::timestamp().unix_seconds().to_bits();
        let random = Mutex::new(Random::new(seed, 0));
        Ok(Self(Arc::new(Inner { exporter, policy, line, not_before: Mutex::new(None), random })))
    }

    pub fn exporter(&self) -> &Exporter {
        &self.0.exporter
    }

    /// Sends one message. It needs a runtime, and always the same one.
    ///
    /// # Errors
    /// It was not taken, for good.
    pub async fn send<M: Message>(&self, message: &M) -> Result<Accepted, Failed> {
        let policy = &self.0.policy;
        let deadline = clock::now() + policy.total;
        let body = match &self.0.line {
            Line::Grpc(_) => message.pack(),
            Line::Http(http) => http.body(message.pack()).map_err(|error| self.failed(Dropped::Protocol, &error.to_string()))?,
        };
        let mut pause = policy.pause;
        for attempt in 1.. {
            self.left_alone(deadline).await?;
            let trouble = match self.attempt::<M>(&body, deadline).await {
                Ok(accepted) => return Ok(self.clean(accepted)),
                Err(trouble) => trouble,
            };
            let wait = match trouble.again {
                Again::Never => return Err(self.failed(trouble.reason, &trouble.message)),
                Again::AfterPause => self.jitter(pause),
                Again::After(wish) => {
                    let wish = wish.min(LONGEST_WISH);
                    *self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock::now() + wish);
                    wish
                }
            };
            if attempt >= policy.attempts || clock::now() + wait >= deadline {
                let times = if attempt == 1 { String::new() } else { format!(" ({attempt} attempts)") };
                return Err(self.failed(trouble.reason, &format!("{}{times}", trouble.message)));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(policy.longest_pause);
        }
        Err(self.failed(Dropped::Rejected, "there was no attempt"))
    }

    async fn attempt<M: Message>(&self, body: &Bytes, deadline: Instant) -> Result<Accepted, Trouble> {
        let limit = self.0.exporter.timeout.min(deadline.saturating_duration_since(clock::now()));
        let answer = async {
            match &self.0.line {
                Line::Grpc(grpc) => grpc.send::<M>(body.clone()).await,
                Line::Http(http) => http.send::<M>(body.clone()).await,
            }
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(M::accepted(answer)),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => {
                if let Line::Grpc(grpc) = &self.0.line {
                    grpc.reconnect();
                }
                let message = format!("it did not answer within {}", format_duration(limit));
                Err(Trouble { reason: Dropped::Timeout, message, again: Again::AfterPause })
            }
        }
    }

    /// Waits as long as the collector has asked for.
    async fn left_alone(&self, deadline: Instant) -> Result<(), Failed> {
        let until = *self.0.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = until.filter(|until| *until > clock::now()) else { return Ok(()) };
        // The message is held back until its own time is over: then newer ones have been refused by a full queue, and counted.
        tokio::time::sleep_until(until.min(deadline).into()).await;
        if until > deadline {
            return Err(self.failed(Dropped::Rejected, "it asks to be left alone for longer than a message is kept"));
        }
        Ok(())
    }

    /// Half of the pause, and a random share of the other half.
    fn jitter(&self, pause: Duration) -> Duration {
        let share = self.0.random.lock().unwrap_or_else(PoisonError::into_inner).uniform();
        pause.mul_f64(0.5 + share / 2.0)
    }

    fn failed(&self, reason: Dropped, message: &str) -> Failed {
        let exporter = &self.0.exporter;
        let place = format!("{} cannot be exported to {}", exporter.signal.name(), shown(&exporter.endpoint));
        Failed { reason, message: format!("{place}: {}", self.masked(message)) }
    }

    fn clean(&self, accepted: Accepted) -> Accepted {
        Accepted { message: self.masked(&accepted.message), ..accepted }
    }

    /// A collector may answer with what it was sent: the values of headers are taken out.
    fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.0.exporter.headers.values().filter_map(|value| value.to_str().ok()) {
            // Of `Bearer t0ken` also the token alone; very short words are in every text.
            for part in std::iter::once(value).chain(value.split_whitespace()).filter(|part| part.len() >= 4) {
                text = text.replace(part, "***");
            }
        }
        if text.chars().count() > LONGEST_TEXT {
            text = text.chars().take(LONGEST_TEXT).collect::<String>() + "…";
        }
        text
    }
}

fn tls(exporter: &Exporter, version: Version) -> Result<ClientConfig, Diagnostic> {
    let files = &exporter.tls;
    let path = |file: &Option<(std::path::PathBuf, String)>| file.as_ref().map(|(path, _)| path.clone());
    let name = |file: &'_ Option<(std::path::PathBuf, String)>, otherwise: &str| {
        file.as_ref().map_or_else(|| otherwise.to_owned(), |(_, name)| name.clone())
    };
    let settings = TlsSettings { ca: path(&files.ca), cert: path(&files.cert), key: path(&files.key), ..TlsSettings::default() };
    let (ca, cert, key) = (name(&files.ca, "`tls.ca`"), name(&files.cert, "`tls.cert`"), name(&files.key, "`tls.key`"));
    named_config(&settings, version, Names { ca: &ca, cert: &cert, key: &key })
}

// === the rest ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            total: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(5),
            largest_answer: 256 << 10,
        }
    }
}

impl Trouble {
    pub(super) fn new(reason: Dropped, again: Again, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), again }
    }
}

/// What lies at the bottom of an error: the texts above it say again that something failed.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(next) = below(error) {
        error = next;
    }
    error.to_string()
}

/// The first error of this type, from the top.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = below(error);
    }
    None
}

/// What an error was made of. An error of I/O passes over the one that it wraps.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
