//! How many connections there are, counted where they are opened and closed, so that those of a request that has not been
//! answered yet are among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The connections of a client's users.
#[derive(Debug, Default)]
pub(super) struct Connections {
    opened: AtomicU64,
    closed: AtomicU64,
}

/// One that is open; dropped with it.
#[derive(Debug)]
pub(super) struct Open(Arc<Connections>);

// === Connections ===

impl Connections {
    pub(super) fn open(connections: &Arc<Self>) -> Open {
        connections.opened.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(connections))
    }

    /// Those that were ever opened, and of them those that are open still.
    pub(super) fn opened_and_open(&self) -> (u64, u64) {
        // Read in this order, there are never more closed than opened.
        let closed = self.closed.load(Ordering::Acquire);
        let opened = self.opened.load(Ordering::Acquire);
        (opened, opened.saturating_sub(closed))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}
