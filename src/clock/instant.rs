//! A point on the monotonic clock, as one number.
//!
//! The standard library's holds seconds and nanoseconds; taking one from another, which a request does some ten times, then costs
//! branches and borrows. This one is nanoseconds, and becomes the library's only for a timer.

use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
use std::time::Duration;

/// A point on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub(super) u64);

/// The same moment on both clocks.
struct Origin {
    std: std::time::Instant,
    nanos: u64,
}

#[expect(clippy::disallowed_methods, reason = "a part of the one place")]
fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| {
        // On systems that count from their start, an hour of room for moments before this one.
        let std = tokio::time::Instant::now().into_std();
        Origin { std, nanos: read().unwrap_or(1 << 42) }
    })
}

/// Linux's clock, which the standard library reads too. In tests the clock is tokio's, which may be paused.
#[cfg(all(target_os = "linux", not(test)))]
fn read() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Some(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

#[cfg(not(all(target_os = "linux", not(test))))]
fn read() -> Option<u64> {
    None
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

// === Instant ===

impl Instant {
    #[expect(clippy::disallowed_methods, reason = "a part of the one place")]
    pub(super) fn now() -> Self {
        match read() {
            Some(nanos) => Self(nanos),
            None => tokio::time::Instant::now().into(),
        }
    }

    /// The time since `earlier`; zero if that is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time since `earlier`; zero if that is later.
    pub fn duration_since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time since `earlier`; `None` if that is later.
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// `None` in some centuries.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        self.0.checked_add(nanos(duration)).map(Self)
    }

    /// `None` before the clock began.
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(nanos(duration)).map(Self)
    }

    /// The time since then.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The last moment there is, if it would be later.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// The beginning of the clock, if it would be earlier.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl From<Instant> for tokio::time::Instant {
    fn from(instant: Instant) -> Self {
        let origin = origin();
        let later = Duration::from_nanos(instant.0.saturating_sub(origin.nanos));
        let earlier = Duration::from_nanos(origin.nanos.saturating_sub(instant.0));
        let std = origin.std.checked_sub(earlier).unwrap_or(origin.std);
        // A timer that would ring in centuries never does.
        std.checked_add(later).unwrap_or(std + Duration::from_secs(1 << 32)).into()
    }
}

impl From<tokio::time::Instant> for Instant {
    fn from(instant: tokio::time::Instant) -> Self {
        let (origin, std) = (origin(), instant.into_std());
        let moment = Self(origin.nanos) + std.saturating_duration_since(origin.std);
        moment - origin.std.saturating_duration_since(std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_it_is_the_same_moment() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        for moment in [now, now + 3600 * second, now - 60 * second] {
            assert_eq!(Instant::from(tokio::time::Instant::from(moment)), moment);
        }
        assert_eq!((now + second - now, now - (now + second)), (second, Duration::ZERO));
        assert_eq!((now + second).checked_duration_since(now), Some(second));
        assert_eq!(now.checked_duration_since(now + second), None);
        assert!(tokio::time::Instant::from(now + Duration::MAX) > tokio::time::Instant::from(now + 3600 * second));
    }
}
