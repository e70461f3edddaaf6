//! Wires a plan to the engine, the listener, the reports and the signals, and says how it ended.
//!
//! ```text
//!  before   descriptors and ports counted · listener bound · results folder writable · demo started · setup done     any failure: nothing has run
//!  while    engine at work; each second a look at health, targets and thresholds; each 10 s a part of intervals.jsonl;
//!           progress; warm-up ends; signals
//!  after    teardown · final snapshot · summary.json and the other reports · table · one more scrape
//! ```

mod baseline;
mod deadline;
mod debug;
mod desk;
mod ending;
mod files;
mod hold;
mod hub;
mod judgement;
mod live;
mod obey;
mod observe;
mod preflight;
mod record;
mod remarks;
mod reports;
mod results;
mod say;
mod serve;
mod silence;
mod soak;
mod stage;
mod steer;
mod stress;
mod thresholds;
mod traces;
mod watch;
mod writer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::{self, Instant, Timestamp};
use crate::console;
use crate::control::guard::{Guard, Token};
use crate::control::server::{self, Server};
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Around, Engine, Mode};
use crate::fault;
use crate::journal::{Journal, Topic};
use crate::judge::validity::Validity;
use crate::measure::outcome::StopCause;
use crate::measure::shard::Shard;
use crate::measure::snapshot::{Phase, Snapshot};
use crate::report;
use crate::scenario::plan::Plan;
use crate::secrets;
use crate::threads;
use deadline::Deadline;
use desk::{Desk, Event};
use ending::Ending;
use files::ResultFolder;
use hub::Hub;
use judgement::Conclusion;
use live::Live;
use observe::Observer;
use preflight::Room;
use record::Recorder;
use say::warn;
use silence::SilenceWatch;
use soak::Soaking;
use stage::{Ready, Stage, announce, linger, on_event_loop, setup_failed, until};
use stress::Stresses;
use thresholds::Thresholds;
use watch::Watch;

pub use crate::measure::outcome::RunVerdict;
pub use crate::random::fresh_seed as random_seed;
pub use baseline::Baseline;
pub use debug::once;
pub use reports::{Format, Reports};
pub use results::Results;
pub use serve::{Serve, serve};
pub use traces::account_of;

/// What to run, and how.
pub struct Job {
    pub plan: Arc<Plan>,
    pub run_id: String,
    pub seed: u64,
    /// Somebody gave the seed, to have the same requests again.
    pub seeded: bool,
    /// Engine threads.
    pub workers: u32,
    /// Where `/metrics` is served.
    pub listen: SocketAddr,
    /// What whoever controls the run has to know.
    pub token: Option<Token>,
    /// The results folder.
    pub out: PathBuf,
    /// What of the file was overridden, as on the command line.
    pub overrides: Vec<String>,
    /// Serve the cars API on the plan's host.
    pub demo: bool,
    /// The run that this one is compared with.
    pub baseline: Option<Baseline>,
    /// Whether the run fails if anything fails, beside what the plan says.
    pub fail_on_errors: bool,
    pub quiet: bool,
    /// How long to wait for one more scrape at the end; `None` decides by whether there was any.
    pub linger: Option<Duration>,
    /// Whether messages on standard error are coloured.
    pub colour: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Whether there is a live view, and whether it is coloured.
    pub view: Option<bool>,
    /// What is said and done in it is kept there, and becomes `otload.log`.
    pub journal: Journal,
}

/// A run that came to its end.
pub struct Ended {
    /// Whether its figures can be believed.
    pub valid: bool,
    pub verdict: RunVerdict,
    /// By a second Ctrl-C.
    pub interrupted: bool,
    /// Whether all of its results are on disk.
    pub recorded: bool,
}

/// Why there was no run.
#[derive(Debug)]
pub enum Failed {
    /// What was asked for is wrong.
    Refused(Diagnostic),
    /// It could not be done here and now.
    Broken(Diagnostic),
}

