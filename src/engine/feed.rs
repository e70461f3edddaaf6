//! Which user gets which row of a data file.
//!
//! Without a seed whoever comes first gets the next row: one counter for all workers. Who comes first depends on how fast the
//! target and the machine are, so with `--seed` rows are dealt like cards, and users are as independent of each other as their
//! random numbers are:
//!
//! ```text
//!  rows          0  1  2  3  4  5  6  7  8  9
//!  one counter   as they come
//!  3 users       a  b  c  a  b  c  a  b  c  a      user a: 0, 3, 6, 9; whichever worker it is on, and however slow b is
//! ```
//!
//! What holds in either way: a `queue` gives no row twice, and shards of a run have disjoint rows (row r is of shard r modulo
//! their number).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::flow::Then;
use super::user::User;
use crate::load::Part;
use crate::random::{Random, permuted};
use crate::scenario::plan::{AtEnd, Feeder, Plan, RowOrder};

/// All feeders of a run.
pub(super) struct Feeds {
    deals: Box<[Deal]>,
    /// By user type: one of its users has ended for want of a row.
    ran_dry: Box<[AtomicBool]>,
    /// Why the run is to end.
    stop: Mutex<Option<String>>,
}

/// The rows of one feeder.
struct Deal {
    order: RowOrder,
    repeats: bool,
    /// How many rows there are for this shard, and which: the first, then each so many further.
    rows: u64,
    first: u64,
    step: u64,
    /// How many rows each hand has been given.
    hands: Box<[AtomicU64]>,
    /// How many of a queue's rows have been given out, by all hands.
    given: AtomicU64,
    /// What chooses the order of a shuffle.
    key: u64,
    /// After so many rows the hands would meet the same ones again, and leave others out: then they move on by one.
    turn: u64,
}

impl Feeds {
    /// `by_user`: with a seed that somebody gave. `shard`: which part of all rows this process has.
    pub(super) fn new(plan: &Plan, seed: u64, by_user: bool, shard: Part) -> Self {
        let users: u64 = plan.crews.iter().map(|crew| u64::from(crew.profile.peak())).sum();
        let hands = if by_user { users.max(1) } else { 1 };
        let deal = |(at, feeder): (usize, &Feeder)| Deal::new(feeder, hands, Random::new(seed, KEYS + at as u64).bits(), shard);
        Self {
            deals: plan.data.iter().enumerate().map(deal).collect(),
            ran_dry: plan.users.iter().map(|_| AtomicBool::new(false)).collect(),
            stop: Mutex::default(),
        }
    }

    /// Why the run is to end, if it is: a feeder has come to its end that says so; or each user has ended for want of rows, and
    /// there is nobody any more.
    pub(super) fn stop(&self, users: i64) -> Option<String> {
        let asked = self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let dry = || {
            users <= 0
                && !self.ran_dry.is_empty()
                && self.ran_dry.iter().all(|dry| dry.load(Ordering::Relaxed))
                && self.deals.iter().all(|deal| deal.repeats || deal.given.load(Ordering::Relaxed) >= deal.rows)
        };
        asked.or_else(|| dry().then(|| "the data has come to its end, and all users with it".to_owned()))
    }

    /// The number of the next row for the user `number`; `None` at the end.
    fn next(&self, feeder: usize, number: u32, random: &mut Random) -> Option<usize> {
        self.deals.get(feeder)?.next(number, random)
    }

    /// A user of the type `kind` has found no row.
    fn ended(&self, plan: &Plan, feeder: usize, kind: usize) {
        self.ran_dry.get(kind).into_iter().for_each(|dry| dry.store(true, Ordering::Relaxed));
        if let Some(feeder) = plan.data.get(feeder)
            && feeder.at_end == AtEnd::StopRun
        {
            let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            stop.get_or_insert_with(|| format!("`{}` has given its last row, and the run stopped", feeder.name));
        }
    }
}

/// Streams of random numbers that belong to no user and no schedule: the schedules' begin at 2³², and have 2¹⁶ for each crew.
const KEYS: u64 = 1 << 56;

impl Deal {
    fn new(feeder: &Feeder, hands: u64, key: u64, shard: Part) -> Self {
        let all = feeder.table.rows() as u64;
        let (first, step) = (u64::from(shard.index), u64::from(shard.of));
        let rows = all.saturating_sub(first).div_ceil(step);
        let common = gcd(rows, hands);
        Self {
            order: feeder.order,
            repeats: feeder.at_end == AtEnd::Repeat,
            rows,
            first,
            step,
            hands: (0..hands).map(|_| AtomicU64::new(0)).collect(),
            given: AtomicU64::new(0),
            key,
            turn: if common > 1 { rows / common * hands } else { u64::MAX },
        }
    }

