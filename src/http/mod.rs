//! One HTTP exchange, and a user's session over many.
//!
//! ```text
//! Client   what all users share: settings, TLS configuration           session.rs, tls.rs
//!   └ Session   one user: cookies, redirects, credentials, the clock   session.rs, cookies.rs, redirect.rs, credentials.rs
//!       └ Transport   one request out, one response in                 transport.rs
//!           └ reqwest   HTTP/1.1, HTTP/2, proxies                      reqwest.rs, dial.rs, classify.rs
//! ```
//!
//! A [`Request`] of the scenario leads to one [`Exchange`], whatever happened: the response or a [`Failure`] with its
//! reason, how long each phase took, how many bytes went either way, and how many redirects were followed. Everything a
//! browser's session does is done above the transport, so that each transport behaves alike; the tests in `tests/` are a
//! table that every transport must pass.
//!
//! No request is repeated in secret: what the target counts is one request, and one for each redirect followed.

mod classify;
mod cookies;
mod credentials;
mod decode;
mod dial;
mod failure;
mod gather;
mod redirect;
mod request;
mod reqwest;
mod resolve;
mod session;
pub mod settings;
mod tls;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use cookies::Cookies;
pub use failure::Failure;
pub use request::{Exchange, Phases, Request, Response};
pub use session::{Client, Session};
pub use settings::{Settings, TlsSettings, Version};
pub use transport::TransportKind;
