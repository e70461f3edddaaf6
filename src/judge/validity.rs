//! Whether the results of a run are valid, or those of its generator. Once a second it is told how the generator does, and answers
//! with what has just gone wrong, and with the reasons for which the run as a whole is invalid.
//!
//! | a run is invalid when | judged over |
//! |---|---|
//! | the generator's own part of a p50, p95 or p99 is more than 10% of the figure without it + 100 µs | the whole run: all requests together, and each name |
//! | more than 0.1% of the arrivals found no user, or of the scheduled iterations never began | the whole run |
//! | descriptors or local ports ran out | any moment |
//!
//! The limits are those of the scenario's `validity`. The whole run is what is in the summary: at the end of a warm-up judging
//! begins anew. A figure of too few requests is not judged ([`fewest`]). All requests together are also judged over the last 10 s:
//! that is warned of at once and noted at the end, but a short hitch in a run of hours moves none of its percentiles.
//!
//! A busy worker is a note. Whatever a busy worker adds to response times is in the generator's part, so a run whose figures are
//! within the limit is not off, however busy its workers were.

pub mod cause;
mod finding;

use std::collections::VecDeque;
use std::time::Duration;

use crate::measure::generator_shift::SplitTimes;
use crate::measure::pulse::Pulse;
use crate::reason::Shortage;
use crate::scenario::plan::ValidityLimits;
use cause::Strain;
use finding::Kind;
pub use finding::{Finding, Inflated};

/// How far back response times are looked at for a warning.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Fewer requests than this have no figures to speak of: a run with fewer is not judged.
pub const FEWEST: u64 = 20;

/// The quantiles that reports show most prominently.
const JUDGED: [(f64, &str); 3] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")];

/// So many requests are needed for a quantile to be judged: enough that one of them is above it.
pub fn fewest(quantile: f64) -> u64 {
    FEWEST.max((1.0 / (1.0 - quantile).max(1e-6) - 1e-9).ceil() as u64)
}

/// What was found so far.
#[derive(Clone, Debug)]
pub struct Validity {
    limits: ValidityLimits,
    /// Of the requests, by their ids.
    names: Vec<String>,
    elapsed: Duration,
    /// For how long each worker has been too busy, up to now.
    busy_for: Vec<Duration>,
    longest: Duration,
    /// All requests together and the strain, as they were at earlier looks, oldest first; the first is where the window begins.
    earlier: VecDeque<(Duration, SplitTimes)>,
    recent: VecDeque<Strain>,
    strain: Strain,
    requests: u64,
    /// Of p50, p95 and p99 of all requests.
    shares: Option<[f64; 3]>,
    inflated: Option<Finding>,
    /// The worst window.
    hitch: Option<Finding>,
    inflated_now: bool,
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
    /// What kept workers from their work since the last look.
    pub strain: Strain,
    /// Response times of each request since the end of the warm-up; `None` in a look that does without.
    pub times: Option<Vec<SplitTimes>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    arrivals: u64,
    dropped: u64,
    overdue: u64,
    shortages: [u64; Shortage::ALL.len()],
}

// === Validity ===

impl Validity {
    /// Nothing has been judged. `names` are those of the requests, by their ids.
    pub fn new(limits: ValidityLimits, names: Vec<String>) -> Self {
        Self {
            limits,
            names,
            elapsed: Duration::ZERO,
            busy_for: Vec::new(),
            longest: Duration::ZERO,
            earlier: VecDeque::from([(Duration::ZERO, SplitTimes::default())]),
            recent: VecDeque::new(),
            strain: Strain::default(),
            requests: 0,
            shares: None,
            inflated: None,
            hitch: None,
            inflated_now: false,
            counts: Counts::default(),
            said: Vec::new(),
        }
    }

    /// Judges by a further look, and answers with what has not been said before.
    pub fn look(&mut self, look: Look) -> Vec<Finding> {
        self.elapsed += look.interval;
        self.busy(look.interval, &look.busy);
        let Pulse { arrivals, dropped, overdue, shortages } = look.pulse;
        self.counts = Counts { arrivals, dropped, overdue, shortages };
        self.strain = self.strain.and(look.strain);
        self.recent.push_back(look.strain);
        let kept = self.recent.iter().rev().scan(Duration::ZERO, |sum, strain| {
            *sum += strain.elapsed;
            Some(*sum)
        });
        let kept = kept.take_while(|sum| *sum <= WINDOW).count().max(1);
        self.recent.drain(..self.recent.len() - kept);
        if let Some(times) = look.times {
            self.times(times);
        }
        let hitch = self.hitch.clone().filter(|_| self.inflated_now);
        let mut news = self.found();
        news.extend(self.saturation());
        news.extend(hitch.filter(|_| self.inflated.is_none()));
        news.retain(|finding| !self.said.contains(&finding.kind()));
        self.said.extend(news.iter().map(Finding::kind));
        news
    }

    /// What was found up to here was the warm-up's, and is not in the summary.
    pub fn end_warm_up(&mut self) {
        *self = Self::new(self.limits, std::mem::take(&mut self.names));
    }

