//! Why an exchange failed, in a sentence for people beside the reason for labels.
//!
//! What the operating system says is told apart here, by type, and what TLS says in `refusal.rs`; each transport adds what only it knows.

use std::io;

use super::identity::Asked;
use super::refusal;
use crate::reason::{Reason, Shortage};

/// An exchange without a whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// One sentence: what happened with which peer, and a remedy where one is known.
    pub message: String,
    /// The status, if a head had come.
    pub status: Option<u16>,
    /// What this machine had run out of: then the failure says nothing about the peer.
    pub shortage: Option<Shortage>,
}

// === Failure ===

impl Failure {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), status: None, shortage: None }
    }

    /// Connecting to `peer` failed with `error`.
    pub(super) fn connecting(error: &io::Error, peer: &str) -> Self {
        use io::ErrorKind as Kind;
        let shortage = shortage(error);
        let (reason, message) = match error.kind() {
            Kind::ConnectionRefused => (Reason::ConnectRefused, format!("connection refused by {peer}")),
            // It was accepted by the system, and then nobody was there to take it: the server ended at that moment.
            Kind::ConnectionReset | Kind::ConnectionAborted => {
                (Reason::Reset, format!("{peer} reset the connection while it was being opened"))
            }
            Kind::BrokenPipe | Kind::NotConnected => {
                (Reason::Closed, format!("{peer} closed the connection while it was being opened"))
            }
            // The kernel gave up before `connect_timeout` did.
            Kind::TimedOut => (Reason::ConnectTimeout, format!("{peer} did not answer to the attempt to connect")),
            Kind::HostUnreachable | Kind::NetworkUnreachable => (Reason::ConnectError, format!("there is no route to {peer}")),
            _ if shortage == Some(Shortage::Ports) => (
                Reason::ConnectError,
                format!(
                    "no local port is left for another connection to {peer}; keep connections alive, add \
                     `source_addresses`, or widen the system's range of local ports"
                ),
            ),
            _ if shortage == Some(Shortage::Descriptors) => (
                Reason::ConnectError,
                format!(
                    "no file descriptor is left for another connection to {peer}; raise the limit (`ulimit -n`) or use fewer users"
                ),
            ),
            _ => (Reason::ConnectError, format!("cannot connect to {peer}: {error}")),
        };
        Self { shortage, ..Self::new(reason, message) }
    }

    /// A connection to `peer` broke with `error` during the TLS handshake.
    pub(super) fn handshake(error: &io::Error, peer: &str) -> Self {
        use io::ErrorKind as Kind;
        let message = match error.kind() {
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
                format!("{peer} closed the connection during the TLS handshake")
            }
            _ => format!("the TLS handshake with {peer} failed: {error}"),
        };
        Self::new(Reason::Tls, message)
    }

    /// rustls refuses what `peer` does, or the peer told it of a refusal.
    pub(super) fn tls(error: &rustls::Error, peer: &str, asked: Asked) -> Self {
        Self::new(Reason::Tls, refusal::explain(error, peer, asked))
    }

    /// An open connection to `peer` broke with `error`.
    pub(super) fn broken(error: &io::Error, peer: &str) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionReset | Kind::ConnectionAborted => Self::new(Reason::Reset, format!("{peer} reset the connection")),
            Kind::UnexpectedEof | Kind::BrokenPipe | Kind::NotConnected => Self::closed(peer),
            Kind::InvalidData | Kind::InvalidInput => Self::protocol(peer, error),
            Kind::TimedOut => Self::new(Reason::Reset, format!("the network to {peer} gave up on the connection: {error}")),
            _ => Self::new(Reason::Closed, format!("the connection to {peer} broke: {error}")),
        }
    }

    pub(super) fn closed(peer: &str) -> Self {
        Self::new(Reason::Closed, format!("{peer} closed the connection before the response was whole"))
    }

    pub(super) fn protocol(peer: &str, what: impl std::fmt::Display) -> Self {
        Self::new(Reason::Protocol, format!("what {peer} sent is not HTTP: {what}"))
    }

    pub(super) fn event_too_large() -> Self {
        Self::new(Reason::BodyTooLarge, "an event of the stream is larger than 1MiB")
    }

    pub(super) fn too_large(what: &str, max_body: u64) -> Self {
        let limit = crate::units::format_size(max_body);
        Self::new(Reason::BodyTooLarge, format!("the {what} is larger than `max_body` ({limit}); raise it if that is expected"))
    }
}

/// What the system had run out of when it answered `error` to an attempt to connect or to look up a name.
///
/// Of ports it says "address not available" when it chooses the port while connecting, and "address in use" when it chooses
/// it while binding to a source address. That a source address is this machine's own is known before the run.
pub(super) fn shortage(error: &io::Error) -> Option<Shortage> {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Some(Shortage::Ports),
        _ if no_descriptor(error) => Some(Shortage::Descriptors),
        _ => None,
    }
}

#[cfg(unix)]
fn no_descriptor(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| [Errno::MFILE, Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(not(unix))]
fn no_descriptor(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_errors_have_reasons_and_remedies() {
        let peer = "[::1]:80";
        use Shortage::{Descriptors, Ports};
        for (error, reason, part, shortage) in [
            (io::Error::from(io::ErrorKind::ConnectionRefused), Reason::ConnectRefused, "refused by [::1]:80", None),
            (io::Error::from(io::ErrorKind::ConnectionReset), Reason::Reset, "while it was being opened", None),
            (io::Error::from(io::ErrorKind::TimedOut), Reason::ConnectTimeout, "did not answer", None),
            (io::Error::from(io::ErrorKind::NetworkUnreachable), Reason::ConnectError, "no route to [::1]:80", None),
            (io::Error::from(io::ErrorKind::AddrNotAvailable), Reason::ConnectError, "`source_addresses`", Some(Ports)),
            (io::Error::from(io::ErrorKind::AddrInUse), Reason::ConnectError, "no local port is left", Some(Ports)),
            // EMFILE of the process, ENFILE of the system.
            (io::Error::from_raw_os_error(24), Reason::ConnectError, "`ulimit -n`", Some(Descriptors)),
            (io::Error::from_raw_os_error(23), Reason::ConnectError, "`ulimit -n`", Some(Descriptors)),
            (io::Error::other("odd"), Reason::ConnectError, "cannot connect to [::1]:80: odd", None),
        ] {
            let failure = Failure::connecting(&error, peer);
            assert_eq!((failure.reason, failure.shortage), (reason, shortage), "{error}");
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }

    #[test]
    fn broken_connections_have_reasons() {
        use io::ErrorKind as Kind;
        for (kind, reason) in [
            (Kind::ConnectionReset, Reason::Reset),
            (Kind::UnexpectedEof, Reason::Closed),
            (Kind::BrokenPipe, Reason::Closed),
            (Kind::InvalidData, Reason::Protocol),
            (Kind::Other, Reason::Closed),
        ] {
            assert_eq!(Failure::broken(&kind.into(), "x:1").reason, reason, "{kind}");
        }
        assert_eq!(Failure::handshake(&io::ErrorKind::ConnectionReset.into(), "x:1").reason, Reason::Tls);
    }
}
