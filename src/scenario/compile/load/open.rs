//! Open loads: arrivals at a rate, constant or in stages.

use std::ops::Range;

use super::super::Compiler;
use super::{OPEN, Whose};
use crate::load::limits::{self, LimitError};
use crate::load::{Open, RateStage, Spacing};
use crate::scenario::document::model::{Load, Spacing as SpacingForm, Stage as StageForm, UserType as UserForm};
use crate::scenario::document::read::Placed;
use crate::units::Rate;

impl Compiler<'_> {
    /// Keys of open loads in a closed one.
    pub(super) fn only_open(&mut self, load: &Load) {
        for (name, key) in [("max_users", load.max_users.key()), ("arrivals", load.arrivals.key())] {
            if let Some(key) = key {
                self.push(&key.clone(), format!("`{name}` belongs to an open load, and this one has no `arrival_rate`"), OPEN);
            }
        }
    }

    /// In an open load nobody waits.
    pub(super) fn no_waits(&mut self, form: &UserForm) {
        if let Some(wait) = form.wait_time.given() {
            self.warn(
                &wait.range.clone(),
                "in an open load `wait_time` is ignored: tasks start when they arrive",
                "remove it, or load with `users` instead of `arrival_rate`",
            );
        }
    }

    pub(super) fn open(&mut self, load: &Load, key: &Range<usize>, whose: &Whose) -> Option<Open> {
        let max_users = self.max_users(load, key);
        let rate = load.arrival_rate.given().and_then(|rate| {
            if rate.value.per_second() <= 0.0 {
                self.push(&rate.range, "at a rate of zero no task would arrive", "give a rate such as `200/s`");
                return None;
            }
            self.arrivals_of(rate)
        });
        let run_time = self.run_time(load, whose);
        Some(Open::constant(rate?, run_time, spacing(load), max_users?))
    }

    pub(super) fn open_stages(&mut self, load: &Load, key: &Range<usize>) -> Option<Open> {
        let list = load.stages.given()?;
        let max_users = self.max_users(load, key);
        for stage in &list.value.items {
            match (stage.value.users.key(), stage.value.arrival_rate.given()) {
                (Some(users), _) => self.push(
                    &users.clone(),
                    "this stage has `users`, but others have an `arrival_rate`",
                    "stages are all of users, or all of arrivals",
                ),
                (None, Some(rate)) => drop(self.arrivals_of(rate)),
                (None, None) if stage.value.arrival_rate.is_absent() => {
                    self.missing_in_stage(stage, "arrival_rate", "how many tasks arrive each second at the end of the stage");
                }
                (None, None) => {}
            }
        }
        let zero = |stage: &Placed<StageForm>| stage.value.arrival_rate.value().is_some_and(|rate| rate.per_second() <= 0.0);
        self.check_stages(
            list,
            zero,
            "arrivals",
            "write `stages: [{arrival_rate: 50/s, over: 1m}, {arrival_rate: 400/s, over: 5m}]`",
        );
        let stages: Vec<_> = list
            .value
            .items
            .iter()
            .filter_map(|stage| Some(RateStage { rate: *stage.value.arrival_rate.value()?, over: *stage.value.over.value()? }))
            .collect();
        Some(Open::stages(&stages, spacing(load), max_users?)).filter(|_| !stages.is_empty())
    }

    /// A rate that can be kept.
    pub(super) fn arrivals_of(&mut self, rate: &Placed<Rate>) -> Option<Rate> {
        limits::arrival_rate(rate.value).map_err(|error| self.push(&rate.range, error.to_string(), error.hint())).ok()
    }

    pub(super) fn max_users(&mut self, load: &Load, key: &Range<usize>) -> Option<u32> {
        let Some(most) = load.max_users.given() else {
            if load.max_users.is_absent() && !load.has_odd_keys {
                self.push(
                    key,
                    "an open load needs `max_users`",
                    "add how many tasks may be under way at once, such as `max_users: 500`; it is what a target that hangs can hold up",
                );
            }
            return None;
        };
        if let Err(error) = limits::users(most.value) {
            let hint = if error == LimitError::NoUsers { "give how many tasks may be under way at once" } else { error.hint() };
            self.push(&most.range, error.to_string(), hint);
            return None;
        }
        Some(most.value)
    }
}

pub(super) fn spacing(load: &Load) -> Spacing {
    match load.arrivals.value() {
        None | Some(SpacingForm::Even) => Spacing::Even,
        Some(SpacingForm::Poisson) => Spacing::Poisson,
    }
}
