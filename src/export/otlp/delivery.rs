//! The thread that delivers telemetry, from its start to a last flush that is bounded in time.
//!
//! It is not one of the workers: what it costs is its own, and what a collector costs it is not theirs.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::exporter::Signal;
use super::health::Health;
use crate::clock::{self, Instant};
use crate::diagnostic::Diagnostic;
use crate::threads;

/// What one signal has to do.
pub struct Job {
    health: Health,
    work: Work,
}

type Work = Box<dyn FnOnce(Stop, Health) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The thread that delivers. When it is dropped, the thread ends without sending what is left.
#[derive(Debug)]
pub struct Delivery {
    healths: Vec<Health>,
    stop: watch::Sender<Option<Instant>>,
    done: oneshot::Receiver<()>,
}

/// When it is over: `None` as long as it goes on, then the moment by which all must be sent.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<Option<Instant>>);

/// Beyond what `finish` grants, for what has to be done in any case.
const GRACE: Duration = Duration::from_millis(500);

// === Job ===

impl Job {
    pub(super) fn new(
        signal: Signal,
        work: impl FnOnce(Stop, Health) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) -> Self {
        Self { health: Health::new(signal), work: Box::new(work) }
    }
}

// === Stop ===

impl Stop {
    pub(super) fn is_asked(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    /// Returns when the end is near, or nobody is left to say so.
    pub(super) async fn asked(&mut self) {
        // An error is that nobody is left.
        drop(self.0.wait_for(Option::is_some).await);
    }

    /// The moment by which all must be sent; now, if nobody says.
    pub(super) fn deadline(&self) -> Instant {
        self.0.borrow().unwrap_or_else(clock::now)
    }

    /// Returns when that moment has come.
    pub(super) async fn over(&mut self) {
        self.asked().await;
        tokio::time::sleep_until(self.deadline().into()).await;
    }
}

// === Delivery ===

/// Starts the thread.
///
/// # Errors
/// The system has no thread, or no runtime, to give.
pub fn start(jobs: Vec<Job>) -> Result<Delivery, Diagnostic> {
    let refused = |error: std::io::Error| {
        Diagnostic::error(format!("the thread that exports telemetry cannot be started: {error}"))
            .hint("run without `observe`, or look at the limits of this system (`ulimit -u`)")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    let (stop, stopped) = watch::channel(None);
    let (all_done, done) = oneshot::channel();
    let healths = jobs.iter().map(|job| job.health.clone()).collect();
    let run = move || {
        runtime.block_on(async {
            let mut running = JoinSet::new();
            for job in jobs {
                running.spawn((job.work)(Stop(stopped.clone()), job.health));
            }
            while running.join_next().await.is_some() {}
        });
        // A name that is being looked up cannot be given up, and is not waited for.
        runtime.shutdown_background();
        // Nobody listens any more when `Delivery` was dropped.
        let _ = all_done.send(());
    };
    threads::start("otlp", run).map_err(refused)?;
    Ok(Delivery { healths, stop, done })
}

impl Delivery {
    /// Of each job, in the order in which they were given.
    pub fn healths(&self) -> &[Health] {
        &self.healths
    }

    /// What the user has not been told yet.
    pub fn news(&self) -> Vec<Diagnostic> {
        self.healths.iter().filter_map(Health::news).collect()
    }

    /// Sends what is left, for as long as `within`; what is left then is counted as dropped. Gives how each
    /// signal did: its last news may be there still.
    pub async fn finish(self, within: Duration) -> Vec<Health> {
        // Nobody listens any more when all queues had ended by themselves.
        let _ = self.stop.send(Some(clock::now() + within));
        let _ = timeout(within + GRACE, self.done).await;
        self.healths
    }
}
