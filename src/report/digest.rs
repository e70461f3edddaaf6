//! What the reports of a run need of its intervals, taken in one pass: a run of half a day has more of them than one wants to hold.
//!
//! ```text
//!  intervals.jsonl ─▶ sums of what was measured: of each request, of tasks, checks and the run      ─▶ summary, CSV
//!                  ─▶ charts, of at most 600 points                                                  ─▶ page
//!                  ─▶ a moment for each interval                                                     ─▶ stats_history.csv
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::time::Duration;

use super::csv::SHARES;
use super::html::Charts;
use super::intervals::{Meta, NO_HISTOGRAM, Outline, Part, Parts, RemarkPart, RequestPart, RunPart, Unreadable};
use crate::clock::Timestamp;
use crate::measure::catalog::RequestName;
use crate::measure::hdr::Packed;
use crate::measure::phases::PhaseSums;
use crate::measure::quantiles::Quantiles;
use crate::phases;

/// The intervals of a run, summed.
#[derive(Debug)]
pub struct Digest {
    pub meta: Meta,
    /// What is missing at the end, a sentence.
    pub torn: Option<String>,
    /// As of its last whole interval.
    pub last: Option<RunPart>,
    /// For how long it was measured.
    pub measured: Duration,
    /// In the order of the plan, then what else came.
    pub requests: Vec<(RequestName, Sum)>,
    /// By user and task: successes, failures.
    pub tasks: BTreeMap<(String, String), [u64; 2]>,
    pub lag: Quantiles,
    pub arrivals_dropped: u64,
    pub iterations_overdue: u64,
    pub connections_opened: u64,
    pub durations_clamped: u64,
    pub remarks: Vec<RemarkPart>,
    pub charts: Charts,
    pub history: Vec<Moment>,
}

/// One request, without the warm-up.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    pub requests: u64,
    pub failures: u64,
    pub statuses: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, Seen>,
    /// By check: held, failed.
    pub checks: BTreeMap<String, [u64; 2]>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub redirects: u64,
    pub retried: u64,
    pub response: Quantiles,
    pub response_without_generator: Quantiles,
    pub service: Quantiles,
    pub phases: PhaseSums,
}

/// A reason of failures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub count: u64,
    pub example: Option<String>,
    /// Unix seconds: when the first interval with it began, and when the last one was over.
    pub first: f64,
    pub last: f64,
}

/// An interval, of all requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Its end, in Unix seconds.
    pub at: f64,
    pub users: u64,
    pub rps: f64,
    pub failures_per_second: f64,
    /// Response times at [`SHARES`], and the longest.
    pub times: Option<[f64; SHARES.len() + 1]>,
    /// Since the warm-up.
    pub total: Total,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    pub requests: u64,
    pub failures: u64,
    pub bytes: u64,
    /// Median, mean, minimum, maximum.
    pub times: [f64; 4],
}

// === Digest ===

impl Digest {
    /// Reads a file, of which `outline` says what is in it. A last part that is not whole is left out.
    ///
    /// # Errors
    /// Names the first line that is not as it should be.
    pub fn read(file: impl BufRead, outline: Outline) -> Result<Self, Unreadable> {
        let mut parts = Parts::open(file)?;
        let mut names = parts.meta().plan.requests.clone();
        names.extend(outline.requests);
        let mut places = HashMap::new();
        names.retain(|name| {
            let next = places.len();
            places.insert(name.clone(), next).is_none_or(|before| {
                // It is there already.
                places.insert(name.clone(), before);
                false
            })
        });
        let mut digest = Self {
            meta: parts.meta().clone(),
            torn: None,
            last: None,
            measured: Duration::ZERO,
            charts: Charts::new(outline.seconds, super::html::shown(&names)),
            requests: names.into_iter().map(|name| (name, Sum::default())).collect(),
            tasks: BTreeMap::new(),
            lag: Quantiles::default(),
            arrivals_dropped: 0,
            iterations_overdue: 0,
            connections_opened: 0,
            durations_clamped: 0,
            remarks: Vec::new(),
            history: Vec::new(),
        };
        let started = Timestamp::from_rfc3339(&digest.meta.started_at).map_or(0.0, Timestamp::unix_seconds);
        let (mut all, mut total) = (Quantiles::default(), Total::default());
        while let Some(part) = parts.next_part()? {
            let unpacked: Option<Vec<_>> = part.requests.iter().map(unpack).collect();
            let without: Option<Vec<_>> = part.requests.iter().map(unpack_without_generator).collect();
            let (Some(unpacked), Some(without), Some(lag)) = (unpacked, without, quantiles(part.run.lag.as_ref())) else {
                return Err(parts.broken(NO_HISTOGRAM));
            };
            if !part.run.warm_up {
                for (request, without) in part.requests.iter().zip(&without) {
                    let place = places.get(&request.name()).and_then(|place| digest.requests.get_mut(*place));
                    place.into_iter().for_each(|(_, sum)| sum.response_without_generator.add(without));
                }
            }
            digest.add(part, &unpacked, &lag, &places, started, (&mut all, &mut total));
        }
        digest.torn = parts.torn();
        Ok(digest)
    }

