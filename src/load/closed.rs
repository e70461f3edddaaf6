//! The closed model: a number of users over time, as ramps between levels.

use std::time::Duration;

use super::{Decision, Part, Trend};
use crate::units::Rate;

/// A number of users over time. Times are whole nanoseconds and counts whole users, so nothing drifts.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// In order of time, without gaps; after the last one its level holds.
    ramps: Vec<Ramp>,
    /// `None`: until stopped.
    end: Option<Duration>,
}

/// One entry of `stages`: get from the level before to `users` in the time `over`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub users: u32,
    pub over: Duration,
}

/// A straight line; a jump if `length` is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ramp {
    start: Duration,
    length: Duration,
    from: u32,
    to: u32,
}

/// As many nanoseconds as a `Duration` is made from here: 584 years.
const FOREVER: Duration = Duration::from_nanos(u64::MAX);

// === impl Closed ===

impl Closed {
    /// `users`, of which the first starts at once and the others at `spawn_rate`; all at once without one.
    pub fn constant(users: u32, spawn_rate: Option<Rate>, run_time: Option<Duration>) -> Self {
        let jump = |to| Ramp { start: Duration::ZERO, length: Duration::ZERO, from: 0, to };
        let ramps = match spawn_rate {
            Some(rate) if rate.per_second() > 0.0 && users > 1 => {
                let seconds = f64::from(users - 1) / rate.per_second();
                let length = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                vec![jump(1), Ramp { start: Duration::ZERO, length, from: 1, to: users }]
            }
            _ => vec![jump(users)],
        };
        Self { ramps, end: run_time }
    }

    /// Each stage ramps from where the one before ended; the first from none. The load ends with the last stage.
    pub fn stages(stages: &[Stage]) -> Self {
        let (mut start, mut from) = (Duration::ZERO, 0);
        let ramps = stages
            .iter()
            .map(|stage| {
                let ramp = Ramp { start, length: stage.over, from, to: stage.users };
                (start, from) = (start.saturating_add(stage.over), stage.users);
                ramp
            })
            .collect();
        Self { ramps, end: Some(start) }
    }

    /// These numbers of users, each from its time on.
    pub(super) fn levels(levels: impl Iterator<Item = (Duration, u32)>, end: Duration) -> Self {
        let mut from = 0;
        let ramps = levels.map(|(start, to)| Ramp { start, length: Duration::ZERO, from: std::mem::replace(&mut from, to), to });
        Self { ramps: ramps.collect(), end: Some(end) }
    }

    /// From `at` on: `from` users become `to`, the first of whom comes or goes at once, the others at the spawn rate; all at
    /// once without one.
    pub(super) fn steered(at: Duration, from: u32, to: u32, spawn_rate: Option<Rate>, end: Option<Duration>) -> Self {
        let jump = |start, from, to| Ramp { start, length: Duration::ZERO, from, to };
        let mut ramps = vec![jump(Duration::ZERO, from, from)];
        match spawn_rate {
            Some(rate) if rate.per_second() > 0.0 && from.abs_diff(to) > 1 => {
                let first = if to > from { from + 1 } else { from - 1 };
                let seconds = f64::from(first.abs_diff(to)) / rate.per_second();
                let length = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                ramps.extend([jump(at, from, first), Ramp { start: at, length, from: first, to }]);
            }
            _ => ramps.push(jump(at, from, to)),
        }
        Self { ramps, end }
    }

    /// When the load ends by itself.
    pub fn end(&self) -> Option<Duration> {
        self.end
    }

    /// The largest number of users at any time.
    pub fn peak(&self) -> u32 {
        self.ramps.iter().map(|ramp| ramp.from.max(ramp.to)).max().unwrap_or(0)
    }

    /// When the last ramp is over and the level stays.
    pub fn settled(&self) -> Duration {
        self.ramps.last().map_or(Duration::ZERO, |ramp| ramp.start.saturating_add(ramp.length))
    }

    /// The number of users at `elapsed`; 0 from the end on.
    pub fn users_at(&self, elapsed: Duration) -> u32 {
        if self.end.is_some_and(|end| elapsed >= end) {
            return 0;
        }
        self.ramp_at(elapsed).map_or(0, |ramp| ramp.users_at(elapsed))
    }