/// A run with more time series than this is refused: it would be a burden to Prometheus.
pub const SERIES_LIMIT: u64 = 100_000;

const TICK: Duration = Duration::from_secs(1);
const PROGRESS: Duration = Duration::from_secs(5);

/// `cars-20261123-101530-3f7a`: two runs that start in one second differ by their last part.
pub fn default_run_id(test: &str, at: Timestamp) -> String {
    let name: String =
        test.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).take(80).collect();
    format!("{name}-{}-{:04x}", at.compact(), random_seed() as u16)
}

/// Does the whole run. What belongs on standard output is handed to `print`.
///
/// # Errors
/// When nothing was run; see [`Failed`].
pub fn execute(job: &Job, print: &mut dyn FnMut(&str)) -> Result<Ended, Failed> {
    let ready = Ready::try_new(job)?;
    on_event_loop(async {
        let interrupts = desk::signals().map_err(Failed::Broken)?;
        let listener = server::bind(job.listen).await.map_err(Failed::Broken)?;
        let address = listener.local_addr().unwrap_or(job.listen);
        let (hub, guard) = (Hub::new(), Guard::new(address.ip(), job.token.clone()));
        let server = Server::start(listener, guard, hub.clone());
        let ended =
            conduct(job, ready, Stage { hub, interrupts, address: Some(address), scrapers: server.scrapers() }, print).await;
        server.close().await;
        ended
    })?
}

async fn conduct(job: &Job, ready: Ready, stage: Stage, print: &mut dyn FnMut(&str)) -> Result<Ended, Failed> {
    say::close(job, perform(job, ready, stage, print).await)
}

