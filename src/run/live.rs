//! What is known of a run while it runs: its phase, its health, its shards. The listener reads it, the conductor feeds it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::hold::{Hold, Level};
use super::remarks::{MOST, Remarks};
use super::{Job, SERIES_LIMIT, say};
use crate::clock::{self, Instant};
use crate::control::{Effect, Order, Refusal};
use crate::engine::{Engine, Mode, Orders, Pauses};
use crate::export::prometheus::{self, Format};
use crate::http::Client;
use crate::journal::{Journal, Topic};
use crate::judge::validity::Look;
use crate::judge::validity::cause::Strain;
use crate::load::Trend;
use crate::measure::catalog::{Catalog, UserId};
use crate::measure::health::{self, Health, Pressure, Reading};
use crate::measure::measured::Measured;
use crate::measure::outcome::RunVerdict;
use crate::measure::pulse::{self, Pulse};
use crate::measure::shard::Shard;
use crate::measure::snapshot::{Detail, Facts, Phase, RunInfo, Snapshot};
use crate::measure::soak::Soak;
use crate::measure::threshold::ThresholdState;
use crate::report;
use crate::report::remarks::{Kind, Remark};
use crate::scenario::plan::Plan;
use crate::trace::queue::Counts;

pub(super) struct Live {
    plan: Arc<Plan>,
    client: Client,
    state: Mutex<State>,
    /// What becomes of spans.
    spans: Option<Arc<Counts>>,
    remarks: Remarks,
    journal: Journal,
    order: mpsc::Sender<Order>,
    /// What those are told who ask often.
    recent: Mutex<Option<Arc<Recent>>>,
    scrapes: AtomicU64,
    scraped: Notify,
}

struct State {
    facts: Facts,
    shards: Vec<Arc<Mutex<Shard>>>,
    /// The one that no worker writes to: setup, teardown, targets.
    extra: Arc<Mutex<Shard>>,
    /// Unknown during setup.
    started: Option<Instant>,
    /// What the workers are told; once there are any.
    orders: Option<watch::Receiver<Orders>>,
    /// How many the plan has.
    crews: usize,
    load_ended: Option<Instant>,
    finished: bool,
    hold: Hold,
    reading: Option<Reading>,
    /// The threads of the workers, as the system knows them.
    tasks: Vec<PathBuf>,
    /// How often the generator was looked at.
    looks: u64,
    busy: Vec<Duration>,
    /// Connections ever opened, and open, as of the last snapshot.
    connections: (u64, u64),
}

/// Figures that are up to [`RECENT`] old.
struct Recent {
    taken: Instant,
    snapshot: Snapshot,
    measured: Measured,
}

/// So many histograms are added up in some milliseconds.
const CHEAP: usize = 400;

/// A thousand questions a second are answered from five looks at the workers' figures.
const RECENT: Duration = Duration::from_millis(200);

