//! The one place that reads time.
//!
//! Everything else is handed an [`Instant`] (a point on the monotonic clock: durations, deadlines, latencies) or a
//! [`Timestamp`] (a point in the calendar: result files, exemplars). The monotonic clock is tokio's, so that a test with
//! paused time moves the whole engine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod instant;
mod realtime;

pub use instant::Instant;
pub use realtime::CalendarOffset;

/// A point in the calendar, since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(Duration);

/// Now, on the monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in the calendar. A clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn timestamp() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The calendar's name for a moment of the monotonic clock that is not long ago.
pub fn timestamp_of(instant: Instant) -> Timestamp {
    let ago = now().saturating_duration_since(instant);
    Timestamp(timestamp().0.saturating_sub(ago))
}

// === Timestamp ===

impl Timestamp {
    /// The point `since_epoch` after the Unix epoch.
    pub fn from_unix(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Seconds since the Unix epoch.
    pub fn unix_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Nanoseconds since the Unix epoch; from the year 2554 on it stays the same.
    pub fn unix_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// As RFC 3339 in UTC with milliseconds: `2026-11-23T10:15:30.250Z`.
    pub fn rfc3339(self) -> String {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(timestamp) => timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
        }
    }

    /// Reads what [`Self::rfc3339`] wrote.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let millis = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        Some(Self::from_unix(Duration::from_millis(u64::try_from(millis).ok()?)))
    }

    /// As a part of a file name: `20261123-101530`, in UTC.
    pub fn compact(self) -> String {
        self.rfc3339().chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect::<String>().replace('T', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_in_utc() {
        let timestamp = Timestamp::from_unix(Duration::from_millis(1_795_428_930_250));
        assert_eq!(timestamp.rfc3339(), "2026-11-23T10:15:30.250Z");
        assert_eq!(Timestamp::from_rfc3339(&timestamp.rfc3339()), Some(timestamp));
        assert_eq!(Timestamp::from_rfc3339("yesterday"), None);
        assert_eq!(timestamp.compact(), "20261123-101530");
        assert_eq!(timestamp.unix_nanos(), 1_795_428_930_250_000_000);
    }
}