async fn perform(job: &Job, ready: Ready, stage: Stage, print: &mut dyn FnMut(&str)) -> Result<Ended, Failed> {
    let Ready { client, room, prepared, demo: _demo } = ready;
    let folder = ResultFolder::create(&job.out).map_err(Failed::Broken)?;
    folder.write_scenario(&say::scenario_as_run(job)).map_err(Failed::Broken)?;
    say::open(job).map_err(Failed::Broken)?;

    let lost = console::losses();
    let extra = Arc::new(Mutex::new(Shard::new(&job.plan.catalog)));
    let (orders, received) = mpsc::channel(desk::ORDERS);
    let (keys, pressed) = mpsc::unbounded_channel();
    let mut desk = Desk::new(stage.interrupts, received, pressed);
    let live = Arc::new(Live::new(job, client.clone(), extra.clone(), prepared.counts.clone(), orders));
    let thresholds = Thresholds::new(job);
    stage.hub.set(&live);
    if let Some(address) = stage.address {
        announce(job, address, &folder);
    }

    // Dropped on every way out, it gives the terminal back.
    let watch = job.view.and_then(|colour| Watch::start(&live, colour, keys));
    let tracing = prepared.tracing.clone();
    let mut options = engine::Options {
        seeded: job.seeded,
        workers: job.workers,
        journal: Some(job.journal.clone()),
        tracing: tracing.clone(),
        ..engine::Options::plain(&job.run_id, job.seed)
    };
    let observer = prepared.start(&live)?;
    let mut ending = Ending::new();
    // Teardown is also done after a setup that failed or was interrupted: what it made is to be cleared away.
    let limit = deadline::around(&job.plan);
    let setup = engine::perform(&job.plan, &client, &options, &extra, Around::Setup);
    let setup = desk.bounded(&mut ending, &live, (SETUP, limit), setup).await;
    let mut mishaps = Vec::new();
    let ready = setup.map(|setup| {
        (options.setup, mishaps) = (setup.variables, setup.mishaps);
        setup.good
    });
    let mut failure = (ready == Some(false)).then(|| setup_failed(&live, mishaps.first()));
    let recorder = Recorder::new(folder.path(), &live, job.plan.warm_up, job.journal.clone());
    let mut conductor = Conductor::new(job, &live, room, (observer, thresholds, recorder), print);
    conductor.show();
    if ready == Some(true) && ending.mode() == Mode::Run {
        let started = clock::now();
        match Engine::start(job.plan.clone(), client.clone(), &options, extra.clone(), started) {
            Ok(mut engine) => {
                live.begin(&engine);
                folder.clear(Format::ALL.iter().flat_map(|format| format.files()).copied());
                job.journal.say(Topic::Event, "the load begins");
                conductor.recorder.begin(&live);
                conductor.until_the_end(&mut engine, &mut desk, &mut ending).await;
                conductor.broken = engine.join().err().or(conductor.broken.take());
                conductor.judge();
                conductor.notes.extend(engine.mishaps());
            }
            // What setup made is to be cleared away all the same.
            Err(problem) => failure = Some(problem),
        }
    } else if failure.is_none() {
        conductor.notes.push("stopped during setup: no user was started".to_owned());
    }
    if ending.mode() != Mode::Cut {
        let teardown = engine::perform(&job.plan, &client, &options, &extra, Around::Teardown);
        let good = desk.bounded(&mut ending, &live, (TEARDOWN, limit), teardown).await;
        if !good.is_some_and(|teardown| teardown.good) {
            conductor.teardown_failed = true;
            conductor.warn(&Diagnostic::warning("teardown did not succeed; its failures are in the summary"));
        }
    }
    live.finish();
    // Before the summary, which says what became of the spans.
    std::mem::take(&mut conductor.observer).finish(ending.mode() != Mode::Cut).await.iter().for_each(|news| warn(job, news));
    drop(watch);
    if let Some(failure) = failure {
        return Err(Failed::Broken(failure));
    }
    conductor.interrupted = ending.mode() == Mode::Cut;
    conductor.soak.finish(&live, &|problem| warn(job, problem));
    conductor.thresholds.finish(&live.snapshot());
    conductor.conclude(ending.end(job.plan.end()));
    conductor.recorder.finish(&live.snapshot(), &live).await;
    conductor.recorder.news(&live).iter().for_each(|news| warn(job, news));
    conductor.notes.extend(console::losses().notes_since(lost));
    let (ended, broken, scrapes) = (conductor.ended(), conductor.broken.clone(), (live.scrapes(), stage.scrapers.scrapes()));
    let traces = job.plan.observe.traces.as_ref().filter(|_| live.is_traced());
    let traces = traces.map(|traces| report::traces::section(&tracing.notable(), &job.plan.catalog, traces.ui.as_deref()));
    let outcome = report::Outcome { traces, ..conductor.outcome() };
    say::conclude(job, &live, &outcome);
    let snapshot = live.snapshot();
    (conductor.print)(&report::text::write(&snapshot, &outcome));
    let json = report::json::write(&snapshot, &outcome)
        .map_err(|error| Diagnostic::error(format!("cannot write the summary as JSON: {error}")));
    // Meanwhile `/metrics` is served.
    let write = move || json.and_then(|json| folder.write_summary(&json).and_then(|()| reports::write(&folder, json)));
    let summary = job.out.join(files::SUMMARY);
    let written = threads::result_of_even_here("reports", write)
        .await
        .unwrap_or_else(|_| Err(Diagnostic::error("the reports could not be made: otload itself broke down there")));
    if !job.quiet || job.terminal {
        (conductor.print)(&format!("\nresults: {}\n", summary.display()));
    }
    written.map_err(Failed::Broken)?;
    broken.map_or(Ok(()), |defect| Err(Failed::Broken(defect)))?;
    if !ended.interrupted {
        linger(job, &live, &stage.scrapers, scrapes, &mut desk).await;
    }
    Ok(ended)
}

/// What a first signal says while this is under way.
const SETUP: &str = "stopping after setup; Ctrl-C again ends at once";
const TEARDOWN: &str = "teardown is under way; Ctrl-C again ends at once";