    /// What `part` does next, having `present` users.
    pub fn decide(&self, elapsed: Duration, present: u32, part: Part) -> Decision {
        if self.end.is_some_and(|end| elapsed >= end) {
            return Decision::Done;
        }
        let wanted = part.count(self.users_at(elapsed));
        if wanted > present {
            let level = part.slot(present) + 1;
            return Decision::Start { due: self.ramp_at(elapsed).map_or(elapsed, |ramp| ramp.reached(level)) };
        }
        if wanted < present {
            return Decision::Stop;
        }
        let mut at = elapsed;
        // A change beyond what a clock can tell never comes.
        while let Some(next) = self.next_change(at).filter(|next| *next > at && *next < FOREVER) {
            if part.count(self.users_at(next)) != present || self.end == Some(next) {
                return Decision::WaitUntil(next);
            }
            at = next;
        }
        Decision::Idle
    }

    pub fn trend(&self, elapsed: Duration) -> Trend {
        if self.end.is_some_and(|end| elapsed >= end) {
            return Trend::Over;
        }
        match self.ramp_at(elapsed) {
            Some(ramp) if elapsed < ramp.end() && ramp.to > ramp.from => Trend::Rising,
            Some(ramp) if elapsed < ramp.end() && ramp.to < ramp.from => Trend::Falling,
            _ => Trend::Steady,
        }
    }

    /// The last ramp that has begun.
    fn ramp_at(&self, elapsed: Duration) -> Option<&Ramp> {
        self.ramps[..self.ramps.partition_point(|ramp| ramp.start <= elapsed)].last()
    }

    /// The first moment after `elapsed` at which the number of users is another one, or the load ends.
    fn next_change(&self, elapsed: Duration) -> Option<Duration> {
        let begun = self.ramps.partition_point(|ramp| ramp.start <= elapsed);
        let in_this = begun.checked_sub(1).and_then(|at| self.ramps[at].next_change(elapsed));
        let in_next = self.ramps.get(begun).map(|ramp| ramp.start);
        let end = self.end.filter(|end| *end > elapsed);
        [in_this, in_next, end].into_iter().flatten().min()
    }
}

// === impl Ramp ===

impl Ramp {
    fn end(&self) -> Duration {
        self.start.saturating_add(self.length)
    }

    fn height(&self) -> u32 {
        self.from.abs_diff(self.to)
    }

    fn users_at(&self, elapsed: Duration) -> u32 {
        let into = elapsed.saturating_sub(self.start);
        if into >= self.length {
            return self.to;
        }
        let steps = (u128::from(self.height()) * into.as_nanos() / self.length.as_nanos()) as u32;
        if self.to > self.from { self.from + steps } else { self.from - steps }
    }

