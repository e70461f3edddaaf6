//! What is around a run: what it needs before it begins, where it is seen and told things, and how it is announced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::desk::{Desk, Interrupts};
use super::files::ResultFolder;
use super::hub::Hub;
use super::live::Live;
use super::observe::Prepared;
use super::preflight::{self, Room};
use super::say::warn;
use super::{Failed, Job, SERIES_LIMIT, observe, say, thresholds};
use crate::clock::Instant;
use crate::console;
use crate::control::guard::TOKEN_VARIABLE;
use crate::control::scrapers::{Scrapers, Scrapes};
use crate::demo::Demo;
use crate::diagnostic::Diagnostic;
use crate::http::Client;
use crate::scenario::plan::Plan;
use crate::units::format_duration;

/// As long as the last scrape is waited for.
const LINGER: Duration = Duration::from_secs(15);

/// What a run needs before it begins, and has got.
pub(super) struct Ready {
    pub(super) client: Client,
    pub(super) room: Room,
    pub(super) prepared: Prepared,
    pub(super) demo: Option<Demo>,
}

/// What a run finds around it, and leaves as it was.
pub(super) struct Stage {
    pub(super) hub: Arc<Hub>,
    pub(super) interrupts: Interrupts,
    /// Where it is served, if somebody wants to be told.
    pub(super) address: Option<SocketAddr>,
    pub(super) scrapers: Arc<Scrapers>,
}

impl Ready {
    /// Outside of the event loop: the demo has one of its own, which ends with it.
    pub(super) fn try_new(job: &Job) -> Result<Self, Failed> {
        let series = job.plan.catalog.series();
        if series > SERIES_LIMIT {
            let message =
                format!("this scenario would export about {series} time series, more than the {SERIES_LIMIT} that are allowed");
            let hint = "give requests with the same purpose one name, and use fewer checks";
            return Err(Failed::Refused(Diagnostic::error(message).hint(hint)));
        }
        thresholds::check(job).map_err(Failed::Refused)?;
        let client = Client::try_new(&job.plan.http).map_err(Failed::Refused)?;
        let room =
            preflight::check(&job.plan, job.workers, job.demo, &mut |warning| warn(job, warning)).map_err(Failed::Broken)?;
        let demo = if job.demo { Some(start_demo(&job.plan).map_err(Failed::Broken)?) } else { None };
        let prepared = observe::prepare(job, &mut |warning| warn(job, warning))?;
        Ok(Self { client, room, prepared, demo })
    }
}

/// Does this on an event loop of its own.
///
/// # Errors
/// The system has none to give.
pub(super) fn on_event_loop<T>(work: impl Future<Output = T>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Broken(Diagnostic::error(format!("cannot start an event loop: {error}"))))?;
    let done = runtime.block_on(work);
    // What blocks a thread, such as a name that is being looked up, is not waited for.
    runtime.shutdown_background();
    Ok(done)
}

pub(super) fn start_demo(plan: &Plan) -> Result<Demo, Diagnostic> {
    match &plan.host {
        Some(host) => Demo::start(host),
        None => {
            Err(Diagnostic::error("--demo needs the scenario's `host`, which is missing")
                .hint("write `host: http://127.0.0.1:5000`"))
        }
    }
}

pub(super) fn announce(job: &Job, address: SocketAddr, folder: &ResultFolder) {
    let host = job.plan.host.as_ref().map_or_else(|| "the URLs of the scenario".into(), say::without_password);
    if !job.quiet {
        let (version, name) = (env!("CARGO_PKG_VERSION"), &job.plan.name);
        console::line(&format!("otload {version} · {name} → {host} · run {}", job.run_id));
        console::line(&format!("results: {}", folder.path().display()));
    }
    // Also when quiet, if the system chose the port: nobody could know it otherwise.
    if !job.quiet || job.listen.port() == 0 {
        console::line(&format!("metrics: http://{address}/metrics"));
    }
    if !job.quiet && job.token.is_none() && !address.ip().is_loopback() {
        console::line(&format!(
            "control is off: others can reach this address; {TOKEN_VARIABLE} or --control-token-file turns it on"
        ));
    }
}

/// Sleeps; without a moment for ever.
pub(super) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Keeps `/metrics` up until one more scrape has come, of each server that is connected, so that the last figures reach all of them.
/// `before`: how often it was scraped, and by whom.
pub(super) async fn linger(job: &Job, live: &Live, scrapers: &Scrapers, before: (u64, Scrapes), desk: &mut Desk) {
    let (scrapes, by) = before;
    let limit = job.linger.unwrap_or(if scrapes > 0 { LINGER } else { Duration::ZERO });
    if limit.is_zero() {
        return;
    }
    if !job.quiet {
        let whom = if by.len() > 1 { format!(" of each of {} servers", by.len()) } else { String::new() };
        console::line(&format!("waiting for one more scrape{whom}, at most {}; Ctrl-C ends at once", format_duration(limit)));
    }
    let scraped = async {
        live.scraped_after(scrapes).await;
        scrapers.again(&by).await;
    };
    tokio::select! {
        () = scraped => {
            // The answer is still to be written.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        () = tokio::time::sleep(limit) => {}
        () = desk.interrupted() => {}
    }
}

pub(super) fn setup_failed(live: &Live, mishap: Option<&String>) -> Diagnostic {
    let measured = live.snapshot().measured();
    let example = measured.all.reasons.first().map_or_else(
        || mishap.map_or_else(String::new, |mishap| format!(": {mishap}")),
        |failure| format!(": {}: {}", failure.reason, failure.example.as_deref().unwrap_or_default()),
    );
    Diagnostic::error(format!("setup failed{example}"))
        .hint("no user was started; `otload check --once` shows each request and response")
}
