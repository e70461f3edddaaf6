//! How a run came out and how it ended: plain values that the run decides once, and that every report, metric and exit code shows.
//!
//! ```text
//!  judge::outcome ─▶ RunVerdict + FailureCause ─┬─▶ exit code, metrics, live view, API
//!  run ────────────▶ RunEnd ────────────────────┴─▶ summary.json ─▶ page, Markdown, JUnit
//! ```

use std::time::Duration;

/// Whether a run did what was asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunVerdict {
    Passed,
    Failed,
    /// Nothing was asked of it, or its figures are not valid.
    #[default]
    NotJudged,
}

/// One reason why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCause {
    pub kind: CauseKind,
    /// A sentence without its full stop.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// A threshold failed.
    Threshold,
    /// A threshold could not be judged.
    ThresholdNoData,
    /// There were requests, and none of them succeeded.
    NothingSucceeded,
    /// Something failed in a run that is to fail on errors.
    Errors,
    /// The run got worse over time, and is to fail then.
    Regression,
    /// The run is to fail if it gets worse, and was too short to tell.
    RegressionNoData,
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunEnd {
    /// As planned.
    #[default]
    Finished,
    /// Before its planned end; its users ended their tasks.
    Stopped(Stop),
    /// What was under way was cut off.
    Interrupted(Stop),
    /// It was killed: what is known of it is what it had written by then.
    CutOff,
}

/// What ended a run before its planned end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub cause: StopCause,
    /// When that was, in the time of the load.
    pub at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// By its name.
    Signal(&'static str),
    /// A request to the control API, as `otload stop` sends it.
    Api,
    /// A key of the live view.
    Key,
    /// A threshold with `abort: true`.
    Threshold,
    /// A step of the scenario.
    Step,
    /// Rows of data were exhausted.
    Data,
    /// Workers did not end in the time of the graceful stop.
    Deadline,
    /// A part of otload broke down.
    Defect,
}

// === RunVerdict, CauseKind ===

impl RunVerdict {
    pub const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::NotJudged];

    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotJudged => "not_judged",
        }
    }

    /// `None` if it was not judged.
    pub fn passed(self) -> Option<bool> {
        match self {
            Self::Passed => Some(true),
            Self::Failed => Some(false),
            Self::NotJudged => None,
        }
    }

    /// The verdict while figures are valid or not: figures that are not valid let nothing pass.
    #[must_use]
    pub fn given(self, valid: bool) -> Self {
        if self == Self::Passed && !valid { Self::NotJudged } else { self }
    }
}

impl CauseKind {
    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::ThresholdNoData => "threshold_no_data",
            Self::NothingSucceeded => "nothing_succeeded",
            Self::Errors => "errors",
            Self::Regression => "regression",
            Self::RegressionNoData => "regression_no_data",
        }
    }
}

// === RunEnd, StopCause ===

impl RunEnd {
    /// As files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped(_) => "stopped",
            Self::Interrupted(_) => "interrupted",
            Self::CutOff => "cut_off",
        }
    }

    /// What ended it early, if that is known.
    pub fn stop(self) -> Option<Stop> {
        match self {
            Self::Stopped(stop) | Self::Interrupted(stop) => Some(stop),
            Self::Finished | Self::CutOff => None,
        }
    }
}

impl StopCause {
    /// As files name it: `SIGTERM`, `api`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal(name) => name,
            Self::Api => "api",
            Self::Key => "key",
            Self::Threshold => "threshold",
            Self::Step => "step",
            Self::Data => "data",
            Self::Deadline => "deadline",
            Self::Defect => "defect",
        }
    }

    /// The same of a name, also of one that this version does not know.
    pub fn words_of(name: &str) -> &str {
        let known = [Self::Api, Self::Key, Self::Threshold, Self::Step, Self::Data, Self::Deadline, Self::Defect];
        match known.into_iter().find(|cause| cause.name() == name) {
            Some(cause) => cause.words(),
            None => name,
        }
    }

    /// As a sentence names it: `stopped by …`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Signal(name) => name,
            Self::Api => "the control API",
            Self::Key => "a key of the live view",
            Self::Threshold => "a threshold",
            Self::Step => "a step of the scenario",
            Self::Data => "the end of its data",
            Self::Deadline => "the end of `graceful_stop`",
            Self::Defect => "a defect of otload",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_figures_let_a_run_pass() {
        let given = |valid| RunVerdict::ALL.map(|verdict| verdict.given(valid).passed());
        assert_eq!(given(true), [Some(true), Some(false), None]);
        assert_eq!(given(false), [None, Some(false), None]);
    }
}
