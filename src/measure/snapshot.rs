//! What a reader sees: the sum of all shards at one moment, and the facts of the run. Exporters, report, view and thresholds
//! all read snapshots, so they agree; taking one changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::trace::queue::SpanCounts;

use super::catalog::{Catalog, CheckId, RequestId};
use super::generator_shift::SplitTimes;
use super::health::Health;
use super::outcome::RunVerdict;
use super::quantiles::{Quantiles, Times};
use super::shard::{Figures, Shard, Summary};
use super::soak::Soak;
use super::threshold::ThresholdState;
use super::totals::{Counters, RequestCounters, Totals};

/// The merge of shards, and what is known of the run as a whole.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub catalog: Arc<Catalog>,
    pub facts: Facts,
    /// Since the start of the run.
    pub totals: Totals,
    /// What of it was counted in the warm-up.
    pub(super) baseline: Counters,
    pub(super) summary: Summary,
}

/// How much a reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What Prometheus is shown. The quantiles of the summary are left out, and their figures are `None`.
    Totals,
    /// The quantiles too: for summary, progress, thresholds.
    Full,
}

/// What is known of the run, beside what the shards count.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub run: Arc<RunInfo>,
    pub phase: Phase,
    /// Since the start, without pauses.
    pub elapsed: Duration,
    /// For how long the run has been paused.
    pub paused: Duration,
    /// Since the end of the warm-up: what rates of the summary are relative to.
    pub measured: Duration,
    /// How long the load is to last; `None` until it is stopped.
    pub planned: Option<Duration>,
    /// For how long it has been held as it is; zero outside of the steady phase.
    pub steady: Duration,
    /// The most users there were at once.
    pub peak_users: u64,
    /// Whether the figures can be believed so far.
    pub valid: bool,
    /// The verdict so far, and in the end.
    pub verdict: RunVerdict,
    /// All thresholds, in the order of the file.
    pub thresholds: Arc<[ThresholdState]>,
    /// Whether a long run gets worse, as of the last judgement.
    pub soak: Arc<Soak>,
    /// Response times of the run that this one is compared with.
    pub baseline: Arc<[BaselineTime]>,
    /// Which share of p50, p95 and p99 of all response times is the generator's; `None` as long as nothing was judged.
    pub generator_shares: Option<[f64; 3]>,
    /// The generator's health now, and the worst of each figure.
    pub health: Health,
    pub worst_health: Health,
    /// How many remarks were made.
    pub annotations: u64,
    /// How often the results could not be written.
    pub results_write_errors: u64,
    /// The budget of time series, which [`Catalog::series`] has to keep.
    pub series_limit: u64,
    /// What became of the spans of this run; `None` without traces.
    pub spans: Option<SpanCounts>,
}

/// A quantile of an earlier run's response times.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineTime {
    pub request: String,
    /// As the label `quantile` carries it.
    pub quantile: &'static str,
    pub seconds: f64,
}

/// What never changes during a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInfo {
    /// The scenario's name.
    pub test: String,
    pub run_id: String,
    /// Of otload.
    pub version: String,
    /// The target, as the scenario names it.
    pub host: String,
    pub scenario_sha256: String,
    pub started_at: Timestamp,
    /// Further labels of every series, by name. One that a metric has itself is left out.
    pub labels: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    WarmUp,
    Ramp,
    Steady,
    RampDown,
    Done,
    Paused,
}

/// What came between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub elapsed: Duration,
    pub requests: u64,
    pub failures: u64,
    /// Response times of all requests together, in seconds; minimum and maximum are those of the bins.
    pub response: Option<Times>,
}

// === Phase ===

impl Phase {
    pub const ALL: [Self; 6] = [Self::WarmUp, Self::Ramp, Self::Steady, Self::RampDown, Self::Done, Self::Paused];

    /// As the label `phase` carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm_up",
            Self::Ramp => "ramp",
            Self::Steady => "steady",
            Self::RampDown => "ramp_down",
            Self::Done => "done",
            Self::Paused => "paused",
        }
    }
}

// === Facts ===