    fn next(&self, number: u32, random: &mut Random) -> Option<usize> {
        if self.rows == 0 {
            return None;
        }
        let row = if self.order == RowOrder::Random {
            random.below(self.rows)
        } else {
            let hands = self.hands.len() as u64;
            let hand = u64::from(number) % hands;
            let round = self.hands[hand as usize].fetch_add(1, Ordering::Relaxed);
            let at = round.saturating_mul(hands).saturating_add(hand);
            if !self.repeats {
                if at >= self.rows {
                    return None;
                }
                self.given.fetch_add(1, Ordering::Relaxed);
            }
            match self.order {
                RowOrder::Shuffle => permuted(self.key ^ (at / self.rows), self.rows, at % self.rows),
                _ => (at + at / self.turn) % self.rows,
            }
        };
        usize::try_from(self.first + row * self.step).ok()
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl User {
    /// Gives the user a row of each of these feeders. `false`: one of them has none left, and the user is to end.
    pub(super) fn feed(&mut self, feeders: &[usize]) -> bool {
        let plan = &self.context.plan;
        for at in feeders {
            let Some(feeder) = plan.data.get(*at) else { continue };
            let Some(row) = self.context.run.feeds.next(*at, self.number, &mut self.random) else {
                self.context.run.feeds.ended(plan, *at, self.kind);
                self.context.run.signals.hurry();
                self.then = Then::End;
                return false;
            };
            self.scope.set(&feeder.name, feeder.table.row(row));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::scenario::plan::Per;
    use crate::template::{Format, Table};

    fn feeder(rows: usize, order: RowOrder, at_end: AtEnd) -> Feeder {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, (0..rows).map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        let format = Format::Csv { delimiter: b',', quote: b'"', fields: Some(vec!["x".to_owned()]) };
        let table = Arc::new(Table::load(&path, "rows", &format).unwrap());
        Feeder { name: "rows".into(), file: "rows".into(), table, order, per: Per::Task, at_end }
    }

    fn draw(deal: &Deal, users: &[u32]) -> Vec<Option<usize>> {
        let mut random = Random::new(1, 1);
        users.iter().map(|user| deal.next(*user, &mut random)).collect()
    }

    #[test]
    fn circular_rows_come_as_they_are_and_begin_again() {
        let deal = Deal::new(&feeder(3, RowOrder::Circular, AtEnd::Repeat), 1, 0, Part::WHOLE);
        assert_eq!(draw(&deal, &[7, 0, 0, 7, 1, 2, 3]), [0, 1, 2, 0, 1, 2, 0].map(Some));
    }

    #[test]
    fn with_a_seed_a_users_rows_do_not_depend_on_others() {
        let deal = || Deal::new(&feeder(10, RowOrder::Circular, AtEnd::Repeat), 3, 0, Part::WHOLE);
        let alone = draw(&deal(), &[1; 5]);
        assert_eq!(alone, [1, 4, 7, 0, 3].map(Some));
        let deal = deal();
        let beside = draw(&deal, &[1, 0, 0, 0, 1, 2, 1, 0, 1, 1]);
        let own: Vec<_> = [0, 4, 6, 8, 9].map(|at| beside[at]).into();
        assert_eq!(own, alone);
    }

    /// With ten rows and five users, user 0 would see 0 and 5 for ever.
    #[test]
    fn with_a_seed_each_user_comes_to_each_row() {
        for (rows, hands) in [(10, 5), (5, 10), (6, 4), (7, 7), (200, 500)] {
            let deal = Deal::new(&feeder(rows, RowOrder::Circular, AtEnd::Repeat), hands, 0, Part::WHOLE);
            let mut seen: Vec<_> = draw(&deal, &vec![0; rows * rows]).into_iter().flatten().collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), rows, "{rows} rows, {hands} users");
        }
    }

    #[test]
    fn a_shuffle_has_each_row_once_in_a_turn_and_each_turn_differs() {
        let deal = Deal::new(&feeder(50, RowOrder::Shuffle, AtEnd::Repeat), 1, 5, Part::WHOLE);
        let turns: Vec<Vec<_>> = (0..2).map(|_| draw(&deal, &[0; 50])).collect();
        assert_ne!(turns[0], turns[1]);
        for mut turn in turns {
            turn.sort_unstable();
            assert_eq!(turn, (0..50).map(Some).collect::<Vec<_>>());
        }
        let once = Deal::new(&feeder(50, RowOrder::Shuffle, AtEnd::StopUser), 1, 5, Part::WHOLE);
        assert_eq!(draw(&once, &[0; 51])[50], None);
    }

    #[test]
    fn random_rows_are_the_users_own() {
        let deal = Deal::new(&feeder(1000, RowOrder::Random, AtEnd::Repeat), 1, 0, Part::WHOLE);
        let of = |user| {
            let mut random = Random::new(9, user);
            (0..5).map(|_| deal.next(0, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    proptest! {
        /// Whatever the order in which users come, and whether or not they are dealt to.
        #[test]
        fn a_queue_gives_each_row_once_and_then_none(rows in 1usize..60, hands in 1u64..20, shards in 1u32..4, users in prop::collection::vec(0u32..30, 0..100)) {
            let feeder = feeder(rows, RowOrder::Queue, AtEnd::StopUser);
            let mut given = Vec::new();
            for index in 0..shards {
                let deal = Deal::new(&feeder, hands, 0, Part { index, of: shards });
                given.extend(draw(&deal, &users).into_iter().flatten());
                // Then each of them until nothing is left.
                for user in 0..hands as u32 {
                    given.extend(draw(&deal, &vec![user; rows + 1]).into_iter().flatten());
                    prop_assert_eq!(draw(&deal, &[user]), vec![None]);
                }
                prop_assert_eq!(deal.given.load(Ordering::Relaxed), deal.rows);
            }
            given.sort_unstable();
            prop_assert_eq!(given, (0..rows).collect::<Vec<_>>());
        }
    }
}
