//! How long pauses last. They are slept in [`super::timer`].

use std::time::Duration;

use crate::clock::Instant;
use crate::scenario::plan::Wait;
use crate::template::Random;

/// When a pause of the form `wait` is over, that begins at `from` after work that began at `began`.
pub(super) fn wait_until(wait: Wait, began: Instant, from: Instant, random: &mut Random) -> Instant {
    match wait {
        Wait::Pacing(interval) => (began + interval).max(from),
        // May have passed: the schedule does not wait for a slow target, or what it kept waiting would not be measured.
        Wait::Throughput(interval) => began + interval,
        _ => from + duration(wait, random),
    }
}

/// How many iterations of a schedule, the next of which is due at `next`, were due before `end`.
pub(super) fn overdue(next: Instant, interval: Duration, end: Instant) -> u64 {
    let late = end.saturating_duration_since(next).as_nanos();
    if late == 0 {
        return 0;
    }
    u64::try_from(late.div_ceil(interval.as_nanos().max(1))).unwrap_or(u64::MAX)
}

/// How long a pause lasts.
fn duration(wait: Wait, random: &mut Random) -> Duration {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(crate::units::LONGEST);
    match wait {
        Wait::Constant(duration) | Wait::Pacing(duration) | Wait::Throughput(duration) => duration,
        Wait::Between(least, most) => least + seconds(most.saturating_sub(least).as_secs_f64() * random.uniform()),
        Wait::Exponential(mean) => seconds(mean.as_secs_f64() * random.exponential()),
        Wait::Normal { mean, std } => seconds(mean.as_secs_f64() + std.as_secs_f64() * random.normal()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Mean and extremes of many draws, in seconds.
    fn draws(wait: Wait) -> (f64, f64, f64) {
        let mut random = Random::new(7, 0);
        let all: Vec<_> = (0..20_000).map(|_| duration(wait, &mut random).as_secs_f64()).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(0.0, f64::max))
    }

    #[test]
    fn the_forms_have_their_means_and_bounds() {
        assert_eq!(draws(Wait::Constant(SECOND)), (1.0, 1.0, 1.0));
        let (mean, least, most) = draws(Wait::Between(5 * SECOND, 10 * SECOND));
        assert!(
            (mean - 7.5).abs() < 0.05 && (5.0..5.01).contains(&least) && (9.99..=10.0).contains(&most),
            "{mean} {least} {most}"
        );
        let (mean, least, most) = draws(Wait::Exponential(2 * SECOND));
        assert!((mean - 2.0).abs() < 0.06 && least < 0.001 && most > 12.0, "{mean} {least} {most}");
        let (mean, least, most) = draws(Wait::Normal { mean: 4 * SECOND, std: SECOND });
        assert!((mean - 4.0).abs() < 0.05 && least < 1.0 && most > 7.0, "{mean} {least} {most}");
        // Cut at zero, never negative.
        assert_eq!(draws(Wait::Normal { mean: Duration::ZERO, std: SECOND }).1, 0.0);
    }

    #[test]
    fn what_was_due_before_the_end_is_overdue() {
        let end = crate::clock::now() + 100 * SECOND;
        // Due at the end is not due before it.
        for (late, interval, count) in [(0, 1000, 0), (1, 1000, 1), (1000, 1000, 1), (1001, 1000, 2), (9_500, 250, 38)] {
            let (late, interval) = (Duration::from_millis(late), Duration::from_millis(interval));
            assert_eq!(overdue(end - late, interval, end), count, "{late:?} {interval:?}");
        }
        assert_eq!(overdue(end + SECOND, SECOND, end), 0, "not yet");
    }

    #[test]
    fn pacing_counts_from_the_start_and_never_goes_back() {
        let (mut random, began) = (Random::new(1, 1), crate::clock::now());
        let pacing = Wait::Pacing(10 * SECOND);
        // The task took 3 s: the next starts 10 s after its start. It took 12 s: at once.
        assert_eq!(wait_until(pacing, began, began + 3 * SECOND, &mut random), began + 10 * SECOND);
        assert_eq!(wait_until(pacing, began, began + 12 * SECOND, &mut random), began + 12 * SECOND);
        // A throughput keeps its schedule.
        let throughput = Wait::Throughput(10 * SECOND);
        assert_eq!(wait_until(throughput, began, began + 3 * SECOND, &mut random), began + 10 * SECOND);
        assert_eq!(wait_until(throughput, began, began + 12 * SECOND, &mut random), began + 10 * SECOND);
        assert_eq!(wait_until(Wait::Constant(SECOND), began, began + 3 * SECOND, &mut random), began + 4 * SECOND);
    }
}
