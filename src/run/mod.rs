//! Wires a plan to the engine, the listener, the reports and the signals, and says how it ended.
//!
//! ```text
//!  before   descriptors and ports counted · listener bound · results folder writable · demo started · setup done     any failure: nothing has run
//!  while    engine at work; each second a look at health, targets and thresholds; progress; warm-up ends; signals
//!  after    teardown · final snapshot · summary.json · table · one more scrape
//! ```

mod baseline;
mod debug;
mod files;
mod live;
mod observe;
mod preflight;
mod signals;
mod soak;
mod stress;
mod thresholds;
mod traces;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::control::server;
use crate::demo::Demo;
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Engine, Mode};
use crate::http::Client;
use crate::judge::validity::{Finding, Validity};
use crate::measure::shard::Shard;
use crate::measure::snapshot::Snapshot;
use crate::report;
use crate::scenario::plan::Plan;
use crate::units::format_duration;
use files::ResultFolder;
use live::Live;
use observe::{Observer, Prepared};
use signals::Signals;
use soak::Soaking;
use stress::Stresses;
use thresholds::Thresholds;

pub use crate::random::fresh_seed as random_seed;
pub use baseline::Baseline;
pub use debug::once;
pub use traces::account_of;

/// What to run, and how.
pub struct Job {
    pub plan: Arc<Plan>,
    pub run_id: String,
    pub seed: u64,
    /// Engine threads.
    pub workers: u32,
    /// Where `/metrics` is served.
    pub listen: SocketAddr,
    /// The results folder.
    pub out: PathBuf,
    /// What of the file was overridden, as on the command line.
    pub overrides: Vec<String>,
    /// Serve the cars API on the plan's host.
    pub demo: bool,
    /// The run that this one is compared with.
    pub baseline: Option<Baseline>,
    pub quiet: bool,
    /// How long to wait for one more scrape at the end; `None` decides by whether there was any.
    pub linger: Option<Duration>,
    /// Whether messages on standard error are coloured.
    pub colour: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
}

/// A run that came to its end.
pub struct Ended {
    /// Whether its figures can be believed.
    pub valid: bool,
    /// Whether they can be believed and no threshold is broken.
    pub passed: bool,
    /// By a second Ctrl-C.
    pub interrupted: bool,
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
pub const SERIES_LIMIT: u64 = 50_000;

const TICK: Duration = Duration::from_secs(1);
const PROGRESS: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(15);

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
    let series = job.plan.catalog.series();
    if series > SERIES_LIMIT {
        let message =
            format!("this scenario would export about {series} time series, more than the {SERIES_LIMIT} that are allowed");
        let hint = "give requests with the same purpose one name, and use fewer checks";
        return Err(Failed::Refused(Diagnostic::error(message).hint(hint)));
    }
    thresholds::check(job).map_err(Failed::Refused)?;
    let client = Client::try_new(&job.plan.http).map_err(Failed::Refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Broken(Diagnostic::error(format!("cannot start an event loop: {error}"))))?;
    preflight::check(&job.plan, job.workers, job.demo, &mut |warning| warn(job, warning)).map_err(Failed::Broken)?;
    // Outside of the event loop: it has one of its own, which ends with it.
    let _demo = if job.demo { Some(start_demo(&job.plan).map_err(Failed::Broken)?) } else { None };
    let prepared = observe::prepare(job, &mut |warning| warn(job, warning))?;
    runtime.block_on(conduct(job, client, prepared, print))
}

