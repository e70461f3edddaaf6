//! Moments that the kernel has stamped with the calendar's clock, on the monotonic one.
//!
//! The two clocks run alike, but the calendar's may be set at any time. So their difference is measured anew each millisecond, and a
//! moment is refused if it has changed since the last one: on which side of the change it lies is not known.

use std::time::Duration;

use super::{Instant, Timestamp, now, timestamp};

/// Turns moments of the calendar into moments of the monotonic clock.
#[derive(Debug, Default)]
pub struct CalendarOffset {
    /// Nanoseconds of the calendar less those of the monotonic clock, as last measured.
    last: Option<i128>,
    measured: Option<Instant>,
}

/// A reading of both clocks that took longer was interrupted, and is repeated.
const LONGEST_READING: Duration = Duration::from_micros(20);
const MOST_READINGS: usize = 5;
/// For so long a measurement is used again.
const FRESH: Duration = Duration::from_millis(1);
/// Two measurements differ by no more than this unless a clock was set.
const TOLERANCE_NANOS: u128 = 50_000;

// === CalendarOffset ===

impl CalendarOffset {
    /// What the calendar called `at`, as seen `now`. `None` if a clock was set since the last call, or cannot be read at once.
    pub fn instant_of(&mut self, at: Timestamp, now: Instant) -> Option<Instant> {
        // A measurement reads clocks three times, which is much for each of 200,000 reads per second.
        let fresh = self.measured.is_some_and(|measured| now.saturating_duration_since(measured) < FRESH);
        let offset = match self.last.filter(|_| fresh) {
            Some(offset) => offset,
            None => {
                let offset = measure()?;
                self.measured = Some(now);
                offset
            }
        };
        self.instant_by(at, offset)
    }

    fn instant_by(&mut self, at: Timestamp, offset: i128) -> Option<Instant> {
        let before = self.last.replace(offset);
        if before.is_some_and(|before| before.abs_diff(offset) > TOLERANCE_NANOS) {
            return None;
        }
        u64::try_from(i128::from(at.unix_nanos()) - offset).ok().map(Instant)
    }
}

fn measure() -> Option<i128> {
    for _ in 0..MOST_READINGS {
        let before = now();
        let calendar = timestamp();
        let took = now().saturating_duration_since(before);
        if took <= LONGEST_READING {
            let middle = before + took / 2;
            return Some(i128::from(calendar.unix_nanos()) - i128::from(middle.0));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_the_calendar_is_one_of_the_monotonic_clock() {
        let mut offset = CalendarOffset::default();
        for _ in 0..10 {
            let before = now();
            let stamp = timestamp();
            let after = now();
            let at = offset.instant_of(stamp, after).unwrap();
            let slack = Duration::from_micros(20);
            assert!(at + slack >= before && at <= after + slack, "{before:?} {at:?} {after:?}");
        }
    }

    #[test]
    fn after_a_clock_was_set_one_moment_is_refused() {
        let (mut offset, at) = (CalendarOffset::default(), Timestamp::from_unix(Duration::from_secs(1000)));
        let nanos = |seconds: f64| (seconds * 1e9) as i128;
        assert_eq!(offset.instant_by(at, nanos(900.0)), Some(Instant(100_000_000_000)));
        assert_eq!(offset.instant_by(at, nanos(900.000_01)), Some(Instant(99_999_990_000)), "as exact as it can be measured");
        assert_eq!(offset.instant_by(at, nanos(900.004)), None, "set by 4 ms");
        assert_eq!(offset.instant_by(at, nanos(900.004)), Some(Instant(99_996_000_000)));
        assert_eq!(offset.instant_by(at, nanos(-7200.0)), None, "by hours");
        assert_eq!(offset.instant_by(at, nanos(2000.0)), None);
        assert_eq!(offset.instant_by(at, nanos(2000.0)), None, "before the clock began");
    }
}
