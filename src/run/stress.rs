//! Stress loads: looks each second at the figures of the step that is on, and says when `until` holds.

use std::time::Duration;

use crate::load::{Profile, Step, Stress};
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::{Interval, Snapshot};
use crate::scenario::plan::{Condition, Crew, Plan, Signal};
use crate::units::format_duration;

/// All stresses of a run that something may end.
pub(super) struct Stresses(Vec<Watched>);

struct Watched {
    crew: usize,
    start_after: Duration,
    load: Stress,
    until: Condition,
    /// Its user types, by name.
    users: Vec<String>,
    step: Option<Step>,
    /// As of the first look at the step.
    before: Snapshot,
    /// The users of the last step that was looked at.
    reached: u32,
    /// How it broke.
    broke: Option<String>,
}

/// With fewer requests than this a ratio or a quantile says nothing: the first of a step may fail by chance.
const ENOUGH: u64 = 20;

impl Stresses {
    pub(super) fn new(plan: &Plan, now: &Snapshot) -> Self {
        let watched = |(crew, of): (usize, &Crew)| {
            let (Profile::Stress(load), Some(until)) = (&of.profile, &of.until) else { return None };
            Some(Watched {
                crew,
                start_after: of.start_after,
                load: load.clone(),
                until: until.clone(),
                users: of.users.iter().map(|user| plan.users[*user].name.clone()).collect(),
                step: if of.start_after.is_zero() { load.step_at(Duration::ZERO) } else { None },
                before: now.clone(),
                reached: 0,
                broke: None,
            })
        };
        Self(plan.crews.iter().enumerate().filter_map(watched).collect())
    }

    /// Whether there is anything to look at.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|watched| watched.broke.is_none())
    }

    /// A crew's load is steered by hand now: what happens to the target says nothing of its steps.
    pub(super) fn leave(&mut self, crew: usize) {
        self.0.retain(|watched| watched.crew != crew || watched.broke.is_some());
    }

    /// Which crews' targets have broken just now, when in the crew's time, and how.
    pub(super) fn look(&mut self, now: &Snapshot) -> Vec<(usize, Duration, String)> {
        let open = self.0.iter_mut().filter(|watched| watched.broke.is_none());
        open.filter_map(|watched| watched.look(now).map(|(at, note)| (watched.crew, at, note))).collect()
    }

    /// What the report says of them.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|watched| {
            watched.broke.clone().unwrap_or_else(|| {
                format!("the target did not break: up to {} users `{}` never held", watched.reached, watched.until)
            })
        })
    }
}

impl Watched {
    fn look(&mut self, now: &Snapshot) -> Option<(Duration, String)> {
        let at = now.facts.elapsed.checked_sub(self.start_after)?;
        let step = self.load.step_at(at);
        let (interval, times) = now.since_of(&self.before, |user| self.users.iter().any(|known| known == user));
        let figure = figure(self.until.figure.signal, &interval, &times).filter(|figure| self.until.holds(*figure));
        if let (Some(figure), Some(on)) = (figure, self.step) {
            let note = format!(
                "the target broke at step {} of {}, with {} users, after {}: `{}` held, it was {}; the load fell to {} users for {}",
                on.number,
                self.load.steps(),
                on.users,
                format_duration(at),
                self.until,
                self.until.figure.quantity().format(figure),
                self.load.from(),
                format_duration(self.load.recover()),
            );
            self.broke = Some(note.clone());
            return Some((at, note));
        }
        if step != self.step {
            (self.step, self.before) = (step, now.clone());
        }
        self.reached = step.map_or(self.reached, |step| step.users);
        None
    }
}

/// `None` as long as there is too little to say.
fn figure(signal: Signal, interval: &Interval, times: &Quantiles) -> Option<f64> {
    let seconds = interval.elapsed.as_secs_f64();
    match signal {
        Signal::Rps => return (seconds > 0.5).then(|| interval.requests as f64 / seconds),
        Signal::Requests => return Some(interval.requests as f64),
        Signal::Failures => return Some(interval.failures as f64),
        _ => {}
    }
    if interval.requests < ENOUGH {
        return None;
    }
    match signal {
        Signal::FailureRatio => Some(interval.failures as f64 / interval.requests as f64),
        Signal::Quantile(quantile) => times.at(quantile.share()),
        Signal::Mean => interval.response.map(|times| times.mean),
        Signal::Min => interval.response.map(|times| times.min),
        Signal::Max => interval.response.map(|times| times.max),
        Signal::Checks | Signal::Rps | Signal::Requests | Signal::Failures => None,
    }
}
