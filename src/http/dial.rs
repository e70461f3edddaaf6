//! What reqwest does out of sight while it connects, watched from the three places where it lets us in:
//!
//! ```text
//!  layer begins    resolver     resolver     TLS asks for a         layer ends
//!  |               begins       ends         session to resume      |
//!  +---------------+============+------------+======================+
//!                       dns         connect            tls
//! ```
//!
//! The layer also bounds the whole by `connect_timeout`, and counts. The sessions to resume are the user's own: a user
//! that resumed another's would spare the target a handshake that a real one costs it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tower_layer::Layer;
use tower_service::Service;

use super::client::Shared;
use super::connections::{Connections, Open};
use crate::clock::{self, Instant};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connecting of one user.
#[derive(Debug)]
pub(super) struct Dial {
    shared: Arc<Shared>,
    state: Mutex<State>,
    tickets: OnceLock<ClientSessionMemoryCache>,
}

#[derive(Debug, Default)]
struct State {
    attempt: Attempt,
    /// The host behind `tls.server_name`, which then stands in the URL.
    behind: Option<String>,
    /// The connection that was opened last.
    fresh: Option<Open>,
}

/// What happened since it was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempt {
    pub(super) started: Option<Instant>,
    pub(super) dns_started: Option<Instant>,
    pub(super) dns: Option<Duration>,
    pub(super) tls_started: Option<Instant>,
    pub(super) finished: Option<Instant>,
    pub(super) connected: bool,
    /// The server has given a ticket, which in TLS 1.3 it does once it has accepted the client.
    pub(super) accepted: bool,
    /// Connections opened, whether or not TLS then failed.
    pub(super) opened: u32,
}

/// `connect_timeout` has passed.
#[derive(Debug)]
pub(super) struct ConnectTimedOut {
    pub(super) limit: Duration,
    pub(super) during: &'static str,
}

/// The view of the connector.
#[derive(Clone)]
pub(super) struct DialLayer(pub(super) Arc<Dial>);

#[derive(Clone)]
pub(super) struct Dialer<S> {
    inner: S,
    dial: Arc<Dial>,
}

/// The view of the resolver.
pub(super) struct Resolver(pub(super) Arc<Dial>);

/// The view of TLS.
#[derive(Debug)]
pub(super) struct Tickets(pub(super) Arc<Dial>);

// === Dial ===

impl Dial {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, state: Mutex::default(), tickets: OnceLock::new() }
    }

    /// What happened since the last call.
    pub(super) fn take(&self) -> Attempt {
        self.state().fresh = None;
        std::mem::take(&mut self.state().attempt)
    }

    /// The connection that was opened since the last [`take`](Self::take).
    pub(super) fn take_fresh(&self) -> Option<Open> {
        self.state().fresh.take()
    }

    /// What happened since the last [`take`](Self::take).
    pub(super) fn attempt(&self) -> Attempt {
        self.state().attempt
    }

    /// Sets the host that `tls.server_name` stands for; `true` if it was another one before.
    pub(super) fn stands_for(&self, host: &str) -> bool {
        let behind = &mut self.state().behind;
        let other = behind.as_deref().is_some_and(|before| before != host);
        if other || behind.is_none() {
            *behind = Some(host.to_owned());
        }
        other
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> &ClientSessionMemoryCache {
        // Two servers: an application and whoever it logs in at.
        self.tickets.get_or_init(|| ClientSessionMemoryCache::new(16))
    }
}

// === Attempt ===

impl Attempt {
    /// In the middle of a TLS handshake, or failed in it.
    pub(super) fn handshaking(&self) -> bool {
        self.tls_started.is_some() && !self.connected
    }

    fn doing(&self) -> &'static str {
        match self {
            Self { tls_started: Some(_), .. } => "in the TLS handshake",
            Self { dns_started: Some(_), dns: None, .. } => "while looking up the name",
            _ => "while connecting",
        }
    }
}

// === the connector ===

impl<S> Layer<S> for DialLayer {
    type Service = Dialer<S>;

    fn layer(&self, inner: S) -> Dialer<S> {
        Dialer { inner, dial: Arc::clone(&self.0) }
    }
}

impl<S, R> Service<R> for Dialer<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.inner.call(target);
        let dial = Arc::clone(&self.dial);
        Box::pin(async move {
            let limit = dial.shared.settings.connect_timeout;
            dial.state().attempt.started = Some(clock::now());
            let result = match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result,
                Err(_) => Err(Box::new(ConnectTimedOut { limit, during: dial.attempt().doing() }) as BoxError),
            };
            let mut state = dial.state();
            // One whose handshake failed was open, too, and is closed again.
            let opened = result.is_ok() || state.attempt.tls_started.is_some();
            let open = opened.then(|| Connections::open(&dial.shared.connections));
            state.fresh = open.filter(|_| result.is_ok());
            let attempt = &mut state.attempt;
            attempt.finished = Some(clock::now());
            attempt.connected = result.is_ok();
            attempt.opened += u32::from(opened);
            drop(state);
            result
        })
    }
}

// === the resolver ===

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let dial = Arc::clone(&self.0);
        Box::pin(async move {
            let started = clock::now();
            let behind = {
                let mut state = dial.state();
                state.attempt.dns_started = Some(started);
                state.behind.clone().filter(|_| dial.shared.settings.tls.server_name.as_deref() == Some(name.as_str()))
            };
            let addresses = dial.shared.names.lookup(behind.as_deref().unwrap_or(name.as_str())).await;
            dial.state().attempt.dns = Some(clock::now() - started);
            Ok(Box::new(addresses?.into_iter()) as Addrs)
        })
    }
}

// === TLS ===

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.0.tickets().set_kx_hint(name, group);
    }

    /// The first thing that rustls asks for: the handshake begins.
    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.state().attempt.tls_started = Some(clock::now());
        self.0.tickets().kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.tickets().set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tickets().tls12_session(name)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.0.tickets().remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.state().attempt.accepted = true;
        self.0.tickets().insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.tickets().take_tls13_ticket(name)
    }
}

// === ConnectTimedOut ===

impl fmt::Display for ConnectTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {} ({})", crate::units::format_duration(self.limit), self.during)
    }
}

impl std::error::Error for ConnectTimedOut {}
