//! reqwest's errors as failures: by the types in their chain of causes, and by their texts only where the type is private: what a
//! proxy answers to CONNECT.

use std::error::Error;
use std::io;
use std::iter::successors;

use super::Failure;
use super::dial::{Attempt, ConnectTimedOut};
use super::identity::Asked;
use super::resolve::DnsError;
use crate::reason::Reason;
use crate::units::format_duration;

/// What to do when a proxy says 407.
pub(super) const PROXY_CREDENTIALS: &str = "does not let otload in; write the right user and password into `http.proxy`";

/// Why the exchange with `peer` failed. `attempt` is what is known of the connecting, if there was any.
pub(super) fn classify(error: &reqwest::Error, peer: &str, attempt: &Attempt, asked: Asked) -> Failure {
    if let Some(error) = find::<DnsError>(error) {
        return error.failure();
    }
    if let Some(ConnectTimedOut { limit, during }) = find(error) {
        let message = format!("no connection to {peer} within {} (`connect_timeout`), {during}", format_duration(*limit));
        return Failure::new(Reason::ConnectTimeout, message);
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return Failure::tls(error, peer, asked);
    }
    if let Some(error) = find::<h2::Error>(error) {
        return stream(error, peer);
    }
    // The innermost: outer ones only carry it.
    let system = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    if error.is_connect() {
        return match system {
            Some(error) if attempt.handshaking() => Failure::handshake(error, peer),
            Some(error) => Failure::connecting(error, peer),
            None => Failure::new(Reason::ConnectError, format!("cannot connect to {peer}: {}", innermost(error))),
        };
    }
    if let Some(error) = system {
        return Failure::broken(error, peer);
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => Failure::protocol(peer, "the head of the response is too long"),
        Some(error) if error.is_parse() => Failure::protocol(peer, error),
        // The connection ended before the request was on its way: because the peer left, or spoke first.
        Some(error) if error.is_canceled() => match error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>()) {
            Some(cause) if cause.is_parse() => Failure::protocol(peer, cause),
            Some(cause) if !cause.is_closed() && !cause.is_incomplete_message() && !cause.is_canceled() => {
                Failure::protocol(peer, "it spoke before it was asked")
            }
            _ => Failure::closed(peer),
        },
        Some(error) if error.is_incomplete_message() || error.is_closed() || error.is_body_write_aborted() => {
            Failure::closed(peer)
        }
        Some(error) if error.is_user() => {
            Failure::new(Reason::Protocol, format!("the request to {peer} cannot be sent: {error}"))
        }
        Some(error) => Failure::protocol(peer, innermost(error)),
        None => Failure::new(Reason::Protocol, format!("the request to {peer} cannot be sent: {}", innermost(error))),
    }
}

/// Why `proxy` did not lead to `peer`, if it was asked to and refused.
pub(super) fn tunnel(error: &reqwest::Error, peer: &str, proxy: &str) -> Option<Failure> {
    let said = innermost(error);
    let message = match said.strip_prefix("tunnel error: ").or_else(|| said.strip_prefix("SOCKS error: "))? {
        "proxy authorization required"
        | "credentials not accepted"
        | "server does not support user/pass authentication"
        | "server implements authentication incorrectly" => format!("the proxy {proxy} {PROXY_CREDENTIALS}"),
        "unsuccessful" => format!("the proxy {proxy} does not connect to {peer}: it is not allowed to, or cannot"),
        "unexpected end of file" | "io error during SOCKS handshake" => {
            format!("the proxy {proxy} closed the connection instead of connecting to {peer}")
        }
        // By the target, as a SOCKS proxy says.
        "connection refused" => {
            let message = format!("connection refused by {peer} (by the proxy {proxy})");
            return Some(Failure::new(Reason::ConnectRefused, message));
        }
        // Why is not told.
        "failed to create underlying connection" => format!("cannot connect to the proxy {proxy}"),
        other => format!("the proxy {proxy} does not connect to {peer}: {other}"),
    };
    Some(Failure::new(Reason::ConnectError, message))
}

/// Whether the peer ended TLS with an alert, where only its text is left: `h2` does not keep the type.
pub(super) fn is_alert(error: &reqwest::Error) -> bool {
    chain(error).any(|error| error.to_string().starts_with("received fatal alert"))
}

/// An HTTP/2 stream or connection ended.
fn stream(error: &h2::Error, peer: &str) -> Failure {
    if let Some(error) = error.get_io() {
        return Failure::broken(error, peer);
    }
    let code = error.reason().map_or_else(|| "no code".to_owned(), |reason| format!("{reason:?}"));
    if error.is_remote() && error.is_reset() {
        Failure::new(Reason::Reset, format!("{peer} reset the stream with {code}"))
    } else if error.is_remote() && error.is_go_away() {
        Failure::new(Reason::Closed, format!("{peer} closed the HTTP/2 connection with {code}"))
    } else {
        Failure::new(Reason::Protocol, format!("what {peer} sent is not HTTP/2 (see `http.version`): {error}"))
    }
}

/// An error and its causes. The custom error inside an [`io::Error`] is a link of its own, which `source` would skip.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(<dyn Error>::downcast_ref)
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}
