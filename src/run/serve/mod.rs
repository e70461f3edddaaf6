//! A daemon that waits: runs are started through the control API or by a schedule, one at a time.
//!
//! ```text
//!  listener ── Hub ──▶ the run that is on, or was last: metrics, status, orders
//!                └───▶ Runner: scenarios, history, start ──▶ a thread for each run, with an event loop of its own
//!  schedule ──────────▶ Runner
//! ```
//!
//! A run has its own thread, so that whatever breaks down in it ends there: the daemon notes it, and goes on. Files are read on
//! threads too, so that one that does not answer holds up neither metrics nor control nor the end.

mod config;
mod cron;
mod file_threads;
mod history;
mod library;
mod schedule;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::desk;
use super::files::SUMMARY;
use super::hub::Hub;
use super::stage::{Ready, Stage, on_event_loop};
use super::{Ended, Failed, Job, conduct, default_run_id, random_seed};
use crate::clock::{self, Timestamp};
use crate::console;
use crate::control::api::Answer;
use crate::control::guard::{Guard, Token};
use crate::control::server::{self, Server};
use crate::control::{Daemon, Refusal, Start};
use crate::diagnostic::Diagnostic;
use crate::fault;
use crate::journal::Journal;
use crate::measure::daemon::{DaemonCounts, Verdict};
use crate::measure::outcome::StopCause;
use crate::threads;
use config::{Due, Settings};
use file_threads::FileThreads;
use history::{History, Run};
use library::{Access, Caller, Library};
use schedule::{Look, Timer};

/// What a daemon is told at its start.
pub struct Serve {
    /// The folder of scenarios.
    pub folder: PathBuf,
    /// With the schedule; `serve.yaml` in the folder, if there is one.
    pub config: Option<PathBuf>,
    pub listen: SocketAddr,
    pub token: Option<Token>,
    /// Where the results of each run go, in a folder of its own.
    pub out: PathBuf,
    pub workers: u32,
    /// The environment, as templates may see it.
    pub env: HashMap<String, String>,
    pub colour: bool,
}

impl Serve {
    /// The settings as their file has them now.
    fn read_settings(&self) -> Result<Settings, Diagnostic> {
        let file = self.config.clone().unwrap_or_else(|| self.folder.join(config::FILE));
        config::read(&file, self.config.is_some())
    }
}

type Perform = Box<dyn Fn(&Job, Stage) -> Result<Ended, Failed> + Send + Sync>;

/// What starts runs, and remembers them.
pub(super) struct Runner {
    me: Weak<Self>,
    serve: Serve,
    library: Arc<Library>,
    /// On which alone the library reads.
    files: FileThreads,
    /// Held by who makes the list.
    listing: tokio::sync::Mutex<()>,
    hub: Arc<Hub>,
    perform: Perform,
    state: Mutex<State>,
    /// Rung when a run has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    history: History,
    /// Of the run that is under way.
    interrupts: Option<mpsc::UnboundedSender<StopCause>>,
    /// When each line of the schedule is due next, and how often it was skipped.
    next: Vec<(Option<Timestamp>, u64)>,
    closing: bool,
    /// What has broken down in the daemon itself, first.
    broken: Option<String>,
    schedule: Arc<[Due]>,
    /// What waits for the lines of the schedule.
    keepers: Vec<JoinHandle<()>>,
}

