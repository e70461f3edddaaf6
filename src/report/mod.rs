//! What a person or a script is told of a run: pure functions from a snapshot to text. [`store`] and [`where_time_goes`] do the
//! same for what a trace store answers.

pub mod compare;
pub mod csv;
pub mod digest;
mod escape;
pub mod html;
pub mod intervals;
pub mod json;
pub mod junit;
pub mod markdown;
mod markup;
pub mod progress;
pub mod rebuilt;
pub mod remarks;
mod soak;
pub mod state;
pub mod store;
mod summary;
pub mod text;
mod thresholds;
pub mod traces;
pub mod where_time_goes;

use crate::measure::catalog::RequestName;
use crate::measure::outcome::{FailureCause, RunEnd, RunVerdict};
use crate::measure::snapshot::Snapshot;
pub(crate) use crate::printable::one_line as printable;

/// How the run is judged, by those who judge it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub end: RunEnd,
    /// Whether all of its intervals and its log are on disk.
    pub recorded: bool,
    /// Whether the figures can be believed: the generator was not the bottleneck.
    pub valid: bool,
    /// Why that was not judged, a sentence; `None` if it was.
    pub unjudged: Option<String>,
    /// Why they cannot, a sentence each.
    pub invalid_reasons: Vec<String>,
    /// Whether it did what was asked of it, and if not, why.
    pub verdict: RunVerdict,
    pub failure_causes: Vec<FailureCause>,
    /// Whether it was to fail if anything failed.
    pub fail_on_errors: bool,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// What was said and done while it ran.
    pub remarks: Vec<remarks::Remark>,
    /// The slowest and the failed exported traces; `None` if nothing was traced.
    pub traces: Option<traces::Traces>,
}

impl Outcome {
    /// What went wrong stays wrong; of a run that was cut off nobody knows whether its figures would have stayed valid.
    fn known_validity(&self) -> Option<bool> {
        (!self.valid || self.end != RunEnd::CutOff).then_some(self.valid)
    }

    /// The outcome in a word or two: `failed, invalid`.
    pub(crate) fn words(&self) -> &'static str {
        match (self.end, self.verdict, self.valid) {
            (RunEnd::Interrupted(_), RunVerdict::Failed, _) => "failed, interrupted",
            (RunEnd::Interrupted(_), ..) => "interrupted",
            (_, RunVerdict::Failed, false) => "failed, invalid",
            (_, RunVerdict::Failed, true) => "failed",
            (.., false) => "invalid",
            (_, RunVerdict::Passed, true) => "passed",
            (_, RunVerdict::NotJudged, true) => "not judged",
        }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            end: RunEnd::Finished,
            recorded: true,
            valid: false,
            unjudged: None,
            invalid_reasons: Vec::new(),
            verdict: RunVerdict::NotJudged,
            failure_causes: Vec::new(),
            fail_on_errors: false,
            notes: Vec::new(),
            remarks: Vec::new(),
            traces: None,
        }
    }
}

/// The name of a request as a row shows it: without the method, which has its own column; with user and task when another row
/// would look the same.
pub(crate) fn row_name(snapshot: &Snapshot, name: &RequestName) -> String {
    let shown = short_name(&name.request, &name.method);
    let same = |other: &&RequestName| other.method == name.method && short_name(&other.request, &other.method) == shown;
    if snapshot.catalog.requests.iter().filter(same).count() > 1 {
        format!("{shown} ({}, {})", name.user, name.task)
    } else {
        shown.to_owned()
    }
}

/// `/cars` of `GET /cars`.
fn short_name<'a>(request: &'a str, method: &str) -> &'a str {
    request.strip_prefix(method).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(request)
}

/// Seconds as milliseconds with about three digits: `0.123` `1.23` `12.3` `123`.
pub(crate) fn millis(seconds: f64) -> String {
    let millis = seconds * 1e3;
    let digits = match millis {
        m if m < 0.9995 => 3,
        m if m < 9.995 => 2,
        m if m < 99.95 => 1,
        _ => 0,
    };
    format!("{millis:.digits$}")
}

/// A number with a comma before every three digits: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
