//! What the listener reads: the run that is on, or was last.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde_json::json;
use tokio::sync::mpsc;

use super::live::Live;
use super::serve::Runner;
use crate::control::{Answers, Daemon, Order, Refusal};
use crate::export::prometheus::{self, Format};

/// Where each run puts itself while it lasts, and stays until the next one comes.
pub(super) struct Hub {
    run: Mutex<Option<Arc<Live>>>,
    /// What starts runs, if it is not just one.
    runner: OnceLock<Weak<Runner>>,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { run: Mutex::default(), runner: OnceLock::new() })
    }

    pub(super) fn set(&self, live: &Arc<Live>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
    }

    /// Shows what this one starts.
    pub(super) fn serve(&self, runner: &Arc<Runner>) {
        let _ = self.runner.set(Arc::downgrade(runner));
    }

    /// The run is over, however it ended.
    pub(super) fn over(&self) {
        self.live().iter().for_each(|live| live.over());
    }

    fn runner(&self) -> Option<Arc<Runner>> {
        self.runner.get().and_then(Weak::upgrade)
    }

    fn live(&self) -> Option<Arc<Live>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Answers for Hub {
    fn health(&self) -> Result<(), String> {
        self.runner().map_or(Ok(()), |runner| runner.health())
    }

    fn metrics(&self, accept: &str) -> (String, Vec<u8>) {
        let format = Format::negotiate(Some(accept));
        let run = self.live().map(|live| live.metrics(format)).unwrap_or_default();
        let body = match self.runner() {
            Some(runner) => prometheus::with_daemon(run, &runner.counts(), format),
            None => run,
        };
        (format.content_type().to_owned(), body)
    }

    fn status(&self) -> String {
        self.live().map_or_else(|| format!("{}\n", json!({ "phase": "idle" })), |live| live.status())
    }

    fn requests(&self) -> Result<String, Refusal> {
        self.live().map(|live| live.requests()).ok_or_else(|| Refusal::conflict("there has been no run yet"))
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        self.live().map(|live| live.orders())
    }

    fn daemon(&self) -> Option<Arc<dyn Daemon>> {
        self.runner().map(|runner| runner as Arc<dyn Daemon>)
    }
}