    /// When step number `step` (from 1) is taken: the first nanosecond at which `users_at` shows it.
    fn step(&self, step: u32) -> Duration {
        let nanos = (self.length.as_nanos() * u128::from(step)).div_ceil(u128::from(self.height()));
        self.start.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// When a rising ramp reached `level`; its start if it began there or above.
    fn reached(&self, level: u32) -> Duration {
        if level <= self.from || self.length.is_zero() { self.start } else { self.step(level - self.from) }
    }

    fn next_change(&self, elapsed: Duration) -> Option<Duration> {
        let taken = self.from.abs_diff(self.users_at(elapsed));
        (taken < self.height()).then(|| self.step(taken + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn spawn(users: u32, per_second: f64) -> Closed {
        Closed::constant(users, Rate::try_new(per_second), None)
    }

    fn stages(list: &[(u32, u64)]) -> Closed {
        Closed::stages(&list.iter().map(|(users, seconds)| Stage { users: *users, over: ms(seconds * 1000) }).collect::<Vec<_>>())
    }

    #[test]
    fn spawning_at_a_rate() {
        // 2,000 users at 500/s: the first at once, then one every 2 ms; all there just before 4 s.
        let load = spawn(2000, 500.0);
        for (at, users) in [(0, 1), (1, 1), (2, 2), (1000, 501), (3997, 1999), (3998, 2000), (100_000, 2000)] {
            assert_eq!(load.users_at(ms(at)), users, "at {at} ms");
        }
    }

    #[test]
    fn stages_ramp_from_level_to_level() {
        // Up to 4 in 4 s, hold 3 s, down to 0 in 2 s.
        let load = stages(&[(4, 4), (4, 3), (0, 2)]);
        for (at, users) in [
            (0, 0),
            (999, 0),
            (1000, 1),
            (3999, 3),
            (4000, 4),
            (6999, 4),
            (7499, 4),
            (7500, 3),
            (8999, 1),
            (9000, 0),
            (20_000, 0),
        ] {
            assert_eq!(load.users_at(ms(at)), users, "at {at} ms");
        }
    }

    #[test]
    fn decisions() {
        let load = stages(&[(4, 4), (4, 3), (0, 2)]);
        for (at, present, decision) in [
            (0, 0, Decision::WaitUntil(ms(1000))),
            (1000, 0, Decision::Start { due: ms(1000) }),
            (1000, 1, Decision::WaitUntil(ms(2000))),
            // Late: two are due, the first since 1 s, the second since 2 s.
            (2500, 0, Decision::Start { due: ms(1000) }),
            (2500, 1, Decision::Start { due: ms(2000) }),
            (4000, 4, Decision::WaitUntil(ms(7500))),
            (7500, 4, Decision::Stop),
            (8999, 1, Decision::WaitUntil(ms(9000))),
            (9000, 1, Decision::Done),
        ] {
            assert_eq!(load.decide(ms(at), present, Part::WHOLE), decision, "at {at} ms with {present}");
        }
        assert_eq!(Closed::constant(5, None, None).decide(ms(0), 5, Part::WHOLE), Decision::Idle);
        assert_eq!(Closed::constant(5, None, Some(ms(10))).decide(ms(0), 5, Part::WHOLE), Decision::WaitUntil(ms(10)));
        assert_eq!(Closed::constant(5, None, Some(ms(10))).decide(ms(10), 5, Part::WHOLE), Decision::Done);
    }

    #[test]
    fn a_part_wakes_only_for_its_own_users() {
        // One user a second over two workers: worker 1 has the second, the fourth, …
        let load = spawn(10, 1.0);
        let second = Part { index: 1, of: 2 };
        assert_eq!(load.decide(ms(0), 0, second), Decision::WaitUntil(ms(1000)));
        assert_eq!(load.decide(ms(1000), 0, second), Decision::Start { due: ms(1000) });
        assert_eq!(load.decide(ms(1000), 1, second), Decision::WaitUntil(ms(3000)));
    }

    #[test]
    fn a_change_that_never_comes_is_not_waited_for() {
        for load in [spawn(10, 1e-25), Closed::stages(&[Stage { users: 2, over: Duration::MAX }])] {
            let present = load.users_at(ms(0));
            assert!(matches!(load.decide(ms(0), present, Part::WHOLE), Decision::Idle | Decision::WaitUntil(_)));
        }
    }

    #[test]
    fn trends() {
        let load = stages(&[(4, 4), (4, 3), (0, 2)]);
        for (at, trend) in [(0, Trend::Rising), (4000, Trend::Steady), (7000, Trend::Falling), (9000, Trend::Over)] {
            assert_eq!(load.trend(ms(at)), trend, "at {at} ms");
        }
        assert_eq!(spawn(10, 1.0).trend(ms(8999)), Trend::Rising);
        assert_eq!(spawn(10, 1.0).trend(ms(9000)), Trend::Steady);
    }

    /// Follows the decisions as a worker would, and notes (time, users) after each.
    fn follow(load: &Closed, part: Part) -> Vec<(Duration, u32)> {
        let (mut at, mut present, mut seen) = (Duration::ZERO, 0, Vec::new());
        loop {
            match load.decide(at, present, part) {
                Decision::Start { due } => {
                    assert!(due <= at, "started before it was due");
                    present += 1;
                }
                Decision::Stop => present -= 1,
                Decision::WaitUntil(next) => {
                    assert!(next > at, "time must go on");
                    seen.push((at, present));
                    at = next;
                }
                Decision::Idle | Decision::Done => return seen,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn workers_together_follow_the_curve(list in prop::collection::vec((0u32..60, 0u64..20), 1..6), of in 1u32..5) {
            let load = stages(&list);
            for index in 0..of {
                let part = Part { index, of };
                for (at, present) in follow(&load, part) {
                    prop_assert_eq!(present, part.count(load.users_at(at)));
                }
            }
        }

        #[test]
        fn nobody_starts_or_stops_between_changes(users in 1u32..3000, per_second in 0.5f64..5000.0, at in 0u64..10_000) {
            let load = spawn(users, per_second);
            let now = ms(at);
            if let Some(next) = load.next_change(now) {
                prop_assert_ne!(load.users_at(next), load.users_at(now));
                prop_assert_eq!(load.users_at(next - Duration::from_nanos(1)), load.users_at(now));
            }
            // The number is the integral of the rate, to one user.
            let integral = (per_second * now.as_secs_f64() + 1.0).min(f64::from(users));
            prop_assert!((f64::from(load.users_at(now)) - integral).abs() <= 1.0);
        }
    }
}
