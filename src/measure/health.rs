//! The generator's own health: can its figures be believed? Pure arithmetic on two readings; the readings come from the
//! process itself. Where a system does not tell something, the figure is absent rather than 0.

use std::path::{Path, PathBuf};
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
    /// How the system scheduled each worker's thread; empty where it does not tell.
    pub threads: Vec<Scheduled>,
    /// Time in which some program of the machine waited for a processor.
    pub pressure: Option<Duration>,
    /// What all processors of the machine did, in ticks: taken by the hypervisor, and all.
    pub stolen: Option<(u64, u64)>,
}

/// How the system scheduled a thread, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// It had a processor.
    pub ran: Duration,
    /// It was ready to run and had none.
    pub waited: Duration,
}

/// What kept workers from running between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Of the worker that waited longest for a processor.
    pub waited: Duration,
    pub ran: Duration,
    /// By the hypervisor, as an average of all processors.
    pub stolen: Duration,
}

/// The generator between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// Processor time of the process as a share of what its workers' cores offer: 1 is all of them. Threads that are no
    /// workers (metrics, control) count too, so it can pass 1.
    pub cpu_ratio: Option<f64>,
    /// The longest time by which a worker's loop came round later than asked; in seconds.
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
    ///
    /// `tasks` are the [`worker_tasks`].
    pub fn take(at: Instant, workers: Vec<Load>, tasks: &[PathBuf]) -> Self {
        let threads: Option<Vec<_>> = tasks.iter().map(|task| scheduled(&read(&task.join("schedstat"))?)).collect();
        Self {
            at,
            cpu: cpu(),
            resident_bytes: resident_bytes(),
            open_fds: open_fds(),
            workers,
            threads: threads.unwrap_or_default(),
            pressure: read(Path::new("/proc/pressure/cpu")).and_then(|text| pressure(&text)),
            stolen: read(Path::new("/proc/stat")).and_then(|text| stolen(&text)),
        }
    }
}

/// The threads of this process that are workers, as the system knows them; none where it does not tell.
pub fn worker_tasks() -> Vec<PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path());
    tasks.filter(|task| read(&task.join("comm")).is_some_and(|name| name.starts_with("worker-"))).collect()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `ran waited slices`, in nanoseconds.
fn scheduled(schedstat: &str) -> Option<Scheduled> {
    let mut numbers = schedstat.split_whitespace().map(|number| number.parse().ok().map(Duration::from_nanos));
    Some(Scheduled { ran: numbers.next()??, waited: numbers.next()?? })
}

