//! The load curve as text, drawn from the same functions that drive the run.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Course, Profile};
use crate::units::format_duration;

const WIDTH: u32 = 60;
const HEIGHT: u32 = 8;

/// Draws users, or arrivals a second, over time, about 60 by 8 characters, with a trailing newline. A load without an end is
/// drawn for a while.
pub fn draw(profile: &Profile) -> String {
    let settled = profile.settled();
    let span = profile.end().unwrap_or_else(|| settled.saturating_mul(2).max(Duration::from_secs(10)));
    let (peak, top, unit) = match profile {
        Profile::Open(open) => (open.peak_rate(), format!("{:.1}", open.peak_rate()), "per s"),
        _ => (f64::from(profile.peak()), profile.peak().max(1).to_string(), "users"),
    };
    let top = top.strip_suffix(".0").unwrap_or(&top);
    let peak = if peak > 0.0 { peak } else { 1.0 };
    let level = |column: u32| {
        let at = span.mul_f64(f64::from(column) / f64::from(WIDTH));
        match profile {
            Profile::Open(open) => open.rate_at(at),
            _ => f64::from(profile.users_at(at, &Course::default())),
        }
    };
    let label = top.len().max(5);
    let mut out = String::new();
    for row in (1..=HEIGHT).rev() {
        // A cell is filled by eighths, as bar charts of block characters are.
        let name = if row == HEIGHT { top } else { "" };
        let line: String = (0..WIDTH)
            .map(|column| {
                // A little less, so that rounding does not add an eighth.
                let eighths = (level(column) * f64::from(HEIGHT * 8) / peak - 1e-9).ceil().max(0.0) as u32;
                [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.saturating_sub((row - 1) * 8).min(8) as usize]
            })
            .collect();
        let _ = writeln!(out, "{name:>label$} ┤{}", line.trim_end());
    }
    let end = if profile.end().is_some() { format_duration(span) } else { format!("{} …", format_duration(span)) };
    let _ = writeln!(out, "{:>label$} └{}", "0", "─".repeat(WIDTH as usize));
    let _ = writeln!(out, "{unit:>label$}  0s{end:>width$}", width = WIDTH as usize - 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Closed, Open, RateStage, Spacing, Stage};
    use crate::units::Rate;

    #[test]
    fn a_trapezium() {
        let stage = |users, seconds| Stage { users, over: Duration::from_secs(seconds) };
        let users = Closed::stages(&[stage(100, 20), stage(100, 20), stage(0, 20)]);
        let closed = draw(&Profile::Closed { users, iterations: None });
        let lines: Vec<_> = closed.lines().collect();
        assert_eq!(lines.len(), 10);
        // Full height in the middle third only; the foot is as wide as the run.
        assert_eq!(lines[0].chars().filter(|c| *c == '█').count(), 21, "{closed}");
        assert!(lines[0].starts_with("  100 ┤ "), "{closed}");
        assert!(lines[7].chars().filter(|c| *c == '█').count() > 50, "{closed}");
        assert!(lines[9].starts_with("users") && lines[9].ends_with("1m"), "{closed}");

        let stage = |rate, seconds| RateStage { rate: Rate::try_new(rate).unwrap(), over: Duration::from_secs(seconds) };
        let open = Open::stages(&[stage(100.0, 20), stage(100.0, 20), stage(0.0, 20)], Spacing::Even, 7);
        let open = draw(&Profile::Open(open));
        assert_eq!(open.replace("per s", "users"), closed, "the same shape, of arrivals a second");
    }

    #[test]
    fn a_load_without_end_says_so() {
        let users = Closed::constant(3, None, None);
        assert!(draw(&Profile::Closed { users, iterations: None }).ends_with("10s …\n"));
    }
}
