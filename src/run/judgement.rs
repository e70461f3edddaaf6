//! What is said of a run: whether its figures can be believed, whether it passed, how it ended, and what else a reader should know.

use super::{Conductor, Ended};
use crate::judge::outcome::{self, Evidence, Validity};
use crate::judge::validity::Finding;
use crate::measure::catalog::RequestId;
use crate::measure::outcome::{FailureCause, RunEnd, RunVerdict};
use crate::measure::threshold::ThresholdState;
use crate::report;

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Conclusion {
    verdict: RunVerdict,
    causes: Vec<FailureCause>,
    end: RunEnd,
}

impl Conductor<'_> {
    /// Why the figures cannot be believed.
    fn doubts(&self) -> Vec<String> {
        let broken = self.broken.iter().map(|defect| defect.message.clone());
        let reasons = self.validity.reasons();
        let limits = &self.job.plan.validity;
        let judged = self.thresholds.inflated(limits).filter(|_| limits.enabled && !reasons.iter().any(is_inflated));
        let judged = judged.map(|worst| self.validity.of_threshold(worst));
        reasons.into_iter().chain(judged).map(|finding| said(&finding)).chain(broken).collect()
    }

    pub(super) fn judge(&self) {
        self.live.set_judgement(self.doubts().is_empty(), self.validity.is_saturated(), self.validity.shares());
    }

    /// Shows whoever looks how the run stands.
    pub(super) fn show(&self) {
        let thresholds = self.thresholds.states(self.doubts().is_empty());
        let failures = if self.fails_on_errors() { self.failures() } else { 0 };
        self.live.set_verdict(thresholds.clone(), outcome::so_far(self.evidence(&thresholds), failures));
    }

    /// Nothing more comes: the verdict.
    pub(super) fn conclude(&mut self, end: RunEnd) {
        let thresholds = self.thresholds.states(self.doubts().is_empty());
        let snapshot = self.live.snapshot();
        let (verdict, causes) = outcome::judge(self.evidence(&thresholds), &snapshot, &snapshot.measured());
        self.live.set_verdict(thresholds, verdict);
        self.conclusion = Conclusion { verdict, causes, end };
    }

    fn evidence<'a>(&self, thresholds: &'a [ThresholdState]) -> Evidence<'a> {
        let validity = match self.doubts().is_empty() {
            true => Validity::Valid,
            false if self.validity.is_short() || self.broken.is_some() => Validity::Short,
            false => Validity::Late,
        };
        Evidence {
            validity,
            thresholds,
            drift: self.soak.drift(),
            fail_on_errors: self.fails_on_errors(),
            teardown_failed: self.teardown_failed,
            interrupted: self.interrupted,
        }
    }

    fn fails_on_errors(&self) -> bool {
        self.job.fail_on_errors || self.job.plan.fail_on_errors
    }

    /// Requests that have failed since the end of the warm-up.
    fn failures(&self) -> u64 {
        let totals = self.live.totals();
        (0..totals.catalog.requests.len()).map(|at| totals.counts_of(RequestId(at as u32)).1).sum()
    }

    pub(super) fn ended(&self) -> Ended {
        Ended {
            valid: self.doubts().is_empty(),
            verdict: self.conclusion.verdict,
            interrupted: self.interrupted,
            recorded: self.recorder.is_whole(),
        }
    }

    pub(super) fn outcome(&self) -> report::Outcome {
        let invalid_reasons = self.doubts();
        let cut = self.interrupted.then(|| "interrupted: requests in flight were cut off".to_owned());
        let Conclusion { verdict, causes, end } = &self.conclusion;
        report::Outcome {
            end: *end,
            recorded: self.recorder.is_whole(),
            valid: invalid_reasons.is_empty(),
            unjudged: self.validity.unjudged(),
            invalid_reasons,
            verdict: *verdict,
            failure_causes: causes.clone(),
            fail_on_errors: self.fails_on_errors(),
            notes: self
                .stresses
                .notes()
                .chain(self.notes.iter().cloned())
                .chain(cut)
                .chain(self.thresholds.notes())
                .chain(self.soak.notes())
                .chain(self.validity.notes().iter().map(said))
                .chain(self.validity.unjudged())
                .collect(),
            remarks: self.live.remarks_after(0),
            traces: None,
        }
    }
}

fn is_inflated(finding: &Finding) -> bool {
    matches!(finding, Finding::Inflated { .. })
}

fn said(finding: &Finding) -> String {
    format!("{}; {}", finding.message(), finding.hint())
}
