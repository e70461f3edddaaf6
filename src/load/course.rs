//! What comes between a load and its plan: its target broke, or somebody steers it by hand. Both are moments of the load's own
//! time, so what follows from them is a pure function like the plan itself.
//!
//! ```text
//!  users
//!   1000 |            __________
//!        |          /           |            {users: 1000, spawn_rate: 100} at 5 s, {users: 50} at 30 s:
//!    100 |_________/            |            each time from the users of that moment; the load ends when it would have
//!     50 |                      |_________
//!        0---------5s----------30s-------->
//! ```

use std::borrow::Cow;
use std::time::Duration;

use super::{Closed, Open, Profile, Trend};
use crate::units::Rate;

/// What has become of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Course {
    /// Of a stress: when its target broke.
    pub broke_at: Option<Duration>,
    /// What it was told last; nothing before that matters any more.
    pub steering: Option<Steering>,
}

/// What is wanted of a load from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    /// So many users: the first who comes or goes does so at once, the others at this rate; all at once without one.
    Users { to: u32, spawn_rate: Option<Rate> },
    /// So many arrivals a second, at once.
    Arrivals(Rate),
}

/// A wish in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steering {
    Users {
        at: Duration,
        from: u32,
        to: u32,
        spawn_rate: Option<Rate>,
        end: Option<Duration>,
    },
    Arrivals {
        at: Duration,
        rate: Rate,
        /// Arrivals up to then, as the integral of the rate has it.
        planned: f64,
    },
}

impl Course {
    /// When it was steered last.
    pub fn since(&self) -> Option<Duration> {
        match self.steering? {
            Steering::Users { at, .. } | Steering::Arrivals { at, .. } => Some(at),
        }
    }
}

impl Profile {
    /// What `wish` means at `at` of a load that has come this way; `None` if it is of the other kind.
    pub fn steer(&self, at: Duration, course: &Course, wish: Wish) -> Option<Steering> {
        match wish {
            Wish::Users { to, spawn_rate } => {
                let curve = self.curve(course)?;
                Some(Steering::Users { at, from: curve.users_at(at), to, spawn_rate, end: curve.end() })
            }
            Wish::Arrivals(rate) => Some(Steering::Arrivals { at, rate, planned: self.arrivals(course)?.planned(at) }),
        }
    }

