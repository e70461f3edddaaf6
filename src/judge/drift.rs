//! Whether a long run gets worse: windows of the steady phase are compared with each other, for each request and signal. What
//! is found is a matter of two questions, both to be answered with yes: is there a trend beyond chance (`drift/trend.rs`), and
//! is the change larger than what is accepted?
//!
//! ```text
//!  each second   look: steady? the window full? ─▶ a cell for each request        Quantiles::since
//!  now and then  judge: of each signal          ─▶ p, change, slope               after every sixth more
//!                all p values together          ─▶ regressed                      Benjamini and Hochberg, 1995
//! ```
//!
//! What is judged is one steady stretch: when users or rate change, what came before can no longer be compared, and another
//! begins. The findings are those of the longest.

pub mod findings;
pub mod series;
pub mod trend;
mod wave;

use std::sync::Arc;
use std::time::Duration;

use crate::measure::catalog::{Catalog, RequestId};
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::{Phase, Snapshot};
use crate::measure::soak::Soak;
use crate::scenario::plan::SoakLimits;
use findings::judge;
use series::{Cell, Windows};
use trend::{FEWEST, Workspace};

/// One who watches a run.
#[derive(Debug)]
pub struct Watch {
    limits: SoakLimits,
    /// By name: what several tasks call the same is one series of windows.
    names: Vec<(String, Vec<RequestId>)>,
    windows: Windows,
    /// Where the current window began; `None` while the run is not steady, or pauses.
    from: Option<Mark>,
    /// Of this stretch: the users there are to be, and the epoch of the figures.
    level: Option<(u64, u32)>,
    judged_at: usize,
    space: Workspace,
    /// Of the longest stretch so far, this one included.
    found: Arc<Soak>,
    news: bool,
}

/// The state of a run where a window begins.
#[derive(Debug)]
struct Mark {
    elapsed: f64,
    /// Requests, failures and response times of each name.
    counts: Vec<(u64, u64, Quantiles)>,
}

/// Looks come once a second and never exactly: a window that ends within half of that has ended. In seconds.
const SLACK: f64 = 0.5;

// === Watch ===

impl Watch {
    pub fn new(limits: SoakLimits, catalog: &Catalog) -> Self {
        let mut names: Vec<(String, Vec<RequestId>)> = Vec::new();
        for (at, name) in catalog.requests.iter().enumerate() {
            let id = RequestId(u32::try_from(at).unwrap_or(u32::MAX));
            match names.iter_mut().find(|(known, _)| *known == name.request) {
                Some((_, ids)) => ids.push(id),
                None => names.push((name.request.clone(), vec![id])),
            }
        }
        let windows = Windows::new(names.len(), limits.window.as_secs_f64());
        Self {
            limits,
            names,
            windows,
            from: None,
            level: None,
            judged_at: 0,
            space: Workspace::default(),
            found: Arc::default(),
            news: false,
        }
    }

    /// Whether a look would see more than the last one did: a window is full, or this is no longer the same stretch.
    pub fn wants(&self, phase: Phase, elapsed: Duration) -> bool {
        match (phase, &self.from) {
            (Phase::Steady, Some(from)) => self.is_full(from, elapsed.as_secs_f64()),
            (Phase::Steady, None) => true,
            (Phase::Paused, from) => from.is_some(),
            _ => self.level.is_some(),
        }
    }

    /// A look at a snapshot with `Detail::Full`; to be called about once a second, or when it is wanted. Whether something new has been found.
    pub fn look(&mut self, now: &Snapshot) -> bool {
        if now.facts.phase == Phase::Paused {
            // The stretch goes on when the load does; the window that it cut is lost.
            self.from = None;
            return false;
        }
        let steady = now.facts.phase == Phase::Steady;
        let level = steady.then(|| (now.totals.users_target.iter().sum(), now.epoch()));
        if self.level != level {
            self.leave();
            self.level = level;
        }
        let elapsed = now.facts.elapsed.as_secs_f64();
        match self.from.take() {
            None if !steady => {}
            Some(from) if !self.is_full(&from, elapsed) => self.from = Some(from),
            from => {
                let mark = self.mark(now);
                if let Some(from) = from {
                    let seconds = mark.elapsed - from.elapsed;
                    let cells = mark.counts.iter().zip(&from.counts).map(|(now, before)| Cell::between(before, now, seconds));
                    self.windows.push(cells, now.facts.health.resident_bytes.map(|bytes| bytes as f64));
                    self.judge_if_due();
                }
                self.from = Some(mark);
            }
        }
        std::mem::take(&mut self.news)
    }

    /// Judges what there is, at the end of a run; whether something new has been found.
    pub fn end(&mut self) -> bool {
        self.end_of_stretch();
        std::mem::take(&mut self.news)
    }

    pub fn found(&self) -> &Arc<Soak> {
        &self.found
    }

    /// The run is no longer what it was.
    fn leave(&mut self) {
        self.end_of_stretch();
        self.windows.clear(self.limits.window.as_secs_f64());
        self.from = None;
        self.judged_at = 0;
    }

    fn is_full(&self, from: &Mark, elapsed: f64) -> bool {
        elapsed - from.elapsed >= self.windows.seconds() - SLACK
    }

    fn end_of_stretch(&mut self) {
        if self.windows.len() > self.judged_at {
            self.judge_now();
        }
    }

    fn mark(&self, now: &Snapshot) -> Mark {
        let counts = self.names.iter().map(|(_, ids)| {
            let (mut requests, mut failures, mut times) = (0, 0, Quantiles::default());
            for id in ids {
                let counted =
                    now.totals.requests.get(id.index()).map_or((0, 0), |totals| totals.counters.requests_and_failures());
                requests += counted.0;
                failures += counted.1;
                times.add(now.times_of(*id)[0]);
            }
            (requests, failures, times)
        });
        Mark { elapsed: now.facts.elapsed.as_secs_f64(), counts: counts.collect() }
    }

    /// After each sixth that is new: what is found does not change faster, and judging takes some time for many requests.
    fn judge_if_due(&mut self) {
        let windows = self.windows.len();
        // When windows were just joined there are fewer than at the last time.
        if windows < self.judged_at {
            self.judged_at /= 2;
        }
        if windows >= FEWEST && windows * 6 >= self.judged_at * 7 {
            self.judge_now();
        }
    }

    fn judge_now(&mut self) {
        self.judged_at = self.windows.len();
        let found =
            judge(&self.windows, self.names.iter().map(|(name, _)| name.as_str()), self.limits.min_change.get(), &mut self.space);
        let seconds = |soak: &Soak| soak.windows as f64 * soak.window_seconds;
        if !found.drifts.is_empty() && seconds(&found) >= seconds(&self.found) {
            self.found = Arc::new(Soak { fail_on_regression: self.limits.fail_on_regression, ..found });
            self.news = true;
        }
    }
}

impl Cell {
    fn between(before: &(u64, u64, Quantiles), now: &(u64, u64, Quantiles), seconds: f64) -> Self {
        let times = now.2.since(&before.2);
        Self {
            seconds,
            requests: now.0.saturating_sub(before.0) as f64,
            failures: now.1.saturating_sub(before.1) as f64,
            p50: times.at(0.5).unwrap_or(0.0),
            p99: times.at(0.99).unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
use crate::random::Random;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
