//! What workers tell each other and the conductor, besides what is counted: that the run is to stop, and that all users have left.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, watch};

/// Of one run.
pub(super) struct Signals {
    /// Why the run is to end, once a step says so.
    stop: OnceLock<String>,
    /// Rung when the run is to end: users that wait should not wait for the conductor's next look.
    urgent: Arc<Notify>,
    /// Of each crew, on how many workers all users that there may be have come and have left.
    deserted: Vec<watch::Sender<u32>>,
    workers: u32,
}

/// What one worker knows of a crew's users: whether they have left here, and whether they have everywhere.
pub(super) struct Deserted<'a> {
    crew: &'a watch::Sender<u32>,
    seen: watch::Receiver<u32>,
    workers: u32,
    /// It has been said that they have left here.
    here: bool,
}

// === impl Signals ===

impl Signals {
    pub(super) fn new(crews: usize, workers: u32) -> Self {
        let deserted = (0..crews).map(|_| watch::channel(0).0).collect();
        Self { stop: OnceLock::new(), urgent: Arc::default(), deserted, workers }
    }

    /// The run is to end; the first reason counts.
    pub(super) fn stop(&self, why: String) {
        let _ = self.stop.set(why);
        self.hurry();
    }

    pub(super) fn stopped(&self) -> Option<&String> {
        self.stop.get()
    }

    /// Somebody is to look at once whether the run is to end.
    pub(super) fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Rung by [`Self::hurry`]; for one who waits.
    pub(super) fn urgent(&self) -> Arc<Notify> {
        self.urgent.clone()
    }

    pub(super) fn deserted(&self, crew: usize) -> Option<Deserted<'_>> {
        let crew = self.deserted.get(crew)?;
        Some(Deserted { crew, seen: crew.subscribe(), workers: self.workers, here: false })
    }
}

// === impl Deserted ===

impl Deserted<'_> {
    /// Says whether they have left here; answers whether they have on all workers. One that never had any waits with the others:
    /// there may be more users later, by an order.
    pub(super) fn everywhere(&mut self, here: bool) -> bool {
        if here != self.here {
            self.here = here;
            self.crew.send_modify(|workers| *workers = if here { *workers + 1 } else { workers.saturating_sub(1) });
        }
        here && *self.seen.borrow_and_update() >= self.workers
    }

    /// Returns when another worker has said so.
    pub(super) async fn changed(&mut self) {
        // The sender lives as long as the run.
        if self.seen.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
