//! One worker's measurements: the hot path. A shard sits behind a mutex that only its worker takes, but for the moments of a
//! snapshot. Recording hashes nothing, compares no text, and allocates only when something is met for the first time. What is
//! recorded most often is noted first and sorted in later ([`super::pending`]); who reads, reads all of it ([`Shard::figures`]).

use std::sync::Arc;
use std::time::Duration;

use crate::phases::{Part, Phases};
use crate::reason::{Reason, Shortage};

use super::brief::Briefs;
use super::catalog::{Catalog, CheckId, GroupId, RequestId, TaskId, UserId};
use super::exemplar::Traced;
use super::generator_shift::GeneratorShift;
use super::histogram::{Point, nanos};
use super::pending::{Note, Pending, TaskNote, USUAL};
use super::quantiles::Quantiles;
use super::scale::Scale;
use super::totals::{Counters, Ending, Totals, UserState};

/// All that one worker has measured.
#[derive(Clone, Debug)]
pub struct Shard {
    catalog: Arc<Catalog>,
    scale: Scale,
    pending: Pending,
    /// By request; told to the totals when somebody reads.
    briefs: Vec<Briefs>,
    /// How many requests may be in those: no count of 32 bits may be full before they are told.
    untold: usize,
    totals: Totals,
    /// Only the summary reads these; they begin anew after the warm-up.
    summary: Summary,
    /// What was counted in the warm-up.
    baseline: Option<Box<Counters>>,
    load: Load,
}

/// What a shard has counted.
#[derive(Clone, Copy)]
pub(super) struct Figures<'a> {
    pub(super) totals: &'a Totals,
    pub(super) summary: &'a Summary,
    pub(super) baseline: Option<&'a Counters>,
}

/// One exchange, with the redirects that were followed.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// From the moment it should have started to the last byte.
    pub response: Duration,
    /// From the moment it really started.
    pub service: Duration,
    /// By how much it started later than it could have, by the generator's own fault: a part of the response time.
    pub lag: Duration,
    /// `None` when no response came.
    pub status: Option<u16>,
    /// Why it failed, and the message that says what exactly happened.
    pub failure: Option<(Reason, &'a str)>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub redirects: u32,
    /// Sent once more, because a kept connection turned out closed.
    pub retried: u32,
    /// How much later than its arrival the response was read. It is not in the times above, which end with the arrival.
    pub read_lag: Duration,
    /// At most so much of the times above is the generator's own late reading, whose end no timestamp of the kernel gives.
    pub unresolved_read_lag: Duration,
    /// They are counted if there is a status.
    pub phases: &'a Phases,
    /// Its span, when the exporter has taken that.
    pub exemplar: Option<Traced>,
}

/// What Prometheus has no use for: quantiles and examples, both results together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) requests: Vec<RequestSummary>,
    pub(super) lag: Quantiles,
    pub(super) read_lag: Quantiles,
    /// How often it began anew: figures of different epochs cannot be subtracted.
    pub(super) epoch: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestSummary {
    pub(super) response: Quantiles,
    pub(super) service: Quantiles,
    /// The generator's own part of the response times: late starts, and late reads that no timestamp corrects.
    pub(super) shift: GeneratorShift,
    /// Of the service times: late reads.
    pub(super) service_shift: GeneratorShift,
    /// One message for each reason that occurred, at most [`LONGEST_EXAMPLE`] characters.
    pub(super) examples: Vec<(Reason, Box<str>)>,
}

/// How hard a worker works, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Nanoseconds in which it did something.
    pub busy_nanos: u64,
    /// Nanoseconds in which it was watched: busy and idle.
    pub watched_nanos: u64,
    /// The longest time by which its loop came round later than asked, since that was last read.
    pub longest_gap_nanos: u64,
}

/// Then what phases took is told, if nobody has read.
const MOST_UNTOLD: usize = 1 << 30;

/// Messages kept as examples are cut to so many characters.
pub const LONGEST_EXAMPLE: usize = 300;

// === Shard ===

