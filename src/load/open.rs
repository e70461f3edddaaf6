//! The open model: tasks arrive at a rate, however many are still under way.
//!
//! ```text
//!  rate       stages: [{arrival_rate: 4/s, over: 2s}, {arrival_rate: 4/s, over: 2s}]
//!   4 |     _______
//!     |   /               the integral of the rate is the number of arrivals so far: 4 after 2 s, 12 at the end
//!   0 | /                 arrival n (from 0) is due when it passes n: 0 s, 1 s, 1.41 s, 1.73 s, 2 s, 2.25 s, …
//!     0----2s----4s
//! ```
//!
//! Poisson arrivals are the same with unequal steps: instead of 0, 1, 2, … the integral is to pass sums of exponential gaps
//! of mean 1. Because each moment comes from a sum and not from the moment before, no error of rounding adds up.

use std::time::Duration;

use super::{Part, Trend};
use crate::random::Random;
use crate::units::Rate;

/// A rate of arrivals over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// In order of time, without gaps, at least one.
    legs: Vec<Leg>,
    /// `None`: until stopped.
    end: Option<Duration>,
    spacing: Spacing,
    max_users: u32,
}

/// How far apart arrivals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// As the rate says, each time.
    Even,
    /// As the rate says on average, each independent of the one before.
    Poisson,
}

/// One entry of `stages`: get from the rate before to `rate` in the time `over`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStage {
    pub rate: Rate,
    pub over: Duration,
}

/// A stretch in which the rate is a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Leg {
    start: Duration,
    /// In seconds; infinite if it is the last one of a load without an end.
    length: f64,
    /// Arrivals a second, at its start and at its end.
    from: f64,
    to: f64,
    /// Arrivals before its start.
    before: f64,
}

/// One task that is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Of the whole load, from 0.
    pub number: u64,
    /// Since the load's start.
    pub due: Duration,
}

/// A part's arrivals, in order of time.
#[derive(Clone, Debug)]
pub struct Arrivals {
    load: Open,
    part: Part,
    random: Random,
    /// Arrivals that were given.
    given: u64,
    /// What the integral has to pass for the next one; only for Poisson.
    sum: f64,
    /// The leg that the next one is in.
    leg: usize,
    last: Duration,
    upcoming: Option<Arrival>,
}

/// So many arrivals at once are passed over one by one.
const MOST_COUNTED: u64 = 1000;

// === impl Open ===

impl Open {
    /// The same rate all the time.
    pub fn constant(rate: Rate, run_time: Option<Duration>, spacing: Spacing, max_users: u32) -> Self {
        let rate = rate.per_second();
        let length = run_time.map_or(f64::INFINITY, |time| time.as_secs_f64());
        let leg = Leg { start: Duration::ZERO, length, from: rate, to: rate, before: 0.0 };
        Self { legs: vec![leg], end: run_time, spacing, max_users }
    }

    /// Each stage ramps from the rate where the one before ended; the first from 0. The load ends with the last stage.
    pub fn stages(stages: &[RateStage], spacing: Spacing, max_users: u32) -> Self {
        let (mut start, mut from, mut before) = (Duration::ZERO, 0.0, 0.0);
        let mut legs = Vec::with_capacity(stages.len());
        for stage in stages {
            let leg = Leg { start, length: stage.over.as_secs_f64(), from, to: stage.rate.per_second(), before };
            start = start.saturating_add(stage.over);
            from = leg.to;
            before = nearly_whole(before + leg.whole());
            // A jump holds no arrivals.
            if !stage.over.is_zero() {
                legs.push(leg);
            }
        }
        Self { legs, end: Some(start), spacing, max_users }
    }

    /// From `at` on, until when there should have been `planned` arrivals: this rate, to the same end.
    pub(super) fn steered(&self, at: Duration, rate: Rate, planned: f64) -> Self {
        let length = self.end.map_or(f64::INFINITY, |end| end.saturating_sub(at).as_secs_f64());
        let rate = rate.per_second();
        let leg = Leg { start: at, length, from: rate, to: rate, before: nearly_whole(planned) };
        Self { legs: vec![leg], ..*self }
    }

