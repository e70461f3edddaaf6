//! When a line of the schedule is due, by a calendar's clock that may be set at any time.
//!
//! ```text
//!  set back a year     next 2027-03-01 10:05 │ the clock says 2026 ▶ next 2026-03-01 10:05
//!  set back 3 minutes  10:05 has run, it is 10:02 again            ▶ next 10:06: no minute runs twice
//!  set forward         next 10:05, it is 13:00                     ▶ next 13:01: what was left out is not made up for
//! ```

use std::time::Duration;

use super::cron::Cron;
use crate::clock::{Instant, Timestamp};

/// One line's next moment, and what the clocks said when they were looked at last.
pub(super) struct Timer {
    next: Option<Timestamp>,
    /// The last minute that it was due.
    ran: Option<Timestamp>,
    looked: (Timestamp, Instant),
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    Due,
    /// Look again after this time at the latest.
    Wait(Duration),
    /// It never comes again.
    Over,
}

/// A clock that has gone so much more or less than the steady one was set. NTP turns a clock by less than a thousandth.
const STEP: f64 = 30.0;
/// A clock that is set back by less repeats minutes that have run; one that is set back by more was wrong.
const REPEATED: f64 = 3.0 * 3600.0;
/// The calendar's clock may be set: it is looked at so often.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(20);

impl Timer {
    pub(super) fn new(cron: &Cron, wall: Timestamp, steady: Instant) -> Self {
        Self { next: cron.after(wall), ran: None, looked: (wall, steady) }
    }

    /// When it is due next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Looks at the clocks. After [`Look::Due`] the moment after this one is the next.
    pub(super) fn look(&mut self, cron: &Cron, wall: Timestamp, steady: Instant) -> Look {
        let went = wall.unix_seconds() - self.looked.0.unix_seconds();
        let should = steady.saturating_duration_since(self.looked.1).as_secs_f64();
        self.looked = (wall, steady);
        if (went - should).abs() > STEP {
            self.next = self.after(cron, wall);
        }
        let Some(next) = self.next else { return Look::Over };
        let left = next.unix_seconds() - wall.unix_seconds();
        if left > 0.0 {
            return Look::Wait(Duration::from_secs_f64(left).min(LOOK_AT_THE_CLOCK));
        }
        self.ran = Some(next);
        self.next = self.after(cron, wall);
        Look::Due
    }

    /// The first moment after `wall` that has not been.
    fn after(&self, cron: &Cron, wall: Timestamp) -> Option<Timestamp> {
        let repeated = |ran: &Timestamp| (0.0..REPEATED).contains(&(ran.unix_seconds() - wall.unix_seconds()));
        cron.after(self.ran.filter(repeated).unwrap_or(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = format!("2026-11-{text}Z").parse().unwrap();
        Timestamp::from_unix(Duration::from_secs(moment.as_second() as u64))
    }

    /// Looks each 20 s from one moment to another; gives when it was due. The steady clock goes on from where it was.
    fn runs(timer: &mut Timer, cron: &Cron, steady: &mut Instant, from: &str, seconds: u64) -> Vec<String> {
        let mut due = Vec::new();
        for passed in (0..=seconds).step_by(20) {
            let wall = Timestamp::from_unix(Duration::from_secs(at(from).unix_seconds() as u64 + passed));
            while timer.look(cron, wall, *steady) == Look::Due {
                due.push(wall.rfc3339()[8..16].to_owned());
            }
            *steady += Duration::from_secs(20);
        }
        due
    }

    #[test]
    fn a_clock_that_is_set_neither_silences_nor_repeats() {
        let cron = Cron::parse("* * * * *").unwrap();
        let minutes = |day: &str, all: &[&str]| all.iter().map(|minute| format!("{day}T10:{minute}")).collect::<Vec<_>>();
        for (then, expected) in [
            // A day, and with it the date, was wrong.
            ("22T10:00:10", minutes("22", &["01", "02"])),
            // Ten minutes: what has run does not run again.
            ("23T09:53:10", vec![]),
            ("23T10:00:50", minutes("23", &["04"])),
            // An hour ahead: one minute after the other from there on.
            ("23T10:30:10", minutes("23", &["31", "32"])),
            ("25T10:10:10", minutes("25", &["11", "12"])),
        ] {
            let mut steady = clock::now();
            let mut timer = Timer::new(&cron, at("23T10:00:30"), steady);
            assert_eq!(runs(&mut timer, &cron, &mut steady, "23T10:00:30", 160), minutes("23", &["01", "02", "03"]));
            let seconds = if then.ends_with("50") { 200 } else { 120 };
            assert_eq!(runs(&mut timer, &cron, &mut steady, then, seconds), expected, "{then}");
        }
    }

    #[test]
    fn a_clock_that_is_turned_slowly_changes_nothing() {
        let cron = Cron::parse("*/5 * * * *").unwrap();
        let began = clock::now();
        let mut timer = Timer::new(&cron, at("23T10:01:00"), began);
        assert_eq!(timer.look(&cron, at("23T10:04:50"), began + Duration::from_secs(220)), Look::Wait(Duration::from_secs(10)));
        assert_eq!(timer.look(&cron, at("23T10:05:01"), began + Duration::from_secs(241)), Look::Due);
        assert_eq!(timer.next(), Some(at("23T10:10:00")));
        let reboot = Cron::parse("@reboot").unwrap();
        assert_eq!(Timer::new(&reboot, at("23T10:01:00"), began).look(&reboot, at("23T10:01:00"), began), Look::Over);
    }
}