/// Serves until a signal comes, and the run that is then under way has ended. Says whether a second signal cut it off.
///
/// # Errors
/// When it cannot begin.
pub fn serve(serve: Serve) -> Result<bool, Failed> {
    let Settings { schedule, hosts } = serve.read_settings().map_err(Failed::Refused)?;
    let access = Access { has_token: serve.token.is_some(), hosts };
    let library = Library::open(&serve.folder, serve.env.clone(), access).map_err(Failed::Refused)?;
    on_event_loop(async {
        let mut interrupts = desk::signals_but_hangup().map_err(Failed::Broken)?;
        let mut hangups = desk::hangups().map_err(Failed::Broken)?;
        let listener = server::bind(serve.listen).await.map_err(Failed::Broken)?;
        let address = listener.local_addr().unwrap_or(serve.listen);
        let guard = Guard::new(address.ip(), serve.token.clone());
        let (folder, lines) = (serve.folder.display().to_string(), schedule.len());
        let runner = Runner::new(serve, library, schedule, Box::new(perform));
        let server = Server::start(listener, guard, runner.hub.clone());
        console::line(&format!("otload {} serves the scenarios of {folder}, {lines} scheduled", env!("CARGO_PKG_VERSION")));
        console::line(&format!("metrics: http://{address}/metrics"));
        runner.follow_schedule(true);
        let cut = tokio::select! {
            cut = runner.until_the_end(&mut interrupts) => cut,
            never = runner.reload_at(&mut hangups) => match never {},
        };
        runner.state().keepers.drain(..).for_each(|keeper| keeper.abort());
        server.close().await;
        Ok(cut)
    })?
}

/// One run, on a thread of its own.
fn perform(job: &Job, stage: Stage) -> Result<Ended, Failed> {
    let ready = Ready::try_new(job)?;
    on_event_loop(conduct(job, ready, stage, &mut |_| {}))?
}