impl Live {
    pub(super) fn new(
        job: &Job,
        client: Client,
        extra: Arc<Mutex<Shard>>,
        spans: Option<Arc<Counts>>,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        let plan = job.plan.clone();
        let info = RunInfo {
            test: plan.name.clone(),
            run_id: job.run_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: plan
                .host
                .as_ref()
                .map_or_else(String::new, |host| say::without_password(host).trim_end_matches('/').to_owned()),
            scenario_sha256: plan.sha256.clone(),
            started_at: clock::timestamp(),
            labels: plan.observe.labels.clone(),
        };
        let phase = if plan.warm_up.is_zero() { Phase::Ramp } else { Phase::WarmUp };
        let baseline = job.baseline.as_ref().map(|baseline| baseline.times(&plan.catalog)).unwrap_or_default();
        let limits = plan.soak;
        let unjudged =
            Soak { min_change: limits.min_change.get(), fail_on_regression: limits.fail_on_regression, ..Soak::default() };
        let state = State {
            facts: Facts {
                baseline,
                soak: Arc::new(unjudged),
                planned: plan.end(),
                ..Facts::new(Arc::new(info), phase, SERIES_LIMIT)
            },
            shards: vec![extra.clone()],
            extra,
            started: None,
            orders: None,
            crews: plan.crews.len(),
            load_ended: None,
            finished: false,
            hold: Hold::default(),
            reading: None,
            tasks: Vec::new(),
            looks: 0,
            busy: Vec::new(),
            connections: (0, 0),
        };
        let remarks = Remarks::default();
        let (recent, scrapes, scraped) = (Mutex::default(), AtomicU64::new(0), Notify::new());
        let journal = job.journal.clone();
        Self { client, plan, state: Mutex::new(state), spans, remarks, journal, order: orders, recent, scrapes, scraped }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine has started.
    pub(super) fn begin(&self, engine: &Engine) {
        let mut state = self.state();
        state.shards = engine.shards().to_vec();
        state.started = Some(engine.started());
        state.orders = Some(engine.orders());
        // Setup is over: the load's time counts from here.
        state.facts.run =
            Arc::new(RunInfo { started_at: clock::timestamp_of(engine.started()), ..RunInfo::clone(&state.facts.run) });
        let loads = vec![Default::default(); engine.shards().len() - 1];
        state.tasks = health::worker_tasks();
        state.reading = Some(Reading::take(engine.started(), loads, &state.tasks));
        state.busy = engine.busy();
    }

    /// Figures of workers that were left behind are those of that moment.
    pub(super) fn set_shards(&self, shards: &[Arc<Mutex<Shard>>]) {
        self.state().shards = shards.to_vec();
    }

    /// The last user has ended: rates are over the time until here, without teardown.
    pub(super) fn load_ended(&self) {
        self.state().load_ended = Some(clock::now());
    }

    /// The last request is over.
    pub(super) fn finish(&self) {
        self.state().finished = true;
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Of a run that may have broken down: nothing comes any more.
    pub(super) fn over(&self) {
        self.state().load_ended.get_or_insert_with(clock::now);
        self.finish();
    }

    /// Where orders go.
    pub(super) fn orders(&self) -> mpsc::Sender<Order> {
        self.order.clone()
    }

    /// Keeps somebody's remark.
    pub(super) fn annotate(&self, text: String) -> Result<Effect, Refusal> {
        let at = clock::timestamp();
        let elapsed = self
            .remark(Kind::Annotation, text)
            .ok_or_else(|| Refusal::conflict(format!("there are {MOST} remarks already, and no more are kept")))?;
        self.state().facts.annotations += 1;
        Ok(Effect(serde_json::json!({ "at": at.rfc3339(), "elapsed_seconds": elapsed.as_secs_f64() })))
    }

    /// Notes what is said or done now, unless that was too much already; when that was.
    pub(super) fn remark(&self, kind: Kind, text: String) -> Option<Duration> {
        let elapsed = self.state().elapsed();
        let colon = if text.is_empty() { "" } else { ": " };
        self.journal.say(Topic::Event, &format!("{}{colon}{text}", kind.name()));
        self.remarks.add(Remark { at: clock::timestamp(), elapsed, kind, text }).then_some(elapsed)
    }

    /// Says something to whoever watches the run, or reads its log.
    pub(super) fn tell(&self, line: &str) {
        say::tell(&self.journal, line);
    }

    /// Writes a line into the log.
    pub(super) fn note(&self, topic: Topic, line: &str) {
        self.journal.say(topic, line);
    }

    /// What was said and done, without the first so many.
    pub(super) fn remarks_after(&self, first: usize) -> Vec<Remark> {
        self.remarks.after(first)
    }

    fn recent(&self) -> Arc<Recent> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*recent {
            Some(known) if clock::now() - known.taken < RECENT => known.clone(),
            _ => {
                let (taken, snapshot) = (clock::now(), self.snapshot());
                let measured = snapshot.measured();
                recent.insert(Arc::new(Recent { taken, snapshot, measured })).clone()
            }
        }
    }

    /// The state of the run, on one line: facts of this moment, figures that may be a little older.
    pub(super) fn status(&self) -> String {
        let recent = self.recent();
        let mut state = self.state();
        self.refresh(&mut state);
        let target = self.targets(&state).into_iter().map(|(_, users)| u64::from(users)).sum();
        let facts = state.facts.clone();
        drop(state);
        report::state::status(&facts, target, &recent.snapshot, &recent.measured)
    }

    /// The statistics table.
    pub(super) fn requests(&self) -> String {
        let recent = self.recent();
        report::state::requests(&recent.snapshot, &recent.measured).unwrap_or_default()
    }

    /// Where the run is at this moment.
    fn refresh(&self, state: &mut State) {
        state.facts.elapsed = state.elapsed();
        state.facts.paused = state.paused();
        state.facts.measured = state.facts.elapsed.saturating_sub(self.plan.warm_up);
        state.facts.phase = self.phase(state);
        let users = self.targets(state).into_iter().map(|(_, users)| u64::from(users)).sum();
        let level = Level::of(users, &state.orders().courses, state.facts.paused);
        state.facts.steady = state.hold.look(state.facts.phase, state.facts.elapsed, level);
    }

    /// How many users of each type there should be at this moment.
    fn targets(&self, state: &State) -> Vec<(UserId, u32)> {
        let over = state.started.is_none() || state.is_stopping() || state.load_ended.is_some();
        let courses = state.orders().courses;
        let each = self.plan.crews.iter().zip(&*courses).flat_map(|(crew, course)| {
            let wanted = if over { 0 } else { crew.users_at(state.facts.elapsed, course) };
            crew.users.iter().map(|user| self.plan.users[*user].id).zip(crew.counts(wanted))
        });
        each.collect()
    }

    /// What is thought of the generator now.
    pub(super) fn set_judgement(&self, valid: bool, saturated: bool, shares: Option<[f64; 3]>) {
        let mut state = self.state();
        state.facts.valid = valid;
        state.facts.generator_shares = shares;
        state.facts.health.saturated = saturated;
        state.facts.worst_health.saturated |= saturated;
    }

    /// What is found in the windows of a long run.
    pub(super) fn set_soak(&self, soak: Arc<Soak>) {
        self.state().facts.soak = soak;
    }

    /// The phase, and how long the load has lasted.
    pub(super) fn moment(&self) -> (Phase, Duration) {
        let state = self.state();
        (self.phase(&state), state.elapsed())
    }

    /// How the thresholds stand, and the run.
    pub(super) fn set_verdict(&self, thresholds: Arc<[ThresholdState]>, verdict: RunVerdict) {
        let mut state = self.state();
        (state.facts.thresholds, state.facts.verdict) = (thresholds, verdict);
    }

    /// Results could not be written.
    pub(super) fn write_failed(&self) {
        self.state().facts.results_write_errors += 1;
    }

    pub(super) fn set_peak(&self, users: u64) {
        self.state().facts.peak_users = users;
    }

    /// A look at how the generator does, given how long each worker has been busy since it started.
    pub(super) fn look(&self, busy: &[Duration]) -> Look {
        let (interval, busy, strain) = self.read_health(busy).unwrap_or_default();
        let shards = self.shards();
        let full = {
            let mut state = self.state();
            state.looks += 1;
            let histograms = self.plan.catalog.requests.len() * shards.len();
            // To add up thousands of histograms each second would take the processor from workers.
            histograms <= CHEAP || state.looks.is_multiple_of(10) || state.load_ended.is_some()
        };
        Look { interval, busy, pulse: Pulse::take(&shards), strain, times: full.then(|| pulse::times(&shards)) }
    }

    fn shards(&self) -> Vec<Arc<Mutex<Shard>>> {
        self.state().shards.clone()
    }

    /// Reads the generator's health. Answers with the time since the last reading and the share of it that each worker was
    /// busy; `None` when no time has passed.
    fn read_health(&self, busy: &[Duration]) -> Option<(Duration, Vec<f64>, Strain)> {
        let now = clock::now();
        let mut state = self.state();
        let before = state.reading.take()?;
        let interval = now.saturating_duration_since(before.at);
        if interval < Duration::from_millis(100) {
            state.reading = Some(before);
            return None;
        }
        let known = std::mem::replace(&mut state.busy, busy.to_vec());
        let workers = state.shards.iter().zip(busy.iter().zip(known)).map(|(shard, (busy, known))| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.watched(busy.saturating_sub(known), interval);
            shard.take_load()
        });
        let workers = workers.collect();
        let reading = Reading::take(now, workers, &state.tasks);
        let health = Health::between(&before, &reading);
        let busy_ratios = Health::busy_ratios(&before, &reading);
        let Pressure { waited, ran, stolen } = Pressure::between(&before, &reading);
        let gap = Duration::from_secs_f64(health.loop_lag_seconds.unwrap_or(0.0));
        let strain = Strain { elapsed: interval, waited, ran, stolen, gap, stopped: Duration::ZERO };
        state.facts.worst_health = state.facts.worst_health.worst(health);
        state.facts.health = health;
        state.reading = Some(reading);
        Some((interval, busy_ratios, strain))
    }

