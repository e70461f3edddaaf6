//! Starts the workers, tells them to stop, and knows when they have ended.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, watch};

use super::activity::{Activity, ActivityCell};
use super::auth::Tokens;
use super::feed::Feeds;
use super::meeting::Meeting;
use super::mishaps::Mishaps;
use super::orders::{Mode, Orders};
use super::setup::Performed;
use super::signals::Signals;
use super::timer::Timer;
use super::tracing::Tracing;
use super::worker::{self, Context, lock};
use crate::clock::{self, Instant};
use crate::diagnostic::Diagnostic;
use crate::http::{Client, watch_event_loop};
use crate::journal::{Journal, Topic};
use crate::load::{Course, Part, Steering, Wish};
use crate::measure::outcome::StopCause;
use crate::measure::shard::Shard;
use crate::scenario::plan::Plan;
use crate::secrets::mask;
use crate::template::{Shared, Value};
use crate::threads;

/// What a run is told besides its plan.
#[derive(Clone, Debug)]
pub struct Options {
    pub run_id: String,
    pub seed: u64,
    /// Somebody gave the seed, to have the same requests again.
    pub seeded: bool,
    /// Which part of the rows of data this process has.
    pub shard: Part,
    /// Engine threads, at least 1.
    pub workers: u32,
    /// What templates see as `setup`: its variables, when it is over.
    pub setup: Value,
    /// Where `log:` writes to.
    pub journal: Option<Journal>,
    pub tracing: Arc<Tracing>,
}

/// Facts of a run that workers share.
pub(super) struct RunFacts {
    /// What templates of all users see.
    pub shared: Arc<Shared>,
    pub seed: u64,
    pub feeds: Feeds,
    pub tokens: Tokens,
    pub started: Instant,
    secrets: Vec<String>,
    pub meetings: Vec<Meeting>,
    mishaps: Mishaps,
    journal: Option<Journal>,
    pub signals: Signals,
    users: AtomicI64,
    peak_users: AtomicI64,
    /// A user or a worker has panicked.
    broken: AtomicBool,
    /// All is to end at once: what is computed for a response is not waited for.
    cut: AtomicBool,
    /// By worker.
    activities: Box<[ActivityCell]>,
}

/// A worker that was left behind when the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyWorker {
    pub index: u32,
    /// In words, to follow "it was busy with".
    pub with: String,
    /// Nothing of what it measured could be read.
    pub unread: bool,
}

/// A running plan.
pub struct Engine {
    run: Arc<RunFacts>,
    shards: Vec<Arc<Mutex<Shard>>>,
    orders: watch::Sender<Orders>,
    /// Closes when the last worker has ended.
    ended: mpsc::Receiver<()>,
    threads: Vec<thread::JoinHandle<()>>,
    runtimes: Vec<tokio::runtime::Handle>,
    plan: Arc<Plan>,
    client: (Client, Arc<Tracing>),
}

impl Engine {
    /// Starts the workers; the load begins at `started`. The shard `extra` is counted with theirs: what was measured before
    /// and beside them.
    ///
    /// # Errors
    /// When the system gives no thread or no event loop.
    pub fn start(
        plan: Arc<Plan>,
        client: Client,
        options: &Options,
        extra: Arc<Mutex<Shard>>,
        started: Instant,
    ) -> Result<Self, Diagnostic> {
        let run = Arc::new(RunFacts::new(&plan, options, started));
        let (orders, _) = watch::channel(Orders::new(plan.crews.len()));
        let (ending, ended) = mpsc::channel(1);
        let mut shards: Vec<_> = (0..options.workers).map(|_| Arc::new(Mutex::new(Shard::new(&plan.catalog)))).collect();
        shards.push(extra);
        let mut engine = Self {
            run,
            shards,
            orders,
            ended,
            threads: Vec::new(),
            runtimes: Vec::new(),
            plan,
            client: (client, options.tracing.clone()),
        };
        for index in 0..options.workers {
            // Those that have begun do not go on without the others.
            let started = engine.start_worker(Part { index, of: options.workers }, ending.clone());
            started.inspect_err(|_| engine.tell(Mode::Cut))?;
        }
        Ok(engine)
    }