    /// When the load ends by itself.
    pub fn end(&self) -> Option<Duration> {
        self.end
    }

    pub fn spacing(&self) -> Spacing {
        self.spacing
    }

    /// How many tasks may be under way at once.
    pub fn max_users(&self) -> u32 {
        self.max_users
    }

    /// The highest rate at any time, in arrivals a second.
    pub fn peak_rate(&self) -> f64 {
        self.legs.iter().map(|leg| leg.from.max(leg.to)).fold(0.0, f64::max)
    }

    /// When the last ramp is over and the rate stays.
    pub fn settled(&self) -> Duration {
        let last = self.legs.iter().rfind(|leg| leg.from != leg.to);
        last.map_or(Duration::ZERO, |leg| leg.start.saturating_add(seconds(leg.length)))
    }

    /// Arrivals a second at `elapsed`; 0 from the end on.
    pub fn rate_at(&self, elapsed: Duration) -> f64 {
        self.leg_at(elapsed).map_or(0.0, |leg| leg.rate_at(leg.into(elapsed)))
    }

    /// How many arrivals there should have been up to `elapsed`: the integral of the rate.
    pub fn planned(&self, elapsed: Duration) -> f64 {
        let elapsed = self.end.map_or(elapsed, |end| elapsed.min(end));
        let begun = self.legs.partition_point(|leg| leg.start <= elapsed);
        self.legs[..begun].last().map_or(0.0, |leg| leg.before + leg.integral(leg.into(elapsed)))
    }

    pub fn trend(&self, elapsed: Duration) -> Trend {
        match self.leg_at(elapsed) {
            None => Trend::Over,
            Some(leg) if leg.to > leg.from => Trend::Rising,
            Some(leg) if leg.to < leg.from => Trend::Falling,
            Some(_) => Trend::Steady,
        }
    }

    /// The arrivals of `part`. Even ones are dealt out in turn; Poisson ones are as many independent streams as there are
    /// parts, which together are one Poisson stream again. `random` is only drawn from for the latter.
    pub fn arrivals(&self, part: Part, random: Random) -> Arrivals {
        let (load, last) = (self.clone(), Duration::ZERO);
        let mut arrivals = Arrivals { load, part, random, given: 0, sum: 0.0, leg: 0, last, upcoming: None };
        arrivals.step();
        arrivals.look();
        arrivals
    }

    fn leg_at(&self, elapsed: Duration) -> Option<&Leg> {
        if self.end.is_some_and(|end| elapsed >= end) {
            return None;
        }
        self.legs[..self.legs.partition_point(|leg| leg.start <= elapsed)].last()
    }
}

// === impl Leg ===

impl Leg {
    /// Seconds since its start.
    fn into(&self, elapsed: Duration) -> f64 {
        elapsed.saturating_sub(self.start).as_secs_f64().min(self.length)
    }

    fn slope(&self) -> f64 {
        (self.to - self.from) / self.length
    }

    fn rate_at(&self, into: f64) -> f64 {
        if self.from == self.to { self.from } else { self.from + self.slope() * into }
    }

    /// Arrivals in its first `into` seconds.
    fn integral(&self, into: f64) -> f64 {
        (self.from + self.rate_at(into)) / 2.0 * into
    }

    /// Arrivals in all of it; infinite if it has no end.
    fn whole(&self) -> f64 {
        if self.length == 0.0 || self.from + self.to == 0.0 { 0.0 } else { (self.from + self.to) / 2.0 * self.length }
    }

