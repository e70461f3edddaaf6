//! Until when a run may take to end, whatever its workers are busy with.
//!
//! ```text
//!  load's end, or a stop   graceful_stop over   all is cut off     results are written, busy workers are left behind
//!  ─────┼──────────────────────────┼──────────────────┼──────────────────────┼──▶
//!       │◀──── graceful_stop ─────▶│◀───── 0.5 s ────▶│◀──────── 1 s ───────▶│
//!  second signal ─────────────────────────────────────┼─────────────────────▶│
//! ```

use std::time::Duration;

use super::Conductor;
use crate::clock::{self, Instant};
use crate::diagnostic::Diagnostic;
use crate::engine::{BusyWorker, Engine, Mode};
use crate::scenario::plan::Plan;
use crate::units::format_duration;

/// Users whose time is over are cut off by then, also ten thousand of them.
const AFTER_STOP: Duration = Duration::from_millis(1500);

/// What is computed for a response is given up then. Whoever asks twice does not want to wait.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// Setup and teardown that are under way after a signal take no longer than `graceful_stop`, but so long they may.
const LEAST_AROUND: Duration = Duration::from_secs(10);

/// When the run was told to end, if it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    stopped: Option<Instant>,
    cut: Option<Instant>,
    /// The workers have been told to cut off what is left.
    pub(super) workers_cut: bool,
}

/// What is due when users had their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    Cut,
    Leave,
}

impl Told {
    pub(super) fn note(&mut self, mode: Mode) {
        let now = clock::now();
        match mode {
            Mode::Run => {}
            Mode::Stop => {
                self.stopped.get_or_insert(now);
            }
            Mode::Cut => {
                self.cut.get_or_insert(now);
            }
        }
    }

    /// What is to be done next, at its moment: first workers cut off what is left, then they are left behind.
    pub(super) fn next(self, load_end: Option<Instant>, graceful_stop: Duration) -> Option<(Instant, Deadline)> {
        let deadline = self.deadline(load_end, graceful_stop)?;
        if self.cut.is_some() || self.workers_cut {
            return Some((deadline, Deadline::Leave));
        }
        Some((deadline.checked_sub(AFTER_CUT).unwrap_or(deadline), Deadline::Cut))
    }

    /// When workers that have not ended are left behind; `load_end`: when the load ends by itself.
    pub(super) fn deadline(self, load_end: Option<Instant>, graceful_stop: Duration) -> Option<Instant> {
        let ends = [self.stopped, load_end].into_iter().flatten().min();
        let graceful = ends.map(|end| later(later(end, graceful_stop), AFTER_STOP));
        let cut = self.cut.map(|cut| cut + AFTER_CUT);
        [graceful, cut].into_iter().flatten().min()
    }
}

/// How long setup or teardown may go on after a signal.
pub(super) fn around(plan: &Plan) -> Duration {
    plan.graceful_stop.max(LEAST_AROUND)
}

/// A moment beyond all times is never.
fn later(at: Instant, by: Duration) -> Instant {
    at + by.min(Duration::from_secs(u64::from(u32::MAX)))
}

impl Conductor<'_> {
    /// Leaves workers behind that have not ended by the deadline. Without a second signal that is a failure of the run.
    pub(super) fn leave(&mut self, engine: &mut Engine, mode: Mode) {
        let (users, busy) = (engine.users(), engine.leave());
        if busy.is_empty() {
            return;
        }
        self.live.set_shards(engine.shards());
        let names = busy.iter().map(|worker| worker.index.to_string()).collect::<Vec<_>>().join(", ");
        let workers = if busy.len() == 1 { "worker" } else { "workers" };
        let message = format!("{workers} {names} did not end: {}", reasons(&busy));
        let missing = format!("{message}; what its {users} users had in flight is not counted");
        let hint = match mode {
            Mode::Cut => "the results hold what was measured up to then".to_owned(),
            Mode::Run | Mode::Stop => {
                format!("the results hold what was measured until {} after `graceful_stop` was over", format_duration(AFTER_STOP))
            }
        };
        self.warn(&Diagnostic::warning(&message).hint(&hint));
        self.notes.push(missing);
        self.left_behind = true;
        if mode != Mode::Cut && self.broken.is_none() {
            self.broken = Some(Diagnostic::error(message).hint(hint));
        }
    }
}

fn reasons(busy: &[BusyWorker]) -> String {
    let each = busy.iter().map(|worker| {
        let unread = if worker.unread { ", and its figures could not be read" } else { "" };
        format!("it was busy with {}{unread}", worker.with)
    });
    let mut each: Vec<_> = each.collect();
    each.dedup();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_deadline_counts() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        let at = |seconds: u32| Some(start + second * seconds);
        let told = |stopped, cut| Told { stopped, cut, workers_cut: false };
        for (told, load_end, graceful_stop, deadline) in [
            (told(None, None), None, second, None),
            (told(None, None), at(10), 5 * second, Some(start + 15 * second + AFTER_STOP)),
            (told(at(3), None), at(10), 5 * second, Some(start + 8 * second + AFTER_STOP)),
            (told(at(12), None), at(10), 5 * second, Some(start + 15 * second + AFTER_STOP)),
            (told(at(3), at(4)), at(10), 5 * second, Some(start + 4 * second + AFTER_CUT)),
            (told(at(3), at(20)), None, 5 * second, Some(start + 8 * second + AFTER_STOP)),
        ] {
            assert_eq!(told.deadline(load_end, graceful_stop), deadline, "{told:?}");
        }
        let stopped = told(at(3), None);
        let cut = start + 8 * second + AFTER_STOP - AFTER_CUT;
        assert_eq!(stopped.next(None, 5 * second), Some((cut, Deadline::Cut)));
        let told_so = Told { workers_cut: true, ..stopped };
        assert_eq!(told_so.next(None, 5 * second), Some((cut + AFTER_CUT, Deadline::Leave)));
        assert!(told(at(0), None).deadline(None, Duration::MAX).is_some(), "no overflow");
    }
}
