//! Units and colours, by what they mean.

use serde_json::{Value, json};

use crate::phases::Part;

/// As Grafana names units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Ratio,
    Requests,
    /// Things a second that are no requests.
    PerSecond,
    Bytes,
    BytesPerSecond,
    Count,
    /// A flag, a state: shown as words.
    State,
    /// How many times as much.
    Factor,
    /// Milliseconds since the epoch.
    Date,
    /// A share for each hour.
    PerHour,
}

/// By meaning: the same thing has the same colour on every dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// What went well.
    Good,
    /// Failures, and what is broken.
    Bad,
    /// What is not bad yet.
    Warning,
    /// What cannot be believed.
    Invalid,
    /// What is neither good nor bad: load.
    Load,
    /// What was asked for.
    Target,
    Median,
    P95,
    P99,
    /// Service time, beside response time.
    Service,
    /// A phase of requests: connecting in greens of the sea, waiting for the target as service time, whose largest part it is.
    Phase(Part),
    /// The run that is compared with.
    Before,
    Muted,
}

// === Unit, Colour ===

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Ratio | Self::PerHour => "percentunit",
            Self::Requests => "reqps",
            Self::PerSecond => "cps",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "binBps",
            Self::Count => "short",
            Self::State => "none",
            Self::Factor => "suffix:×",
            Self::Date => "dateTimeAsIso",
        }
    }
}

impl Colour {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Bad => "red",
            Self::Warning => "orange",
            Self::Invalid => "purple",
            Self::Load => "blue",
            Self::Target => "super-light-blue",
            Self::Median => "light-blue",
            Self::P95 => "dark-yellow",
            Self::P99 => "dark-orange",
            Self::Service | Self::Phase(Part::Wait) => "semi-dark-purple",
            Self::Phase(Part::Dns) => "#7fc8c0",
            Self::Phase(Part::Connect) => "#3f9c95",
            Self::Phase(Part::Tls) => "#1f6f6a",
            Self::Phase(Part::Send) => "#6d87c9",
            Self::Phase(Part::Receive) => "#c58fd6",
            Self::Phase(Part::FirstEvent) => "#b9a44c",
            Self::Before => "#8e8e8e",
            Self::Muted => "text",
        }
    }

    pub(super) fn fixed(self) -> Value {
        json!({"mode": "fixed", "fixedColor": self.name()})
    }
}
