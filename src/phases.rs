//! What an exchange's time was spent on: measured by `http`, counted by `measure`, told by spans, `check --once` and metrics.
//!
//! ```text
//!  │ dns │ connect │ tls │ send │      wait      │ receive │
//!  ▲ a new connection only ────▲ request written ▲ head    ▲ last byte
//!  │◀────────────── first_event (streams) ──────────────▶│
//! ```

use std::time::Duration;

/// How long each phase took, summed over redirects; `None` where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Only when a name was looked up.
    pub dns: Option<Duration>,
    /// Only when a connection was opened.
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// Until the request was written. `None` where the transport cannot see it (`reqwest`); it is then part of `wait`.
    pub send: Option<Duration>,
    /// Until the head of the response was there.
    pub wait: Option<Duration>,
    /// From the head to the last byte.
    pub receive: Option<Duration>,
    /// From the start to the first event of a stream, so beside the others.
    pub first_event: Option<Duration>,
}

/// One of the [`Phases`], in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Dns,
    Connect,
    Tls,
    Send,
    Wait,
    Receive,
    FirstEvent,
}

/// How many there are.
pub const PARTS: usize = Part::ALL.len();

// === Part ===

impl Part {
    pub const ALL: [Self; 7] = [Self::Dns, Self::Connect, Self::Tls, Self::Send, Self::Wait, Self::Receive, Self::FirstEvent];

    /// As labels, spans and summaries carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Receive => "receive",
            Self::FirstEvent => "first_event",
        }
    }
}

// === Phases ===

impl Phases {
    pub const NONE: Self = Self { dns: None, connect: None, tls: None, send: None, wait: None, receive: None, first_event: None };

    /// By the number of their [`Part`].
    pub fn all(&self) -> [Option<Duration>; PARTS] {
        [self.dns, self.connect, self.tls, self.send, self.wait, self.receive, self.first_event]
    }
}
