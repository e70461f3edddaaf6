//! Shapes of load that have a name: each becomes a curve of users.
//!
//! ```text
//!  spike            stress                    soak
//!       ____              __|                  ______________
//!      |    |           __  | broke           /
//!  ____|    |____     __    |____            /
//!  settle hold settle from     recover      ramp    hold
//! ```

use std::time::Duration;

use super::{Closed, Stage, Trend};
use crate::units::{Rate, Ratio};

/// The usual load, suddenly many more users, and the usual load again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    pub users: u32,
    /// How fast they come; all at once without one.
    pub spawn_rate: Option<Rate>,
    pub hold: Duration,
    /// The usual load, for `settle` before and after.
    pub base: u32,
    pub settle: Duration,
}

/// Less than the most for a long time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soak {
    pub normal_users: u32,
    pub at: Ratio,
    pub ramp: Duration,
    pub hold: Duration,
}

/// More and more users, until the target breaks or they are all there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stress {
    from: u32,
    to: u32,
    step: u32,
    every: Duration,
    recover: Duration,
    /// The curve, if it does not break.
    whole: Closed,
}

/// A level of a stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 1.
    pub number: u32,
    pub users: u32,
    /// Since the load's start.
    pub began: Duration,
}

// === impl Spike, Soak ===

impl Spike {
    pub fn curve(&self) -> Closed {
        let stage = |users, over| Stage { users, over };
        let more = f64::from(self.users.saturating_sub(self.base));
        let rise = self.spawn_rate.map_or(0.0, |rate| more / rate.per_second());
        let rise = Duration::try_from_secs_f64(rise).unwrap_or(Duration::MAX);
        Closed::stages(&[
            stage(self.base, Duration::ZERO),
            stage(self.base, self.settle),
            stage(self.users, rise),
            stage(self.users, self.hold),
            stage(self.base, Duration::ZERO),
            stage(self.base, self.settle),
        ])
    }
}

impl Soak {
    /// At least one.
    pub fn users(&self) -> u32 {
        ((f64::from(self.normal_users) * self.at.get()).round() as u32).max(1)
    }

    pub fn curve(&self) -> Closed {
        let users = self.users();
        Closed::stages(&[Stage { users, over: self.ramp }, Stage { users, over: self.hold }])
    }
}

// === impl Stress ===

impl Stress {
    /// From `from` to `to` users in steps of `step`, each of which lasts `every`; then `from` users for the time `recover`.
    pub fn new(from: u32, to: u32, step: u32, every: Duration, recover: Duration) -> Self {
        let (from, step) = (from.min(to), step.max(1));
        let mut stress = Self { from, to, step, every, recover, whole: Closed::stages(&[]) };
        stress.whole = stress.until(stress.climb());
        stress
    }

    pub fn from(&self) -> u32 {
        self.from
    }

    pub fn to(&self) -> u32 {
        self.to
    }

    pub fn recover(&self) -> Duration {
        self.recover
    }

    /// How many levels there are.
    pub fn steps(&self) -> u32 {
        (self.to - self.from).div_ceil(self.step) + 1
    }

    /// How long all levels take together.
    pub fn climb(&self) -> Duration {
        self.every.saturating_mul(self.steps())
    }

    /// The level at `elapsed`; `None` when there are none left.
    pub fn step_at(&self, elapsed: Duration) -> Option<Step> {
        let passed = elapsed.as_nanos() / self.every.as_nanos().max(1);
        let passed = u32::try_from(passed).ok().filter(|passed| *passed < self.steps())?;
        let users = self.from.saturating_add(passed.saturating_mul(self.step)).min(self.to);
        Some(Step { number: passed + 1, users, began: self.every * passed })
    }

    /// The curve, given when the target broke.
    pub fn curve(&self, broke_at: Option<Duration>) -> Closed {
        match broke_at {
            Some(at) if at < self.climb() => self.until(at),
            _ => self.whole.clone(),
        }
    }

    /// The number of users at `elapsed`, given when the target broke.
    pub fn users_at(&self, elapsed: Duration, broke_at: Option<Duration>) -> u32 {
        let broke_at = broke_at.map_or(self.climb(), |at| at.min(self.climb()));
        if elapsed < broke_at {
            self.step_at(elapsed).map_or(0, |step| step.users)
        } else if elapsed < broke_at.saturating_add(self.recover) {
            self.from
        } else {
            0
        }
    }