impl Shard {
    pub fn new(catalog: &Arc<Catalog>) -> Self {
        Self {
            catalog: Arc::clone(catalog),
            scale: Scale::new(&catalog.buckets),
            pending: Pending::default(),
            briefs: vec![Briefs::default(); catalog.requests.len()],
            untold: 0,
            totals: Totals::new(catalog),
            summary: Summary::new(catalog),
            baseline: None,
            load: Load::default(),
        }
    }

    /// All that was counted.
    pub(super) fn figures(&mut self) -> Figures<'_> {
        self.settle();
        Figures { totals: &self.totals, summary: &self.summary, baseline: self.baseline.as_deref() }
    }

    /// Counts one request. An id of another catalog is ignored, here and below.
    pub fn request(&mut self, id: RequestId, sample: &Sample<'_>) {
        if sample.status.is_some() {
            self.read(sample);
        }
        match Note::of(id, sample) {
            Some(note) => {
                self.pending.requests.push(note);
                self.settle_if_full();
            }
            None => self.count(id, sample),
        }
    }

    /// How late a response was read. One that was not looked at was not late, and counts as read at its arrival.
    fn read(&mut self, sample: &Sample<'_>) {
        if sample.read_lag.is_zero() {
            self.pending.prompt_reads += 1;
        } else {
            self.pending.read_lags.push(nanos(sample.read_lag));
            self.totals.reads_corrected += 1;
        }
        self.totals.reads_uncorrected += u64::from(!sample.unresolved_read_lag.is_zero());
    }

    fn settle_if_full(&mut self) {
        if self.pending.is_full() {
            self.sort_in();
            if self.untold > MOST_UNTOLD {
                self.tell();
            }
        }
    }

    /// From here on the totals have all of it.
    fn settle(&mut self) {
        self.sort_in();
        self.tell();
    }

    fn tell(&mut self) {
        let boundaries = self.catalog.buckets.len();
        for (briefs, request) in self.briefs.iter_mut().zip(&mut self.totals.requests) {
            briefs.tell(&mut request.phases, &self.scale, boundaries);
        }
        self.untold = 0;
    }

    /// Sorts in what was noted.
    fn sort_in(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        self.settle_requests(&pending.requests, &mut pending.points);
        pending.requests.clear();
        for TaskNote { nanos, task, ok } in pending.tasks.drain(..) {
            if let Some(pair) = self.totals.tasks.get_mut(task.index()) {
                pair[Ending::of(ok) as usize].record(&self.scale.point(nanos));
            }
        }
        for lag in pending.lags.drain(..) {
            let point = self.scale.point(lag);
            self.totals.lag.record(&point);
            self.totals.clamped += u64::from(self.summary.lag.record(&point));
        }
        let prompt = std::mem::take(&mut pending.prompt_reads);
        for lag in pending.read_lags.drain(..).chain(std::iter::repeat_n(0, usize::try_from(prompt).unwrap_or(0))) {
            let point = self.scale.point(lag);
            self.totals.read_lag.record(&point);
            self.totals.clamped += u64::from(self.summary.read_lag.record(&point));
        }
        self.pending = pending;
    }

    /// One place after the other, rather than one request after the other: what has to be fetched for one note does not depend
    /// on what is fetched for the next, and a short loop lets the processor wait for many at once.
    fn settle_requests(&mut self, notes: &[Note], points: &mut Vec<(usize, [Point; 2], [u64; 2])>) {
        let Self { scale, totals, summary, briefs, untold, .. } = self;
        points.clear();
        points.extend(
            notes
                .iter()
                .filter(|note| note.request.index() < totals.requests.len())
                .map(|note| (note.request.index(), note.times().map(|nanos| scale.point(nanos)), note.generator_parts())),
        );
        for note in notes {
            if let Some(request) = totals.requests.get_mut(note.request.index()) {
                note.count(&mut request.counters);
            }
        }
        const WELL: usize = Ending::Success as usize;
        points.iter().for_each(|(at, [response, _], _)| totals.requests[*at].response[WELL].record(response));
        points.iter().for_each(|(at, [_, service], _)| totals.requests[*at].service[WELL].record(service));
        let mut clamped = 0;
        points.iter().for_each(|(at, [response, _], _)| clamped += u64::from(summary.requests[*at].response.record(response)));
        points.iter().for_each(|(at, [_, service], _)| clamped += u64::from(summary.requests[*at].service.record(service)));
        for (at, [response, service], [of_response, of_service]) in &*points {
            let summary = &mut summary.requests[*at];
            summary.shift.record(response.nanos, *of_response);
            summary.service_shift.record(service.nanos, *of_service);
        }
        totals.clamped += clamped;
        *untold += notes.len();
        for usual in 0..USUAL.len() {
            for note in notes {
                if let (Some(nanos), Some(briefs)) = (note.phase(usual), briefs.get_mut(note.request.index())) {
                    briefs.record(usual, nanos, scale);
                }
            }
        }
    }

    fn count(&mut self, id: RequestId, sample: &Sample<'_>) {
        let (Some(totals), Some(summary)) = (self.totals.requests.get_mut(id.index()), self.summary.requests.get_mut(id.index()))
        else {
            return;
        };
        let ending = Ending::of(sample.failure.is_none());
        let counters = &mut totals.counters;
        counters.statuses.count(sample.status, ending);
        counters.sent_bytes += sample.sent_bytes;
        counters.received_bytes += sample.received_bytes;
        counters.redirects += u64::from(sample.redirects);
        counters.retried += u64::from(sample.retried);

        let [response, service] = [sample.response, sample.service].map(|time| self.scale.point(nanos(time)));
        totals.response[ending as usize].record(&response);
        totals.service[ending as usize].record(&service);
        if let Some(traced) = sample.exemplar {
            totals.response[ending as usize].exemplify(&response, traced);
            totals.service[ending as usize].exemplify(&service, traced);
        }
        let clamped = [summary.response.record(&response), summary.service.record(&service)];
        summary.shift.record(response.nanos, nanos(sample.lag + sample.unresolved_read_lag));
        summary.service_shift.record(service.nanos, nanos(sample.unresolved_read_lag));
        self.totals.clamped += clamped.into_iter().map(u64::from).sum::<u64>();

        if sample.status.is_some() {
            for (part, time) in Part::ALL.into_iter().zip(sample.phases.all()) {
                let point = time.map(|time| self.scale.point(nanos(time)));
                point.iter().for_each(|point| totals.phases.record(part, point, self.catalog.buckets.len()));
            }
        }
        if let Some((reason, message)) = sample.failure {
            counters.reasons[reason as usize] += 1;
            summary.example(reason, message);
        }
    }

    /// Counts a request that failed before it was sent: it took no time, so it is in no histogram.
    pub fn unsent(&mut self, id: RequestId, reason: Reason, message: &str) {
        let (Some(totals), Some(summary)) = (self.totals.requests.get_mut(id.index()), self.summary.requests.get_mut(id.index()))
        else {
            return;
        };
        totals.counters.statuses.count(None, Ending::Failure);
        totals.counters.reasons[reason as usize] += 1;
        summary.example(reason, message);
    }

    /// Counts one run of a task; `duration` without think time.
    pub fn task(&mut self, id: TaskId, ok: bool, duration: Duration) {
        self.pending.tasks.push(TaskNote { nanos: nanos(duration), task: id, ok });
        self.settle_if_full();
    }

    /// Counts one run of a group; `duration` without think time.
    pub fn group(&mut self, id: GroupId, ok: bool, duration: Duration) {
        if let Some(pair) = self.totals.groups.get_mut(id.index()) {
            pair[Ending::of(ok) as usize].record(&self.scale.point(nanos(duration)));
        }
    }

    pub fn check(&mut self, id: CheckId, ok: bool) {
        if let Some(pair) = self.totals.checks.get_mut(id.index()) {
            pair[Ending::of(ok) as usize] += 1;
        }
    }

    /// A user comes (`from` is `None`), goes (`to` is `None`), or changes its state.
    pub fn user(&mut self, id: UserId, from: Option<UserState>, to: Option<UserState>) {
        if let Some(states) = self.totals.users.get_mut(id.index()) {
            from.into_iter().for_each(|state| states[state as usize] -= 1);
            to.into_iter().for_each(|state| states[state as usize] += 1);
        }
    }

    /// The worker is left behind: its users are no part of the run any more.
    pub fn leave_users(&mut self) {
        self.totals.users.fill([0; 3]);
    }

    /// How many users this worker should have now.
    pub fn users_target(&mut self, id: UserId, users: u32) {
        if let Some(target) = self.totals.users_target.get_mut(id.index()) {
            *target = u64::from(users);
        }
    }

    /// So many arrivals of an open load found no free user.
    pub fn drop_arrivals(&mut self, id: UserId, count: u64) {
        if let Some(dropped) = self.totals.arrivals_dropped.get_mut(id.index()) {
            *dropped = dropped.saturating_add(count);
        }
    }

    /// So many iterations that a schedule asked for have not begun, and their user stops.
    pub fn iterations_overdue(&mut self, id: UserId, count: u64) {
        if let Some(overdue) = self.totals.iterations_overdue.get_mut(id.index()) {
            *overdue += count;
        }
    }

    /// Arrivals that found no free user, since the start.
    pub fn arrivals_dropped(&self) -> u64 {
        self.totals.arrivals_dropped.iter().sum()
    }

    /// How much later than intended something was started by the generator's own fault.
    pub fn lag(&mut self, lag: Duration) {
        self.pending.lags.push(nanos(lag));
        self.settle_if_full();
    }

    /// The system had no descriptor or no port for a connection.
    pub fn shortage(&mut self, of: Shortage) {
        self.totals.shortages[of as usize] += 1;
    }

    /// `opened` new connections; `open_delta` more (or fewer) are open than before.
    pub fn connections(&mut self, opened: u32, open_delta: i32) {
        self.totals.connections_opened += u64::from(opened);
        self.totals.connections += i64::from(open_delta);
    }

    /// The worker was watched for a further while, and did something in a part of it.
    pub fn watched(&mut self, busy: Duration, whole: Duration) {
        self.load.busy_nanos = self.load.busy_nanos.saturating_add(nanos(busy));
        self.load.watched_nanos = self.load.watched_nanos.saturating_add(nanos(whole));
    }

    /// The worker's loop came round so much later than it had asked to be woken.
    pub fn loop_lag(&mut self, late: Duration) {
        self.load.longest_gap_nanos = self.load.longest_gap_nanos.max(nanos(late));
    }

    /// How hard the worker works, since its start; the longest gap begins anew.
    pub fn take_load(&mut self) -> Load {
        let load = self.load;
        self.load.longest_gap_nanos = 0;
        load
    }

    /// What came so far stays in the totals, and is left out of the summary: exactly what is counted from here on is in it.
    pub fn end_warm_up(&mut self) {
        self.settle();
        self.baseline = Some(Box::new(self.totals.counters()));
        self.summary = Summary { epoch: self.summary.epoch + 1, ..Summary::new(&self.catalog) };
    }
}

