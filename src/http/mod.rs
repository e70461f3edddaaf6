//! One HTTP exchange, and a user's session over many.
//!
//! ```text
//! Client   what all users share: settings, TLS configuration           client.rs, tls.rs
//!   └ Session   one user: cookies, redirects, credentials, the clock   session.rs, way.rs, alarm.rs, cookies.rs, redirect.rs,
//!       │                                                              credentials.rs
//!       └ Transport   one request out, one response in                 transport.rs
//!           ├ wire      HTTP/1.1, written for this                     wire/
//!           └ reqwest   HTTP/2, proxies, the reference                 reqwest.rs, dial.rs, classify.rs
//! ```
//!
//! A [`Request`] of the scenario leads to one [`Exchange`], whatever happened: the response or a [`Failure`] with its
//! reason, how long each phase took, how many bytes went either way, and how many redirects were followed. Everything a
//! browser's session does is done above the transport, so that each transport behaves alike; the tests in `tests/` are a
//! table that every transport must pass.
//!
//! A request that belongs to a trace says so to the target (`trail.rs`), and tells what each of its hops came to.
//!
//! No request is repeated in secret: what the target counts is one request, one for each redirect followed, and at most one
//! for each that was retried on a new connection (`Exchange::retried`, see `wire`).

mod alarm;
pub mod auth;
mod classify;
mod client;
mod connections;
mod cookies;
mod credentials;
mod decode;
mod dial;
mod event_loop;
pub mod events;
mod failure;
mod gather;
mod identity;
pub mod multipart;
mod redirect;
mod refusal;
mod request;
mod reqwest;
mod resolve;
mod session;
pub mod settings;
pub(crate) mod tls;
mod trail;
mod transport;
mod way;
mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

#[cfg(fuzzing)]
pub use wire::fuzzing;

pub use crate::phases::Phases;
pub use client::Client;
pub use cookies::Cookies;
pub use event_loop::watch_event_loop;
pub use failure::Failure;
pub use request::{Exchange, Request, Response, with_path};
pub use session::Session;
pub use settings::{Carrier, Settings, TlsSettings, Version};
pub use trail::{SeenHop, TraceHead};
pub use transport::TransportKind;
pub use wire::{Prepared, lacks_timestamps};
