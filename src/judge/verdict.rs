//! Whether the run keeps its thresholds. Once a second it is told how things stand, and answers with what has just broken; at
//! the end it says of each threshold how it came out.
//!
//! | threshold | its figure is of | judged | broken |
//! |---|---|---|---|
//! | without `over` | the whole run after the warm-up | at the end; before, for `abort` and to show it | if it does not hold at the end, or has stopped the run |
//! | `over 30s` | any 30 s, one second later each time | each window that is full | if any window broke it |
//!
//! - `after` keeps both from being judged before; time counts from the end of the warm-up.
//! - `requests > 1000` of the whole run can be kept until the end, and is open until then.
//! - The least of requests or of their rate is not asked of windows that end while the load falls.
//! - A window without requests is not judged, but by the least of requests or of their rate.
//! - What was never judged has not passed, and nothing passes in an invalid run; `outcome.rs` says which failures count in one.

mod sum;
mod window;

use std::sync::Arc;
use std::time::Duration;

use super::validity::Inflated;
use crate::measure::catalog::Catalog;
use crate::measure::snapshot::{Phase, Snapshot};
use crate::measure::threshold::{Judgement, ThresholdRule, ThresholdState};
use crate::scenario::plan::{Condition, Signal, Threshold, ValidityLimits};
use crate::units::format_duration;
use sum::{Source, Sum};
use window::Window;

/// All thresholds of a run.
#[derive(Clone, Debug)]
pub struct Verdict {
    judged: Vec<Judged>,
    /// What they look at; many look at the same.
    sources: Vec<Source>,
    /// The figures of a snapshot with another one began anew.
    epoch: u32,
}

/// A threshold has just broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What happened, a sentence.
    pub message: String,
    /// The run is to stop.
    pub abort: bool,
}

#[derive(Clone, Debug)]
struct Judged {
    condition: Condition,
    /// By index into the sources.
    source: usize,
    /// What the figure is divided by: 1, or what it was in the baseline; `None` where the baseline does not know it.
    reference: Option<f64>,
    window: Option<Window>,
    state: ThresholdState,
    /// The time that is judged as measured and without the generator's part: of the whole run, or of the first window that is
    /// broken by that part alone.
    split: Option<[f64; 2]>,
}

/// The moment that is judged.
#[derive(Clone, Copy, Debug)]
struct Now {
    /// Since the end of the warm-up.
    at: Duration,
    /// Fewer and fewer users, by intention.
    falling: bool,
    /// There is nothing to come.
    last: bool,
}

// === Verdict ===