// === Summary ===

impl Summary {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self { requests: vec![RequestSummary::default(); catalog.requests.len()], ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests.iter_mut().zip(&other.requests).for_each(|(mine, theirs)| mine.add(theirs));
        self.add_run(other);
    }

    /// What belongs to no request.
    pub(super) fn add_run(&mut self, other: &Self) {
        self.lag.add(&other.lag);
        self.read_lag.add(&other.read_lag);
        self.epoch += other.epoch;
    }
}

impl RequestSummary {
    /// Keeps the first message of each reason.
    fn example(&mut self, reason: Reason, message: &str) {
        if !self.examples.iter().any(|(known, _)| *known == reason) {
            self.examples.push((reason, message.chars().take(LONGEST_EXAMPLE).collect()));
            self.examples.sort_by_key(|(reason, _)| *reason);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.shift.add(&other.shift);
        self.service_shift.add(&other.service_shift);
        add_examples(&mut self.examples, &other.examples);
    }
}

/// One example for each reason. Of two, the first by alphabet: whoever merges in whatever order gets the same.
pub(super) fn add_examples(mine: &mut Vec<(Reason, Box<str>)>, theirs: &[(Reason, Box<str>)]) {
    for (reason, theirs) in theirs {
        match mine.binary_search_by_key(reason, |(reason, _)| *reason) {
            Ok(at) if *theirs < mine[at].1 => mine[at].1.clone_from(theirs),
            Ok(_) => {}
            Err(at) => mine.insert(at, (*reason, theirs.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