    /// The inverse: how many seconds after its start there have been `count` arrivals. Of the two forms of a quadratic's
    /// root, this one subtracts nothing, so it also holds for flat ramps and near their ends; for that, a falling ramp is
    /// looked at from its end.
    fn seconds_to(&self, count: f64) -> f64 {
        let root = |count: f64, rate: f64, slope: f64| {
            if count <= 0.0 { 0.0 } else { 2.0 * count / (rate + (rate * rate + 2.0 * slope * count).sqrt()) }
        };
        if self.to >= self.from {
            root(count, self.from, self.slope())
        } else {
            // Rounding must not lead to before its start.
            (self.length - root(self.whole() - count, self.to, -self.slope())).max(0.0)
        }
    }
}

/// A sum that misses a whole number only by rounding is that number.
fn nearly_whole(sum: f64) -> f64 {
    if (sum - sum.round()).abs() < 1e-6 { sum.round() } else { sum }
}

/// To the nearest nanosecond; what is too long to be told is for ever.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

// === impl Arrivals ===

impl Arrivals {
    /// The next one.
    pub fn peek(&self) -> Option<Arrival> {
        self.upcoming
    }

    /// Goes on by another rule: those that were given count, and what comes next is due when `load` says. None is given twice
    /// or left out, also if this part hears of the change later than the others.
    pub fn steer(&mut self, load: &Open) {
        (self.load, self.leg) = (load.clone(), 0);
        self.look();
    }

    /// Passes over all that are due by `until`; how many. In bounded time: of more than [`MOST_COUNTED`] the rest is computed
    /// from the integral, which for Poisson arrivals gives their mean.
    pub fn skip_due(&mut self, until: Duration) -> u64 {
        let is_due = |arrival: &Arrival| arrival.due <= until;
        let mut skipped = 0;
        while skipped < MOST_COUNTED && self.upcoming.as_ref().is_some_and(is_due) {
            self.next();
            skipped += 1;
        }
        if !self.upcoming.as_ref().is_some_and(is_due) {
            return skipped;
        }
        let number = self.given.saturating_mul(u64::from(self.part.of)).saturating_add(u64::from(self.part.index)) as f64;
        let passed = match self.load.spacing {
            Spacing::Even => number,
            Spacing::Poisson => self.sum,
        };
        // Those up to the integral, of which this part has each `of`-th one; the first of them is due.
        let rest = ((self.load.planned(until) - passed).max(0.0) / f64::from(self.part.of)) as u64 + 1;
        self.given = self.given.saturating_add(rest);
        self.sum += rest as f64 * f64::from(self.part.of);
        self.last = self.last.max(until);
        self.look();
        skipped + rest
    }

    /// What the integral has to pass for the arrival after this one.
    fn step(&mut self) {
        if self.load.spacing == Spacing::Poisson {
            self.sum += self.random.exponential() * f64::from(self.part.of);
        }
    }

    /// Finds the next one.
    fn look(&mut self) {
        let number = self.given.saturating_mul(u64::from(self.part.of)).saturating_add(u64::from(self.part.index));
        let count = match self.load.spacing {
            Spacing::Even => number as f64,
            Spacing::Poisson => self.sum,
        };
        self.upcoming = self.due(count).map(|due| Arrival { number, due: due.max(self.last) });
    }

    /// When the integral passes `count`.
    fn due(&mut self, count: f64) -> Option<Duration> {
        let legs = &self.load.legs;
        while legs.get(self.leg + 1).is_some_and(|next| count >= next.before) {
            self.leg += 1;
        }
        let leg = legs.get(self.leg)?;
        // Beyond the last one, or in a pause that nothing follows.
        if count - leg.before >= leg.whole() {
            return None;
        }
        let due = leg.start.saturating_add(seconds(leg.seconds_to(count - leg.before)));
        let over = self.load.end.is_some_and(|end| due >= end) || due == Duration::MAX;
        (!over).then_some(due)
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let arrival = self.upcoming?;
        self.last = arrival.due;
        self.given += 1;
        self.step();
        self.look();
        Some(arrival)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_second: f64) -> Rate {
        Rate::try_new(per_second).unwrap()
    }