impl Runner {
    fn new(serve: Serve, library: Library, schedule: Vec<Due>, perform: Perform) -> Arc<Self> {
        let state = State { next: vec![(None, 0); schedule.len()], schedule: schedule.into(), ..State::default() };
        let (hub, state, ended) = (Hub::new(), Mutex::new(state), Notify::new());
        let (library, files, listing) = (Arc::new(library), FileThreads::new(), tokio::sync::Mutex::default());
        let runner = Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            serve,
            library,
            files,
            listing,
            hub,
            perform,
            state,
            ended,
        });
        runner.hub.serve(&runner);
        runner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it starts the runs that are asked for or due.
    ///
    /// # Errors
    /// What has broken down.
    pub(super) fn health(&self) -> Result<(), String> {
        self.state().broken.clone().map_or(Ok(()), Err)
    }

    /// A part of the daemon has broken down. It goes on with what is left, and is not healthy any more.
    fn broke_down(&self, what: &str) {
        let problem =
            Diagnostic::error(format!("{what} broke down")).hint("restart the daemon; its message is above, and is a defect");
        console::problem(&problem, self.serve.colour);
        self.state().broken.get_or_insert_with(|| format!("{what} broke down; restart the daemon"));
    }

    pub(super) fn counts(&self) -> DaemonCounts {
        self.state().history.counts
    }

    /// Starts a run, unless there is one.
    async fn begin(&self, start: &Start, caller: Caller) -> Result<Value, Refusal> {
        drop(self.room()?);
        let (library, asked) = (self.library.clone(), start.clone());
        let load = move || library.load(&asked.scenario, &asked.overrides, caller).map_err(library::Wrong::refusal);
        let (plan, overrides) = self.files.run(load).await??;
        let run_id = default_run_id(&plan.name, clock::timestamp());
        let out = self.serve.out.join(&run_id);
        let plan = Arc::new(plan);
        let secrets = plan.clone();
        let job = Job {
            journal: Journal::new(move |text| super::without_secrets(&secrets, text)),
            plan,
            run_id: run_id.clone(),
            seed: start.overrides.seed.unwrap_or_else(random_seed),
            seeded: start.overrides.seed.is_some(),
            workers: self.serve.workers,
            listen: self.serve.listen,
            token: None,
            out: out.clone(),
            overrides: overrides.clone(),
            demo: false,
            baseline: None,
            fail_on_errors: false,
            quiet: true,
            // The daemon goes on serving the last figures.
            linger: Some(Duration::ZERO),
            colour: self.serve.colour,
            terminal: false,
            view: None,
        };
        let run = Run {
            id: run_id,
            scenario: start.scenario.clone(),
            overrides,
            scheduled: caller == Caller::Schedule,
            started: clock::timestamp(),
            ended: None,
            verdict: None,
            reason: None,
            results: out,
        };
        let broken = |error: &str| Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, error);
        let me = self.me.upgrade().ok_or_else(|| broken("the daemon is ending"))?;
        let (rings, interrupts) = mpsc::unbounded_channel();
        let mut state = self.room()?;
        threads::start("conductor", move || me.watch_run(&job, interrupts)).map_err(|error| broken(&error.to_string()))?;
        let value = run.json();
        console::line(&format!("run {} of {} begins", run.id, run.scenario));
        state.interrupts = Some(rings);
        state.history.begin(run);
        Ok(value)
    }

    /// The state, if a run may begin.
    fn room(&self) -> Result<MutexGuard<'_, State>, Refusal> {
        let state = self.state();
        if state.closing {
            return Err(Refusal::conflict("the daemon is ending"));
        }
        match state.history.running() {
            Some(run) => Err(Refusal::conflict(format!("run {} is under way, and there is one at a time", run.id))
                .hint("wait for its end, or stop it: POST /api/v1/stop")),
            None => Ok(state),
        }
    }

    /// A run, and its end in the history whatever breaks down: as long as it counts as running, no other one begins.
    fn watch_run(&self, job: &Job, interrupts: desk::Interrupts) {
        if catch_unwind(AssertUnwindSafe(|| self.whole(job, interrupts))).is_err() {
            self.broke_down("what notes the end of a run");
            let mut state = self.state();
            if state.history.running().is_some() {
                state.interrupts = None;
                state.history.end(clock::timestamp(), Verdict::Crashed, Some("the daemon broke down at its end".to_owned()));
            }
            drop(state);
            self.ended.notify_one();
        }
    }

    /// A run from beginning to end, whatever that is.
    fn whole(&self, job: &Job, interrupts: desk::Interrupts) {
        let stage = Stage { hub: self.hub.clone(), interrupts, address: None, scrapers: Arc::default() };
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.perform)(job, stage))).ok();
        // Also one that broke down is over.
        self.hub.over();
        let (verdict, reason) = history::verdict(outcome, job.out.join(SUMMARY).is_file());
        let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let mut state = self.state();
        console::line(&format!("run {} has ended: {}{why}", job.run_id, verdict.name()));
        state.interrupts = None;
        state.history.end(clock::timestamp(), verdict, reason);
        drop(state);
        self.ended.notify_one();
    }

    /// Returns when the daemon is to end: after a signal, when nothing runs any more.
    async fn until_the_end(&self, interrupts: &mut desk::Interrupts) -> bool {
        let mut signals = 0;
        loop {
            if signals > 0 && self.state().history.running().is_none() {
                return signals > 1;
            }
            tokio::select! {
                Some(cause) = interrupts.recv() => {
                    signals += 1;
                    let mut state = self.state();
                    state.closing = true;
                    // The first one stops the run, the second one cuts it off.
                    state.interrupts.iter().for_each(|run| run.send(cause).unwrap_or_default());
                }
                () = self.ended.notified() => {}
            }
        }
    }

    // === the schedule ===

    /// Keeps a line of the schedule, and notes if that breaks down: nothing would start its runs any more.
    async fn watch_schedule(self: Arc<Self>, line: usize, first: bool) {
        // Aborted with its keeper at the end of the daemon.
        let mut keeper = tokio::task::JoinSet::new();
        keeper.spawn(self.clone().keep(line, first));
        if keeper.join_next().await.is_some_and(|ended| ended.is_err_and(|error| error.is_panic())) {
            let of = self.state().schedule.get(line).map_or_else(String::new, |due| format!(" of {}", due.start.scenario));
            self.broke_down(&format!("the schedule{of}"));
        }
    }

    /// Waits for each line of the schedule, in place of those before; `first` when the daemon begins.
    fn follow_schedule(self: &Arc<Self>, first: bool) {
        let mut state = self.state();
        state.keepers.drain(..).for_each(|keeper| keeper.abort());
        let lines = 0..state.schedule.len();
        state.keepers = lines.map(|line| tokio::spawn(self.clone().watch_schedule(line, first))).collect();
    }

    /// Reads the schedule again at each of these signals. The run that is under way goes on.
    async fn reload_at(self: &Arc<Self>, hangups: &mut Signal) -> Infallible {
        loop {
            if hangups.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            let me = self.clone();
            // A disk may be slow, and the daemon answers meanwhile.
            let read = threads::result_of("settings", move || me.serve.read_settings()).await;
            let read = read.unwrap_or_else(|error| Err(Diagnostic::error(error.to_string())));
            match read {
                Ok(Settings { schedule, .. }) => {
                    console::line(&format!("SIGHUP: the schedule was read again, {} scheduled", schedule.len()));
                    self.replace_schedule(schedule);
                    self.follow_schedule(false);
                }
                Err(problem) => {
                    let problem = Diagnostic::warning(format!("SIGHUP: the schedule stays as it was: {}", problem.message));
                    console::problem(&problem, self.serve.colour);
                }
            }
        }
    }

    /// Lines that stay as they were keep their counts.
    fn replace_schedule(&self, schedule: Vec<Due>) {
        let mut state = self.state();
        let before = state.schedule.clone();
        let same = |due: &Due| before.iter().position(|old| old.is_same(due));
        let next =
            schedule.iter().map(|due| (None, same(due).and_then(|at| state.next.get(at)).map_or(0, |(_, skipped)| *skipped)));
        state.next = next.collect();
        state.schedule = schedule.into();
    }

    /// Starts what a line of the schedule says, each time it is due.
    async fn keep(self: Arc<Self>, line: usize, first: bool) {
        let schedule = self.state().schedule.clone();
        let Some(due) = schedule.get(line) else { return };
        if first && due.cron.at_start() {
            self.due(line).await;
        }
        let mut timer = Timer::new(&due.cron, clock::timestamp(), clock::now());
        loop {
            let look = timer.look(&due.cron, clock::timestamp(), clock::now());
            self.state().next.get_mut(line).into_iter().for_each(|line| line.0 = timer.next());
            match look {
                Look::Due => self.due(line).await,
                Look::Wait(time) => tokio::time::sleep(time).await,
                Look::Over => return,
            }
        }
    }

    async fn due(&self, line: usize) {
        let schedule = self.state().schedule.clone();
        let Some(due) = schedule.get(line) else { return };
        fault::may_break("schedule");
        let Err(refusal) = self.begin(&due.start, Caller::Schedule).await else { return };
        let mut state = self.state();
        if refusal.status == http::StatusCode::CONFLICT {
            state.next.get_mut(line).into_iter().for_each(|line| line.1 += 1);
            state.history.counts.skipped += 1;
            return;
        }
        let problem =
            Diagnostic::warning(format!("the scheduled run of {} did not begin: {}", due.start.scenario, refusal.error));
        console::problem(&problem, self.serve.colour);
        if state.history.running().is_none() {
            let now = clock::timestamp();
            state.history.begin(Run {
                id: default_run_id(&due.start.scenario, now),
                scenario: due.start.scenario.clone(),
                overrides: Vec::new(),
                scheduled: true,
                started: now,
                ended: None,
                verdict: None,
                reason: None,
                results: PathBuf::new(),
            });
            state.history.end(now, Verdict::NotRun, Some(refusal.error));
        }
    }
}

impl Daemon for Runner {
    fn scenarios(self: Arc<Self>) -> Answer {
        Box::pin(async move {
            // Those who wait for a list that is being made hold no thread.
            let _alone = self.listing.lock().await;
            let library = self.library.clone();
            self.files.run(move || library.list()).await
        })
    }

    fn runs(&self) -> Value {
        let state = self.state();
        let lines = state.schedule.iter().zip(&state.next).map(|(due, (next, skipped))| {
            let next = next.map(Timestamp::rfc3339);
            json!({ "cron": due.cron.to_string(), "scenario": due.start.scenario, "next_at": next, "skipped": skipped })
        });
        json!({ "runs": state.history.list(), "schedule": lines.collect::<Vec<_>>() })
    }

    fn run(&self, id: &str) -> Option<Value> {
        self.state().history.find(id).map(Run::json)
    }

    fn start(self: Arc<Self>, start: Start) -> Answer {
        Box::pin(async move { self.begin(&start, Caller::Api).await })
    }
}

#[cfg(test)]
mod tests;
