//! When users start and stop. A load profile is a pure function of the time since the run's start: it is asked
//! (elapsed, users present) and answers what to do next; only [`crate::engine`] sleeps.
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
//! leaves the remainder `index`. So the parts sum to the whole at every moment.

mod closed;
mod preview;

pub use closed::{Closed, Stage};
pub use preview::draw;

use std::time::Duration;

/// What a run's load is.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub users: Closed,
    /// All users together start this many tasks, and the run ends.
    pub iterations: Option<u64>,
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
    /// What this part does next, having `present` users at `elapsed`.
    pub fn decide(&self, elapsed: Duration, present: u32, part: Part) -> Decision {
        self.users.decide(elapsed, present, part)
    }

    pub fn trend(&self, elapsed: Duration) -> Trend {
        self.users.trend(elapsed)
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
    fn a_worker_without_users_has_no_iterations() {
        let part = |index| Part { index, of: 4 };
        assert_eq!([0, 1, 2, 3].map(|index| part(index).iterations(10, 2)), [5, 5, 0, 0]);
    }
}