    fn constant(per_second: f64, seconds: u64) -> Open {
        Open::constant(rate(per_second), Some(SECOND * seconds as u32), Spacing::Even, 10)
    }

    fn stages(list: &[(f64, u64)], spacing: Spacing) -> Open {
        let stage =
            |(per_second, seconds): &(f64, u64)| RateStage { rate: rate(*per_second), over: Duration::from_secs(*seconds) };
        Open::stages(&list.iter().map(stage).collect::<Vec<_>>(), spacing, 10)
    }

    fn dues(load: &Open, part: Part, seed: u64) -> Vec<Duration> {
        load.arrivals(part, Random::new(seed, u64::from(part.index))).map(|arrival| arrival.due).collect()
    }

    fn whole(load: &Open) -> Vec<Duration> {
        dues(load, Part::WHOLE, 1)
    }

    #[test]
    fn any_number_of_arrivals_is_passed_over_at_once() {
        for of in [1, 3] {
            for (per_second, spacing) in [
                (10.0, Spacing::Even),
                (1e5, Spacing::Even),
                (1e6, Spacing::Even),
                (1e12, Spacing::Even),
                (1e15, Spacing::Even),
                (1e6, Spacing::Poisson),
                (1e12, Spacing::Poisson),
            ] {
                let load = Open::constant(rate(per_second), Some(3 * SECOND), spacing, 10);
                let (mut early, mut all) = (0, 0);
                for index in 0..of {
                    let mut arrivals = load.arrivals(Part { index, of }, Random::new(1, u64::from(index)));
                    early += arrivals.skip_due(SECOND);
                    assert!(arrivals.peek().is_some_and(|next| next.due >= SECOND), "{per_second}");
                    all += arrivals.skip_due(3 * SECOND);
                    assert_eq!((arrivals.peek(), arrivals.skip_due(4 * SECOND)), (None, 0), "{per_second}");
                }
                all += early;
                let close = |count: u64, planned: f64| {
                    let off = if spacing == Spacing::Poisson { 6.0 * planned.sqrt() } else { planned * 1e-9 + 1.0 };
                    assert!((count as f64 - planned).abs() <= off + f64::from(of), "{per_second}: {count} of {planned}");
                };
                close(early, per_second);
                close(all, 3.0 * per_second);
            }
        }
    }

    #[test]
    fn a_constant_rate_is_even_from_the_start() {
        // 200/s: every 5 ms, the first at once; 2,000 in 10 s, none at the end itself.
        let all = whole(&constant(200.0, 10));
        assert_eq!(all.len(), 2000);
        for (number, due) in all.iter().enumerate() {
            assert_eq!(*due, Duration::from_millis(5) * number as u32);
        }
    }

    #[test]
    fn a_ramp_has_its_arrivals_where_the_integral_says() {
        // Up to 4/s in 2 s: n = t², so at √n; then every 0.25 s.
        let all = whole(&stages(&[(4.0, 2), (4.0, 2)], Spacing::Even));
        let expected = [0.0, 1.0, 2f64.sqrt(), 3f64.sqrt(), 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75];
        assert_eq!(all.len(), 12);
        for (due, seconds) in all.iter().zip(expected) {
            assert!((due.as_secs_f64() - seconds).abs() < 2e-9, "{due:?}, not {seconds}");
        }
    }

    #[test]
    fn a_falling_ramp_mirrors_a_rising_one() {
        let (up, down) = (stages(&[(100.0, 60)], Spacing::Even), stages(&[(100.0, 0), (0.0, 60)], Spacing::Even));
        for count in [0.0, 0.5, 1.0, 10.0, 1500.0, 2999.0, 2999.999, 3000.0] {
            let (rising, falling) = (up.legs[0].seconds_to(3000.0 - count), down.legs[0].seconds_to(count));
            assert!((rising + falling - 60.0).abs() < 1e-9, "{count}: {rising} and {falling}");
        }
        assert_eq!((whole(&up).len(), whole(&down).len()), (3000, 3000));
        // Here the first one's moment is a rounding error before the start.
        assert_eq!(whole(&stages(&[(4.341967404111904, 0), (0.0, 15)], Spacing::Even)).len(), 33);
    }