impl Verdict {
    /// Nothing has been judged. `baseline` knows what the figure of a threshold was in an earlier run, and is asked of those
    /// that are compared with one; without an answer such a threshold has no data.
    /// `timed_checks`: checks of requests have limits of time.
    pub fn new(
        thresholds: &[Threshold],
        catalog: &Catalog,
        timed_checks: bool,
        baseline: impl Fn(&Threshold) -> Option<f64>,
    ) -> Self {
        let mut sources = Vec::new();
        let judged = thresholds.iter().map(|threshold| {
            let condition = &threshold.written.condition;
            let known = if condition.figure.baseline { baseline(threshold) } else { Some(1.0) };
            Judged {
                condition: condition.clone(),
                source: Source::of(threshold, catalog).place_in(&mut sources),
                reference: known,
                window: threshold.written.over.map(Window::new),
                state: ThresholdState::new(Arc::new(rule(threshold, timed_checks))),
                split: None,
            }
        });
        Self { judged: judged.collect(), sources, epoch: 0 }
    }

    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        self.judged.is_empty()
    }

    /// Judges by a snapshot with all details, taken after the warm-up. Answers with what has broken for good.
    pub fn look(&mut self, snapshot: &Snapshot) -> Vec<Broken> {
        if snapshot.epoch() != self.epoch {
            self.epoch = snapshot.epoch();
            self.judged.iter_mut().filter_map(|judged| judged.window.as_mut()).for_each(Window::clear);
        }
        let falling = matches!(snapshot.facts.phase, Phase::RampDown | Phase::Done);
        let now = Now { at: snapshot.facts.measured, falling, last: false };
        let sums: Vec<_> = self.sources.iter().map(|source| Arc::new(source.sum(snapshot))).collect();
        self.judged.iter_mut().filter_map(|judged| judged.look(now, &sums[judged.source])).collect()
    }

    /// Judges by the last snapshot of the run: figures of the whole run are those that reports show.
    pub fn finish(&mut self, snapshot: &Snapshot) {
        let now = Now { at: snapshot.facts.measured, falling: true, last: true };
        for judged in &mut self.judged {
            if judged.window.is_none() && !now.at.is_zero() {
                judged.look(now, &Arc::new(self.sources[judged.source].sum(snapshot)));
            }
            judged.close(now.at);
        }
    }

    /// How all of them stand, in the order of the file, in a run that is valid or not.
    pub fn states(&self, valid: bool) -> Arc<[ThresholdState]> {
        let states = self.judged.iter().map(|judged| {
            let mut state = judged.state.clone();
            if !valid && state.judgement == Judgement::Holds {
                state.judgement = Judgement::Invalid;
            }
            state
        });
        states.collect()
    }

    /// The figure of which the generator's part exceeds its limit by most, if there is one. A window of the run counts if its
    /// verdict hangs on that part: one in many may be off without harm.
    pub fn inflated(&self, limits: &ValidityLimits) -> Option<Inflated> {
        let each = self.judged.iter().filter_map(|judged| {
            let rule = &judged.state.rule;
            let inflated = Inflated::of(limits, &judged.condition.figure.to_string(), &rule.scope, judged.split?)?;
            Some(Inflated { over: rule.over, ..inflated })
        });
        each.reduce(Inflated::worse)
    }

    /// What a reader should know of them at the end: what stopped the run, what was never judged.
    pub fn notes(&self) -> Vec<String> {
        let note = |judged: &Judged| {
            let ThresholdState { rule, missing, aborted, .. } = &judged.state;
            match missing {
                Some(missing) => Some(format!("`{}` did not pass, it was not judged: {missing}", rule.name)),
                None if *aborted => Some(format!("the run was stopped: {}", judged.broke())),
                None => None,
            }
        };
        self.judged.iter().filter_map(note).collect()
    }
}

fn rule(threshold: &Threshold, timed_checks: bool) -> ThresholdRule {
    let condition = &threshold.written.condition;
    ThresholdRule {
        name: threshold.name.clone(),
        that: threshold.written.to_string(),
        scope: threshold.written.scope(),
        quantity: condition.figure.quantity(),
        comparison: condition.comparison.sign(),
        limit: condition.limit,
        over: threshold.written.over,
        after: threshold.after,
        abort: threshold.abort,
        lag_proof: threshold.is_lag_proof(timed_checks),
    }
}

// === Judged ===

impl Judged {
    /// Answers when it has just broken for good.
    fn look(&mut self, now: Now, sum: &Arc<Sum>) -> Option<Broken> {
        // What stopped the run stays as it was then.
        if self.state.aborted {
            return None;
        }
        let before = self.state.judgement;
        match &mut self.window {
            None => self.whole(now, sum),
            Some(window) => {
                let part = window.since(now.at, sum);
                window.keep(now.at, sum);
                if let Some((part, length)) = part {
                    self.part(now, &part, length);
                }
            }
        }
        let rule = &self.state.rule;
        let has_broken = before != Judgement::Broken && self.state.judgement == Judgement::Broken && !now.last;
        if !has_broken || !(rule.abort || rule.over.is_some()) {
            return None;
        }
        self.state.aborted = rule.abort;
        let stops = if rule.abort { "; the run stops" } else { "" };
        Some(Broken { message: format!("{}{stops}", self.broke()), abort: rule.abort })
    }

    /// The whole run, up to now.
    fn whole(&mut self, now: Now, sum: &Sum) {
        self.state.value = self.figure(sum, now.at);
        self.split = sum.split(self.condition.figure.signal);
        let Some(value) = self.state.value.filter(|_| now.last || now.at >= self.state.rule.after) else { return };
        if self.condition.holds(value) {
            (self.state.judgement, self.state.broken_at) = (Judgement::Holds, None);
        } else if now.last || !self.can_come() {
            self.broken(now.at, value);
        }
    }