async fn conduct(job: &Job, client: Client, prepared: Prepared, print: &mut dyn FnMut(&str)) -> Result<Ended, Failed> {
    let mut signals = Signals::new().map_err(Failed::Broken)?;
    let listener = server::bind(job.listen).await.map_err(Failed::Broken)?;
    let address = listener.local_addr().unwrap_or(job.listen);
    let folder = ResultFolder::create(&job.out).map_err(Failed::Broken)?;
    folder.write_scenario(&scenario_as_run(job)).map_err(Failed::Broken)?;

    let extra = Arc::new(Mutex::new(Shard::new(&job.plan.catalog)));
    let live = Arc::new(Live::new(job, client.clone(), extra.clone(), prepared.counts.clone(), SERIES_LIMIT));
    let thresholds = Thresholds::new(job, &live);
    let serving = tokio::spawn(server::serve(listener, live.clone()));
    announce(job, address, &folder);

    let tracing = prepared.tracing.clone();
    let options = engine::Options { run_id: job.run_id.clone(), seed: job.seed, workers: job.workers, tracing: tracing.clone() };
    let observer = prepared.start(&live)?;
    let mut mode = Mode::Run;
    // Teardown is also done after a setup that failed or was interrupted: what it made is to be cleared away.
    let ready = signals.bounded(&mut mode, SETUP, engine::perform(&job.plan, &client, &options, &extra, &job.plan.setup)).await;
    let setup_failure = (ready == Some(false)).then(|| setup_failed(&live));
    let mut conductor = Conductor::new(job, &live, (observer, thresholds), print);
    let mut broken = Ok(());
    if ready == Some(true) && mode == Mode::Run {
        let started = clock::now();
        let mut engine =
            Engine::start(job.plan.clone(), client.clone(), &options, extra.clone(), started).map_err(Failed::Broken)?;
        live.begin(&engine);
        mode = conductor.until_the_end(&mut engine, &mut signals).await;
        broken = engine.join();
    } else if setup_failure.is_none() {
        conductor.notes.push("stopped during setup: no user was started".to_owned());
    }
    if mode != Mode::Cut {
        let good =
            signals.bounded(&mut mode, TEARDOWN, engine::perform(&job.plan, &client, &options, &extra, &job.plan.teardown)).await;
        if good != Some(true) {
            conductor.warn(&Diagnostic::warning("teardown did not succeed; its failures are in the summary"));
        }
    }
    live.finish();
    // Before the summary, which says what became of the spans.
    std::mem::take(&mut conductor.observer).finish(mode != Mode::Cut).await.iter().for_each(|news| warn(job, news));
    if let Some(failure) = setup_failure {
        return Err(Failed::Broken(failure));
    }
    conductor.interrupted = mode == Mode::Cut;
    conductor.soak.finish(&live, &|problem| warn(job, problem));
    conductor.thresholds.finish(&live.snapshot(), &live);
    let (ended, scrapes) = (conductor.ended(), live.scrapes());
    let traces = job.plan.observe.traces.as_ref().filter(|_| live.is_traced());
    let traces = traces.map(|traces| report::traces::section(&tracing.notable(), &job.plan.catalog, traces.ui.as_deref()));
    let outcome = report::Outcome { traces, ..conductor.outcome() };
    let snapshot = live.snapshot();
    let written = report::json::write(&snapshot, &outcome)
        .map_err(|error| Diagnostic::error(format!("cannot write the summary as JSON: {error}")))
        .and_then(|json| folder.write_summary(&json));
    let table = report::text::write(&snapshot, &outcome);
    (conductor.print)(&table);
    if !job.quiet || job.terminal {
        (conductor.print)(&format!("\nresults: {}\n", folder.summary_path().display()));
    }
    written.map_err(Failed::Broken)?;
    broken.map_err(Failed::Broken)?;
    if !ended.interrupted {
        linger(job, &live, scrapes, &mut signals).await;
    }
    serving.abort();
    Ok(ended)
}

/// What a first signal says while this is under way.
const SETUP: &str = "stopping after setup; Ctrl-C again ends at once";
const TEARDOWN: &str = "teardown is under way; Ctrl-C again ends at once";

/// One who looks after a running engine.
struct Conductor<'a> {
    job: &'a Job,
    live: &'a Live,
    observer: Observer,
    validity: Validity,
    /// As of the last progress line.
    last: Snapshot,
    /// What ends a stress.
    stresses: Stresses,
    thresholds: Thresholds,
    soak: Soaking,
    /// Whether arrivals have been dropped, and it has been said.
    dropped: bool,
    interrupted: bool,
    /// The warm-up was over before the end.
    warm: bool,
    notes: Vec<String>,
    print: &'a mut dyn FnMut(&str),
}