    pub fn trend(&self, elapsed: Duration, broke_at: Option<Duration>) -> Trend {
        let broke_at = broke_at.map_or(self.climb(), |at| at.min(self.climb()));
        match self.step_at(elapsed).filter(|_| elapsed < broke_at) {
            Some(step) if step.number < self.steps() => Trend::Rising,
            Some(_) => Trend::Steady,
            None if elapsed < broke_at.saturating_add(self.recover) => Trend::Falling,
            None => Trend::Over,
        }
    }

    /// The levels up to `broke_at`, and what comes after.
    fn until(&self, broke_at: Duration) -> Closed {
        let steps = (0..self.steps()).map(|passed| self.every.saturating_mul(passed)).take_while(|began| *began < broke_at);
        let levels = steps.filter_map(|began| Some((began, self.step_at(began)?.users)));
        Closed::levels(levels.chain([(broke_at, self.from)]), broke_at.saturating_add(self.recover))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_spike() {
        // 100 for 10 s, 200 more at 50/s, held for 20 s, 100 for 10 s.
        let rate = Rate::try_new(50.0);
        let curve = Spike { users: 300, spawn_rate: rate, hold: 20 * SECOND, base: 100, settle: 10 * SECOND }.curve();
        for (at, users) in
            [(0, 100), (9, 100), (10, 100), (11, 150), (13, 250), (14, 300), (33, 300), (34, 100), (43, 100), (44, 0)]
        {
            assert_eq!(curve.users_at(SECOND * at), users, "at {at} s");
        }
        assert_eq!((curve.end(), curve.peak()), (Some(44 * SECOND), 300));
        // All at once, out of nothing.
        let curve = Spike { users: 300, spawn_rate: None, hold: 20 * SECOND, base: 0, settle: Duration::ZERO }.curve();
        assert_eq!((curve.users_at(Duration::ZERO), curve.end()), (300, Some(20 * SECOND)));
    }

    #[test]
    fn a_soak() {
        let soak = Soak { normal_users: 100, at: Ratio::try_new(0.8).unwrap(), ramp: 60 * SECOND, hold: 600 * SECOND };
        let curve = soak.curve();
        for (at, users) in [(0, 0), (30, 40), (60, 80), (659, 80), (660, 0)] {
            assert_eq!(curve.users_at(SECOND * at), users, "at {at} s");
        }
        assert_eq!(Soak { normal_users: 1, at: Ratio::try_new(0.1).unwrap(), ..soak }.users(), 1);
    }

    #[test]
    fn a_stress() {
        // 50, 90, 130, 150 users for 10 s each; then 50 for 30 s.
        let stress = Stress::new(50, 150, 40, 10 * SECOND, 30 * SECOND);
        for (at, users, trend) in [
            (0, 50, Trend::Rising),
            (9, 50, Trend::Rising),
            (10, 90, Trend::Rising),
            (20, 130, Trend::Rising),
            (30, 150, Trend::Steady),
            (39, 150, Trend::Steady),
            (40, 50, Trend::Falling),
            (69, 50, Trend::Falling),
            (70, 0, Trend::Over),
        ] {
            assert_eq!((stress.users_at(SECOND * at, None), stress.trend(SECOND * at, None)), (users, trend), "at {at} s");
        }
        // It broke in the middle of the second step.
        for (at, users, trend) in
            [(14, 90, Trend::Rising), (15, 50, Trend::Falling), (44, 50, Trend::Falling), (45, 0, Trend::Over)]
        {
            let broke = Some(15 * SECOND);
            assert_eq!((stress.users_at(SECOND * at, broke), stress.trend(SECOND * at, broke)), (users, trend), "at {at} s");
        }
        assert_eq!(stress.step_at(15 * SECOND), Some(Step { number: 2, users: 90, began: 10 * SECOND }));
        assert_eq!(stress.step_at(40 * SECOND), None);
        assert_eq!((stress.steps(), stress.climb()), (4, 40 * SECOND));
        assert_eq!(Stress::new(10, 10, 5, SECOND, Duration::ZERO).steps(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_curve_is_the_function(
            from in 1u32..50, more in 0u32..200, step in 1u32..60, every in 1u32..20, recover in 0u32..30,
            broke_at in prop::option::of(0u32..400), at in 0u64..400_000,
        ) {
            let stress = Stress::new(from, from + more, step, every * SECOND, recover * SECOND);
            let broke_at = broke_at.map(|at| at * SECOND / 4);
            let at = Duration::from_millis(at);
            prop_assert_eq!(stress.curve(broke_at).users_at(at), stress.users_at(at, broke_at), "{:?} at {:?}", stress, at);
        }
    }
}
