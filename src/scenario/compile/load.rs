//! `load`, `warm_up` and `graceful_stop`, with what the command line says instead.

use std::time::Duration;

use super::Compiler;
use crate::diagnostic::Diagnostic;
use crate::load::{Closed, Profile, Stage};
use crate::scenario::document::Scenario;
use crate::scenario::document::model::{Load, Stage as StageForm, UserType as UserForm};
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::List;
use crate::scenario::plan::{Share, UserType};
use crate::units::{Rate, duration_from_seconds, format_duration};

/// The compiled load.
pub(super) struct Compiled {
    pub(super) profile: Profile,
    pub(super) warm_up: Duration,
    pub(super) graceful_stop: Duration,
}

/// More users than one machine can hold.
const MOST_USERS: u32 = 1_000_000;
const SPREAD: &str = "spread such a load over several machines";

impl Compiler<'_> {
    pub(super) fn load(&mut self, scenario: &Scenario) -> Option<Compiled> {
        let absent = Load::default();
        let load = match &scenario.load {
            Field::Given { value, .. } => &value.value,
            // Reported; what else there is to say would only repeat it.
            Field::Wrong { .. } => return None,
            Field::Absent => &absent,
        };
        let closed =
            if let Some(key) = load.stages.key() { self.stages(load, &key.clone()) } else { self.constant(scenario, load) };
        let iterations = load.iterations.given().map(|iterations| {
            if iterations.value == 0 {
                self.push(
                    &iterations.range,
                    "`iterations` cannot be zero",
                    "give the number of tasks after which the run ends, or remove the key",
                );
            }
            iterations.value
        });
        let closed = closed?;
        let warm_up = self.warm_up(scenario, load, &closed);
        let graceful_stop = self
            .either(&scenario.graceful_stop, &load.graceful_stop, "graceful_stop")
            .map_or(Duration::from_secs(30), |placed| placed.value);
        Some(Compiled { profile: Profile { users: closed, iterations }, warm_up, graceful_stop })
    }

    /// Keys that may stand at the top or under `load`, but not in both.
    fn either<'b>(&mut self, top: &'b Field<Duration>, below: &'b Field<Duration>, key: &str) -> Option<&'b Placed<Duration>> {
        if let (Some(_), Some(second)) = (top.key(), below.key()) {
            self.push(&second.clone(), format!("`{key}` is also at the top of the file"), "keep one of the two");
        }
        top.given().or_else(|| below.given())
    }

    fn constant(&mut self, scenario: &Scenario, load: &Load) -> Option<Closed> {
        let users = match (self.overrides.users, load.users.given()) {
            (Some(users), _) => {
                if let Some(problem) = wrong_number(users) {
                    self.problems.push(Diagnostic::error(format!("--users: {problem}")));
                    return None;
                }
                Some(users)
            }
            (None, Some(placed)) => {
                if let Some(problem) = wrong_number(placed.value) {
                    let hint = if placed.value == 0 { "give the number of users that run at the same time" } else { SPREAD };
                    self.push(&placed.range, problem, hint);
                    return None;
                }
                Some(placed.value)
            }
            (None, None) => None,
        };
        let spawn_rate = self.spawn_rate(load);
        let run_time = self.overrides.run_time.or_else(|| self.more_than_zero(&load.run_time, "run_time"));
        if self.overrides.run_time.is_some_and(|time| time.is_zero()) {
            self.problems.push(Diagnostic::error("--run-time cannot be zero"));
        }
        let Some(users) = users else {
            self.no_users(scenario, load);
            return None;
        };
        if let Some(rate) =
            spawn_rate.filter(|rate| rate.per_second() > 0.0 && duration_from_seconds(ramp_seconds(users, *rate)).is_err())
        {
            let message = format!("at {rate} the {users} users would take longer than ten years to come");
            let hint = "give a rate such as `10/s`";
            match load.spawn_rate.given() {
                Some(placed) if self.overrides.spawn_rate.is_none() => self.push(&placed.range.clone(), message, hint),
                _ => self.problems.push(Diagnostic::error(format!("--spawn-rate: {message}")).hint(hint)),
            }
            return None;
        }
        if let (Some(rate), Some(run_time)) = (spawn_rate, run_time) {
            let takes = ramp_seconds(users, rate);
            if rate.per_second() > 0.0 && takes >= run_time.as_secs_f64() {
                let message = format!("not all users come before the end: at {rate} there are {users} after {}", spell(takes));
                let hint = format!("the run ends after {}; raise `spawn_rate` or `run_time`", format_duration(run_time));
                match load.spawn_rate.given() {
                    Some(placed) if self.overrides.spawn_rate.is_none() => self.warn(&placed.range.clone(), message, hint),
                    _ => self.problems.push(Diagnostic::warning(message).hint(hint)),
                }
            }
        }
        Some(Closed::constant(users, spawn_rate, run_time))
    }

    fn spawn_rate(&mut self, load: &Load) -> Option<Rate> {
        let nobody = |rate: Rate| rate.per_second() <= 0.0;
        if let Some(rate) = self.overrides.spawn_rate {
            if nobody(rate) {
                self.problems.push(
                    Diagnostic::error("--spawn-rate: at a rate of zero no users would come").hint("give a rate such as `10/s`"),
                );
            }
            return Some(rate);
        }
        let placed = load.spawn_rate.given()?;
        if nobody(placed.value) {
            self.push(
                &placed.range,
                "at a rate of zero no users would come",
                "give a rate such as `10/s`, or remove the key: then all come at once",
            );
        }
        Some(placed.value)
    }

    fn no_users(&mut self, scenario: &Scenario, load: &Load) {
        if load.has_odd_keys || matches!(load.users, Field::Wrong { .. }) {
            return;
        }
        let hint = "write `load: {users: 10, spawn_rate: 2/s, run_time: 1m}`, or give --users";
        match scenario.load.key() {
            Some(key) => self.push(&key.clone(), "`load` says neither `users` nor `stages`", hint),
            None => {
                let problem = Diagnostic::error("`load` is missing in the scenario").hint(hint);
                let start = crate::diagnostic::Place { source: self.source.clone(), range: 0..0 };
                self.problems.push(problem.at(start));
            }
        }
    }

    fn stages(&mut self, load: &Load, key: &std::ops::Range<usize>) -> Option<Closed> {
        let beside = [
            ("users", load.users.key()),
            ("spawn_rate", load.spawn_rate.key()),
            ("run_time", load.run_time.key()),
            ("iterations", load.iterations.key()),
        ];
        for (name, place) in beside {
            if let Some(place) = place {
                self.push(
                    &place.clone(),
                    format!("`{name}` and `stages` exclude each other"),
                    "stages say themselves how many users there are, and when it ends",
                );
            }
        }
        let options = [
            ("--users", self.overrides.users.is_some()),
            ("--spawn-rate", self.overrides.spawn_rate.is_some()),
            ("--run-time", self.overrides.run_time.is_some()),
        ];
        for (option, given) in options {
            if given {
                let problem = self.error(key, format!("{option} cannot override a load in stages"));
                self.problems.push(problem.hint("change the stages in the file, or run without this option"));
            }
        }
        let list = load.stages.given()?;
        self.check_stages(list);
        let stages: Vec<_> = list
            .value
            .items
            .iter()
            .filter_map(|stage| Some(Stage { users: *stage.value.users.value()?, over: *stage.value.over.value()? }))
            .collect();
        (!stages.is_empty()).then(|| Closed::stages(&stages))
    }

    fn check_stages(&mut self, list: &Placed<List<StageForm>>) {
        let stages = &list.value.items;
        let example = "write `stages: [{users: 100, over: 2m}, {users: 0, over: 1m}]`";
        if stages.is_empty() && list.value.whole {
            self.push(&list.range, "there are no stages", example);
        } else if stages.iter().all(|stage| stage.value.users.value() == Some(&0)) && !stages.is_empty() {
            self.push(&list.range, "there is no stage with users", example);
        } else if stages.iter().all(|stage| stage.value.over.value().is_some_and(Duration::is_zero)) && !stages.is_empty() {
            self.push(&list.range, "all stages together take no time", example);
        }
        for stage in stages {
            if let Some(users) = stage.value.users.given().filter(|users| users.value > MOST_USERS) {
                self.push(&users.range, wrong_number(users.value).unwrap_or_default(), SPREAD);
            }
        }
    }

    fn warm_up(&mut self, scenario: &Scenario, load: &Load, closed: &Closed) -> Duration {
        let Some(placed) = self.either(&scenario.warm_up, &load.warm_up, "warm_up") else { return Duration::ZERO };
        if let Some(end) = closed.end().filter(|end| placed.value >= *end && !end.is_zero()) {
            self.push(
                &placed.range,
                format!("the warm-up is as long as the run, which ends after {}", format_duration(end)),
                "nothing would be left for the summary; make it shorter",
            );
        }
        placed.value
    }

    /// Whether the fixed and weighted user types make up the users that the load asks for.
    pub(super) fn shares(&mut self, scenario: &Scenario, users: &[UserType], load: &Compiled) {
        let peak = load.profile.users.peak();
        // What tags leave out is not the file's mistake.
        let chosen = |form: &UserForm| users.iter().any(|user| form.name.value().is_none_or(|name| *name == user.name));
        let fixed: u64 = users.iter().map(|user| if let Share::Fixed(count) = user.share { u64::from(count) } else { 0 }).sum();
        let places: Vec<_> = scenario
            .users
            .value()
            .map(|list| {
                list.items
                    .iter()
                    .filter(|user| chosen(&user.value))
                    .filter_map(|user| user.value.fixed_count.given())
                    .map(|placed| placed.range.clone())
                    .collect()
            })
            .unwrap_or_default();
        let both = |user: &UserForm| !user.weight.is_absent() && !user.fixed_count.is_absent();
        let forms = scenario.users.value().map(|list| list.items.as_slice()).unwrap_or_default();
        let Some(last) = places.last().filter(|_| !forms.iter().any(|form| both(&form.value))) else { return };
        if fixed > u64::from(peak) {
            self.push(
                last,
                format!("the fixed counts add up to {fixed}, but there are at most {peak} users"),
                "lower a `fixed_count`, or raise the load's users",
            );
        } else if fixed < u64::from(peak) && users.iter().all(|user| matches!(user.share, Share::Fixed(_))) {
            if !(self.overrides.tags.is_empty() && self.overrides.exclude_tags.is_empty()) {
                let message =
                    format!("the types that the tags leave have a fixed number, {fixed} together, but the load has {peak} users");
                self.problems.push(Diagnostic::error(message).hint(format!("add `--users {fixed}`")));
                return;
            }
            self.push(
                last,
                format!("the fixed counts add up to {fixed}, but the load has {peak} users"),
                "give one type a `weight` instead, so that it takes the rest",
            );
        }
    }
}

fn wrong_number(users: u32) -> Option<String> {
    match users {
        0 => Some("a load needs at least one user".to_owned()),
        _ if users > MOST_USERS => Some(format!("{users} users are more than the {MOST_USERS} that one machine may run")),
        _ => None,
    }
}

/// How long it takes until all users are there.
fn ramp_seconds(users: u32, rate: Rate) -> f64 {
    f64::from(users - 1) / rate.per_second().max(f64::MIN_POSITIVE)
}

fn spell(seconds: f64) -> String {
    duration_from_seconds(seconds).map_or_else(|_| "years".to_owned(), format_duration)
}