impl<'a> Conductor<'a> {
    fn new(job: &'a Job, live: &'a Live, (observer, thresholds): (Observer, Thresholds), print: &'a mut dyn FnMut(&str)) -> Self {
        let last = live.snapshot();
        let stresses = Stresses::new(&job.plan, &last);
        Self {
            job,
            live,
            observer,
            validity: Validity::new(job.plan.validity),
            last,
            stresses,
            thresholds,
            soak: Soaking::new(&job.plan),
            dropped: false,
            interrupted: false,
            warm: true,
            notes: Vec::new(),
            print,
        }
    }

    /// Returns when the last worker has ended; says whether signals ended it.
    async fn until_the_end(&mut self, engine: &mut Engine, signals: &mut Signals) -> Mode {
        let started = engine.started();
        let mut tick = tokio::time::interval_at((started + TICK).into(), TICK);
        let mut progress = tokio::time::interval_at((started + PROGRESS).into(), PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let warm_up = self.job.plan.warm_up;
        self.warm = warm_up.is_zero();
        let mut mode = Mode::Run;
        loop {
            // Health and shards are looked at between, never inside, the other branches.
            tokio::select! {
                () = engine.ended() => break,
                _ = tick.tick() => if self.look(engine) && mode == Mode::Run {
                    mode = Mode::Stop;
                    engine.tell(mode);
                },
                _ = progress.tick(), if !self.job.quiet => self.progress(),
                () = tokio::time::sleep_until((started + warm_up).into()), if !self.warm => {
                    self.warm = true;
                    engine.end_warm_up();
                    self.validity.end_warm_up();
                }
                () = signals.next() => {
                    mode = if mode == Mode::Run { Mode::Stop } else { Mode::Cut };
                    engine.tell(mode);
                    if mode == Mode::Stop {
                        let grace = format_duration(self.job.plan.graceful_stop);
                        eprintln!("stopping: users end their tasks, at most {grace}; Ctrl-C again ends at once");
                    }
                }
            }
        }
        self.live.load_ended();
        self.live.set_peak(engine.peak_users());
        if !self.warm {
            engine.end_warm_up();
            self.validity.end_warm_up();
            self.notes.push("the run ended before its warm-up was over: nothing was measured".to_owned());
        }
        self.look(engine);
        mode
    }

    /// Once a second: the generator's health, whether users are wanting, whether a target broke, and what thresholds say.
    /// Whether the run is to stop.
    fn look(&mut self, engine: &Engine) -> bool {
        self.live.set_peak(engine.peak_users());
        self.observer.news().iter().for_each(|news| self.warn(news));
        let news = self.validity.look(self.live.look(&engine.busy()), || self.live.median());
        self.live.set_judgement(self.validity.reasons().is_empty(), self.validity.is_saturated());
        for finding in news {
            self.warn(&Diagnostic::warning(finding.message()).hint(finding.hint()));
        }
        if !self.dropped && engine.arrivals_dropped() > 0 {
            self.dropped = true;
            let message = "arrivals are dropped, because all `max_users` are busy; `otload_arrivals_dropped_total` counts them";
            self.warn(&Diagnostic::warning(message).hint("the target is too slow for this rate; or raise `max_users`"));
        }
        // One snapshot for all who look at it, and none if nobody does.
        let judged = self.warm && self.thresholds.any();
        let (phase, elapsed) = self.live.moment();
        let window = self.soak.wants(phase, elapsed);
        if !judged && !self.stresses.any() && !window {
            return false;
        }
        let now = self.live.snapshot();
        if window {
            self.soak.look(&now, self.live, &|problem| warn(self.job, problem));
        }
        for (crew, at, note) in self.stresses.look(&now) {
            engine.broke(crew, at);
            if !self.job.quiet {
                eprintln!("{note}");
            }
        }
        judged && self.thresholds.look(&now, self.live, &|problem| warn(self.job, problem))
    }

    fn progress(&mut self) {
        let now = self.live.snapshot();
        (self.print)(&format!("{}\n", report::progress::line(&self.last, &now)));
        self.last = now;
    }

    fn warn(&self, problem: &Diagnostic) {
        warn(self.job, problem);
    }

    fn ended(&self) -> Ended {
        let valid = self.validity.reasons().is_empty();
        Ended { valid, passed: valid && self.thresholds.passed() && self.soak.passed(), interrupted: self.interrupted }
    }

    fn outcome(&self) -> report::Outcome {
        let said = |finding: Finding| format!("{}; {}", finding.message(), finding.hint());
        let invalid_reasons: Vec<_> = self.validity.reasons().into_iter().map(said).collect();
        let cut = self.interrupted.then(|| "interrupted: requests in flight were cut off".to_owned());
        report::Outcome {
            valid: invalid_reasons.is_empty(),
            passed: invalid_reasons.is_empty() && self.thresholds.passed() && self.soak.passed(),
            invalid_reasons,
            notes: self
                .stresses
                .notes()
                .chain(self.notes.iter().cloned())
                .chain(cut)
                .chain(self.thresholds.notes())
                .chain(self.soak.notes())
                .chain(self.validity.notes().into_iter().map(said))
                .collect(),
            traces: None,
        }
    }
}

fn warn(job: &Job, problem: &Diagnostic) {
    eprint!("{}", problem.render(job.colour));
}

/// Keeps `/metrics` up until one more scrape has come, so that the last figures reach Prometheus.
async fn linger(job: &Job, live: &Live, scrapes: u64, signals: &mut Signals) {
    let limit = job.linger.unwrap_or(if scrapes > 0 { LINGER } else { Duration::ZERO });
    if limit.is_zero() {
        return;
    }
    if !job.quiet {
        eprintln!("waiting for one more scrape, at most {}; Ctrl-C ends at once", format_duration(limit));
    }
    tokio::select! {
        () = live.scraped_after(scrapes) => {
            // The answer is still to be written.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        () = tokio::time::sleep(limit) => {}
        () = signals.next() => {}
    }
}

fn start_demo(plan: &Plan) -> Result<Demo, Diagnostic> {
    match &plan.host {
        Some(host) => Demo::start(host),
        None => {
            Err(Diagnostic::error("--demo needs the scenario's `host`, which is missing")
                .hint("write `host: http://127.0.0.1:5000`"))
        }
    }
}

/// A text as it may be shown: each secret of the plan is `***`.
pub fn without_secrets(plan: &Plan, text: &str) -> String {
    engine::mask(&plan.secrets, text).into_owned()
}

/// The file, with what overrides it in a comment; without secrets.
fn scenario_as_run(job: &Job) -> String {
    let source = &job.plan.source;
    let with = if job.overrides.is_empty() { String::new() } else { format!(", with {}", job.overrides.join(" ")) };
    let text = format!("# {}, run as {}{with}\n{}", source.name, job.run_id, source.text);
    without_secrets(&job.plan, &text)
}

fn setup_failed(live: &Live) -> Diagnostic {
    let measured = live.snapshot().measured();
    let example =
        measured.all.reasons.first().map_or_else(String::new, |failure| {
            format!(": {}: {}", failure.reason, failure.example.as_deref().unwrap_or_default())
        });
    Diagnostic::error(format!("setup failed{example}"))
        .hint("no user was started; `otload check --once` shows each request and response")
}

fn announce(job: &Job, address: SocketAddr, folder: &ResultFolder) {
    let host = job.plan.host.as_ref().map_or_else(|| "the URLs of the scenario".into(), live::without_password);
    if !job.quiet {
        eprintln!("otload {} · {} → {host} · run {}", env!("CARGO_PKG_VERSION"), job.plan.name, job.run_id);
        eprintln!("results: {}", folder.path().display());
    }
    // Also when quiet, if the system chose the port: nobody could know it otherwise.
    if !job.quiet || job.listen.port() == 0 {
        eprintln!("metrics: http://{address}/metrics");
    }
}
