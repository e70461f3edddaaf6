//! What the kernel's note of an arrival is worth: when a late read really came, or by how much that is unknown.

use std::cell::RefCell;
use std::time::Duration;

use super::super::event_loop::{self, LATE};
use super::arrival::{Arrival, Counted};
use crate::clock::{CalendarOffset, Instant};

/// When something arrived that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) at: Instant,
    /// It may have been so much earlier.
    pub(super) unresolved: Duration,
}

/// The clocks are read one after the other, so a stamp may seem to lie a little outside of its bounds.
const SLACK: Duration = Duration::from_micros(20);
/// A stamp that lies further back is checked although the loop was busy since.
const CHECKED: Duration = Duration::from_millis(2);
/// The longest tick of a kernel, in which it counts the age of data.
const TICK: Duration = Duration::from_millis(10);

thread_local! {
    static CALENDAR: RefCell<CalendarOffset> = RefCell::default();
}

impl Arrived {
    pub(super) fn at(at: Instant) -> Self {
        Self { at, unresolved: Duration::ZERO }
    }
}

/// When something arrived that was read at `read_at`: not before `earliest`, when it was asked for, nor before `since`, when the
/// event loop began the poll that did not report it. `counted` asks the connection.
#[cold]
pub(super) fn arrived(
    arrival: Arrival,
    (earliest, since, read_at): (Instant, Option<Instant>, Instant),
    out_of_order: &mut u32,
    counted: impl FnOnce() -> Option<Counted>,
) -> Arrived {
    let stamp = match arrival {
        // The thread was held up between the decision not to ask and the read.
        Arrival::Prompt => {
            let waited = read_at.saturating_duration_since(since.unwrap_or(earliest).max(earliest));
            return Arrived { at: read_at, unresolved: event_loop::late(waited) };
        }
        Arrival::Unknown => return Arrived { at: read_at, unresolved: noticed_late(read_at).min(read_at - earliest) },
        Arrival::Stamped(stamp) => stamp,
    };
    let refused = |age: Duration| {
        let unresolved = noticed_late(read_at).max(if age > TICK { age } else { Duration::ZERO });
        Arrived { at: read_at, unresolved: unresolved.min(read_at - earliest) }
    };
    let bound = since.unwrap_or(earliest).max(earliest);
    let at = CALENDAR.with_borrow_mut(|calendar| calendar.instant_of(stamp, read_at));
    let Some(at) = at.filter(|at| *at + SLACK >= bound && *at <= read_at + SLACK) else {
        return refused(counted().map_or(Duration::ZERO, |counted| counted.data_age));
    };
    let at = at.clamp(earliest, read_at.max(earliest));
    let lag = read_at.saturating_duration_since(at);
    // While the loop waited it should have been woken. Was it not, or is the stamp that of a segment that had to wait for others?
    let waited = event_loop::woken().is_none_or(|woken| at < woken);
    if lag > CHECKED || (lag > LATE && waited) {
        match counted() {
            Some(counted) if counted.out_of_order == *out_of_order => {}
            Some(counted) => {
                *out_of_order = counted.out_of_order;
                return refused(counted.data_age);
            }
            None => return refused(Duration::ZERO),
        }
    }
    Arrived::at(at)
}

/// How late something was noticed at `now` of which there is no stamp, at least.
fn noticed_late(now: Instant) -> Duration {
    event_loop::busy_since_woken(now)
}

/// How late a connection was noticed at `now`, or that its handshake was over.
pub(super) fn connected(counted: Option<Counted>, now: Instant) -> Duration {
    let age = counted.map_or(Duration::ZERO, |counted| counted.data_age);
    noticed_late(now).max(if age > TICK { age } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn counted(out_of_order: u32, data_age: u64) -> impl FnOnce() -> Option<Counted> {
        move || Some(Counted { out_of_order, data_age: MS(data_age) })
    }

    #[test]
    fn a_stamp_counts_within_its_bounds_and_in_order() {
        let read_at = clock::now();
        let (asked, since) = (read_at - MS(100), Some(read_at - MS(60)));
        let stamp = |before: Duration| Arrival::Stamped(clock::timestamp_of(read_at - before));
        let is_at = |arrived: Arrived, before: Duration| {
            assert_eq!(arrived.unresolved, Duration::ZERO);
            let off = (arrived.at + before)
                .saturating_duration_since(read_at)
                .max(read_at.saturating_duration_since(arrived.at + before));
            assert!(off < Duration::from_micros(100), "{off:?}");
        };
        let times = (asked, since, read_at);
        is_at(arrived(stamp(MS(50)), times, &mut 0, counted(0, 48)), MS(50));
        is_at(arrived(stamp(Duration::from_micros(40)), times, &mut 0, || None), Duration::from_micros(40));
        // Before the poll that did not report it, before it was asked for, and after now: a clock was set.
        for wrong in [stamp(MS(70)), stamp(MS(400)), Arrival::Stamped(clock::timestamp_of(read_at + MS(5)))] {
            let late = arrived(wrong, times, &mut 0, counted(0, 48));
            assert_eq!(late, Arrived { at: read_at, unresolved: MS(48) });
        }
        // Something came out of order: the age of what could be read is known to a tick. The next response is believed again.
        let mut seen = 0;
        assert_eq!(arrived(stamp(MS(50)), times, &mut seen, counted(3, 4)), Arrived::at(read_at));
        assert_eq!(arrived(stamp(MS(50)), times, &mut 1, counted(3, 40)), Arrived { at: read_at, unresolved: MS(40) });
        is_at(arrived(stamp(MS(50)), times, &mut seen, counted(3, 48)), MS(50));
        // A kernel that does not count may be wrong by anything.
        assert_eq!(arrived(stamp(MS(50)), times, &mut 0, || None), Arrived::at(read_at));
    }

    #[test]
    fn what_was_not_asked_for_is_late_by_no_more_than_the_gap() {
        let read_at = clock::now();
        let late = |since: Duration, asked: Duration| {
            arrived(Arrival::Prompt, (read_at - asked, Some(read_at - since), read_at), &mut 0, || None).unresolved
        };
        assert_eq!([late(MS(30), MS(100)), late(MS(30), MS(20)), late(MS(30), MS(0))], [MS(30), MS(20), MS(0)]);
    }
}
