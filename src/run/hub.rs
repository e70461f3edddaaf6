//! What the listener reads: the run that is on, or was last.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::sync::mpsc;

use super::live::Live;
use crate::control::{Answers, Daemon, Order, Refusal};

/// Where each run puts itself while it lasts, and stays until the next one comes.
pub(super) struct Hub {
    run: Mutex<Option<Arc<Live>>>,
    daemon: Option<Arc<dyn Daemon + Sync>>,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { run: Mutex::default(), daemon: None })
    }

    pub(super) fn set(&self, live: &Arc<Live>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
    }

    fn live(&self) -> Option<Arc<Live>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Answers for Hub {
    fn metrics(&self, accept: &str) -> (String, Vec<u8>) {
        match self.live() {
            Some(live) => live.metrics(accept),
            None => ("text/plain; version=0.0.4; charset=utf-8".to_owned(), Vec::new()),
        }
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

    fn daemon(&self) -> Option<&dyn Daemon> {
        self.daemon.as_deref().map(|daemon| daemon as &dyn Daemon)
    }
}
