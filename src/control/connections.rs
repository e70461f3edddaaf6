//! How many connections there are at once. When there is no room for a further one, the one makes room that has been idle for
//! longest: a thousand clients that say nothing keep nobody out who has something to say.
//!
//! | a connection is | while |
//! |---|---|
//! | idle | nothing comes, a request is still coming, or its answer is being taken |
//! | at work | a whole request is being answered |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{self, Instant};

/// All that are open.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    open: Mutex<Open>,
    /// Rung when one has ended, or is idle again.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    last: u64,
    states: HashMap<u64, State>,
}

struct State {
    /// Since when it is idle; not while it is at work.
    idle: Option<Instant>,
    leave: Arc<Notify>,
}

/// One of them, as long as it is open.
pub(super) struct Place {
    number: u64,
    shared: Arc<Shared>,
    leave: Arc<Notify>,
}

/// Whoever neither sends nor takes anything for so long is gone.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

// === impl Connections ===

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, open: Mutex::default(), changed: Notify::new() }))
    }

    /// A place for a further one; waits if all are at work.
    pub(super) async fn place(&self) -> Place {
        loop {
            let changed = self.0.changed.notified();
            if let Some(place) = self.try_place() {
                return place;
            }
            changed.await;
        }
    }

    /// `None` while all are at work. The one that is to leave may still be there for a moment.
    fn try_place(&self) -> Option<Place> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.states.len() >= self.0.most {
            let (oldest, _) =
                open.states.iter().filter_map(|(number, state)| Some((*number, state.idle?))).min_by_key(|(_, since)| *since)?;
            open.states.remove(&oldest).into_iter().for_each(|state| state.leave.notify_one());
        }
        open.last += 1;
        let (number, leave) = (open.last, Arc::new(Notify::new()));
        open.states.insert(number, State { idle: Some(clock::now()), leave: leave.clone() });
        Some(Place { number, shared: self.0.clone(), leave })
    }
}

// === impl Place ===

impl Place {
    /// A whole request has come, or its answer is ready.
    pub(super) fn at_work(&self, at_work: bool) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = open.states.get_mut(&self.number) {
            state.idle = (!at_work).then(clock::now);
        }
        if !at_work {
            self.shared.changed.notify_one();
        }
    }

    /// Returns when it is to make room, or has been idle for too long.
    pub(super) async fn leave(&self) {
        loop {
            tokio::select! {
                () = self.leave.notified() => return,
                () = tokio::time::sleep(LONGEST_IDLE / 4) => {}
            }
            let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = open.states.get(&self.number).map(|state| state.idle);
            if idle.is_none_or(|since| since.is_some_and(|since| clock::now() - since >= LONGEST_IDLE)) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).states.remove(&self.number);
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon<T>(future: impl Future<Output = T>) -> Option<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), future).await.ok() })
    }

    #[test]
    fn the_longest_idle_makes_room_and_never_one_at_work() {
        let connections = Connections::new(3);
        let places: Vec<_> = (0..3).map(|_| connections.try_place().unwrap()).collect();
        places[0].at_work(true);
        let fourth = connections.try_place().unwrap();
        let left = || places.iter().map(|place| soon(place.leave()).is_some()).collect::<Vec<_>>();
        assert_eq!(left(), [false, true, false]);
        fourth.at_work(true);
        places[2].at_work(true);
        assert!(connections.try_place().is_none(), "all are at work");
        places[0].at_work(false);
        assert!(connections.try_place().is_some());
        assert!(soon(places[0].leave()).is_some());
    }

    #[test]
    fn whoever_waits_gets_the_place_of_one_that_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let connections = Connections::new(1);
            let place = connections.place().await;
            place.at_work(true);
            let waiting = tokio::spawn({
                let connections = connections.clone();
                async move { connections.place().await }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            drop(place);
            let place = waiting.await.unwrap();
            // And one that does nothing at all is gone after a while.
            assert!(tokio::time::timeout(LONGEST_IDLE * 2, place.leave()).await.is_ok());
        });
    }
}
