//! What the generator may be guilty of, in words.

use std::time::Duration;

use super::cause::Cause;
use crate::reason::Shortage;
use crate::scenario::plan::ValidityLimits;
use crate::units::{Ratio, format_duration};

/// Something that the generator is guilty of.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Figures are off by more than the limit because of the generator; the worst of them.
    Inflated { worst: Inflated, cause: Cause },
    /// A worker was busier than the limit for so long.
    Busy { limit: Ratio, duration: Duration },
    /// So many of the arrivals found no user.
    Dropped { dropped: u64, arrivals: u64, limit: Ratio },
    /// So many iterations of a schedule never began.
    Overdue { overdue: u64, iterations: u64, limit: Ratio },
    /// So many connections could not be opened.
    Short { of: Shortage, count: u64 },
}

/// A figure of which too much is the generator's own; in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Inflated {
    /// `p95`
    pub figure: String,
    /// `all requests`
    pub scope: String,
    pub value: f64,
    /// The generator's part of it, and the most that it may be.
    pub part: f64,
    pub limit: f64,
    /// Over how long, if not the whole run.
    pub over: Option<Duration>,
}

/// What is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Inflated,
    Busy,
    Dropped,
    Overdue,
    Short(Shortage),
}

// === Inflated ===

impl Inflated {
    /// A figure as it was measured and without the generator's part; `None` if that part is within the limits.
    pub fn of(limits: &ValidityLimits, figure: &str, scope: &str, [value, without]: [f64; 2]) -> Option<Self> {
        let (part, limit) = (value - without, limits.generator_part(without));
        let (figure, scope) = (figure.to_owned(), scope.to_owned());
        (part > limit).then_some(Self { figure, scope, value, part, limit, over: None })
    }

    /// By how many times the limit is exceeded.
    pub(super) fn excess(&self) -> f64 {
        self.part / self.limit.max(1e-9)
    }

    /// The one that exceeds its limit more.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.excess() > self.excess() { other } else { self }
    }
}

// === Finding ===

impl Finding {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Inflated { .. } => Kind::Inflated,
            Self::Busy { .. } => Kind::Busy,
            Self::Dropped { .. } => Kind::Dropped,
            Self::Overdue { .. } => Kind::Overdue,
            Self::Short { of, .. } => Kind::Short(*of),
        }
    }

    /// What happened.
    pub fn message(&self) -> String {
        match self {
            Self::Inflated { worst: Inflated { figure, scope, value, part, limit, over }, cause } => {
                let within = over.map_or(String::new(), |over| format!(" within {}", format_duration(whole_seconds(over))));
                format!(
                    "the generator was late, and response times include that: {figure} of {scope}{within} is {}, of which {} are \
                     the generator's, more than {}; {}",
                    seconds(*value),
                    seconds(*part),
                    seconds(*limit),
                    cause.message()
                )
            }
            Self::Busy { limit, duration } => format!(
                "the generator was saturated: a worker was busy more than {limit} of the time for {}",
                format_duration(whole_seconds(*duration))
            ),
            Self::Dropped { dropped, arrivals, limit } => format!(
                "arrivals were dropped for want of users: {dropped} of {arrivals}, more than {limit}; the target did not get \
                 the load that was asked for"
            ),
            Self::Overdue { overdue, iterations, limit } => format!(
                "iterations of `constant_throughput` were overdue at the end: {overdue} of {iterations}, more than {limit}; how long \
                 they waited is in no response time"
            ),
            Self::Short { of: Shortage::Descriptors, count } => {
                format!("file descriptors ran out: {} could not be opened", connections(*count))
            }
            Self::Short { of: Shortage::Ports, count } => {
                format!("local ports ran out: {} could not be opened", connections(*count))
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Inflated { cause, .. } => cause.hint(),
            Self::Busy { .. } => {
                "this run finds the most that can be sent from here, not what the target can take: for that give it more --workers \
                 or another machine, or lower the load. Users without a wait time keep a worker busy whatever the target does; \
                 `validity: {busy: 100%}` silences this"
            }
            Self::Dropped { .. } => {
                "allow more users (`max_users`); if their number only grows, the target is too slow for this arrival rate"
            }
            Self::Overdue { .. } => {
                "the target is too slow for this schedule with so many users: use more users or a lower rate, or an open load \
                 (`arrival_rate`), which counts what it cannot start"
            }
            Self::Short { of: Shortage::Descriptors, .. } => {
                "raise the hard limit of this process (`ulimit -Hn` shows it), use fewer users, or split the run over several \
                 processes"
            }
            Self::Short { of: Shortage::Ports, .. } => {
                "keep connections alive, add `source_addresses`, widen net.ipv4.ip_local_port_range, or split the run over \
                 several machines"
            }
        }
    }
}

fn seconds(seconds: f64) -> String {
    // Three digits are what is known.
    let nanos = (seconds.max(0.0) * 1e9) as u64;
    let step = 10_u64.pow(nanos.max(1).ilog10().saturating_sub(2));
    format_duration(Duration::from_nanos((nanos + step / 2) / step * step))
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().round() as u64)
}
