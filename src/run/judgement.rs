//! What is said of a run: whether its figures can be believed, whether it passed, and what else a reader should know.

use super::{Conductor, Ended};
use crate::judge::validity::Finding;
use crate::report::{self, Ending};

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
        self.live.set_judgement(self.doubts().is_empty(), self.validity.is_saturated());
    }

    pub(super) fn ended(&self) -> Ended {
        let valid = self.doubts().is_empty();
        Ended {
            valid,
            passed: valid && self.thresholds.passed() && self.soak.passed(),
            interrupted: self.interrupted,
            recorded: self.recorder.is_whole(),
        }
    }

    pub(super) fn outcome(&self) -> report::Outcome {
        let invalid_reasons = self.doubts();
        let cut = self.interrupted.then(|| "interrupted: requests in flight were cut off".to_owned());
        report::Outcome {
            ended: if self.interrupted || self.left_behind { Ending::Interrupted } else { Ending::Finished },
            recorded: self.recorder.is_whole(),
            valid: invalid_reasons.is_empty(),
            unjudged: self.validity.unjudged(),
            passed: invalid_reasons.is_empty() && self.thresholds.passed() && self.soak.passed(),
            invalid_reasons,
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
