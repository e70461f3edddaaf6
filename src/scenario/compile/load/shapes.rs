//! Loads with a name of their own: spike, stress and soak.

use super::super::Compiler;
use super::{MOST_STEPS, Schedule};
use crate::load::limits::{self, LimitError};
use crate::load::{Closed, Profile, Soak, Spike, Stress};
use crate::scenario::document::model::{Soak as SoakForm, Spike as SpikeForm, Stress as StressForm};
use crate::scenario::document::read::{Field, Placed};
use crate::units::Ratio;

impl Compiler<'_> {
    pub(super) fn spike(&mut self, form: &Placed<SpikeForm>) -> Option<Closed> {
        let form = &form.value;
        let users = self.number(&form.users);
        let base = form.base.value().copied().unwrap_or(0);
        if let (Some(users), Some(placed)) = (users, form.base.given().filter(|base| Some(base.value) >= users)) {
            self.push(
                &placed.range,
                format!("the usual {} users are not fewer than the {users} of the spike", placed.value),
                "give `users` more than `base`",
            );
        }
        if let (0, Some(settle)) = (base, form.settle.given().filter(|settle| !settle.value.is_zero())) {
            self.push(
                &settle.range,
                "without `base` there is nobody before and after the spike",
                "add the usual number of users, such as `base: 100`, or remove `settle`",
            );
        }
        if let Some(rate) = form.spawn_rate.given().filter(|rate| rate.value.per_second() <= 0.0) {
            self.push(
                &rate.range,
                "at a rate of zero no users would come",
                "give a rate such as `10/s`, or remove the key: then all come at once",
            );
            return None;
        }
        if let (Some(users), Some(rate)) = (users, form.spawn_rate.given())
            && let Err(error) = limits::spawn_rate(users, rate.value)
        {
            self.push(&rate.range, error.to_string(), error.hint());
            return None;
        }
        let hold = self.more_than_zero(&form.hold, "hold")?;
        let settle = form.settle.value().copied().unwrap_or_default();
        let spawn_rate = form.spawn_rate.value().copied();
        Some(Spike { users: users?, spawn_rate, hold, base, settle }.curve())
    }

    pub(super) fn stress(&mut self, form: &Placed<StressForm>) -> Option<Schedule> {
        let form = &form.value;
        let (from, to) = (self.number(&form.from), self.number(&form.to));
        if let (Some(from), Some(placed)) = (from, form.to.given().filter(|to| from.is_some_and(|from| to.value < from))) {
            self.push(&placed.range, format!("`to` is less than `from`, which is {from}"), "a stress goes up; exchange the two");
        }
        if let Some(step) = form.step.given().filter(|step| step.value == 0) {
            self.push(&step.range, "`step` cannot be zero", "give how many users come with each step, such as `step: 50`");
        }
        let every = self.more_than_zero(&form.every, "every");
        let step = form.step.value().copied();
        let stress = Stress::new(from?, to?, step?, every?, form.recover.value().copied().unwrap_or_default());
        if let Some(step) = form.step.given().filter(|_| stress.steps() > MOST_STEPS) {
            self.push(
                &step.range,
                format!("these are {} steps, more than the {MOST_STEPS} that there may be", stress.steps()),
                "make the steps larger",
            );
        }
        let until = form.until.value().cloned();
        (form.until.is_absent() || until.is_some()).then_some(Schedule { profile: Profile::Stress(stress), until })
    }

    pub(super) fn soak(&mut self, form: &Placed<SoakForm>) -> Option<Closed> {
        let form = &form.value;
        let normal_users = self.number(&form.normal_users);
        if let Some(at) = form.at.given().filter(|at| at.value.get() <= 0.0) {
            self.push(&at.range, "at 0% there would be nobody", "give a share such as `at: 80%`");
        }
        let hold = self.more_than_zero(&form.hold, "hold")?;
        let at = form.at.value().copied().or_else(|| Ratio::try_new(1.0))?;
        Some(Soak { normal_users: normal_users?, at, ramp: form.ramp.value().copied().unwrap_or_default(), hold }.curve())
    }

    /// A number of users that there can be.
    pub(super) fn number(&mut self, field: &Field<u32>) -> Option<u32> {
        let placed = field.given()?;
        if let Err(error) = limits::users(placed.value) {
            let hint = if error == LimitError::NoUsers { "give a number of at least 1" } else { error.hint() };
            self.push(&placed.range, error.to_string(), hint);
            return None;
        }
        Some(placed.value)
    }
}
