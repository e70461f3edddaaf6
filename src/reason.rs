//! Why a request failed: the closed set that labels, summaries and reports share. And what this machine had run out of, when
//! the failure was not the target's.

use std::fmt;

/// One reason of the closed set. What exactly happened is in the message that travels beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The status is 400 or above, and no expectation says otherwise.
    Status,
    /// An expectation does not hold.
    Check,
    /// A capture finds nothing.
    Capture,
    /// The whole exchange took longer than `timeout`.
    Timeout,
    /// The name cannot be resolved.
    Dns,
    ConnectRefused,
    ConnectTimeout,
    /// Any other error while connecting: unreachable, no free port, no descriptor.
    ConnectError,
    /// The handshake failed or a certificate is not accepted.
    Tls,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection before the response was whole.
    Closed,
    /// What came is not HTTP.
    Protocol,
    /// The body is larger than `max_body`.
    BodyTooLarge,
    /// More redirects than `redirects` allows.
    RedirectLimit,
    /// A template could not be rendered.
    Template,
    /// A feeder has no rows left.
    Data,
    /// The run ended before the response came.
    Cancelled,
}

/// What the system had no more of for us: a failure of the generator, not of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shortage {
    /// File descriptors, of the process or of the whole system.
    Descriptors,
    /// Local ports for connections to one target from one address.
    Ports,
}

impl Shortage {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Descriptors, Self::Ports];
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Status,
        Self::Check,
        Self::Capture,
        Self::Timeout,
        Self::Dns,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectError,
        Self::Tls,
        Self::Reset,
        Self::Closed,
        Self::Protocol,
        Self::BodyTooLarge,
        Self::RedirectLimit,
        Self::Template,
        Self::Data,
        Self::Cancelled,
    ];

    /// As labels carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Check => "check",
            Self::Capture => "capture",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectError => "connect_error",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::BodyTooLarge => "body_too_large",
            Self::RedirectLimit => "redirect_limit",
            Self::Template => "template",
            Self::Data => "data",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        assert_eq!(Shortage::ALL.map(|shortage| shortage as usize), [0, 1]);
    }
}
