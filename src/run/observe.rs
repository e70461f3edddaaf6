//! What `observe:` asks for, set up for a run: queues for the engine, and the thread that delivers what is in them.
//!
//! ```text
//!  file + environment ─▶ prepare: where to, or why not        before anything runs
//!                        start: the thread, with encoders that know the run
//!                        news: what the user is told, each second
//!                        finish: what is left is sent, for some seconds
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::live::Live;
use super::{Failed, Job};
use crate::diagnostic::{Diagnostic, Problems};
use crate::engine::Tracing;
use crate::export::otlp::deliver::{self, Batches};
use crate::export::otlp::delivery::{self, Delivery};
use crate::export::otlp::encode;
use crate::export::otlp::exporter::{self, Signal};
use crate::export::otlp::health::Health;
use crate::export::otlp::sender::{Policy, Sender};
use crate::export::otlp::settings::{Identity, Target};
use crate::trace::FailureLog;
use crate::trace::queue::{Counts, Spans, queue};

/// What is to be exported, and how; nothing has been started.
pub(super) struct Prepared {
    pub(super) tracing: Arc<Tracing>,
    /// What becomes of spans; `None` if none are made.
    pub(super) counts: Option<Arc<Counts>>,
    spans: Option<(Spans, Sender)>,
    failures: Option<(Spans<FailureLog>, Sender)>,
    metrics: Option<(Duration, Sender)>,
    identity: Arc<Identity>,
}

/// What delivers, if anything is to be delivered.
#[derive(Default)]
pub(super) struct Observer(Option<Delivery>);

/// How long what is left may take at the end; after a second Ctrl-C nothing is waited for.
const FINISH: Duration = Duration::from_secs(5);

// === Prepared ===

/// Reads the settings and the environment. What is odd about them is handed to `warn`.
///
/// # Errors
/// When something cannot be used as it is written.
pub(super) fn prepare(job: &Job, warn: &mut dyn FnMut(&Diagnostic)) -> Result<Prepared, Failed> {
    let observe = &job.plan.observe;
    let env = |name: &str| std::env::var(name).ok();
    let mut sender = |target: Option<&Target>, signal| match target {
        Some(target) => sender(target, signal, &env, warn),
        None => Ok(None),
    };
    let to_traces = sender(observe.traces.as_ref().map(|traces| &traces.target), Signal::Traces)?;
    let to_metrics = sender(observe.metrics.as_ref().map(|metrics| &metrics.target), Signal::Metrics)?;
    let to_logs = sender(observe.logs.as_ref().map(|logs| &logs.target), Signal::Logs)?;
    let any = to_traces.is_some() || to_metrics.is_some() || to_logs.is_some();
    let identity = if any {
        let (identity, warnings) = exporter::identity(&env);
        warnings.sorted().into_iter().for_each(&mut *warn);
        identity
    } else {
        Identity::default()
    };
    let (mut counts, mut spans, mut traces) = (None, None, None);
    if let (Some(settings), Some(sender)) = (&observe.traces, to_traces) {
        let (into, out) = queue(settings.queue as usize);
        counts = Some(into.counts().clone());
        traces = Some((settings, into));
        spans = Some((out, sender));
    }
    let (mut failures, mut logs) = (None, None);
    if let (Some(settings), Some(sender)) = (&observe.logs, to_logs) {
        let (into, out) = queue(settings.queue as usize);
        logs = Some(into);
        failures = Some((out, sender));
    }
    let tracing = Tracing::new(traces, logs, &job.plan.catalog, &job.run_id, super::random_seed());
    let metrics = observe.metrics.as_ref().map(|metrics| metrics.interval).zip(to_metrics);
    Ok(Prepared { tracing, counts, spans, failures, metrics, identity: Arc::new(identity) })
}

fn sender(
    target: &Target,
    signal: Signal,
    env: &dyn Fn(&str) -> Option<String>,
    warn: &mut dyn FnMut(&Diagnostic),
) -> Result<Option<Sender>, Failed> {
    let resolved = exporter::resolve(target, signal, env).map_err(refused)?;
    resolved.warnings.sorted().into_iter().for_each(&mut *warn);
    if let Some(variable) = &resolved.off {
        let message = format!("{} are not exported: {variable} turns them off", signal.name());
        warn(&Diagnostic::warning(message).hint("unset it, or take the key out of `observe`"));
    }
    resolved.exporter.map(|exporter| Sender::new(exporter, Policy::default())).transpose().map_err(Failed::Refused)
}

/// The first of them: the others are seen when it is mended.
fn refused(problems: Problems) -> Failed {
    let first = problems.sorted().first().map(|problem| Diagnostic::clone(problem));
    Failed::Refused(first.unwrap_or_else(|| Diagnostic::error("`observe` cannot be used")))
}

impl Prepared {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(self, live: &Arc<Live>) -> Result<Observer, Failed> {
        let mut jobs = Vec::new();
        if let Some((spans, sender)) = self.spans {
            let (live, identity) = (live.clone(), self.identity.clone());
            let encode = move |batch: &[_]| encode::spans(batch, live.catalog(), &live.run(), &identity);
            jobs.push(deliver::batches(spans, sender, encode, Batches::default()));
        }
        if let Some((failures, sender)) = self.failures {
            let (live, identity) = (live.clone(), self.identity.clone());
            let encode = move |batch: &[_]| encode::logs(batch, live.catalog(), &live.run(), &identity);
            jobs.push(deliver::batches(failures, sender, encode, Batches::default()));
        }
        if let Some((interval, sender)) = self.metrics {
            let (live, identity) = (live.clone(), self.identity);
            let collect = move || encode::metrics(&live.totals(), &identity, crate::clock::timestamp());
            jobs.push(deliver::pushes(sender, interval, collect));
        }
        if jobs.is_empty() {
            return Ok(Observer(None));
        }
        delivery::start(jobs).map(Some).map(Observer).map_err(Failed::Broken)
    }
}

// === Observer ===

impl Observer {
    /// What the user has not been told yet.
    pub(super) fn news(&self) -> Vec<Diagnostic> {
        self.0.as_ref().map(Delivery::news).unwrap_or_default()
    }

    /// Sends what is left, if there is `time` for it. Answers with the last news.
    pub(super) async fn finish(self, time: bool) -> Vec<Diagnostic> {
        let within = if time { FINISH } else { Duration::ZERO };
        match self.0 {
            Some(delivery) => delivery.finish(within).await.iter().filter_map(Health::news).collect(),
            None => Vec::new(),
        }
    }
}
