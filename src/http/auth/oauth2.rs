//! OAuth 2 client credentials (RFC 6749, 4.4): one token for all users of all workers.
//!
//! ```text
//!          fetched        renewed by who comes first; all others go on with the old one
//!  ───────────┤────────────────────────────┤───────────┤
//!  all wait   │ the token                  renew_at    expires: all wait for one request
//! ```
//!
//! Whatever happens, there is one request to the token server at a time; after a failure the next one is a second later, and all
//! who waited for it fail with its reason.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::Serializer;

use super::{basic, secret};
use crate::clock::{self, Instant};
use crate::http::transport::peer;
use crate::http::{Client, Failure, Request};
use crate::reason::Reason;

/// What a token is asked for with.
pub struct Grant<'a> {
    pub url: Url,
    pub client_id: &'a str,
    pub client_secret: &'a str,
    pub scope: Option<&'a str>,
    pub audience: Option<&'a str>,
    /// The client says in the body who it is.
    pub in_body: bool,
    pub timeout: Duration,
}

/// Where a token comes from, and the one that is there.
pub struct TokenSource {
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    held: RwLock<Option<Held>>,
    /// When fetching failed last, and why. Locked while somebody fetches.
    fetching: Mutex<Option<(Instant, Failure)>>,
}

/// A token, as its header has it.
#[derive(Clone)]
struct Held {
    value: HeaderValue,
    /// `None`: it lasts.
    renew_at: Option<Instant>,
    expires_at: Option<Instant>,
}

/// A token is renewed so long before its end, or when a fifth of its life is left.
const BEFORE: Duration = Duration::from_secs(30);
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// A server's words about an error are cut to so many characters.
const WORDS: usize = 200;

impl TokenSource {
    pub fn new(grant: &Grant<'_>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", grant.scope), ("audience", grant.audience)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        // RFC 6749, 2.3.1: each is encoded as in a form before they are joined.
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        match basic(&encode(grant.client_id), &encode(grant.client_secret)).filter(|_| !grant.in_body) {
            Some(value) => drop(headers.insert(AUTHORIZATION, value)),
            None => {
                form.append_pair("client_id", grant.client_id).append_pair("client_secret", grant.client_secret);
            }
        }
        let body = Bytes::from(form.finish());
        let (held, fetching) = (RwLock::new(None), Mutex::new(None));
        Self { url: grant.url.clone(), headers, body, timeout: grant.timeout, held, fetching }
    }

    /// The header's value; `None` before the first [`ensure`](Self::ensure).
    pub fn value(&self) -> Option<HeaderValue> {
        self.held().map(|held| held.value)
    }

    /// Whether there is a token that need not be renewed.
    pub fn is_fresh(&self, now: Instant) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| held.renew_at.is_none_or(|at| now < at))
    }

    /// Sees to it that there is a token that is good now.
    ///
    /// # Errors
    /// Why there is none: what the token server answered, or what kept it from answering.
    pub async fn ensure(&self, client: &Client) -> Result<(), Failure> {
        let began = clock::now();
        if self.is_fresh(began) {
            return Ok(());
        }
        if self.is_good(began) {
            // Somebody renews it, and it is good as long as that takes.
            let Ok(mut failed) = self.fetching.try_lock() else { return Ok(()) };
            if failed.as_ref().is_none_or(|(at, _)| began.saturating_duration_since(*at) >= RETRY) && !self.is_fresh(clock::now())
            {
                *failed = self.fetch(client).await.err().map(|failure| (clock::now(), failure));
            }
            return Ok(());
        }
        let mut failed = self.fetching.lock().await;
        if self.is_good(clock::now()) {
            return Ok(());
        }
        match &*failed {
            // Of the request that was under way.
            Some((at, failure)) if *at >= began => return Err(failure.clone()),
            Some((at, _)) => tokio::time::sleep_until((*at + RETRY).into()).await,
            None => {}
        }
        match self.fetch(client).await {
            Ok(()) => {
                *failed = None;
                Ok(())
            }
            Err(failure) => {
                *failed = Some((clock::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_good(&self, now: Instant) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|held| held.expires_at.is_none_or(|at| now < at))
    }

    async fn fetch(&self, client: &Client) -> Result<(), Failure> {
        let request = Request {
            method: &Method::POST,
            url: &self.url,
            path: None,
            headers: &self.headers,
            body: self.body.clone(),
            timeout: self.timeout,
            // Who it is would be told to somebody else.
            redirects: 0,
            keep_body: true,
            keep_head: true,
            prepared: None,
            events: None,
            trace: None,
        };
        let server = peer(&self.url);
        let no_token = |failure: Failure| Failure { message: format!("no token from {server}: {}", failure.message), ..failure };
        let asked = clock::now();
        // Boxed, because it is rare: each user's future would have to have room for it.
        let exchange = Box::pin(client.session().exchange(&request)).await;
        let response = exchange.into_result().map_err(no_token)?;
        let held = read(response.status, &response.text(), asked)
            .map_err(|(reason, message)| no_token(Failure { status: Some(response.status), ..Failure::new(reason, message) }))?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }
}

/// What a token server's answer holds (RFC 6749, 5).
fn read(status: u16, text: &str, asked: Instant) -> Result<Held, (Reason, String)> {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if !(200..300).contains(&status) {
        let said = ["error", "error_description"].iter().filter_map(|key| json[*key].as_str()).collect::<Vec<_>>().join(": ");
        // The sign tells those who mask it that it may end within a secret.
        let cut = if said.chars().count() > WORDS { "…" } else { "" };
        let said: String = said.chars().take(WORDS).chain(cut.chars()).collect();
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        return Err((Reason::Status, format!("the status is {status}{said}")));
    }
    let protocol = |message: &str| (Reason::Protocol, message.to_owned());
    let token = json["access_token"].as_str().ok_or_else(|| protocol("its answer is no JSON with an `access_token`"))?;
    let kind = json["token_type"].as_str().filter(|kind| !kind.eq_ignore_ascii_case("bearer")).unwrap_or("Bearer");
    let value = secret(&format!("{kind} {token}")).ok_or_else(|| protocol("its `access_token` cannot stand in a header"))?;
    let seconds = json["expires_in"].as_f64().or_else(|| json["expires_in"].as_str()?.parse().ok());
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|life| *life < crate::units::LONGEST);
    let expires_at = life.map(|life| asked + life);
    let renew_at = life.map(|life| asked + life.saturating_sub(BEFORE.min(life / 5)));
    Ok(Held { value, renew_at, expires_at })
}
