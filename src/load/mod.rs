//! When users, or tasks, start and stop. A load profile is a pure function of the time since its start: a closed one is asked
//! (elapsed, users present) and answers what to do next, an open one lists when tasks arrive; only [`crate::engine`] sleeps.
//!
//! ```text
//!  users        stages: [{users: 4, over: 4s}, {users: 4, over: 3s}, {users: 0, over: 2s}]
//!    4 |          ________
//!    3 |       _ /        \         user 1 starts at 1 s, user 2 at 2 s, …
//!    2 |    _ /            \        the first one stops at 7.5 s, the last one at 9 s
//!    1 | _ /                \
//!    0 +--------------------------> s
//! ```
//!
//! A profile is split over workers by slots: of the users 0, 1, 2, …, worker `index` of `of` has those whose number
//! leaves the remainder `index`; and likewise of the arrivals of an open load. So the parts sum to the whole at every moment.
//!
//! | file | holds |
//! |---|---|
//! | `closed.rs` | users over time: a constant number, stages |
//! | `shapes.rs` | `spike`, `stress`, `soak`, as users over time |
//! | `open.rs` | arrivals: a constant rate, stages; even or Poisson |
//! | `course.rs` | what becomes of a load that is steered by hand, or whose target breaks |
//! | `limits.rs` | how much of it one machine can bear |
//! | `preview.rs` | the curve, drawn |

mod closed;
mod course;
pub mod limits;
mod open;
mod preview;
mod shapes;

pub use closed::{Closed, Stage};
pub use course::{Course, Steering, Wish};
pub use open::{Arrival, Arrivals, Open, RateStage, Spacing};
pub use preview::draw;
pub use shapes::{Soak, Spike, Step, Stress};

use std::time::Duration;

/// When a crew's users or tasks start.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// So many users, each of whom does one task after the other.
    Closed {
        users: Closed,
        /// All users together start this many tasks, and the load ends.
        iterations: Option<u64>,
    },
    /// So many users as the target bears.
    Stress(Stress),
    /// So many tasks a second.
    Open(Open),
}

/// A worker's part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start one user, who was due at this time.
    Start { due: Duration },
    /// Stop the user that came last.
    Stop,
    /// Nothing until then.
    WaitUntil(Duration),
    /// Nothing until told otherwise.
    Idle,
    /// The load has ended.
    Done,
}

/// Where a run stands, as far as the load says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    Rising,
    Steady,
    Falling,
    Over,
}

// === impl Part ===

impl Part {
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// How many of the slots `0..users` are this part's.
    pub fn count(self, users: u32) -> u32 {
        (u64::from(users) + u64::from(self.of) - 1 - u64::from(self.index)) as u32 / self.of
    }

    /// The slot of this part's user `local` (from 0).
    pub fn slot(self, local: u32) -> u32 {
        local * self.of + self.index
    }

    /// This part's share of `iterations`, in proportion to its share of `users`.
    pub fn iterations(self, iterations: u64, users: u32) -> u64 {
        let users = u128::from(users.max(1));
        let before: u128 = (0..self.index).map(|index| u128::from(Self { index, of: self.of }.count(users as u32))).sum();
        let until = before + u128::from(self.count(users as u32));
        let share = |users_before: u128| u128::from(iterations) * users_before / users;
        (share(until) - share(before)) as u64
    }
}

// === impl Profile ===

impl Profile {
    /// When the load ends by itself, at the latest.
    pub fn end(&self) -> Option<Duration> {
        match self {
            Self::Closed { users, .. } => users.end(),
            Self::Stress(stress) => stress.curve(None).end(),
            Self::Open(open) => open.end(),
        }
    }

    /// The largest number of users at any time.
    pub fn peak(&self) -> u32 {
        match self {
            Self::Closed { users, .. } => users.peak(),
            Self::Stress(stress) => stress.to(),
            Self::Open(open) => open.max_users(),
        }
    }

    /// When it changes no more.
    pub fn settled(&self) -> Duration {
        match self {
            Self::Closed { users, .. } => users.settled(),
            Self::Stress(stress) => stress.climb(),
            Self::Open(open) => open.settled(),
        }
    }

    /// The tasks after which it ends.
    pub fn iterations(&self) -> Option<u64> {
        match self {
            Self::Closed { iterations, .. } => *iterations,
            Self::Stress(_) | Self::Open(_) => None,
        }
    }
}

impl Trend {
    /// Of several loads beside each other: what changes shows before what does not, and what is over only alone.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        [Self::Rising, Self::Falling, Self::Steady].into_iter().find(|trend| [self, other].contains(trend)).unwrap_or(Self::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(users in 0u32..100_000, of in 1u32..17, iterations in 0u64..10_000_000) {
            let parts = (0..of).map(|index| Part { index, of });
            prop_assert_eq!(parts.clone().map(|part| part.count(users)).sum::<u32>(), users);
            prop_assert_eq!(parts.map(|part| part.iterations(iterations, users)).sum::<u64>(), if users == 0 { 0 } else { iterations });
        }

        #[test]
        fn slots_are_shared_out_once(users in 1u32..500, of in 1u32..9) {
            let mut slots: Vec<_> = (0..of)
                .map(|index| Part { index, of })
                .flat_map(|part| (0..part.count(users)).map(move |local| part.slot(local)))
                .collect();
            slots.sort_unstable();
            prop_assert_eq!(slots, (0..users).collect::<Vec<_>>());
        }
    }

    #[test]
    fn trends_of_several_loads() {
        use Trend::{Falling, Over, Rising, Steady};
        for (a, b, both) in [(Rising, Steady, Rising), (Over, Steady, Steady), (Over, Over, Over), (Falling, Steady, Falling)] {
            assert_eq!((a.beside(b), b.beside(a)), (both, both));
        }
    }

    #[test]
    fn a_worker_without_users_has_no_iterations() {
        let part = |index| Part { index, of: 4 };
        assert_eq!([0, 1, 2, 3].map(|index| part(index).iterations(10, 2)), [5, 5, 0, 0]);
    }
}