    /// The curve of users; none of an open load.
    pub fn curve(&self, course: &Course) -> Option<Cow<'_, Closed>> {
        match (self, course.steering) {
            (Self::Open(_), _) => None,
            (_, Some(Steering::Users { at, from, to, spawn_rate, end })) => {
                Some(Cow::Owned(Closed::steered(at, from, to, spawn_rate, end)))
            }
            (Self::Closed { users, .. }, _) => Some(Cow::Borrowed(users)),
            (Self::Stress(stress), _) => Some(Cow::Owned(stress.curve(course.broke_at))),
        }
    }

    /// The rate of arrivals; none of a closed load.
    pub fn arrivals(&self, course: &Course) -> Option<Cow<'_, Open>> {
        match (self, course.steering) {
            (Self::Open(open), Some(Steering::Arrivals { at, rate, planned })) => {
                Some(Cow::Owned(open.steered(at, rate, planned)))
            }
            (Self::Open(open), _) => Some(Cow::Borrowed(open)),
            _ => None,
        }
    }

    /// When the load ends by itself, given what became of it.
    pub fn end_of(&self, course: &Course) -> Option<Duration> {
        match self {
            Self::Open(open) => open.end(),
            _ => self.curve(course)?.end(),
        }
    }

    /// The number of users that should be there at `elapsed`; of an open load the most that may be.
    pub fn users_at(&self, elapsed: Duration, course: &Course) -> u32 {
        match self {
            // Without the curve, which has a step for each level.
            Self::Stress(stress) if course.steering.is_none() => stress.users_at(elapsed, course.broke_at),
            Self::Open(open) if self.trend(elapsed, course) != Trend::Over => open.max_users(),
            _ => self.curve(course).map_or(0, |curve| curve.users_at(elapsed)),
        }
    }

    pub fn trend(&self, elapsed: Duration, course: &Course) -> Trend {
        match self {
            Self::Stress(stress) if course.steering.is_none() => stress.trend(elapsed, course.broke_at),
            Self::Open(_) => self.arrivals(course).map_or(Trend::Over, |open| open.trend(elapsed)),
            _ => self.curve(course).map_or(Trend::Over, |curve| curve.trend(elapsed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::{Arrival, Decision, Part, Spacing, Stress};
    use crate::random::Random;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(per_second: f64) -> Rate {
        Rate::try_new(per_second).unwrap()
    }

    fn constant(users: u32, end: Option<Duration>) -> Profile {
        Profile::Closed { users: Closed::constant(users, None, end), iterations: None }
    }

    fn steered(profile: &Profile, at: Duration, course: Course, wish: Wish) -> Course {
        Course { steering: profile.steer(at, &course, wish), ..course }
    }

    #[test]
    fn from_the_users_of_the_moment_at_the_spawn_rate() {
        let profile = constant(100, Some(60 * SECOND));
        let up = steered(&profile, 5 * SECOND, Course::default(), Wish::Users { to: 1000, spawn_rate: Some(rate(100.0)) });
        // The first at once, then one each 10 ms: the last one is number 900, after 8.99 s.
        for (millis, users) in [(4999, 100), (5000, 101), (5009, 101), (5010, 102), (6000, 201), (13_989, 999), (13_990, 1000)] {
            assert_eq!(profile.users_at(Duration::from_millis(millis), &up), users, "at {millis} ms");
        }
        // Turned round on its way.
        let down = steered(&profile, 10 * SECOND, up, Wish::Users { to: 50, spawn_rate: Some(rate(500.0)) });
        for (millis, users) in [(10_000, 600), (10_002, 599), (11_000, 100), (11_100, 50), (59_999, 50), (60_000, 0)] {
            assert_eq!(profile.users_at(Duration::from_millis(millis), &down), users, "at {millis} ms");
        }
        assert_eq!(profile.trend(10 * SECOND, &down), Trend::Falling);
        assert_eq!(profile.trend(12 * SECOND, &down), Trend::Steady);
        assert_eq!(profile.trend(60 * SECOND, &down), Trend::Over, "it ends when it would have");
        let at_once = steered(&profile, 20 * SECOND, down, Wish::Users { to: 7, spawn_rate: None });
        assert_eq!(profile.users_at(20 * SECOND, &at_once), 7);
    }

    #[test]
    fn stages_and_a_stress_are_left_behind() {
        let stress = Profile::Stress(Stress::new(10, 30, 10, 10 * SECOND, 20 * SECOND));
        let course = steered(&stress, 15 * SECOND, Course::default(), Wish::Users { to: 5, spawn_rate: None });
        for (at, users) in [(15, 5), (25, 5), (45, 5), (50, 0)] {
            assert_eq!(stress.users_at(at * SECOND, &course), users, "at {at} s");
        }
        let open = Profile::Open(Open::constant(rate(5.0), None, Spacing::Even, 1));
        assert_eq!(open.steer(SECOND, &Course::default(), Wish::Users { to: 1, spawn_rate: None }), None);
        assert_eq!(stress.steer(SECOND, &Course::default(), Wish::Arrivals(rate(1.0))), None);
    }

    #[test]
    fn a_new_rate_goes_on_where_the_old_one_was() {
        // Ten a second, and from 0.95 s on four: number 10 would be due at 1 s, half of its distance is left.
        let profile = Profile::Open(Open::constant(rate(10.0), Some(3 * SECOND), Spacing::Even, 1));
        let course = steered(&profile, SECOND * 95 / 100, Course::default(), Wish::Arrivals(rate(4.0)));
        let open = profile.arrivals(&course).unwrap();
        let mut arrivals = profile.arrivals(&Course::default()).unwrap().arrivals(Part::WHOLE, Random::new(0, 0));
        let before: Vec<_> = (0..10).map(|_| arrivals.next().unwrap().number).collect();
        arrivals.steer(&open);
        let after: Vec<_> = arrivals.map(|arrival| (arrival.number, arrival.due.as_millis())).collect();
        assert_eq!(before, (0..10).collect::<Vec<_>>());
        assert_eq!(
            after,
            [1075, 1325, 1575, 1825, 2075, 2325, 2575, 2825].into_iter().zip(10..).map(|(due, n)| (n, due)).collect::<Vec<_>>()
        );
        assert_eq!((open.rate_at(2 * SECOND), open.end()), (4.0, Some(3 * SECOND)));
        // Nothing at all, and some again.
        let none = steered(&profile, SECOND * 2, course, Wish::Arrivals(rate(0.0)));
        let mut arrivals = open.arrivals(Part::WHOLE, Random::new(0, 0));
        while arrivals.peek().is_some_and(|arrival| arrival.due <= 2 * SECOND) {
            arrivals.next();
        }
        arrivals.steer(&profile.arrivals(&none).unwrap());
        assert_eq!(arrivals.next(), None);
        let again = steered(&profile, SECOND * 5 / 2, none, Wish::Arrivals(rate(10.0)));
        arrivals.steer(&profile.arrivals(&again).unwrap());
        assert!(arrivals.next().unwrap().due >= SECOND * 5 / 2);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole_wherever_it_was_steered(
            users in 0u32..300, wishes in prop::collection::vec((0u32..2000, 0u64..20_000, 1.0f64..900.0), 1..5), of in 1u32..6,
        ) {
            let profile = constant(users, None);
            let (mut course, mut at) = (Course::default(), Duration::ZERO);
            for (to, later, per_second) in wishes {
                at += Duration::from_millis(later);
                let before = profile.users_at(at, &course);
                course = steered(&profile, at, course, Wish::Users { to, spawn_rate: Some(rate(per_second)) });
                // Nobody comes or goes but the first.
                prop_assert!(profile.users_at(at, &course).abs_diff(before) <= 1);
                let over = at + Duration::from_secs_f64(f64::from(to.abs_diff(before)) / per_second);
                prop_assert_eq!(profile.users_at(over, &course), to, "within the spawn rate");
                let curve = profile.curve(&course).unwrap();
                let half = at + (over - at) / 2;
                let parts = (0..of).map(|index| {
                    // What each worker comes to from nothing.
                    let (part, mut present) = (Part { index, of }, 0);
                    while let Decision::Start { due } = curve.decide(half, present, part) {
                        prop_assert!(due <= half);
                        present += 1;
                    }
                    Ok(present)
                });
                prop_assert_eq!(parts.sum::<Result<u32, _>>()?, profile.users_at(half, &course));
            }
        }

        #[test]
        fn arrivals_are_given_once_wherever_they_are_steered(
            first in 1.0f64..200.0, second in 1.0f64..200.0, millis in 1u64..5000, of in 1u32..5, poisson: bool,
        ) {
            let spacing = if poisson { Spacing::Poisson } else { Spacing::Even };
            let profile = Profile::Open(Open::constant(rate(first), Some(10 * SECOND), spacing, 1));
            let at = Duration::from_millis(millis);
            let course = steered(&profile, at, Course::default(), Wish::Arrivals(rate(second)));
            let open = profile.arrivals(&course).unwrap();
            let mut all: Vec<Arrival> = Vec::new();
            for index in 0..of {
                let mut arrivals = profile.arrivals(&Course::default()).unwrap().arrivals(Part { index, of }, Random::new(1, index.into()));
                while arrivals.peek().is_some_and(|arrival| arrival.due <= at) {
                    all.extend(arrivals.next());
                }
                arrivals.steer(&open);
                all.extend(arrivals);
            }
            all.sort_by_key(|arrival| arrival.number);
            if !poisson {
                prop_assert!(all.iter().zip(0..).all(|(arrival, number)| arrival.number == number), "each once");
                prop_assert!(all.is_sorted_by_key(|arrival| arrival.due));
                prop_assert!((all.len() as f64 - open.planned(10 * SECOND)).abs() <= 1.001);
            } else {
                let planned = open.planned(10 * SECOND);
                prop_assert!((all.len() as f64 - planned).abs() < 6.0 * planned.sqrt() + 6.0, "{} of {}", all.len(), planned);
            }
        }
    }
}
