//! Conditions on what is measured, as files write them: thresholds, and what ends a stress.
//!
//! ```text
//!  p99 of "GET /cars" < 300ms over 30s
//!  │       │          │ │      └ window: within any 30 s; without, over the whole run
//!  │       │          │ limit: a duration, share, rate or number, as the figure says
//!  │       │          comparison: < <= > >=
//!  │       scope: of a request, user, task or check; without, of all
//!  figure: of response times; of `service.p99` service times; `baseline.p99` as a multiple of an earlier run's
//! ```
//!
//! `parse.rs` holds the grammar.

mod parse;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::measure::catalog::{CheckId, RequestId};
use crate::units::Quantity;

/// A condition that a run has to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The label `threshold` of its metrics: a name of its own, or the text of what is written.
    pub name: String,
    pub written: Written,
    pub requests: Requests,
    /// The checks that are counted, for [`Signal::Checks`].
    pub checks: Vec<CheckId>,
    /// It is not judged before, in the time that is measured.
    pub after: Duration,
    /// The run stops when it is broken.
    pub abort: bool,
    /// Where it is written in the file.
    pub place: Range<usize>,
}

/// Which requests a threshold looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requests {
    All,
    /// At least one.
    Some(Vec<RequestId>),
}

/// The text of a threshold, understood; its names may be of things that do not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub condition: Condition,
    /// At most one of each kind; all of them hold.
    pub scopes: Vec<Scope>,
    pub over: Option<Duration>,
    over_text: String,
}

/// What is compared with a limit, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub figure: Figure,
    pub comparison: Comparison,
    /// In the unit of [`Figure::quantity`].
    pub limit: f64,
    limit_text: String,
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    pub signal: Signal,
    /// Which times, if the signal is one.
    pub times: Times,
    /// As a multiple of what it was in an earlier run.
    pub baseline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Quantile(Quantile),
    Mean,
    Min,
    Max,
    /// Failed requests as a share of all.
    FailureRatio,
    /// Checks that held as a share of all.
    Checks,
    /// Requests a second.
    Rps,
    Requests,
    Failures,
}

/// `p99.9`: in millionths, more than none and fewer than all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile(u32);

/// Which durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// From when a request should have started.
    Response,
    /// From when it did.
    Service,
    /// How late things started by the generator's fault.
    ScheduleLag,
}

/// Of what: a kind of thing and the name of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub kind: ScopeKind,
    pub name: String,
    /// Where the name is in the text.
    pub at: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    Request,
    User,
    Task,
    Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    pub hint: String,
}

// === Threshold ===

impl Threshold {
    /// Whether a generator that is late cannot make it fail. It makes times longer and rates smaller, so a ratio of failures and a
    /// figure on the other side of its limit are not its doing; `timed_checks` fail when it is late, too.
    pub fn is_lag_proof(&self, timed_checks: bool) -> bool {
        let Condition { figure, comparison, .. } = &self.written.condition;
        match figure.signal {
            _ if figure.baseline => false,
            Signal::FailureRatio | Signal::Checks => !timed_checks,
            Signal::Failures => comparison.is_upper() && !timed_checks,
            Signal::Requests => comparison.is_upper() && self.written.over.is_none(),
            Signal::Rps | Signal::Quantile(_) | Signal::Mean | Signal::Min | Signal::Max => false,
        }
    }
}

// === Written ===

impl Written {
    /// Reads `p99 of "GET /cars" < 300ms over 30s`.
    ///
    /// # Errors
    /// What is wrong, where in the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        parse::written(text)
    }

    /// The scope in words: `all requests`, `request "GET /cars" of user "Admin"`.
    pub fn scope(&self) -> String {
        if self.condition.figure.times == Times::ScheduleLag {
            return "the generator".to_owned();
        }
        let scopes: Vec<_> = self.scopes.iter().map(|scope| format!("{} {}", scope.kind.name(), quoted(&scope.name))).collect();
        if scopes.is_empty() { "all requests".to_owned() } else { scopes.join(" of ") }
    }
}

impl fmt::Display for Written {
    /// As it would be written, with single spaces and double quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { figure, comparison, limit_text, .. } = &self.condition;
        write!(f, "{figure}")?;
        for scope in &self.scopes {
            let kind = if scope.kind == ScopeKind::Request { String::new() } else { format!("{} ", scope.kind.name()) };
            write!(f, " of {kind}{}", quoted(&scope.name))?;
        }
        write!(f, " {} {limit_text}", comparison.sign())?;
        if self.over.is_some() { write!(f, " over {}", self.over_text) } else { Ok(()) }
    }
}

/// The name in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

// === Condition ===

impl Condition {
    /// Reads `failure_ratio > 5%`, a condition on all requests since something began.
    ///
    /// # Errors
    /// What is wrong, where in the text, and what would be right.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        parse::condition(text)
    }

    /// Whether a figure fulfils it.
    pub fn holds(&self, figure: f64) -> bool {
        match self.comparison {
            Comparison::Less => figure < self.limit,
            Comparison::LessOrEqual => figure <= self.limit,
            Comparison::Greater => figure > self.limit,
            Comparison::GreaterOrEqual => figure >= self.limit,
        }
    }

    /// Of two figures the one that is further from holding.
    pub fn worse(&self, one: f64, other: f64) -> f64 {
        if self.comparison.is_upper() { one.max(other) } else { one.min(other) }
    }

    /// The limit as a number of seconds without a unit, when that is so long that something else was probably meant.
    pub fn bare_seconds(&self) -> Option<&str> {
        let is_bare = self.figure.quantity() == Quantity::Seconds && self.limit_text.parse::<f64>().is_ok();
        (is_bare && self.limit >= 30.0).then_some(&self.limit_text)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.figure, self.comparison.sign(), self.limit_text)
    }
}

// === Figure, Signal ===

impl Figure {
    pub fn quantity(self) -> Quantity {
        match self.signal {
            _ if self.baseline => Quantity::Factor,
            Signal::FailureRatio | Signal::Checks => Quantity::Ratio,
            Signal::Rps => Quantity::PerSecond,
            Signal::Requests | Signal::Failures => Quantity::Count,
            Signal::Quantile(_) | Signal::Mean | Signal::Min | Signal::Max => Quantity::Seconds,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let baseline = if self.baseline { "baseline." } else { "" };
        let service = if self.times == Times::Service { "service." } else { "" };
        write!(f, "{baseline}{service}{}", self.signal)?;
        f.write_str(if self.times == Times::ScheduleLag { " of schedule_lag" } else { "" })
    }
}

impl Signal {
    /// Whether it is one of durations.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Quantile(_) | Self::Mean | Self::Min | Self::Max)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quantile(quantile) => return write!(f, "{quantile}"),
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::FailureRatio => "failure_ratio",
            Self::Checks => "checks",
            Self::Rps => "rps",
            Self::Requests => "requests",
            Self::Failures => "failures",
        })
    }
}

// === Quantile ===

impl Quantile {
    /// Half of all values are not above it.
    pub const MEDIAN: Self = Self(500_000);

    /// The share of values that are not above it.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let decimals = format!("{rest:04}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "p{whole}"),
            decimals => write!(f, "p{whole}.{decimals}"),
        }
    }
}

// === ScopeKind, Comparison ===

impl ScopeKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::User => "user",
            Self::Task => "task",
            Self::Check => "check",
        }
    }
}

impl Comparison {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether the limit is the most that is allowed, rather than the least.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }
}