    #[test]
    fn jumps_and_pauses() {
        // 10/s for 1 s, nothing for 5 s, 10/s for 1 s.
        let load = stages(&[(10.0, 0), (10.0, 1), (0.0, 0), (0.0, 5), (10.0, 0), (10.0, 1)], Spacing::Even);
        let all = whole(&load);
        assert_eq!(all.len(), 20);
        assert_eq!((all[9], all[10]), (Duration::from_millis(900), 6 * SECOND));
        for (at, per_second, planned) in
            [(0, 10.0, 0.0), (500, 10.0, 5.0), (1000, 0.0, 10.0), (5999, 0.0, 10.0), (6500, 10.0, 15.0), (7000, 0.0, 20.0)]
        {
            let at = Duration::from_millis(at);
            assert_eq!((load.rate_at(at), load.planned(at)), (per_second, planned), "at {at:?}");
        }
        // A third a second is no number of binary digits: the sum of three minutes is 60 all the same.
        let third = 1.0 / 3.0;
        let load = stages(
            &[(third, 0), (third, 60), (third, 60), (third, 60), (0.0, 0), (0.0, 60), (third, 0), (third, 60)],
            Spacing::Even,
        );
        let all = whole(&load);
        assert_eq!((all.len(), all[60]), (80, 240 * SECOND));
    }

    #[test]
    fn hours_lose_no_request() {
        // An hour up, twelve hours at 9,999/s, an hour down.
        let load = stages(&[(9999.0, 3600), (9999.0, 43_200), (0.0, 3600)], Spacing::Even);
        assert_eq!(load.planned(50_400 * SECOND), 9999.0 * 46_800.0);
        // Not all of 468 million: one worker of 100,003.
        for index in [0, 1, 77_777] {
            let part = Part { index, of: 100_003 };
            for arrival in load.arrivals(part, Random::new(0, 0)) {
                assert!((load.planned(arrival.due) - arrival.number as f64).abs() < 0.01, "{arrival:?}");
            }
        }
        let count: usize =
            [0, 1, 2].map(|index| load.arrivals(Part { index, of: 1_000_003 }, Random::new(0, 0)).count()).iter().sum();
        assert_eq!(count, 3 * 468, "467,953,200 in steps of 1,000,003, and a rest for the first ones");
    }

    #[test]
    fn without_an_end_there_is_always_a_next_one() {
        let load = Open::constant(rate(10_000.0), None, Spacing::Even, 1);
        let mut arrivals = load.arrivals(Part::WHOLE, Random::new(0, 0));
        // A year later.
        arrivals.given = 10_000 * 31_536_000;
        arrivals.look();
        assert_eq!(arrivals.next().unwrap().due, 31_536_000 * SECOND);
        let gap = arrivals.next().unwrap().due - 31_536_000 * SECOND;
        assert!(gap.abs_diff(Duration::from_micros(100)) < Duration::from_nanos(10), "{gap:?}");
        assert_eq!((load.end(), load.trend(SECOND), load.settled()), (None, Trend::Steady, Duration::ZERO));
    }

    #[test]
    fn trends_and_rates() {
        let load = stages(&[(100.0, 10), (100.0, 10), (50.0, 10)], Spacing::Even);
        for (at, trend, per_second) in [
            (0, Trend::Rising, 0.0),
            (5, Trend::Rising, 50.0),
            (10, Trend::Steady, 100.0),
            (25, Trend::Falling, 75.0),
            (30, Trend::Over, 0.0),
        ] {
            assert_eq!((load.trend(SECOND * at), load.rate_at(SECOND * at)), (trend, per_second), "at {at} s");
        }
        assert_eq!((load.peak_rate(), load.settled(), load.end()), (100.0, 30 * SECOND, Some(30 * SECOND)));
    }

