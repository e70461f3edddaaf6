//! One line of progress, for a terminal that is none: where the run is, and what came since the line before.

use super::millis;
use crate::measure::snapshot::Snapshot;

/// What happened between two snapshots with `Detail::Full`, on one line without its end.
///
/// ```text
/// 00:01:05  steady     users 100/100  1234.5 req/s  failures 3 (0.05%)  p50 12.3  p95 45.6  p99 78.9 ms
/// ```
pub fn line(earlier: &Snapshot, now: &Snapshot) -> String {
    let interval = now.since(earlier);
    let seconds = now.facts.elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let over = interval.elapsed.as_secs_f64();
    let rate = if over > 0.0 { interval.requests as f64 / over } else { 0.0 };
    let share = if interval.requests > 0 { interval.failures as f64 / interval.requests as f64 * 100.0 } else { 0.0 };
    let target: u64 = now.totals.users_target.iter().sum();
    let times = interval.response.map_or_else(
        || "no response times".to_owned(),
        |times| format!("p50 {}  p95 {}  p99 {} ms", millis(times.p50), millis(times.p95), millis(times.p99)),
    );
    format!(
        "{hours:02}:{minutes:02}:{seconds:02}  {:<9}  users {}/{target}  {rate:.1} req/s  failures {} ({share:.2}%)  {times}",
        now.facts.phase.name(),
        now.totals.users_now(),
        interval.failures,
    )
}