    fn start_worker(&mut self, part: Part, ending: mpsc::Sender<()>) -> Result<(), Diagnostic> {
        let failed = |error: std::io::Error| {
            Diagnostic::error(format!("cannot start worker {}: {error}", part.index)).hint("ask for fewer with --workers")
        };
        let (plan, run, client) = (self.plan.clone(), self.run.clone(), self.client.clone());
        let shard = self.shards[part.index as usize].clone();
        let orders = self.orders.subscribe();
        let (built, runtime) = std::sync::mpsc::sync_channel(1);
        let body = move || {
            // A local runtime lives and dies in its thread; only its handle leaves it.
            let mut builder = Builder::new_current_thread();
            let runtime = match watch_event_loop(&mut builder).enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return built.send(Err(error)).unwrap_or_default(),
            };
            built.send(Ok(runtime.handle().clone())).unwrap_or_default();
            runtime.block_on(async move {
                // Inside, because the timer belongs to this runtime.
                let context = Rc::new(Context::new(plan, run, client, shard, part, Timer::new()));
                worker::work(context, orders).await;
            });
            // A name that is being looked up is not waited for: that thread ends when the system's resolver gives up.
            runtime.shutdown_background();
            drop(ending);
        };
        let name = format!("worker-{}", part.index);
        self.threads.push(threads::start(&name, body).map_err(failed)?);
        let broke_down = |_| failed(std::io::Error::other("it ended before it began"));
        self.runtimes.push(runtime.recv().map_err(broke_down)?.map_err(failed)?);
        Ok(())
    }

    /// The measurements of each worker; see [`crate::measure::snapshot`].
    pub fn shards(&self) -> &[Arc<Mutex<Shard>>] {
        &self.shards
    }

    /// Tells the workers. Only ever goes from `Run` to `Stop` to `Cut`.
    pub fn tell(&self, mode: Mode) {
        if mode == Mode::Cut {
            self.run.cut.store(true, Ordering::Relaxed);
        }
        self.orders.send_if_modified(|orders| {
            let changed = orders.mode != mode && orders.mode != Mode::Cut;
            if changed {
                orders.mode = mode;
            }
            changed
        });
    }

    /// What the workers are told, now and later.
    pub fn orders(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    /// No task begins from here on. Says whether that is news.
    pub fn pause(&self) -> bool {
        self.orders.send_if_modified(|orders| orders.pauses.begin(clock::now()))
    }

    /// Goes on where it was paused. Says whether it was.
    pub fn resume(&self) -> bool {
        self.orders.send_if_modified(|orders| orders.pauses.end(clock::now()))
    }

    /// Steers a crew's load from this moment on. Answers with what that means; nothing if the load is of the other kind.
    pub fn steer(&self, crew: usize, wish: Wish) -> Option<Steering> {
        let of = self.plan.crews.get(crew)?;
        let mut steering = None;
        self.orders.send_if_modified(|orders| {
            steering = orders.steer(crew, of, self.run.started, clock::now(), wish);
            steering.is_some()
        });
        steering
    }

    /// The arrivals a second that a crew's load has now; 0 of a closed one.
    pub fn arrival_rate(&self, crew: usize) -> f64 {
        let orders = self.orders.borrow();
        let (Some(of), Some(course)) = (self.plan.crews.get(crew), orders.courses.get(crew)) else { return 0.0 };
        let elapsed = orders.pauses.elapsed(self.run.started, clock::now()).checked_sub(of.start_after);
        of.profile.arrivals(course).zip(elapsed).map_or(0.0, |(open, elapsed)| open.rate_at(elapsed))
    }

    /// When the load's time is, or was, `at`; unknown while it stands still.
    pub fn moment(&self, at: Duration) -> Option<Instant> {
        self.orders.borrow().pauses.moment(self.run.started, at)
    }

    /// When the load ends by itself; `None` if it does not, or stands still.
    pub fn load_end(&self) -> Option<Instant> {
        let orders = self.orders.borrow();
        let ends = self.plan.crews.iter().zip(&*orders.courses);
        let end = ends.map(|(crew, course)| crew.end_of(course)).try_fold(Duration::ZERO, |longest, end| Some(longest.max(end?)));
        orders.pauses.moment(self.run.started, end?)
    }

    /// Tells the workers that a crew's target broke at `at` of the crew's time: its load falls. Only the first time counts.
    pub fn broke(&self, crew: usize, at: Duration) {
        self.orders.send_if_modified(|orders| match orders.courses.get(crew).copied() {
            Some(course @ Course { broke_at: None, .. }) => {
                orders.set_course(crew, Course { broke_at: Some(at), ..course });
                true
            }
            _ => false,
        });
    }

    /// Arrivals that found no free user so far.
    pub fn arrivals_dropped(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).arrivals_dropped()).sum()
    }

    /// Returns when the last worker has ended.
    pub async fn ended(&mut self) {
        while self.ended.recv().await.is_some() {}
    }

    /// Leaves what was measured so far out of the summary.
    pub fn end_warm_up(&self) {
        self.shards.iter().for_each(|shard| lock(shard).end_warm_up());
    }

    /// Why the run is to end before its load does: a step says so, or its data has come to its end.
    pub fn wants_to_stop(&self) -> Option<(StopCause, String)> {
        let by_step = self.run.signals.stopped().cloned().map(|why| (StopCause::Step, why));
        let by_data = || self.run.feeds.stop(self.run.users.load(Ordering::Relaxed)).map(|why| (StopCause::Data, why));
        by_step.or_else(by_data)
    }

    /// Rung when [`Self::wants_to_stop`] may have another answer, and should be asked at once.
    pub fn urgent(&self) -> Arc<Notify> {
        self.run.signals.urgent()
    }

    /// What went wrong in steps that are no requests.
    pub fn mishaps(&self) -> Vec<String> {
        self.run.mishaps.told()
    }

    pub fn started(&self) -> Instant {
        self.run.started
    }

    /// The largest number of users that were there at one moment.
    pub fn peak_users(&self) -> u64 {
        self.run.peak_users.load(Ordering::Relaxed).max(0) as u64
    }

    /// Whether a user or a worker has panicked: a part of the load is missing.
    pub fn is_broken(&self) -> bool {
        self.run.broken.load(Ordering::Relaxed)
    }

    /// How long each worker's event loop has been busy since it started.
    pub fn busy(&self) -> Vec<Duration> {
        self.runtimes.iter().map(|runtime| runtime.metrics().worker_total_busy_duration(0)).collect()
    }

    /// Leaves workers behind that have not ended: what they measured up to now counts, and nothing that they do later.
    pub fn leave(&mut self) -> Vec<BusyWorker> {
        self.tell(Mode::Cut);
        let busy = self.threads.iter().map(thread::JoinHandle::is_finished).collect::<Vec<_>>();
        let busy = (0u32..).zip(busy).filter(|(_, finished)| !finished).map(|(index, _)| index);
        let busy: Vec<_> = busy.map(|index| self.leave_worker(index)).collect();
        // One that has ended is still joined.
        let mut index = 0u32;
        self.threads.retain(|_| {
            index += 1;
            !busy.iter().any(|worker| worker.index == index - 1)
        });
        busy
    }

    fn leave_worker(&mut self, index: u32) -> BusyWorker {
        let with = self.run.activities.get(index as usize).map_or(Activity::Other, ActivityCell::get).describe(&self.plan);
        let measured = self.shards.get(index as usize).and_then(|shard| copy_of(shard));
        let unread = measured.is_none();
        let mut measured = measured.unwrap_or_else(|| Shard::new(&self.plan.catalog));
        measured.leave_users();
        if let Some(shard) = self.shards.get_mut(index as usize) {
            *shard = Arc::new(Mutex::new(measured));
        }
        BusyWorker { index, with, unread }
    }

    /// Users whose life is not over.
    pub fn users(&self) -> u64 {
        self.run.users.load(Ordering::Relaxed).max(0) as u64
    }

    /// Waits for the threads of workers that have ended. A worker that panicked is an error, and so is a user.
    ///
    /// # Errors
    /// Says which worker, or that it was a user.
    pub fn join(&mut self) -> Result<(), Diagnostic> {
        let names: Vec<_> = self
            .threads
            .drain(..)
            .enumerate()
            .filter_map(|(index, thread)| thread.join().err().map(|_| index.to_string()))
            .collect();
        let who = match &*names {
            [] if self.is_broken() => "a user".to_owned(),
            [] => return Ok(()),
            names => format!("worker {}", names.join(", ")),
        };
        let message = format!("{who} broke down; its part of the load is missing");
        Err(Diagnostic::error(message).hint("this is a defect of otload: please report it with the scenario"))
    }
}