/// One who looks after a running engine.
struct Conductor<'a> {
    job: &'a Job,
    live: &'a Live,
    /// For how many users there is room.
    room: Room,
    /// When a change by hand was told last.
    said: Option<Instant>,
    /// What broke down in otload itself.
    broken: Option<Diagnostic>,
    /// As of the last look.
    phase: Option<Phase>,
    observer: Observer,
    validity: Validity,
    /// As of the last progress line.
    last: Snapshot,
    /// What ends a stress.
    stresses: Stresses,
    thresholds: Thresholds,
    soak: Soaking,
    recorder: Recorder,
    /// Whether arrivals have been dropped, and it has been said.
    dropped: bool,
    interrupted: bool,
    /// Workers did not end, and what they had in flight is not counted.
    left_behind: bool,
    teardown_failed: bool,
    silence: SilenceWatch,
    /// What is said of the run, once it is over.
    conclusion: Conclusion,
    /// The warm-up was over before the end.
    warm: bool,
    notes: Vec<String>,
    print: &'a mut dyn FnMut(&str),
}

impl<'a> Conductor<'a> {
    fn new(
        job: &'a Job,
        live: &'a Live,
        room: Room,
        (observer, thresholds, recorder): (Observer, Thresholds, Recorder),
        print: &'a mut dyn FnMut(&str),
    ) -> Self {
        let last = live.snapshot();
        let names = job.plan.catalog.requests.iter().map(|name| format!("`{}`", name.request)).collect();
        let stresses = Stresses::new(&job.plan, &last);
        Self {
            job,
            live,
            room,
            said: None,
            broken: None,
            phase: None,
            observer,
            validity: Validity::new(job.plan.validity, names),
            last,
            stresses,
            thresholds,
            soak: Soaking::new(&job.plan),
            recorder,
            dropped: false,
            interrupted: false,
            left_behind: false,
            teardown_failed: false,
            silence: SilenceWatch::default(),
            conclusion: Conclusion::default(),
            warm: true,
            notes: Vec::new(),
            print,
        }
    }

