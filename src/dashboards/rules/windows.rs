//! How far rules look back, and how long they wait.

use std::time::Duration;

/// Every length of time in the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How often rules are evaluated.
    pub interval: Duration,
    /// Rates and quantiles are over so long.
    pub short: Duration,
    /// Medians of those; the beginning of a run that it is compared with.
    pub long: Duration,
    /// Slopes are along so long.
    pub slope: Duration,
    /// Alerts on what creeps wait so long.
    pub patience: Duration,
    /// Alerts on what is plainly wrong wait so long.
    pub brief: Duration,
    /// A gauge is still believed when so long nothing was scraped.
    pub gap: Duration,
    /// A run that was lost, and what a run began with, are remembered for so long.
    pub memory: Duration,
    /// The generator's own verdict on a soak has settled after so long: before a wave has come round three times, it looks
    /// like a trend.
    pub soak: Duration,
    /// The budget of failures is for so long where a run has no planned end.
    pub budget: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Prometheus is not asked to evaluate more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

impl Default for Windows {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            interval: seconds(15),
            short: seconds(5 * MINUTE),
            long: seconds(30 * MINUTE),
            slope: seconds(2 * HOUR),
            patience: seconds(10 * MINUTE),
            brief: seconds(2 * MINUTE),
            gap: seconds(2 * MINUTE),
            memory: seconds(HOUR),
            soak: seconds(3 * HOUR),
            budget: seconds(24 * HOUR),
        }
    }
}

impl Windows {
    /// All of them so many times as short, but for the interval, which is a second at least.
    #[must_use]
    pub fn shortened(self, times: u32) -> Self {
        let times = times.max(1);
        Self {
            interval: (self.interval / times).max(SHORTEST_INTERVAL.min(self.interval)),
            short: self.short / times,
            long: self.long / times,
            slope: self.slope / times,
            patience: self.patience / times,
            brief: self.brief / times,
            gap: self.gap / times,
            memory: self.memory / times,
            soak: self.soak / times,
            budget: self.budget / times,
        }
    }

    /// From when on the last medians are of the steady phase alone.
    pub(super) fn settled(&self) -> Duration {
        self.short + self.long
    }
}

/// As PromQL and the files of rules write it: `1h30m`, `5m`, `500ms`.
pub(super) fn promql(duration: Duration) -> String {
    let mut left = duration.as_millis().max(1);
    let mut text = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if left >= millis {
            text.push_str(&format!("{}{unit}", left / millis));
            left %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_prometheus_reads_them() {
        let text = |millis| promql(Duration::from_millis(millis));
        let all = [0, 500, 1000, 90_000, 300_000, 7_200_000, 9_300_000, 1_500].map(text);
        assert_eq!(all, ["1ms", "500ms", "1s", "1m30s", "5m", "2h", "2h35m", "1s500ms"]);
    }

    #[test]
    fn shortened_windows_keep_their_proportions() {
        let windows = Windows::default().shortened(60);
        assert_eq!([windows.short, windows.long, windows.slope].map(promql), ["5s", "30s", "2m"]);
        assert_eq!([windows.interval, windows.brief, windows.settled()].map(promql), ["1s", "2s", "35s"]);
        assert_eq!(Windows::default().shortened(1), Windows::default());
    }
}
