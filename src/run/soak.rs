//! Whether the run gets worse while it goes on: windows are watched, what is found is told to all who look at the run, and at
//! the end it may decide whether the run passed.

use std::time::Duration;

use super::live::Live;
use crate::diagnostic::Diagnostic;
use crate::judge::drift::Watch;
use crate::judge::drift::trend::FEWEST;
use crate::judge::outcome;
use crate::measure::snapshot::{Phase, Snapshot};
use crate::measure::soak::{Drift, Signal};
use crate::scenario::plan::{Plan, SoakLimits};
use crate::units::format_duration;

pub(super) struct Soaking {
    watch: Watch,
    limits: SoakLimits,
    /// What has been warned of.
    said: Vec<(String, Signal)>,
}

impl Soaking {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { watch: Watch::new(plan.soak, &plan.catalog), limits: plan.soak, said: Vec::new() }
    }

    /// Whether a snapshot is worth taking: a window is full, or the run is no longer what it was.
    pub(super) fn wants(&self, phase: Phase, elapsed: Duration) -> bool {
        self.watch.wants(phase, elapsed)
    }

    pub(super) fn look(&mut self, snapshot: &Snapshot, live: &Live, warn: &dyn Fn(&Diagnostic)) {
        if self.watch.look(snapshot) {
            self.tell(live, warn);
        }
    }

    /// Judges what came since the last time.
    pub(super) fn finish(&mut self, live: &Live, warn: &dyn Fn(&Diagnostic)) {
        if self.watch.end() {
            self.tell(live, warn);
        }
    }

    fn tell(&mut self, live: &Live, warn: &dyn Fn(&Diagnostic)) {
        let found = self.watch.found();
        live.set_soak(found.clone());
        let news = found.regressed().filter(|drift| !self.said.contains(&(drift.request.clone(), drift.signal)));
        let news: Vec<&Drift> = news.collect();
        for drift in news {
            let of = if drift.request.is_empty() { String::new() } else { format!(" of `{}`", drift.request) };
            let message = format!("the run gets worse: {}{of} has changed by {:+.1}%", drift.signal.name(), drift.change * 100.0);
            warn(&Diagnostic::warning(message).hint("the summary says what of it is left at the end"));
            self.said.push((drift.request.clone(), drift.signal));
        }
    }

    /// What `fail_on_regression` comes to: a run passes only if it was long enough to see whether it gets worse.
    pub(super) fn drift(&self) -> outcome::Drift {
        let found = self.watch.found();
        match (self.limits.fail_on_regression, found.windows > 0) {
            (false, _) => outcome::Drift::NotAsked,
            (true, false) => outcome::Drift::TooShort,
            (true, true) if found.regressed().next().is_some() => outcome::Drift::Regressed,
            (true, true) => outcome::Drift::Steady,
        }
    }

    pub(super) fn notes(&self) -> Option<String> {
        let unseen = self.limits.fail_on_regression && self.watch.found().windows == 0;
        unseen.then(|| {
            let least = format_duration(self.limits.window * FEWEST as u32);
            format!("drift was not judged, so the run has not passed: that takes {least} in the steady phase at least")
        })
    }
}
