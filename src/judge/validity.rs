//! Whether the generator itself was the bottleneck. Once a second it is told how the generator does, and answers with what has
//! just gone wrong, and with the reasons for which the run as a whole is invalid.
//!
//! | a run is invalid when | judged over |
//! |---|---|
//! | the schedule lag's p99 is longer than 5 ms and longer than 10% of the median response time | the whole run; 100 starts at least |
//! | a worker was busy for more than 90% of the time, 10 s without a break | any 10 s |
//! | more than 0.1% of the arrivals found no user | the whole run |
//! | descriptors or local ports ran out | any moment |
//!
//! The limits are those of the scenario's `validity`. The whole run is what is in the summary: at the end of a warm-up judging
//! begins anew. Lag is also judged over the last 10 s: that is warned of at once and noted at the end, but a short hitch in
//! a run of hours moves none of its percentiles, and does not make it invalid.

use std::collections::VecDeque;
use std::time::Duration;

use crate::measure::pulse::Pulse;
use crate::measure::quantiles::Quantiles;
use crate::reason::Shortage;
use crate::scenario::plan::ValidityLimits;
use crate::units::{Ratio, format_duration};

/// Fewer starts than this have no p99 to speak of.
pub const FEWEST_STARTS: u64 = 100;

/// How far back lag is looked at for a warning.
pub const WINDOW: Duration = Duration::from_secs(10);

/// What was found so far.
#[derive(Clone, Debug)]
pub struct Validity {
    limits: ValidityLimits,
    elapsed: Duration,
    /// For how long each worker has been too busy, up to now.
    busy_for: Vec<Duration>,
    longest: Duration,
    /// The lag as it was at earlier looks, oldest first; the first one is where the window begins.
    earlier: VecDeque<(Duration, Quantiles)>,
    late: Option<Finding>,
    /// The worst window.
    hitch: Option<Finding>,
    late_now: bool,
    counts: Counts,
    said: Vec<Kind>,
}

/// How the generator does.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Since the last look.
    pub interval: Duration,
    /// The share of it that each worker was busy; empty if nobody knows.
    pub busy: Vec<f64>,
    pub pulse: Pulse,
}

/// Something that the generator is guilty of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Things started late: the p99 and its limit, both in seconds, and over how long if not the whole run.
    Late { p99: f64, limit: f64, over: Option<Duration> },
    /// A worker was busier than the limit for so long.
    Busy { limit: Ratio, duration: Duration },
    /// So many of the arrivals found no user.
    Dropped { dropped: u64, arrivals: u64, limit: Ratio },
    /// So many connections could not be opened.
    Short { of: Shortage, count: u64 },
}

/// What is said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Late,
    Busy,
    Dropped,
    Short(Shortage),
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    arrivals: u64,
    dropped: u64,
    shortages: [u64; Shortage::ALL.len()],
}

// === Validity ===

impl Validity {
    pub fn new(limits: ValidityLimits) -> Self {
        Self {
            limits,
            elapsed: Duration::ZERO,
            busy_for: Vec::new(),
            longest: Duration::ZERO,
            earlier: VecDeque::from([(Duration::ZERO, Quantiles::default())]),
            late: None,
            hitch: None,
            late_now: false,
            counts: Counts::default(),
            said: Vec::new(),
        }
    }

    /// Judges by a further look, and answers with what has not been said before. `median` is the median response time in
    /// seconds; it is only asked for when it matters.
    pub fn look(&mut self, look: Look, median: impl FnOnce() -> Option<f64>) -> Vec<Finding> {
        self.elapsed += look.interval;
        self.busy(look.interval, &look.busy);
        let Pulse { lag, arrivals, dropped, shortages } = look.pulse;
        self.counts = Counts { arrivals, dropped, shortages };
        let window = self.window(&lag);
        self.lag(&lag, window, median);
        if !look.interval.is_zero() {
            self.earlier.push_back((self.elapsed, lag));
        }
        let hitch = self.hitch.filter(|_| self.late_now);
        let mut news = self.found();
        news.extend(hitch.filter(|_| self.late.is_none()));
        news.retain(|finding| !self.said.contains(&finding.kind()));
        self.said.extend(news.iter().map(|finding| finding.kind()));
        news
    }