    /// One window.
    fn part(&mut self, now: Now, part: &Sum, length: Duration) {
        let least = self.is_least() && matches!(self.condition.figure.signal, Signal::Rps | Signal::Requests);
        if now.falling && least {
            return;
        }
        self.state.value = self.figure(part, length);
        let Some(value) = self.state.value.filter(|_| now.at >= self.state.rule.after) else { return };
        if !self.condition.holds(value) {
            let split = part.split(self.condition.figure.signal);
            self.split = self
                .split
                .or(split.filter(|[_, without]| self.multiple(*without).is_some_and(|value| self.condition.holds(value))));
            self.broken(now.at, value);
            return;
        }
        self.worst(now.at, value);
        if self.state.judgement != Judgement::Broken {
            self.state.judgement = Judgement::Holds;
        }
    }

    fn broken(&mut self, at: Duration, value: f64) {
        self.worst(at, value);
        self.state.judgement = Judgement::Broken;
        self.state.broken_at.get_or_insert(at);
    }

    fn worst(&mut self, at: Duration, value: f64) {
        match self.state.worst {
            Some((worst, _)) if self.condition.worse(worst, value) == worst => {}
            _ => self.state.worst = Some((value, at)),
        }
    }

    /// `None` where there is nothing to judge.
    fn figure(&self, sum: &Sum, length: Duration) -> Option<f64> {
        // No requests are less than any most of them, but that says nothing of the target.
        if sum.is_empty() && !self.is_least() {
            return None;
        }
        self.multiple(sum.figure(self.condition.figure.signal, length)?)
    }

    /// The figure as a multiple of what it was in the baseline. Nothing is a multiple of nothing, and neither is something: by 0 there is no
    /// factor at all.
    fn multiple(&self, figure: f64) -> Option<f64> {
        let reference = self.reference.filter(|reference| *reference > 0.0 && reference.is_finite())?;
        Some(figure / reference).filter(|factor| factor.is_finite())
    }

    fn is_least(&self) -> bool {
        !self.condition.comparison.is_upper()
    }

    /// Whether a figure that is too small only grows.
    fn can_come(&self) -> bool {
        self.is_least() && matches!(self.condition.figure.signal, Signal::Requests | Signal::Failures)
    }

    /// Nothing more comes.
    fn close(&mut self, measured: Duration) {
        if self.state.judgement != Judgement::Open {
            return;
        }
        let rule = &self.state.rule;
        let first = rule.over.unwrap_or_default().max(rule.after);
        let missing = match rule.over {
            _ if measured.is_zero() => "nothing was measured".to_owned(),
            _ if self.reference.is_none() => "the baseline does not know this figure".to_owned(),
            _ if !self.reference.is_some_and(|reference| reference > 0.0) => {
                "it was 0 in the baseline, and nothing is a multiple of 0; take a run as baseline in which there were requests"
                    .to_owned()
            }
            Some(over) if measured < first => {
                let after = if rule.after.is_zero() {
                    String::new()
                } else {
                    format!(", and not before {}", format_duration(rule.after))
                };
                let length = format_duration(over);
                format!("{} were measured, its windows are {length} long{after}", format_duration(measured))
            }
            Some(_) => format!("no window had anything of {}", rule.scope),
            None => format!("there was nothing of {}", rule.scope),
        };
        (self.state.judgement, self.state.missing) = (Judgement::NoData, Some(missing));
    }

    /// How it broke.
    fn broke(&self) -> String {
        let ThresholdState { rule, worst, broken_at, .. } = &self.state;
        let value = worst.map_or_else(String::new, |(worst, _)| rule.quantity.format(worst));
        let at = format_duration(Duration::from_secs_f64(broken_at.unwrap_or_default().as_secs_f64().round()));
        let name = if rule.name == rule.that { String::new() } else { format!(" ({})", rule.name) };
        match rule.over {
            Some(over) => {
                let length = format_duration(over);
                format!("`{}`{name} broke in the {length} up to {at}: it was {value}", rule.that)
            }
            None => format!("`{}`{name} broke after {at}: it was {value}", rule.that),
        }
    }
}

#[cfg(test)]
mod tests;
