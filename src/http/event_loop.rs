//! How long what is read now may have waited unseen, by the turns of the thread's event loop.
//!
//! ```text
//!   tasks … park │ poll N-1 │ tasks … park │ poll N │ tasks: read
//!                └ unseen since here                └ woken
//! ```
//!
//! What poll N reports had not come when poll N-1 began to wait, or that one would have reported it. Poll N-1 may have reported
//! nothing because a signal ended it: a program that was stopped and continues comes back so. Hence the bound is the beginning of
//! that poll and not its end, and idle time counts. A loop that has more to do than it can do never parks; then all reads may be
//! late, and are.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::{self, Instant};

/// What may have waited longer is late.
///
/// As much as a generator's own part of a response time may be at least (validity), so that a read that is not looked at cannot
/// make a run wrong.
pub(super) const LATE: Duration = Duration::from_micros(100);
/// From here on it is looked at: the reading of the clock that decides is that of the read before.
const LOOK: Duration = Duration::from_micros(50);

/// The turns of this thread's event loop.
struct Turns {
    /// The last moment at which the thread is known to have been doing something.
    last: Cell<Option<Instant>>,
    /// The same, as of the last time that the loop went to wait.
    parked: Cell<Option<Instant>>,
    /// `None`: nobody knows.
    unseen_since: Cell<Option<Instant>>,
    woken: Cell<Option<Instant>>,
    may_be_late: Cell<bool>,
}

thread_local! {
    static TURNS: Turns = const {
        Turns {
            last: Cell::new(None),
            parked: Cell::new(None),
            unseen_since: Cell::new(None),
            woken: Cell::new(None),
            may_be_late: Cell::new(true),
        }
    };
}

/// Has the event loops of a runtime watched. Of others it is not known how long something has waited.
pub fn watch_event_loop(builder: &mut tokio::runtime::Builder) -> &mut tokio::runtime::Builder {
    builder.on_thread_park(|| TURNS.with(Turns::parks)).on_thread_unpark(|| TURNS.with(|turns| turns.unparks(clock::now())))
}

/// Whether what is read now may be late, as of the last reading of the clock.
#[inline]
pub(super) fn may_be_late() -> bool {
    TURNS.with(|turns| turns.may_be_late.get())
}

/// Something was read at `now`. Answers with the moment since which it may have waited; `None` if that is not known.
#[inline]
pub(super) fn read(now: Instant) -> Option<Instant> {
    TURNS.with(|turns| turns.read(now))
}

/// For how long the loop has been busy since it last came back from waiting, if that is late: what is noticed at `now` may have
/// waited for so long at least.
pub(super) fn busy_since_woken(now: Instant) -> Duration {
    let woken = TURNS.with(|turns| turns.woken.get());
    woken.map_or(Duration::ZERO, |woken| late(now.saturating_duration_since(woken)))
}

/// When the loop last came back from waiting.
pub(super) fn woken() -> Option<Instant> {
    TURNS.with(|turns| turns.woken.get())
}

/// Nothing, if it is not late.
pub(super) fn late(by: Duration) -> Duration {
    if by > LATE { by } else { Duration::ZERO }
}

// === Turns ===

impl Turns {
    fn parks(&self) {
        self.unseen_since.set(self.parked.replace(self.last.get()));
    }

    fn unparks(&self, now: Instant) {
        self.last.set(Some(now));
        self.woken.set(Some(now));
        self.may_be_late.set(self.gap(now).is_none_or(|gap| gap > LOOK));
    }

    fn read(&self, now: Instant) -> Option<Instant> {
        self.last.set(Some(now));
        if self.gap(now).is_none_or(|gap| gap > LOOK) {
            self.may_be_late.set(true);
        }
        self.unseen_since.get()
    }

    fn gap(&self, now: Instant) -> Option<Duration> {
        self.unseen_since.get().map(|since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Turns {
        let none = || Cell::new(None);
        Turns { last: none(), parked: none(), unseen_since: none(), woken: none(), may_be_late: Cell::new(true) }
    }

    #[test]
    fn the_gap_counts_from_the_beginning_of_the_poll_before() {
        let (turns, start) = (turns(), clock::now());
        let at = |micros| start + Duration::from_micros(micros);
        assert!(turns.may_be_late.get(), "nothing is known yet");
        // A loop that comes round every 10 µs.
        for turn in 0..5 {
            turns.parks();
            turns.unparks(at(turn * 10));
            let since = turns.read(at(turn * 10 + 2));
            assert_eq!(since, (turn >= 2).then(|| at(turn * 10 - 18)), "the last thing before the poll before");
            assert_eq!(turns.may_be_late.get(), turn < 2);
        }
        // Stopped while it waits. The poll ends by a signal, and the next one reports what has come meanwhile.
        turns.parks();
        turns.unparks(at(30_000));
        turns.parks();
        turns.unparks(at(30_003));
        assert!(turns.may_be_late.get());
        assert_eq!(turns.read(at(30_004)), Some(at(42)));
        // Two quick turns later all is well again.
        for turn in 1..3 {
            turns.parks();
            turns.unparks(at(30_000 + turn * 10));
        }
        assert!(!turns.may_be_late.get());
        // One that never waits is behind more and more.
        turns.read(at(30_040));
        assert!(!turns.may_be_late.get());
        turns.read(at(30_100));
        assert!(turns.may_be_late.get());
    }
}