    /// Why the run is invalid; nothing for one that is valid, or that is not to be judged.
    pub fn reasons(&self) -> Vec<Finding> {
        if self.limits.enabled { self.found() } else { Vec::new() }
    }

    /// Whether requests failed for want of descriptors or ports: those are the generator's own failures.
    pub fn is_short(&self) -> bool {
        self.counts.shortages.iter().any(|count| *count > 0)
    }

    /// What else a reader should know.
    pub fn notes(&self) -> Vec<Finding> {
        let mut notes = if self.limits.enabled { Vec::new() } else { self.found() };
        notes.extend(self.saturation());
        notes.extend(self.hitch.clone().filter(|_| self.inflated.is_none()));
        notes
    }

    /// Why the results were not judged; `None` if they were.
    pub fn unjudged(&self) -> Option<String> {
        let few = self.limits.enabled && self.requests < FEWEST;
        few.then(|| format!("whether the results are valid was not judged: fewer than {FEWEST} requests"))
    }

    /// Of figures that thresholds judge: what is wrong with the worst of them.
    pub fn of_threshold(&self, worst: Inflated) -> Finding {
        Finding::Inflated { worst, cause: self.strain.cause() }
    }

    /// Which share of p50, p95 and p99 of all requests is the generator's.
    pub fn shares(&self) -> Option<[f64; 3]> {
        self.shares
    }

    /// Whether it is the bottleneck now: in the last look's interval a worker was too busy, or figures are off.
    pub fn is_saturated(&self) -> bool {
        self.inflated_now || self.busy_for.iter().any(|duration| !duration.is_zero())
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

    fn times(&mut self, times: Vec<SplitTimes>) {
        let mut all = SplitTimes::default();
        times.iter().for_each(|times| all.add(times));
        self.requests = all.measured.count();
        let quantiles = JUDGED.map(|(quantile, _)| quantile);
        let figures = all.measured.times_at(quantiles).zip(all.without_generator.times_at(quantiles));
        self.shares =
            figures.map(|(with, without)| std::array::from_fn(|at| ((with[at] - without[at]) / with[at].max(1e-9)).max(0.0)));
        let each = self.names.iter().map(String::as_str).zip(&times);
        let worst = std::iter::once(("all requests", &all)).chain(each).flat_map(|(scope, times)| self.inflated(scope, times));
        let worst = worst.reduce(Inflated::worse);
        self.inflated = worst.map(|worst| Finding::Inflated { worst, cause: self.strain.cause() });

        while self.earlier.get(1).is_some_and(|(at, _)| self.elapsed.saturating_sub(*at) >= WINDOW) {
            self.earlier.pop_front();
        }
        if let Some((at, earlier)) = self.earlier.front() {
            let over = self.elapsed.saturating_sub(*at);
            let part = all.since(earlier);
            let now = self.inflated("all requests", &part).into_iter().reduce(Inflated::worse);
            self.inflated_now = now.is_some();
            if let Some(now) = now {
                let cause = self.recent.iter().copied().fold(Strain::default(), Strain::and).cause();
                let now = Finding::Inflated { worst: Inflated { over: Some(over), ..now }, cause };
                self.hitch = Some(match self.hitch.take() {
                    Some(known) if known.excess() >= now.excess() => known,
                    _ => now,
                });
            }
        }
        if self.earlier.back().is_none_or(|(at, _)| *at < self.elapsed) {
            self.earlier.push_back((self.elapsed, all));
        }
    }

    /// The quantiles of which too much is the generator's.
    fn inflated(&self, scope: &str, times: &SplitTimes) -> Vec<Inflated> {
        let figures = JUDGED.iter().filter(|(quantile, _)| times.measured.count() >= fewest(*quantile));
        let inflated = figures.filter_map(|(quantile, name)| {
            let of = [times.measured.at(*quantile)?, times.without_generator.at(*quantile)?];
            Inflated::of(&self.limits, name, scope, of)
        });
        inflated.collect()
    }

    fn saturation(&self) -> Option<Finding> {
        let ValidityLimits { busy, busy_for, .. } = self.limits;
        (self.longest >= busy_for).then_some(Finding::Busy { limit: busy, duration: self.longest })
    }

    fn found(&self) -> Vec<Finding> {
        let limit = self.limits.dropped;
        let Counts { arrivals, dropped, overdue, shortages } = self.counts;
        let mut found: Vec<_> = self.inflated.clone().into_iter().collect();
        if dropped as f64 > limit.get() * (arrivals + dropped) as f64 {
            found.push(Finding::Dropped { dropped, arrivals: arrivals + dropped, limit });
        }
        if overdue as f64 > limit.get() * (arrivals + overdue) as f64 {
            found.push(Finding::Overdue { overdue, iterations: arrivals + overdue, limit });
        }
        let short = Shortage::ALL.into_iter().zip(shortages).filter(|(_, count)| *count > 0);
        found.extend(short.map(|(of, count)| Finding::Short { of, count }));
        found
    }
}

impl Finding {
    fn excess(&self) -> f64 {
        match self {
            Self::Inflated { worst, .. } => worst.excess(),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests;