// === impl Options ===

impl Options {
    /// Of one worker, without traces and before any setup; the seed is any.
    pub fn plain(run_id: &str, seed: u64) -> Self {
        let setup = Performed::default().variables;
        let (run_id, tracing) = (run_id.to_owned(), Tracing::off());
        Self { run_id, seed, seeded: false, shard: Part::WHOLE, workers: 1, setup, journal: None, tracing }
    }
}

// === impl RunFacts ===

impl RunFacts {
    pub(super) fn new(plan: &Plan, options: &Options, started: Instant) -> Self {
        let mut shared = Shared::clone(&plan.constants);
        shared.set("run_id", options.run_id.as_str().into());
        shared.set("setup", options.setup.clone());
        let shared = Arc::new(shared);
        Self {
            tokens: Tokens::new(plan, &shared),
            shared,
            seed: options.seed,
            feeds: Feeds::new(plan, options.seed, options.seeded, options.shard),
            started,
            secrets: plan.secrets.clone(),
            meetings: plan.rendezvous.iter().map(|rendezvous| Meeting::new(rendezvous.users)).collect(),
            mishaps: Mishaps::default(),
            journal: options.journal.clone(),
            signals: Signals::new(plan.crews.len(), options.workers),
            users: AtomicI64::new(0),
            peak_users: AtomicI64::new(0),
            broken: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            activities: (0..options.workers).map(|_| ActivityCell::default()).collect(),
        }
    }