    /// The largest distance between the distribution of the values and the exponential one of mean 1 (Kolmogorov, Smirnov),
    /// times √n. Above 1.63 the two differ, but for one case in a hundred.
    fn distance(mut gaps: Vec<f64>) -> f64 {
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let far = gaps.iter().enumerate().map(|(at, gap)| {
            let expected = 1.0 - (-gap).exp();
            (expected - at as f64 / n).abs().max((expected - (at + 1) as f64 / n).abs())
        });
        far.fold(0.0, f64::max) * n.sqrt()
    }

    /// Gaps in units of the integral of the rate: exponential with mean 1, also where the rate changes.
    fn gaps(load: &Open, mut dues: Vec<Duration>) -> Vec<f64> {
        dues.sort_unstable();
        let planned: Vec<f64> = std::iter::once(0.0).chain(dues.iter().map(|due| load.planned(*due))).collect();
        planned.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn poisson_arrivals_pass_kolmogorov_and_smirnov() {
        let load = stages(&[(50.0, 60), (400.0, 60), (400.0, 60), (0.0, 60)], Spacing::Poisson);
        let planned = load.planned(load.end().unwrap());
        for seed in 0..5 {
            for of in [1, 3, 8] {
                let all: Vec<_> = (0..of).flat_map(|index| dues(&load, Part { index, of }, seed)).collect();
                // Six standard deviations.
                assert!((all.len() as f64 - planned).abs() < 6.0 * planned.sqrt(), "{} of {planned}", all.len());
                let distance = distance(gaps(&load, all));
                assert!(distance < 1.63, "seed {seed}, {of} parts: {distance}");
            }
        }
        // And the test would see even ones.
        let even = stages(&[(50.0, 60), (400.0, 60)], Spacing::Even);
        assert!(distance(gaps(&even, whole(&even))) > 10.0);
    }

    #[test]
    fn poisson_arrivals_repeat_with_their_seed() {
        let load = Open::constant(rate(100.0), Some(60 * SECOND), Spacing::Poisson, 10);
        assert_eq!(dues(&load, Part::WHOLE, 7), dues(&load, Part::WHOLE, 7));
        assert_ne!(dues(&load, Part::WHOLE, 7), dues(&load, Part::WHOLE, 8));
        assert_ne!(dues(&load, Part { index: 0, of: 2 }, 7), dues(&load, Part { index: 1, of: 2 }, 7), "streams are independent");
    }

    fn any_stages() -> impl Strategy<Value = Vec<(f64, u64)>> {
        prop::collection::vec((prop_oneof![Just(0.0), 0.0f64..300.0], prop_oneof![Just(0), 0u64..60]), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arrivals_never_decrease_and_are_the_integral(list in any_stages(), poisson: bool, seed: u64) {
            let load = stages(&list, if poisson { Spacing::Poisson } else { Spacing::Even });
            let all = dues(&load, Part::WHOLE, seed);
            prop_assert!(all.is_sorted());
            prop_assert!(all.iter().all(|due| Some(*due) < load.end()));
            if !poisson {
                for (number, due) in all.iter().enumerate() {
                    prop_assert!((load.planned(*due) - number as f64).abs() < 1e-3, "{} at {:?}", number, due);
                }
                let planned = load.planned(load.end().unwrap());
                prop_assert!((all.len() as f64 - planned).abs() <= 1.0, "{} of {}", all.len(), planned);
            }
        }

        #[test]
        fn parts_sum_to_the_plan(list in any_stages(), of in 1u32..9) {
            let load = stages(&list, Spacing::Even);
            let mut all: Vec<_> = (0..of).flat_map(|index| load.arrivals(Part { index, of }, Random::new(0, 0))).collect();
            all.sort_by_key(|arrival| arrival.number);
            prop_assert_eq!(all, load.arrivals(Part::WHOLE, Random::new(0, 0)).collect::<Vec<_>>());
        }
    }
}
