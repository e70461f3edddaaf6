//! How each threshold of a run stands: plain figures, which `judge::verdict` fills in and all readers of a snapshot show.

use std::sync::Arc;
use std::time::Duration;

use crate::units::Quantity;

/// A threshold and what has become of it so far.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdState {
    pub rule: Arc<ThresholdRule>,
    pub judgement: Judgement,
    /// In the rule's unit: of the whole run up to now, or of the last window that was judged. `None` without data.
    pub value: Option<f64>,
    /// The value that was furthest from holding when it was judged, and when that was, since the end of the warm-up.
    pub worst: Option<(f64, Duration)>,
    /// When it was first found broken, since the end of the warm-up.
    pub broken_at: Option<Duration>,
    /// It has stopped the run.
    pub aborted: bool,
    /// Why there is no data, a sentence; only at the end.
    pub missing: Option<String>,
}

/// What a threshold asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdRule {
    /// The label `threshold`; unique in a run.
    pub name: String,
    /// As written: `p95 of "GET /cars" < 300ms over 30s`.
    pub that: String,
    /// In words: `all requests`.
    pub scope: String,
    pub quantity: Quantity,
    /// `<` `<=` `>` `>=`
    pub comparison: &'static str,
    /// In the rule's unit.
    pub limit: f64,
    /// The length of its sliding window; without, it is of the whole run.
    pub over: Option<Duration>,
    /// It is not judged before.
    pub after: Duration,
    /// It stops the run when it is broken.
    pub abort: bool,
    /// A generator that is late cannot make it fail: a failure stands in a run that is not valid, too.
    pub lag_proof: bool,
}

/// How a threshold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It can still be kept, or there is nothing to judge yet; only before the end.
    Open,
    Holds,
    Broken,
    /// The run has ended, and there was nothing to judge.
    NoData,
    /// It would hold, but the figures cannot be believed.
    Invalid,
}

// === Judgement, ThresholdState ===

impl Judgement {
    pub const ALL: [Self; 5] = [Self::Open, Self::Holds, Self::Broken, Self::NoData, Self::Invalid];

    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Holds => "holds",
            Self::Broken => "broken",
            Self::NoData => "no_data",
            Self::Invalid => "invalid",
        }
    }

    /// Whether nothing is wrong with it so far.
    pub fn is_ok(self) -> bool {
        matches!(self, Self::Open | Self::Holds)
    }
}

impl ThresholdState {
    /// Nothing has been judged.
    pub fn new(rule: Arc<ThresholdRule>) -> Self {
        Self { rule, judgement: Judgement::Open, value: None, worst: None, broken_at: None, aborted: false, missing: None }
    }
}
