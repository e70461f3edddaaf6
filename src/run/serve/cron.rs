//! When a schedule is due: the five fields of cron, in UTC.
//!
//! ```text
//!  minute hour day-of-month month day-of-week        */15 8-18 * * mon-fri      every quarter of an hour of a working day
//!  0–59   0–23 1–31         1–12  0–7 (0, 7: Sunday) 0 3 1,15 * *               at three, on the first and the fifteenth
//! ```
//!
//! Each field is a list of `*`, numbers, names and ranges, which may have a step. As in cron, when both days are restricted either
//! of them is enough. Also: `@hourly`, `@daily`, `@weekly`, `@monthly`; and `@reboot`, once when the daemon has started.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// A schedule.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cron {
    text: String,
    /// A bit for each value.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days are restricted.
    either_day: bool,
    at_start: bool,
}

const MINUTE: u64 = 60;
/// Every date comes again within so many years: the 29th of February that is a Monday, after at most 40.
const YEARS: u64 = 41;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// # Errors
    /// Names the field that is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let spelt = match text.trim() {
            "@reboot" => return Ok(Self::once(text.trim())),
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            other => other,
        };
        let fields: Vec<_> = spelt.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!(
                "`{text}` has {} fields; there are five: minute, hour, day of month, month, day of week",
                fields.len()
            ));
        };
        let sundays = field("day of week", weekdays, 0, 7, &WEEKDAYS)?;
        let cron = Self {
            text: text.trim().to_owned(),
            minutes: field("minute", minutes, 0, 59, &[])?,
            hours: field("hour", hours, 0, 23, &[])?,
            days: field("day of month", days, 1, 31, &[])?,
            months: field("month", months, 1, 12, &MONTHS)?,
            weekdays: (sundays | sundays >> 7) & 0x7f,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
            at_start: false,
        };
        if cron.after(Timestamp::from_unix(Duration::ZERO)).is_none() {
            return Err(format!("`{text}` never comes: no such month has that day"));
        }
        Ok(cron)
    }

    /// At the start, and in no minute of any day after it.
    fn once(text: &str) -> Self {
        let (minutes, hours, days, months, weekdays) = (0, 0, 0, 0, 0);
        Self { text: text.to_owned(), minutes, hours, days, months, weekdays, either_day: false, at_start: true }
    }

    /// Whether it is due when the daemon has started.
    pub(super) fn at_start(&self) -> bool {
        self.at_start
    }

    /// The first minute after `now` that it is due.
    pub(super) fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let first = now.unix_seconds() as u64 / MINUTE + 1;
        let mut day = first / (24 * 60);
        let mut least = first % (24 * 60);
        for _ in 0..YEARS * 366 {
            if self.on(day) {
                let minute = (least..24 * 60).find(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60));
                if let Some(minute) = minute {
                    return Some(Timestamp::from_unix(Duration::from_secs((day * 24 * 60 + minute) * MINUTE)));
                }
            }
            (day, least) = (day + 1, 0);
        }
        None
    }

    /// Whether it is due at all on this day since the epoch.
    fn on(&self, day: u64) -> bool {
        let (month, of_month) = month_and_day(day);
        // The first of January 1970 was a Thursday.
        let (date, weekday) = (has(self.days, of_month), has(self.weekdays, (day + 4) % 7));
        has(self.months, month) && if self.either_day { date || weekday } else { date && weekday }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn has(set: u64, value: u64) -> bool {
    set >> value & 1 == 1
}

/// Month and day of the month of a day since the epoch (Howard Hinnant, `civil_from_days`).
fn month_and_day(day: u64) -> (u64, u64) {
    let of_era = (day + 719_468) % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    (if shifted < 10 { shifted + 3 } else { shifted - 9 }, of_year - (153 * shifted + 2) / 5 + 1)
}

fn field(name: &str, text: &str, least: u64, most: u64, names: &[&str]) -> Result<u64, String> {
    let wrong = |part: &str, why: &str| format!("{name} `{part}`: {why}");
    let value = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        // Days of the week begin with 0, months with 1.
        named.map(|at| at as u64 + least).or_else(|| text.parse().ok().filter(|value| (least..=most).contains(value)))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let bounds = match range.split_once('-') {
            _ if range == "*" => Some((least, most)),
            Some((from, to)) => value(from).zip(value(to)),
            // `5/15` goes on to the end.
            None => value(range).map(|from| (from, if step.is_some() { most } else { from })),
        };
        let Some((from, to)) = bounds else { return Err(wrong(part, &format!("write numbers from {least} to {most}"))) };
        if from > to {
            return Err(wrong(part, "the range ends before it begins"));
        }
        let step = match step.map(str::parse::<u64>) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err(wrong(part, "the step is no number above 0")),
        };
        (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX)).for_each(|value| set |= 1 << value);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_unix(Duration::from_secs(moment.as_second() as u64))
    }

    #[test]
    fn the_next_moment() {
        for (cron, now, next) in [
            ("* * * * *", "2026-11-23T10:15:30Z", "2026-11-23T10:16:00.000Z"),
            ("* * * * *", "2026-11-23T10:15:00Z", "2026-11-23T10:16:00.000Z"),
            ("*/15 * * * *", "2026-11-23T10:46:00Z", "2026-11-23T11:00:00.000Z"),
            ("5/20 3 * * *", "2026-12-31T03:45:00Z", "2027-01-01T03:05:00.000Z"),
            ("0 8-18/2 * * mon-fri", "2026-11-20T18:00:00Z", "2026-11-23T08:00:00.000Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z"),
            ("0 0 29 feb *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00.000Z"),
            // Either day is enough: the 13th, or a Friday.
            ("0 0 13 * fri", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00.000Z"),
            ("0 0 13 * 5", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00.000Z"),
            ("30 12 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T12:30:00.000Z"),
            ("@weekly", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00.000Z"),
            ("1,2,50-52 * * * *", "2026-11-23T10:02:00Z", "2026-11-23T10:50:00.000Z"),
        ] {
            assert_eq!(Cron::parse(cron).unwrap().after(at(now)).unwrap().rfc3339(), next, "{cron} after {now}");
        }
    }

    #[test]
    fn what_is_due_at_the_start_never_comes_again() {
        let reboot = Cron::parse(" @reboot ").unwrap();
        assert_eq!(
            (reboot.at_start(), reboot.after(at("2026-11-23T10:15:30Z")), reboot.to_string()),
            (true, None, "@reboot".to_owned())
        );
        assert!(!Cron::parse("@hourly").unwrap().at_start());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("* * * *", "4 fields"),
            ("60 * * * *", "minute `60`"),
            ("* 1-x * * *", "hour `1-x`"),
            ("* * 0 * *", "day of month `0`"),
            ("* * * foo *", "month `foo`"),
            ("* * * * 8", "day of week `8`"),
            ("*/0 * * * *", "no number above 0"),
            ("30-10 * * * *", "ends before it begins"),
            ("0 0 31 2,4 *", "never comes"),
            ("", "0 fields"),
        ] {
            assert!(Cron::parse(text).err().unwrap().contains(error), "{text}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in (0..60_000).step_by(7) {
            let date = jiff::Timestamp::from_second(day * 86_400).unwrap().strftime("%m-%d %w").to_string();
            let (month, of_month) = month_and_day(day as u64);
            assert_eq!(format!("{month:02}-{of_month:02} {}", (day + 4) % 7), date);
        }
    }
}