impl Facts {
    /// At the start: nothing has happened, nothing is known to be wrong.
    pub fn new(run: Arc<RunInfo>, phase: Phase, series_limit: u64) -> Self {
        Self {
            run,
            phase,
            elapsed: Duration::ZERO,
            paused: Duration::ZERO,
            measured: Duration::ZERO,
            planned: None,
            steady: Duration::ZERO,
            peak_users: 0,
            valid: true,
            verdict: RunVerdict::NotJudged,
            thresholds: Arc::default(),
            soak: Arc::default(),
            baseline: Arc::default(),
            generator_shares: None,
            health: Health::default(),
            worst_health: Health::default(),
            annotations: 0,
            results_write_errors: 0,
            series_limit,
            spans: None,
        }
    }
}

// === Snapshot ===

impl Snapshot {
    /// All zero.
    pub fn empty(catalog: &Arc<Catalog>, facts: Facts) -> Self {
        Self {
            catalog: Arc::clone(catalog),
            facts,
            totals: Totals::new(catalog),
            baseline: Counters::new(catalog),
            summary: Summary::new(catalog),
        }
    }

    /// The sum of all shards, one after the other. A worker is kept from recording only as long as it takes to add its totals,
    /// or the quantiles of one request: tens of microseconds, so that a look at a run is not seen in its figures. So, while
    /// workers record, the quantiles may be ahead of the totals by what came in between; when they have ended, all agree.
    pub fn take(catalog: &Arc<Catalog>, facts: Facts, shards: &[Arc<Mutex<Shard>>], detail: Detail) -> Self {
        let mut snapshot = Self::empty(catalog, facts);
        for shard in shards {
            // A worker that panicked has left whole numbers behind: they are still worth showing.
            let locked = || shard.lock().unwrap_or_else(PoisonError::into_inner);
            snapshot.add(&mut locked(), Detail::Totals);
            if detail == Detail::Full {
                for (at, mine) in snapshot.summary.requests.iter_mut().enumerate() {
                    locked().figures().summary.requests.get(at).into_iter().for_each(|theirs| mine.add(theirs));
                }
                snapshot.summary.add_run(locked().figures().summary);
            }
        }
        snapshot
    }

    /// Adds one shard.
    pub fn add(&mut self, shard: &mut Shard, detail: Detail) {
        let Figures { totals, summary, baseline } = shard.figures();
        self.totals.add(totals);
        if let Some(baseline) = baseline {
            self.baseline.add(baseline);
        }
        if detail == Detail::Full {
            self.summary.add(summary);
        }
    }

    /// Adds what another snapshot of the same catalog has counted, from other shards. The facts stay.
    pub fn merge(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.baseline.add(&other.baseline);
        self.summary.add(&other.summary);
    }

    /// Response times of all requests together.
    pub fn response(&self) -> Quantiles {
        let mut all = Quantiles::default();
        self.summary.requests.iter().for_each(|request| all.add(&request.response));
        all
    }

    /// Response and service times of one request, both results together; empty ones for an id of another catalog, and without
    /// [`Detail::Full`].
    pub fn times_of(&self, request: RequestId) -> [&Quantiles; 2] {
        const NONE: &Quantiles = &Quantiles::EMPTY;
        self.summary.requests.get(request.index()).map_or([NONE; 2], |times| [&times.response, &times.service])
    }

    /// Response times of one request, as measured and without the generator's own part.
    pub fn split_response_of(&self, request: RequestId) -> SplitTimes {
        let times = self.summary.requests.get(request.index());
        times.map_or_else(SplitTimes::default, |times| SplitTimes::new(&times.response, &times.shift))
    }

    /// The same of service times.
    pub fn split_service_of(&self, request: RequestId) -> SplitTimes {
        let times = self.summary.requests.get(request.index());
        times.map_or_else(SplitTimes::default, |times| SplitTimes::new(&times.service, &times.service_shift))
    }