    /// Returns when the last worker has ended; `ending` then says who ended the run, if anybody did.
    async fn until_the_end(&mut self, engine: &mut Engine, desk: &mut Desk, ending: &mut Ending) {
        let started = engine.started();
        let mut tick = tokio::time::interval_at((started + TICK).into(), TICK);
        let mut progress = tokio::time::interval_at((started + PROGRESS).into(), PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let warm_up = self.job.plan.warm_up;
        self.warm = warm_up.is_zero();
        self.entered(self.live.moment().0);
        let urgent = engine.urgent();
        let mut told = deadline::Told::default();
        loop {
            told.note(ending.mode());
            let next = told.next(engine.load_end(), self.job.plan.graceful_stop);
            let warm_at = engine.moment(warm_up);
            // Health and shards are looked at between, never inside, the other branches.
            tokio::select! {
                () = engine.ended() => break,
                () = until(next.map(|(at, _)| at)) => match next {
                    Some((_, Deadline::Cut)) => {
                        told.workers_cut = true;
                        engine.tell(Mode::Cut);
                    }
                    _ => {
                        self.leave(engine, ending.mode());
                        if self.left_behind {
                            ending.leave_behind(self.live.moment().1);
                        }
                        break;
                    }
                },
                _ = tick.tick() => if let Some(cause) = self.look(engine) {
                    self.stop(engine, ending, cause);
                },
                () = urgent.notified() => if let Some(cause) = self.is_asked(engine) {
                    self.stop(engine, ending, cause);
                },
                _ = progress.tick() => self.progress(),
                () = until(warm_at), if !self.warm => {
                    self.warm = true;
                    self.recorder.cut(&self.live.snapshot(), self.live);
                    engine.end_warm_up();
                    self.validity.end_warm_up();
                }
                event = desk.next() => match event {
                    Event::Interrupt(cause) => self.interrupted(engine, ending, cause),
                    Event::Key(key) => self.pressed(engine, ending, key),
                    Event::Order(order) => desk::reply(order, |command| self.obey(engine, ending, command)),
                },
            }
        }
        self.live.load_ended();
        ending.load_ended();
        self.live.set_peak(engine.peak_users());
        if !self.warm {
            self.recorder.cut(&self.live.snapshot(), self.live);
            engine.end_warm_up();
            self.validity.end_warm_up();
            self.notes.push("the run ended before its warm-up was over: nothing was measured".to_owned());
        }
        if crate::http::lacks_timestamps() {
            self.notes
                .push("this kernel gives no receive timestamps: late reads are not corrected, and are in the times".to_owned());
        }
        self.look(engine);
    }

    /// Whether a step or the data wants the run to stop; why is noted.
    fn is_asked(&mut self, engine: &Engine) -> Option<StopCause> {
        let (cause, note) = engine.wants_to_stop()?;
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        Some(cause)
    }

    /// Once a second: the generator's health, whether users are wanting, whether a target broke, and what thresholds say.
    /// Whether the run is to stop.
    fn look(&mut self, engine: &Engine) -> Option<StopCause> {
        let cause = self.look_at_all(engine);
        self.show();
        cause
    }

    fn look_at_all(&mut self, engine: &Engine) -> Option<StopCause> {
        let asks = self.is_asked(engine);
        self.live.set_peak(engine.peak_users());
        self.observer.news().iter().for_each(|news| self.warn(news));
        self.recorder.news(self.live).iter().for_each(|news| self.warn(news));
        let news = self.validity.look(self.live.look(&engine.busy()));
        fault::may_break("conductor");
        let broke = engine.is_broken() && self.broken.is_none();
        if broke {
            self.broken = Some(Diagnostic::error("a part of otload broke down"));
            self.warn(&Diagnostic::warning("a part of otload broke down, and the run is stopped"));
        }
        self.judge();
        for finding in news {
            self.warn(&Diagnostic::warning(finding.message()).hint(finding.hint()));
        }
        if !self.dropped && engine.arrivals_dropped() > 0 {
            self.dropped = true;
            let message = "arrivals are dropped, because all `max_users` are busy; `otload_arrivals_dropped_total` counts them";
            self.warn(&Diagnostic::warning(message).hint("the target is too slow for this rate; or raise `max_users`"));
        }
        if broke {
            return Some(StopCause::Defect);
        }
        // One snapshot for all who look at it, and none if nobody does.
        let judged = self.warm && self.thresholds.any();
        let (phase, elapsed) = self.live.moment();
        self.entered(phase);
        let window = self.soak.wants(phase, elapsed);
        let part = self.recorder.is_due(elapsed);
        let silent = self.silence.wants(elapsed);
        if !judged && !self.stresses.any() && !window && !part && !silent {
            return asks;
        }
        let now = self.live.snapshot();
        if part {
            self.recorder.cut(&now, self.live);
        }
        if window {
            self.soak.look(&now, self.live, &|problem| warn(self.job, problem));
        }
        let silence = if silent { self.silence.look(&now) } else { None };
        silence.iter().for_each(|problem| self.warn(problem));
        for (crew, at, note) in self.stresses.look(&now) {
            engine.broke(crew, at);
            if self.job.quiet {
                self.job.journal.say(Topic::Info, &note);
            } else {
                self.live.tell(&note);
            }
        }
        let aborts = judged && self.thresholds.look(&now, &|problem| warn(self.job, problem));
        asks.or(aborts.then_some(StopCause::Threshold))
    }

    fn warn(&self, problem: &Diagnostic) {
        warn(self.job, problem);
    }
}

/// A text as it may be shown: each secret of the plan is `***`.
pub fn without_secrets(plan: &Plan, text: &str) -> String {
    secrets::mask(&plan.secrets, text).into_owned()
}