    /// What was found up to here was the warm-up's, and is not in the summary.
    pub fn end_warm_up(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Why the run is invalid; nothing for one that can be believed, or that is not to be judged.
    pub fn reasons(&self) -> Vec<Finding> {
        if self.limits.enabled { self.found() } else { Vec::new() }
    }

    /// What else a reader should know.
    pub fn notes(&self) -> Vec<Finding> {
        let mut notes = if self.limits.enabled { Vec::new() } else { self.found() };
        notes.extend(self.hitch.filter(|_| self.late.is_none()));
        notes
    }

    /// Whether it is the bottleneck now: in the last look's interval a worker was too busy, or things start late.
    pub fn is_saturated(&self) -> bool {
        self.late_now || self.busy_for.iter().any(|duration| !duration.is_zero())
    }

    fn busy(&mut self, interval: Duration, busy: &[f64]) {
        if busy.is_empty() {
            return;
        }
        self.busy_for.resize(busy.len(), Duration::ZERO);
        // Two clocks are compared, so that all of the time may come out as a little more.
        let limit = self.limits.busy.get();
        for (duration, busy) in self.busy_for.iter_mut().zip(busy) {
            let too_busy = limit < 1.0 && *busy > limit;
            *duration = if too_busy { *duration + interval } else { Duration::ZERO };
            self.longest = self.longest.max(*duration);
        }
    }

    /// The lag of the window, and how long that is; `None` while it is all there is.
    fn window(&mut self, lag: &Quantiles) -> Option<(Duration, Quantiles)> {
        while self.earlier.get(1).is_some_and(|(at, _)| self.elapsed.saturating_sub(*at) >= WINDOW) {
            self.earlier.pop_front();
        }
        let (at, earlier) = self.earlier.front()?;
        (!at.is_zero()).then(|| (self.elapsed.saturating_sub(*at), lag.since(earlier)))
    }

    fn lag(&mut self, whole: &Quantiles, window: Option<(Duration, Quantiles)>, median: impl FnOnce() -> Option<f64>) {
        let floor = self.limits.schedule_lag.as_secs_f64();
        let p99 = |lag: &Quantiles| lag.at(0.99).filter(|p99| lag.count() >= FEWEST_STARTS && *p99 > floor);
        let has_window = window.is_some();
        let (of_whole, of_window) = (p99(whole), window.and_then(|(over, lag)| Some((over, p99(&lag)?))));
        (self.late, self.late_now) = (None, false);
        if of_whole.is_none() && of_window.is_none() {
            return;
        }
        let limit = floor.max(median().unwrap_or(0.0) * self.limits.lag_of_median.get());
        let late = |p99: f64, over| (p99 > limit).then_some(Finding::Late { p99, limit, over });
        self.late = of_whole.and_then(|p99| late(p99, None));
        let now = match of_window {
            Some((over, p99)) => late(p99, Some(over)),
            None if has_window => None,
            // As long as the window is the whole run, what is wrong with one is wrong with the other.
            None => self.late.map(|late| late.over(self.elapsed)),
        };
        self.late_now = now.is_some();
        self.hitch = worse(self.hitch, now);
    }

    fn found(&self) -> Vec<Finding> {
        let ValidityLimits { busy, busy_for, dropped: limit, .. } = self.limits;
        let Counts { arrivals, dropped, shortages } = self.counts;
        let mut found: Vec<_> = self.late.into_iter().collect();
        if self.longest >= busy_for {
            found.push(Finding::Busy { limit: busy, duration: self.longest });
        }
        if dropped as f64 > limit.get() * (arrivals + dropped) as f64 {
            found.push(Finding::Dropped { dropped, arrivals: arrivals + dropped, limit });
        }
        let short = Shortage::ALL.into_iter().zip(shortages).filter(|(_, count)| *count > 0);
        found.extend(short.map(|(of, count)| Finding::Short { of, count }));
        found
    }
}

/// The later of two.
fn worse(a: Option<Finding>, b: Option<Finding>) -> Option<Finding> {
    let p99 = |finding: &Option<Finding>| match finding {
        Some(Finding::Late { p99, .. }) => *p99,
        _ => 0.0,
    };
    if p99(&b) > p99(&a) { b } else { a }
}

// === Finding ===

impl Finding {
    fn kind(self) -> Kind {
        match self {
            Self::Late { .. } => Kind::Late,
            Self::Busy { .. } => Kind::Busy,
            Self::Dropped { .. } => Kind::Dropped,
            Self::Short { of, .. } => Kind::Short(of),
        }
    }

    /// The same, of a part of the run.
    fn over(self, duration: Duration) -> Self {
        match self {
            Self::Late { p99, limit, .. } => Self::Late { p99, limit, over: Some(duration) },
            other => other,
        }
    }

    /// What happened.
    pub fn message(self) -> String {
        let seconds = |seconds: f64| format_duration(Duration::from_secs_f64(seconds.max(0.0)));
        match self {
            Self::Late { p99, limit, over } => {
                let over = over.map_or(String::new(), |over| format!(" within {}", format_duration(whole_seconds(over))));
                format!(
                    "requests started late: the schedule lag's p99{over} is {}, and {} is the most that can be ignored",
                    seconds(p99),
                    seconds(limit)
                )
            }
            Self::Busy { limit, duration } => format!(
                "the generator was saturated: a worker was busy more than {limit} of the time for {}",
                format_duration(whole_seconds(duration))
            ),
            Self::Dropped { dropped, arrivals, limit } => format!(
                "arrivals were dropped for want of users: {dropped} of {arrivals}, more than {limit}; the target did not get \
                 the load that was asked for"
            ),
            Self::Short { of: Shortage::Descriptors, count } => {
                format!("file descriptors ran out: {} could not be opened", connections(count))
            }
            Self::Short { of: Shortage::Ports, count } => {
                format!("local ports ran out: {} could not be opened", connections(count))
            }
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Late { .. } => {
                "response times include this lateness of the generator's own: give it more --workers or a machine that nothing \
                 else uses, start users more slowly (`spawn_rate`), or lower the load"
            }
            Self::Busy { .. } => {
                "give it more --workers or another machine, or lower the load. Users without a wait time keep a worker busy \
                 whatever the target does: such a run finds the most that can be sent, its latencies include the \
                 generator's own work, and `validity: {busy: 100%}` accepts that"
            }
            Self::Dropped { .. } => {
                "allow more users (`max_users`); if their number only grows, the target is too slow for this arrival rate"
            }
            Self::Short { of: Shortage::Descriptors, .. } => {
                "raise the hard limit of this process (`ulimit -Hn` shows it), use fewer users, or split the run over several \
                 processes"
            }
            Self::Short { of: Shortage::Ports, .. } => {
                "keep connections alive, add `source_addresses`, widen net.ipv4.ip_local_port_range, or split the run over \
                 several machines"
            }
        }
    }
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().round() as u64)
}

#[cfg(test)]
mod tests;
