//! Thresholds of a run: what cannot be judged is refused before the start; each second they are judged, and whoever looks at the
//! run is told; at the end they say whether it passed.

use std::sync::Arc;

use super::Job;
use crate::diagnostic::{Diagnostic, Place};
use crate::judge::validity::Inflated;
use crate::judge::verdict::Verdict;
use crate::measure::snapshot::Snapshot;
use crate::measure::threshold::ThresholdState;
use crate::scenario::plan::{Threshold, ValidityLimits};

/// All thresholds of a run.
pub(super) struct Thresholds(Verdict);

/// Refuses thresholds on a baseline that is not there.
///
/// # Errors
/// The first of them, at its line.
pub(super) fn check(job: &Job) -> Result<(), Diagnostic> {
    let unknown = |threshold: &&Threshold| threshold.written.condition.figure.baseline && job.baseline.is_none();
    match job.plan.thresholds.iter().find(unknown) {
        None => Ok(()),
        Some(threshold) => Err(Diagnostic::error(format!("`{}` needs the results of an earlier run", threshold.written))
            .at(Place { source: job.plan.source.clone(), range: threshold.place.clone() })
            .hint("give their folder with `--baseline DIR`, or remove this threshold")),
    }
}

impl Thresholds {
    pub(super) fn new(job: &Job) -> Self {
        let catalog = &job.plan.catalog;
        let baseline = |threshold: &Threshold| job.baseline.as_ref()?.figure(threshold, catalog);
        Self(Verdict::new(&job.plan.thresholds, catalog, job.plan.has_timed_checks(), baseline))
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// A look after the warm-up; what has broken is handed to `warn`. Whether the run is to stop.
    pub(super) fn look(&mut self, snapshot: &Snapshot, warn: &dyn Fn(&Diagnostic)) -> bool {
        let mut stop = false;
        for broken in self.0.look(snapshot) {
            stop |= broken.abort;
            warn(&Diagnostic::warning(broken.message));
        }
        stop
    }

    /// Judges by the last figures.
    pub(super) fn finish(&mut self, snapshot: &Snapshot) {
        self.0.finish(snapshot);
    }

    /// How all of them stand, in a run that is valid or not.
    pub(super) fn states(&self, valid: bool) -> Arc<[ThresholdState]> {
        self.0.states(valid)
    }

    /// The figure that is judged and has too much of the generator's lateness in it.
    pub(super) fn inflated(&self, limits: &ValidityLimits) -> Option<Inflated> {
        self.0.inflated(limits)
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.0.notes()
    }
}