    fn add(
        &mut self,
        part: Part,
        unpacked: &[[Quantiles; 2]],
        lag: &Quantiles,
        places: &HashMap<RequestName, usize>,
        started: f64,
        (all, total): (&mut Quantiles, &mut Total),
    ) {
        let run = &part.run;
        let paused = self.last.as_ref().map_or(0.0, |last| last.paused_seconds);
        let (from, to) = (started + run.at + paused, started + run.at + run.seconds + run.paused_seconds);
        let mut together = Quantiles::default();
        unpacked.iter().for_each(|[response, _]| together.add(response));
        self.charts.add_part(&part, unpacked, &together, places);
        let sum = |of: fn(&RequestPart) -> u64| part.requests.iter().map(of).sum::<u64>();
        let (requests, failures) = (sum(|request| request.requests), sum(|request| request.failures));
        if !run.warm_up {
            for (request, times) in part.requests.iter().zip(unpacked) {
                let place = places.get(&request.name()).and_then(|place| self.requests.get_mut(*place));
                place.into_iter().for_each(|(_, sum)| sum.add(request, times, (from, to)));
            }
            for task in &run.tasks {
                let counts = self.tasks.entry((task.user.clone(), task.task.clone())).or_default();
                *counts = [counts[0] + task.successes, counts[1] + task.failures];
            }
            self.lag.add(lag);
            self.arrivals_dropped += run.arrivals_dropped;
            self.iterations_overdue += run.iterations_overdue;
            self.connections_opened += run.connections_opened;
            self.durations_clamped += run.durations_clamped;
            all.add(&together);
            let [median, mean] = all.times().map_or([0.0; 2], |times| [times.p50, times.mean]);
            let [min, max] = all.times().map_or([0.0; 2], |times| [times.min, times.max]);
            total.requests += requests;
            total.failures += failures;
            total.bytes += sum(|request| request.bytes_received);
            total.times = [median, mean, min, max];
        }
        let per_second = |count: u64| if run.seconds > 0.0 { count as f64 / run.seconds } else { 0.0 };
        let longest = together.times().map_or(0.0, |times| times.max);
        let times = together.times_at(SHARES).map(|shares| std::array::from_fn(|at| *shares.get(at).unwrap_or(&longest)));
        self.history.push(Moment {
            at: to,
            users: run.users,
            rps: per_second(requests),
            failures_per_second: per_second(failures),
            times,
            total: *total,
        });
        let end = duration(run.at) + duration(run.seconds);
        self.measured = if run.warm_up { Duration::ZERO } else { end.saturating_sub(duration(self.meta.warm_up_seconds)) };
        self.remarks.extend(run.remarks.iter().cloned());
        self.last = Some(part.run);
    }

    /// Response times of one request.
    pub fn times_of(&self, name: &RequestName) -> Option<&Quantiles> {
        self.requests.iter().find(|(known, _)| known == name).map(|(_, sum)| &sum.response)
    }

    /// Response times of all requests.
    pub fn times(&self) -> Quantiles {
        let mut all = Quantiles::default();
        self.requests.iter().for_each(|(_, sum)| all.add(&sum.response));
        all
    }

    /// When a reason of failures of a request was seen first and last, in Unix seconds.
    pub fn seen(&self, name: &RequestName, reason: &str) -> Option<(f64, f64)> {
        let (_, sum) = self.requests.iter().find(|(known, _)| known == name)?;
        sum.reasons.get(reason).map(|seen| (seen.first, seen.last))
    }
}

/// As it was before it was written as seconds.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// `None` when there is something, but no histogram.
fn quantiles(packed: Option<&Packed>) -> Option<Quantiles> {
    packed.map_or_else(|| Some(Quantiles::default()), Packed::quantiles)
}

fn unpack(request: &RequestPart) -> Option<[Quantiles; 2]> {
    Some([quantiles(request.response.as_ref())?, quantiles(request.service.as_ref())?])
}

fn unpack_without_generator(request: &RequestPart) -> Option<Quantiles> {
    quantiles(request.response_without_generator.as_ref().or(request.response.as_ref()))
}

impl Sum {
    fn add(&mut self, part: &RequestPart, [response, service]: &[Quantiles; 2], (from, to): (f64, f64)) {
        self.requests += part.requests;
        self.failures += part.failures;
        self.bytes_sent += part.bytes_sent;
        self.bytes_received += part.bytes_received;
        self.redirects += part.redirects;
        self.retried += part.retried;
        self.response.add(response);
        self.service.add(service);
        for of in phases::Part::ALL {
            let (count, nanos) = part.phases.get(of.name()).copied().unwrap_or_default();
            self.phases.count(of, count, u128::from(nanos));
        }
        part.statuses.iter().for_each(|(status, count)| *self.statuses.entry(status.clone()).or_default() += count);
        for (check, [held, failed]) in &part.checks {
            let counts = self.checks.entry(check.clone()).or_default();
            *counts = [counts[0] + held, counts[1] + failed];
        }
        for (reason, count) in &part.reasons {
            let seen = self.reasons.entry(reason.clone()).or_insert(Seen { first: from, ..Seen::default() });
            (seen.count, seen.last) = (seen.count + count, to);
        }
        // A message that has come in place of another one is the summary's.
        for (reason, example) in &part.examples {
            if let Some(seen) = self.reasons.get_mut(reason) {
                seen.example = Some(example.clone());
            }
        }
    }
}