    /// Whether spans are made.
    pub(super) fn is_traced(&self) -> bool {
        self.spans.is_some()
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.plan.catalog
    }

    /// What is known of the run as a whole.
    pub(super) fn run(&self) -> Arc<RunInfo> {
        self.state().facts.run.clone()
    }

    /// What `/metrics` would show.
    pub(super) fn totals(&self) -> Snapshot {
        self.take(Detail::Totals)
    }

    /// Everything that has been measured up to now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.take(Detail::Full)
    }

    fn take(&self, detail: Detail) -> Snapshot {
        let (facts, shards) = {
            let mut state = self.state();
            self.refresh(&mut state);
            let mut connections = state.connections;
            let mut extra = state.extra.lock().unwrap_or_else(PoisonError::into_inner);
            for (user, count) in self.targets(&state) {
                extra.users_target(user, count);
            }
            let (opened, open) = self.client.connections();
            let (opened_before, open_before) = std::mem::replace(&mut connections, (opened, open));
            extra.connections((opened - opened_before) as u32, (open as i64 - open_before as i64) as i32);
            drop(extra);
            state.connections = connections;
            state.facts.spans = self.spans.as_ref().map(|counts| counts.now());
            (state.facts.clone(), state.shards.clone())
        };
        Snapshot::take(&self.plan.catalog, facts, &shards, detail)
    }

    fn phase(&self, state: &State) -> Phase {
        if state.finished {
            return Phase::Done;
        }
        let elapsed = state.elapsed();
        let orders = state.orders();
        let trends = self.plan.crews.iter().zip(&*orders.courses).filter_map(|(crew, course)| crew.trend(elapsed, course));
        // Before the first crew begins, the run is on its way.
        match trends.reduce(Trend::beside).unwrap_or(Trend::Rising) {
            _ if orders.mode != Mode::Run || state.load_ended.is_some() => Phase::RampDown,
            _ if orders.pauses.are_on() => Phase::Paused,
            Trend::Over | Trend::Falling => Phase::RampDown,
            _ if elapsed < self.plan.warm_up => Phase::WarmUp,
            Trend::Rising => Phase::Ramp,
            Trend::Steady if state.started.is_none() => Phase::Ramp,
            Trend::Steady => Phase::Steady,
        }
    }

    /// The metrics in this form.
    pub(super) fn metrics(&self, format: Format) -> Vec<u8> {
        let snapshot = self.take(Detail::Totals);
        let body = prometheus::encode(&snapshot, format);
        self.scrapes.fetch_add(1, Ordering::Relaxed);
        self.scraped.notify_waiters();
        body
    }

    /// How many answers `/metrics` has given.
    pub(super) fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::Relaxed)
    }

    /// Returns when there have been more than `scrapes`.
    pub(super) async fn scraped_after(&self, scrapes: u64) {
        loop {
            let scraped = self.scraped.notified();
            if self.scrapes() > scrapes {
                return;
            }
            scraped.await;
        }
    }
}

// === State ===

impl State {
    /// The time of the load, which stands still in a pause.
    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| self.pauses().elapsed(started, self.now()))
    }

    fn paused(&self) -> Duration {
        self.pauses().until(self.now())
    }

    fn now(&self) -> Instant {
        self.load_ended.unwrap_or_else(clock::now)
    }

    fn pauses(&self) -> Pauses {
        self.orders.as_ref().map(|orders| orders.borrow().pauses).unwrap_or_default()
    }

    fn orders(&self) -> Orders {
        self.orders.as_ref().map_or_else(|| Orders::new(self.crews), |orders| orders.borrow().clone())
    }

    fn is_stopping(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.borrow().mode != Mode::Run)
    }
}
