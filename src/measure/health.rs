//! The generator's own health: can its figures be believed? Pure arithmetic on two readings; the readings come from the
//! process itself. Where a system does not tell something, the figure is absent rather than 0.

use std::time::Duration;

use crate::clock::Instant;

use super::histogram::nanos;
use super::shard::Load;

/// What was read at one moment. Times are since the process or the worker began.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub at: Instant,
    /// Processor time of the whole process.
    pub cpu: Option<Duration>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    /// Of every worker, always in the same order.
    pub workers: Vec<Load>,
}

/// The generator between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// Processor time of the process as a share of what its workers' cores offer: 1 is all of them. Threads that are no
    /// workers (metrics, control) count too, so it can pass 1.
    pub cpu_ratio: Option<f64>,
    /// How much later than asked a worker's loop came round, on average, at the worst worker; in seconds.
    pub loop_lag_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    /// The share of time in which the busiest worker did something.
    pub busy_ratio: Option<f64>,
    /// It was the bottleneck; for whoever judges the figures to set.
    pub saturated: bool,
}

// === Reading ===

impl Reading {
    /// Reads this process, at the time `at`.
    pub fn take(at: Instant, workers: Vec<Load>) -> Self {
        Self { at, cpu: cpu(), resident_bytes: resident_bytes(), open_fds: open_fds(), workers }
    }
}

#[cfg(unix)]
fn cpu() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn cpu() -> Option<Duration> {
    None
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    // The second number is the resident pages.
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn open_fds() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(not(target_os = "linux"))]
fn open_fds() -> Option<u64> {
    None
}

// === Health ===

impl Health {
    /// What happened between two readings.
    pub fn between(before: &Reading, after: &Reading) -> Self {
        let wall = after.at.saturating_duration_since(before.at);
        let offered = nanos(wall) as f64 * after.workers.len() as f64;
        let cpu = before.cpu.zip(after.cpu).map(|(before, after)| nanos(after.saturating_sub(before)));
        let workers = || before.workers.iter().zip(&after.workers);
        let busy_ratio = Self::busy_ratios(before, after).into_iter().reduce(f64::max);
        let late = workers()
            .filter_map(|(a, b)| ratio(b.late_nanos.saturating_sub(a.late_nanos), b.turns.saturating_sub(a.turns)))
            .reduce(f64::max);
        Self {
            cpu_ratio: cpu.filter(|_| offered > 0.0).map(|cpu| cpu as f64 / offered),
            loop_lag_seconds: late.map(|nanos| nanos / 1e9),
            resident_bytes: after.resident_bytes,
            open_fds: after.open_fds,
            busy_ratio,
            saturated: false,
        }
    }

    /// The share of time in which each worker did something; 0 for one that was not watched.
    pub fn busy_ratios(before: &Reading, after: &Reading) -> Vec<f64> {
        let busy = |(a, b): (&Load, &Load)| {
            ratio(b.busy_nanos.saturating_sub(a.busy_nanos), b.watched_nanos.saturating_sub(a.watched_nanos)).unwrap_or(0.0)
        };
        before.workers.iter().zip(&after.workers).map(busy).collect()
    }

    /// Of each figure the worse.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let larger = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        Self {
            cpu_ratio: larger(self.cpu_ratio, other.cpu_ratio),
            loop_lag_seconds: larger(self.loop_lag_seconds, other.loop_lag_seconds),
            resident_bytes: self.resident_bytes.max(other.resident_bytes),
            open_fds: self.open_fds.max(other.open_fds),
            busy_ratio: larger(self.busy_ratio, other.busy_ratio),
            saturated: self.saturated || other.saturated,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn reading(at: Instant, cpu_millis: u64, workers: &[(u64, u64, u64, u64)]) -> Reading {
        let load = |(busy_nanos, watched_nanos, late_nanos, turns): (u64, u64, u64, u64)| Load {
            busy_nanos,
            watched_nanos,
            late_nanos,
            turns,
        };
        Reading {
            at,
            cpu: Some(Duration::from_millis(cpu_millis)),
            resident_bytes: Some(cpu_millis),
            open_fds: Some(9),
            workers: workers.iter().copied().map(load).collect(),
        }
    }

    #[test]
    fn health_is_the_difference_of_two_readings() {
        let start = crate::clock::now();
        let before = reading(start, 500, &[(SECOND, 2 * SECOND, 0, 10), (0, 0, 0, 0)]);
        let after = reading(
            start + Duration::from_secs(2),
            2500,
            &[(SECOND + SECOND / 2, 4 * SECOND, 3_000_000, 12), (SECOND * 19 / 10, 2 * SECOND, 0, 5)],
        );
        let health = Health::between(&before, &after);
        // 2 s of processor time in 2 s on two workers' cores; the first was busy a quarter of its time, the second 95%.
        assert_eq!(health.cpu_ratio, Some(0.5));
        assert_eq!(health.busy_ratio, Some(0.95));
        assert_eq!(health.loop_lag_seconds, Some(0.0015));
        assert_eq!(Health::busy_ratios(&before, &after), [0.25, 0.95]);
        assert_eq!((health.resident_bytes, health.open_fds), (Some(2500), Some(9)));
    }

    #[test]
    fn no_time_and_no_workers_give_no_figures() {
        let start = crate::clock::now();
        let health = Health::between(&reading(start, 0, &[]), &reading(start, 5, &[]));
        assert_eq!((health.cpu_ratio, health.busy_ratio, health.loop_lag_seconds), (None, None, None));
    }

    #[test]
    fn the_worst_is_taken_figure_by_figure() {
        let a = Health { cpu_ratio: Some(0.5), open_fds: Some(3), saturated: true, ..Health::default() };
        let b = Health { cpu_ratio: Some(0.7), resident_bytes: Some(1), ..Health::default() };
        let worst =
            Health { cpu_ratio: Some(0.7), open_fds: Some(3), resident_bytes: Some(1), saturated: true, ..Health::default() };
        assert_eq!((a.worst(b), b.worst(a)), (worst, worst));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_can_be_read() {
        let before = Reading::take(crate::clock::now(), Vec::new());
        let file = std::fs::File::open("/proc/self/statm").unwrap();
        let after = Reading::take(crate::clock::now(), Vec::new());
        drop(file);
        // A megabyte at least, and not a terabyte: pages were turned into bytes.
        assert!((1 << 20..1 << 40).contains(&after.resident_bytes.unwrap()));
        assert!(after.open_fds.unwrap() >= 4, "standard streams and the file: {:?}", after.open_fds);
        assert!(after.cpu.unwrap() >= before.cpu.unwrap() && before.cpu.unwrap() > Duration::ZERO);
    }
}
