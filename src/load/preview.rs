//! The load curve as text, drawn from the same function that drives the run.

use std::fmt::Write as _;
use std::time::Duration;

use super::Profile;
use crate::units::format_duration;

const WIDTH: u32 = 60;
const HEIGHT: u32 = 8;

/// Draws users over time, about 60 by 8 characters, with a trailing newline. A load without an end is drawn for a while.
pub fn draw(profile: &Profile) -> String {
    let load = &profile.users;
    let settled = load.settled();
    let span = load.end().unwrap_or_else(|| settled.saturating_mul(2).max(Duration::from_secs(10)));
    let peak = load.peak().max(1);
    let level = |column: u32| load.users_at(span / WIDTH * column);
    let label = peak.to_string().len().max(5);
    let mut out = String::new();
    for row in (1..=HEIGHT).rev() {
        // A cell is filled by eighths, as bar charts of block characters are.
        let name = if row == HEIGHT { peak.to_string() } else { String::new() };
        let line: String = (0..WIDTH)
            .map(|column| {
                let eighths = (u64::from(level(column)) * u64::from(HEIGHT) * 8).div_ceil(u64::from(peak)) as u32;
                [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.saturating_sub((row - 1) * 8).min(8) as usize]
            })
            .collect();
        let _ = writeln!(out, "{name:>label$} ┤{}", line.trim_end());
    }
    let end = if load.end().is_some() { format_duration(span) } else { format!("{} …", format_duration(span)) };
    let _ = writeln!(out, "{:>label$} └{}", "0", "─".repeat(WIDTH as usize));
    let _ = writeln!(out, "{:>label$}  0s{end:>width$}", "users", width = WIDTH as usize - 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Closed, Stage};

    #[test]
    fn a_trapezium() {
        let stage = |users, seconds| Stage { users, over: Duration::from_secs(seconds) };
        let users = Closed::stages(&[stage(100, 20), stage(100, 20), stage(0, 20)]);
        let drawn = draw(&Profile { users, iterations: None });
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines.len(), 10);
        // Full height in the middle third only; the foot is as wide as the run.
        assert_eq!(lines[0].chars().filter(|c| *c == '█').count(), 21, "{drawn}");
        assert!(lines[0].starts_with("  100 ┤ "), "{drawn}");
        assert!(lines[7].chars().filter(|c| *c == '█').count() > 50, "{drawn}");
        assert!(lines[9].ends_with("1m"), "{drawn}");
    }

    #[test]
    fn a_load_without_end_says_so() {
        let users = Closed::constant(3, None, None);
        assert!(draw(&Profile { users, iterations: None }).ends_with("10s …\n"));
    }
}
