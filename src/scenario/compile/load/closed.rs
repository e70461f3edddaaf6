//! Closed loads: a number of users, at once, at a rate or in stages.

use std::time::Duration;

use super::super::Compiler;
use super::Whose;
use crate::diagnostic::Diagnostic;
use crate::load::limits::{self, LimitError, ramp_seconds};
use crate::load::{Closed, Stage};
use crate::scenario::document::model::{Load, Stage as StageForm};
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::List;
use crate::units::{Rate, duration_from_seconds, format_duration};

impl Compiler<'_> {
    pub(super) fn constant(&mut self, load: &Load, whose: &Whose) -> Option<Closed> {
        let users = match (whose.users, load.users.given()) {
            (Some(users), _) => {
                if let Err(error) = limits::users(users) {
                    self.problems.push(Diagnostic::error(format!("--users: {error}")));
                    return None;
                }
                Some(users)
            }
            (None, Some(placed)) => {
                if let Err(error) = limits::users(placed.value) {
                    self.push(&placed.range, error.to_string(), error.hint());
                    return None;
                }
                Some(placed.value)
            }
            (None, None) => None,
        };
        let spawn_rate = self.spawn_rate(load, whose);
        let run_time = self.run_time(load, whose);
        let Some(users) = users else {
            self.no_users(load, whose);
            return None;
        };
        if let Some(error @ LimitError::TooSlow { .. }) = spawn_rate.and_then(|rate| limits::spawn_rate(users, rate).err()) {
            match load.spawn_rate.given() {
                Some(placed) if whose.spawn_rate.is_none() => self.push(&placed.range.clone(), error.to_string(), error.hint()),
                _ => self.problems.push(Diagnostic::error(format!("--spawn-rate: {error}")).hint(error.hint())),
            }
            return None;
        }
        if let (Some(rate), Some(run_time)) = (spawn_rate, run_time) {
            let takes = ramp_seconds(users, rate);
            if rate.per_second() > 0.0 && takes >= run_time.as_secs_f64() {
                let message = format!("not all users come before the end: at {rate} there are {users} after {}", spell(takes));
                let hint = format!("the run ends after {}; raise `spawn_rate` or `run_time`", format_duration(run_time));
                match load.spawn_rate.given() {
                    Some(placed) if whose.spawn_rate.is_none() => self.warn(&placed.range.clone(), message, hint),
                    _ => self.problems.push(Diagnostic::warning(message).hint(hint)),
                }
            }
        }
        Some(Closed::constant(users, spawn_rate, run_time))
    }

    pub(super) fn run_time(&mut self, load: &Load, whose: &Whose) -> Option<Duration> {
        let run_time = whose.run_time.or_else(|| self.more_than_zero(&load.run_time, "run_time"));
        if whose.user.is_none() && whose.run_time.is_some_and(|time| time.is_zero()) {
            self.problems.push(Diagnostic::error("--run-time cannot be zero"));
        }
        run_time
    }

    pub(super) fn spawn_rate(&mut self, load: &Load, whose: &Whose) -> Option<Rate> {
        let nobody = |rate: Rate| rate.per_second() <= 0.0;
        if let Some(rate) = whose.spawn_rate {
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

    pub(super) fn no_users(&mut self, load: &Load, whose: &Whose) {
        if load.has_odd_keys || matches!(load.users, Field::Wrong { .. }) {
            return;
        }
        let hint = "write `load: {users: 10, spawn_rate: 2/s, run_time: 1m}`, or give --users";
        match (&whose.key, &whose.user) {
            (Some(key), None) => self.push(key, "`load` says neither `users` nor `stages`", hint),
            (Some(key), Some(user)) => self.push(
                key,
                format!("the `load` of `{user}` says neither `users` nor `stages`"),
                "write `load: {users: 10, spawn_rate: 2/s, run_time: 1m}`",
            ),
            (None, _) => {
                let problem = Diagnostic::error("`load` is missing in the scenario").hint(hint);
                let start = crate::diagnostic::Place { source: self.source.clone(), range: 0..0 };
                self.problems.push(problem.at(start));
            }
        }
    }

    pub(super) fn stages(&mut self, load: &Load) -> Option<Closed> {
        let list = load.stages.given()?;
        for stage in list.value.items.iter().filter(|stage| stage.value.users.is_absent() && !stage.value.has_odd_keys) {
            self.missing_in_stage(stage, "users", "how many users there are at the end of the stage");
        }
        let example = "write `stages: [{users: 100, over: 2m}, {users: 0, over: 1m}]`";
        self.check_stages(list, |stage| stage.value.users.value() == Some(&0), "users", example);
        for users in list.value.items.iter().filter_map(|stage| stage.value.users.given()) {
            if let Err(error) = limits::total_users(u64::from(users.value)) {
                self.push(&users.range, error.to_string(), error.hint());
            }
        }
        let stages: Vec<_> = list
            .value
            .items
            .iter()
            .filter_map(|stage| Some(Stage { users: *stage.value.users.value()?, over: *stage.value.over.value()? }))
            .collect();
        (!stages.is_empty()).then(|| Closed::stages(&stages))
    }

    pub(super) fn missing_in_stage(&mut self, stage: &Placed<StageForm>, key: &str, what: &str) {
        let start = stage.value.over.key().cloned().unwrap_or_else(|| stage.range.clone());
        self.push(&start, format!("`{key}` is missing in this stage"), format!("add `{key}:` {what}"));
    }

    pub(super) fn check_stages(
        &mut self,
        list: &Placed<List<StageForm>>,
        zero: impl Fn(&Placed<StageForm>) -> bool,
        what: &str,
        example: &str,
    ) {
        let stages = &list.value.items;
        if stages.is_empty() && list.value.whole {
            self.push(&list.range, "there are no stages", example);
        } else if stages.iter().all(zero) && !stages.is_empty() {
            self.push(&list.range, format!("there is no stage with {what}"), example);
        } else if stages.iter().all(|stage| stage.value.over.value().is_some_and(Duration::is_zero)) && !stages.is_empty() {
            self.push(&list.range, "all stages together take no time", example);
        }
    }
}

pub(super) fn spell(seconds: f64) -> String {
    duration_from_seconds(seconds).map_or_else(|_| "years".to_owned(), format_duration)
}