    /// How many requests of one kind there were since the end of the warm-up, and how many of them failed.
    pub fn counts_of(&self, request: RequestId) -> (u64, u64) {
        let now = self.totals.requests.get(request.index()).map(|totals| totals.counters.requests_and_failures());
        let before = self.baseline.requests.get(request.index()).map(RequestCounters::requests_and_failures);
        let (now, before) = (now.unwrap_or_default(), before.unwrap_or_default());
        (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1))
    }

    /// How often a check held and failed since the end of the warm-up.
    pub fn checks_of(&self, check: CheckId) -> [u64; 2] {
        let of = |checks: &[[u64; 2]]| checks.get(check.index()).copied().unwrap_or_default();
        let (now, before) = (of(&self.totals.checks), of(&self.baseline.checks));
        [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])]
    }

    /// How late things started by the generator's own fault; empty without [`Detail::Full`].
    pub fn lag(&self) -> &Quantiles {
        &self.summary.lag
    }

    /// How often the figures began anew, as at the end of a warm-up: those of different epochs cannot be subtracted.
    pub fn epoch(&self) -> u32 {
        self.summary.epoch
    }

    fn response_of(&self, chosen: &[bool]) -> Quantiles {
        let mut all = Quantiles::default();
        let requests = self.summary.requests.iter().zip(chosen).filter(|(_, chosen)| **chosen);
        requests.for_each(|(request, _)| all.add(&request.response));
        all
    }

    /// What came after `earlier`, a former snapshot of the same run with [`Detail::Full`]. When the warm-up ended in
    /// between, the quantiles are those of what came after its end.
    pub fn since(&self, earlier: &Self) -> Interval {
        self.since_of(earlier, |_| true).0
    }

    /// The same of the requests of some user types, and all of their response times.
    pub fn since_of(&self, earlier: &Self, of: impl Fn(&str) -> bool) -> (Interval, Quantiles) {
        let chosen: Vec<bool> = self.catalog.requests.iter().map(|name| of(&name.user)).collect();
        let sums = |snapshot: &Self| {
            let requests = snapshot.totals.requests.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
            let pairs = requests.map(|(request, _)| request.counters.requests_and_failures());
            pairs.fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
        };
        let (now, before) = (sums(self), sums(earlier));
        let response = if self.summary.epoch == earlier.summary.epoch {
            self.response_of(&chosen).since(&earlier.response_of(&chosen))
        } else {
            self.response_of(&chosen)
        };
        let interval = Interval {
            elapsed: self.facts.elapsed.saturating_sub(earlier.facts.elapsed),
            requests: now.0.saturating_sub(before.0),
            failures: now.1.saturating_sub(before.1),
            response: response.times(),
        };
        (interval, response)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::catalog::{TaskId, UserId};
    use crate::measure::exemplar::{Traced, traced};
    use crate::measure::histogram::Histogram;
    use crate::measure::shard::Sample;
    use crate::measure::totals::{Status, UserState};
    use crate::phases::{Part, Phases};
    use crate::reason::Reason;

    /// Of a request on a connection that was kept, whose answer came in one piece.
    pub(crate) const PHASES: Phases = Phases {
        send: Some(Duration::from_micros(100)),
        wait: Some(Duration::from_millis(9)),
        receive: Some(Duration::ZERO),
        ..Phases::NONE
    };

    pub(crate) fn facts() -> Facts {
        let run = RunInfo {
            test: "cars".into(),
            run_id: "r1".into(),
            version: "0.1.0".into(),
            host: "http://127.0.0.1:5000".into(),
            scenario_sha256: "abc".into(),
            started_at: Timestamp::from_unix(Duration::from_millis(1_795_428_930_250)),
            labels: Vec::new(),
        };
        Facts::new(Arc::new(run), Phase::Steady, 100_000)
    }

    pub(crate) fn catalog() -> Arc<Catalog> {
        let mut catalog = Catalog::default();
        let user = catalog.add_user("U");
        catalog.add_task(user, "t");
        let request = catalog.add_request("U", "t", "GET /a", "GET");
        catalog.add_request("U", "t", "POST /b", "POST");
        catalog.add_check(request, "status");
        Arc::new(catalog)
    }

    /// One of the things that a worker does.
    #[derive(Clone, Debug)]
    enum Act {
        Request(u32, u64, u64, u16, Option<(usize, String)>, Option<Traced>),
        Task(bool, u64),
        Check(bool),
        User(bool),
        Lag(u64),
        Connection(i32),
        EndWarmUp,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let nanos = || prop_oneof![Just(0), 0..5_000u64, 0..2_000_000_000u64, 0..8_000_000_000_000u64];
        let failure = prop::option::of((0..17_usize, "[a-c]{0,3}"));
        // Few different ones, so that many are equally new.
        let span = prop::option::of((1..3_u128, 1..5_u64, 0..4_u64).prop_map(|(trace, span, at)| traced(trace, span, at)));
        let act = prop_oneof![
            8 => (0..2u32, nanos(), nanos(), 198..203u16, failure, span)
                .prop_map(|(id, a, b, status, failure, span)| Act::Request(id, a, b, status, failure, span)),
            1 => (any::<bool>(), nanos()).prop_map(|(ok, nanos)| Act::Task(ok, nanos)),
            1 => any::<bool>().prop_map(Act::Check),
            1 => any::<bool>().prop_map(Act::User),
            1 => nanos().prop_map(Act::Lag),
            1 => (-1..=1).prop_map(Act::Connection),
            1 => Just(Act::EndWarmUp),
        ];
        prop::collection::vec(act, 0..40)
    }

    fn shard(acts: &[Act]) -> Shard {
        let mut shard = Shard::new(&catalog());
        for act in acts {
            match act {
                Act::Request(id, response, service, status, failure, span) => shard.request(
                    RequestId(*id),
                    &Sample {
                        response: Duration::from_nanos(*response),
                        service: Duration::from_nanos(*service),
                        lag: Duration::ZERO,
                        status: Some(*status).filter(|status| *status != 198),
                        failure: failure.as_ref().map(|(reason, message)| (Reason::ALL[*reason], message.as_str())),
                        sent_bytes: 7,
                        received_bytes: 11,
                        // Half of them are noted first, the others are counted at once.
                        redirects: (*response % 2) as u32,
                        retried: 0,
                        read_lag: Duration::ZERO,
                        unresolved_read_lag: Duration::ZERO,
                        phases: &Phases { wait: Some(Duration::from_nanos(*service)), ..PHASES },
                        exemplar: *span,
                    },
                ),
                Act::Task(ok, nanos) => shard.task(TaskId(0), *ok, Duration::from_nanos(*nanos)),
                Act::Check(ok) => shard.check(CheckId(0), *ok),
                Act::User(comes) => {
                    let state = Some(UserState::Waiting);
                    if *comes { shard.user(UserId(0), None, state) } else { shard.user(UserId(0), state, None) }
                }
                Act::Lag(nanos) => shard.lag(Duration::from_nanos(*nanos)),
                Act::Connection(delta) => shard.connections(1, *delta),
                Act::EndWarmUp => shard.end_warm_up(),
            }
        }
        shard
    }

    fn of(shards: &[&Shard]) -> Snapshot {
        let mut snapshot = Snapshot::empty(&catalog(), facts());
        shards.iter().for_each(|shard| snapshot.add(&mut Shard::clone(shard), Detail::Full));
        snapshot
    }

    fn same(a: &Snapshot, b: &Snapshot) -> bool {
        a.totals == b.totals && a.baseline == b.baseline && a.summary == b.summary
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative(a in acts(), b in acts(), c in acts()) {
            let (a, b, c) = (shard(&a), shard(&b), shard(&c));
            let all = of(&[&a, &b, &c]);
            let mut left = of(&[&a]);
            left.merge(&of(&[&b]));
            left.merge(&of(&[&c]));
            let mut tail = of(&[&c]);
            tail.merge(&of(&[&b]));
            tail.merge(&of(&[&a]));
            let mut right = of(&[&b]);
            right.merge(&of(&[&c]));
            let mut right_all = of(&[&a]);
            right_all.merge(&right);
            prop_assert!(same(&all, &left) && same(&all, &tail) && same(&all, &right_all));
        }

        #[test]
        fn every_form_counts_the_same(acts in acts()) {
            let snapshot = of(&[&shard(&acts)]);
            let measured = snapshot.measured();
            for (id, totals) in snapshot.totals.requests.iter().enumerate() {
                let (requests, failures) = totals.counters.requests_and_failures();
                prop_assert_eq!(totals.response[0].count() + totals.response[1].count(), requests);
                prop_assert_eq!(totals.service[0].count() + totals.service[1].count(), requests);
                prop_assert_eq!(totals.response[1].count(), failures);
                let answered: u64 =
                    totals.counters.statuses.iter().filter(|(status, _, _)| *status != Status::None).map(|(_, _, count)| count).sum();
                let phase = |part| totals.phases.of(part).map_or(0, Histogram::count);
                prop_assert_eq!([Part::Send, Part::Wait, Part::Receive].map(phase), [answered; 3]);
                prop_assert_eq!(totals.counters.reasons.iter().sum::<u64>(), failures);
                for histogram in totals.response.iter().chain(&totals.service) {
                    let native = histogram.native();
                    prop_assert_eq!(histogram.cumulative().last(), Some(histogram.count()));
                    prop_assert!(histogram.exemplars().count() <= histogram.cumulative().count());
                    prop_assert_eq!(native.zero_count() + native.buckets().map(|(_, count)| count).sum::<u64>(), histogram.count());
                }
                // The summary's quantiles hold exactly the requests that it counts.
                prop_assert_eq!(snapshot.summary.requests[id].response.count(), measured.requests[id].requests);
                prop_assert_eq!(snapshot.summary.requests[id].service.count(), measured.requests[id].requests);
            }
        }
    }

    fn ok(millis: u64) -> Act {
        Act::Request(0, millis * 1_000_000, millis * 1_000_000, 200, None, None)
    }

    #[test]
    fn the_times_of_one_request() {
        let snapshot = of(&[&shard(&[ok(10), ok(30)])]);
        assert_eq!(snapshot.times_of(RequestId(0)).map(Quantiles::count), [2, 2]);
        assert_eq!(snapshot.times_of(RequestId(1)).map(Quantiles::count), [0, 0]);
        assert_eq!(snapshot.times_of(RequestId(7)).map(Quantiles::count), [0, 0]);
        let bad = Act::Request(0, 1, 1, 500, Some((0, "500".into())), None);
        let acts =
            [ok(1), Act::Check(true), bad.clone(), Act::EndWarmUp, ok(2), bad.clone(), bad, Act::Check(true), Act::Check(false)];
        let snapshot = of(&[&shard(&acts)]);
        assert_eq!((snapshot.counts_of(RequestId(0)), snapshot.counts_of(RequestId(7))), ((3, 2), (0, 0)));
        assert_eq!((snapshot.checks_of(CheckId(0)), snapshot.checks_of(CheckId(7))), ([1, 1], [0, 0]));
    }

    #[test]
    fn nothing_is_drained_by_being_read() {
        let shards = [Arc::new(Mutex::new(shard(&[ok(10)]))), Arc::new(Mutex::new(shard(&[ok(20), ok(30)])))];
        let first = Snapshot::take(&catalog(), facts(), &shards, Detail::Full);
        let second = Snapshot::take(&catalog(), facts(), &shards, Detail::Full);
        assert!(same(&first, &second));
        assert_eq!(first.totals.requests[0].response[0].count(), 3);
        assert_eq!(first.response().times().map(|times| (times.min, times.max)), Some((0.01, 0.03)));
        let scrape = Snapshot::take(&catalog(), facts(), &shards, Detail::Totals);
        assert_eq!(scrape.totals, first.totals);
        assert_eq!((scrape.measured().all.requests, scrape.measured().all.response), (3, None));
    }

    #[test]
    fn an_interval_is_what_came_in_it() {
        let mut before = of(&[&shard(&[ok(10)])]);
        let mut after = of(&[&shard(&[ok(10), ok(200), Act::Request(1, 300_000_000, 0, 500, Some((0, "500".into())), None)])]);
        (before.facts.elapsed, after.facts.elapsed) = (Duration::from_secs(5), Duration::from_secs(10));
        let interval = after.since(&before);
        assert_eq!((interval.elapsed, interval.requests, interval.failures), (Duration::from_secs(5), 2, 1));
        let p50 = interval.response.unwrap().p50;
        assert!((p50 / 0.2 - 1.0).abs() < 0.001, "{p50}");
        // The warm-up's end in between: counts go on, quantiles begin anew.
        let warm = of(&[&shard(&[ok(10), Act::EndWarmUp, ok(50)])]);
        let interval = warm.since(&before);
        assert_eq!((interval.requests, interval.response.unwrap().max), (1, 0.05));
    }
}