    /// Set when all is to end at once.
    pub(super) fn is_cut(&self) -> &AtomicBool {
        &self.cut
    }

    /// Notes what a worker is busy with, until it notes something else.
    #[inline]
    pub(super) fn is_doing(&self, worker: u32, activity: Activity) {
        if let Some(cell) = self.activities.get(worker as usize) {
            cell.set(activity);
        }
    }

    pub(super) fn broke(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn users_changed(&self, by: i64) {
        let now = self.users.fetch_add(by, Ordering::Relaxed) + by;
        self.peak_users.fetch_max(now, Ordering::Relaxed);
    }

    /// A line of a user's own.
    pub(super) fn say(&self, line: &str) {
        if let Some(journal) = &self.journal {
            journal.say(Topic::Step, line);
        }
    }

    /// A step that is no request has failed.
    pub(super) fn mishap(&self, line: usize, why: &str) {
        let why = self.mask(why);
        self.mishaps.note(line, &why);
        if let Some(journal) = &self.journal {
            journal.say(Topic::Step, &format!("the step in line {line} failed: {why}"));
        }
    }

    pub(super) fn mishaps(&self) -> Vec<String> {
        self.mishaps.told()
    }

    /// The run is to end; the first reason counts.
    pub(super) fn stop(&self, why: String) {
        self.signals.stop(why);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.signals.stopped().is_some()
    }

    /// The text without secrets.
    pub(super) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match mask(&self.secrets, text) {
            Cow::Borrowed(text) => self.tokens.mask(text),
            Cow::Owned(text) => Cow::Owned(self.tokens.mask(&text).into_owned()),
        }
    }
}

/// What a shard holds, unless the worker that is left behind holds its lock all the time.
fn copy_of(shard: &Mutex<Shard>) -> Option<Shard> {
    let give_up = clock::now() + LOCK_LIMIT;
    loop {
        match shard.try_lock() {
            Ok(shard) => return Some(shard.clone()),
            Err(TryLockError::Poisoned(shard)) => return Some(shard.into_inner().clone()),
            Err(TryLockError::WouldBlock) if clock::now() < give_up => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// A worker holds the lock of its shard for microseconds; this long only if it never gives it back.
const LOCK_LIMIT: Duration = Duration::from_millis(100);
