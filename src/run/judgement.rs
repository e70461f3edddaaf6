//! What is said of a run: whether its figures can be believed, whether it passed, and what else a reader should know.

use super::{Conductor, Ended};
use crate::judge::validity::Finding;
use crate::report::{self, Ending};

impl Conductor<'_> {
    /// Why the figures cannot be believed.
    fn doubts(&self) -> Vec<String> {
        let broken = self.broken.iter().map(|defect| defect.message.clone());
        self.validity.reasons().into_iter().map(said).chain(broken).collect()
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
            passed: invalid_reasons.is_empty() && self.thresholds.passed() && self.soak.passed(),
            invalid_reasons,
            notes: self
                .stresses
                .notes()
                .chain(self.notes.iter().cloned())
                .chain(cut)
                .chain(self.thresholds.notes())
                .chain(self.soak.notes())
                .chain(self.validity.notes().into_iter().map(said))
                .collect(),
            remarks: self.live.remarks_after(0),
            traces: None,
        }
    }
}

fn said(finding: Finding) -> String {
    format!("{}; {}", finding.message(), finding.hint())
}