/// `some avg10=… avg60=… avg300=… total=…`, in microseconds.
fn pressure(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split("total=").nth(1)?.trim().parse().ok().map(Duration::from_micros)
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are counted as users, too.
fn stolen(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Option<Vec<u64>> = line.split_whitespace().skip(1).take(8).map(|ticks| ticks.parse().ok()).collect();
    let ticks = ticks?;
    Some((*ticks.get(7)?, ticks.iter().sum()))
}

// === Pressure ===

impl Pressure {
    /// What happened between two readings. Where threads are not known, what the whole machine waited.
    pub fn between(before: &Reading, after: &Reading) -> Self {
        let wall = after.at.saturating_duration_since(before.at);
        let threads = before.threads.iter().zip(&after.threads).map(|(before, after)| Scheduled {
            ran: after.ran.saturating_sub(before.ran),
            waited: after.waited.saturating_sub(before.waited),
        });
        let machine = || before.pressure.zip(after.pressure).map(|(before, after)| after.saturating_sub(before));
        let worst = threads.max_by_key(|thread| (thread.waited, thread.ran));
        let worst = worst.unwrap_or_else(|| Scheduled { ran: Duration::ZERO, waited: machine().unwrap_or_default() });
        let stolen = before.stolen.zip(after.stolen).and_then(|((stolen, all), (now, now_all))| {
            ratio(now.saturating_sub(stolen), now_all.saturating_sub(all)).map(|share| wall.mul_f64(share))
        });
        Self { waited: worst.waited, ran: worst.ran, stolen: stolen.unwrap_or_default() }
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
        let busy_ratio = Self::busy_ratios(before, after).into_iter().reduce(f64::max);
        let late = after.workers.iter().map(|worker| worker.longest_gap_nanos as f64).reduce(f64::max);
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

    fn reading(at: Instant, cpu_millis: u64, workers: &[(u64, u64, u64)]) -> Reading {
        let load = |(busy_nanos, watched_nanos, longest_gap_nanos): (u64, u64, u64)| Load {
            busy_nanos,
            watched_nanos,
            longest_gap_nanos,
        };
        Reading {
            at,
            cpu: Some(Duration::from_millis(cpu_millis)),
            resident_bytes: Some(cpu_millis),
            open_fds: Some(9),
            workers: workers.iter().copied().map(load).collect(),
            threads: Vec::new(),
            pressure: None,
            stolen: None,
        }
    }

    #[test]
    fn health_is_the_difference_of_two_readings() {
        let start = crate::clock::now();
        let before = reading(start, 500, &[(SECOND, 2 * SECOND, 9_000_000), (0, 0, 0)]);
        let after = reading(
            start + Duration::from_secs(2),
            2500,
            &[(SECOND + SECOND / 2, 4 * SECOND, 1_500_000), (SECOND * 19 / 10, 2 * SECOND, 20_000)],
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
    fn what_kept_workers_from_running_is_of_the_one_that_waited_longest() {
        let start = crate::clock::now();
        let ms = Duration::from_millis;
        let mut before = reading(start, 0, &[]);
        before.threads = vec![Scheduled { ran: ms(500), waited: ms(10) }, Scheduled { ran: ms(100), waited: ms(300) }];
        (before.pressure, before.stolen) = (Some(ms(1000)), Some((50, 1000)));
        let mut after = reading(start + Duration::from_secs(2), 0, &[]);
        after.threads = vec![Scheduled { ran: ms(700), waited: ms(770) }, Scheduled { ran: ms(1900), waited: ms(310) }];
        (after.pressure, after.stolen) = (Some(ms(1250)), Some((70, 1400)));
        assert_eq!(Pressure::between(&before, &after), Pressure { waited: ms(760), ran: ms(200), stolen: ms(100) });
        // Where threads are not known, the machine's waiting; where nothing is known, nothing.
        after.threads.clear();
        assert_eq!(Pressure::between(&before, &after).waited, ms(250));
        let nothing = reading(start, 0, &[]);
        assert_eq!(Pressure::between(&nothing, &nothing), Pressure::default());
    }

    #[test]
    fn the_systems_files_are_read() {
        let ms = Duration::from_millis;
        assert_eq!(scheduled("2000000 3000000 17\n"), Some(Scheduled { ran: ms(2), waited: ms(3) }));
        assert_eq!((scheduled("0 x 0"), scheduled("")), (None, None));
        let some = "some avg10=0.00 avg60=1.23 avg300=0.50 total=4321000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!((pressure(some), pressure("full total=1")), (Some(ms(4321)), None));
        let stat = "cpu  10 1 20 300 5 0 2 7 4 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
        assert_eq!((stolen(stat), stolen("cpu  1 2 3"), stolen("")), (Some((7, 345)), None, None));
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
        let before = Reading::take(crate::clock::now(), Vec::new(), &[]);
        let file = std::fs::File::open("/proc/self/statm").unwrap();
        let after = Reading::take(crate::clock::now(), Vec::new(), &["/proc/self".into()]);
        drop(file);
        // A megabyte at least, and not a terabyte: pages were turned into bytes.
        assert!((1 << 20..1 << 40).contains(&after.resident_bytes.unwrap()));
        assert!(after.open_fds.unwrap() >= 4, "standard streams and the file: {:?}", after.open_fds);
        assert!(after.threads.first().is_some_and(|thread| thread.ran > Duration::ZERO), "{:?}", after.threads);
        assert!(after.stolen.is_some_and(|(stolen, all)| stolen < all), "{:?}", after.stolen);
        assert!(after.cpu.unwrap() >= before.cpu.unwrap() && before.cpu.unwrap() > Duration::ZERO);
    }
}
