//! How the export of one signal does, and what the user is told of it: that it began to fail, and that it goes on again; not
//! each batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::exporter::Signal;
use super::sender::{Accepted, Failed};
use crate::clock::{self, Instant};
use crate::diagnostic::Diagnostic;

/// A clone is the same.
#[derive(Clone, Debug)]
pub struct Health {
    signal: Signal,
    state: Arc<Mutex<State>>,
}

/// At one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the last message failed, or was refused in part.
    pub failing: bool,
    /// Of the last message that failed, however long ago.
    pub last_error: Option<String>,
    /// Messages, not items.
    pub sent: u64,
    pub failed: u64,
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    failing: bool,
    at: Instant,
}

/// A collector that comes and goes is spoken of once in this time.
const SILENCE: Duration = Duration::from_secs(60);

impl Health {
    pub(super) fn new(signal: Signal) -> Self {
        Self { signal, state: Arc::default() }
    }

    pub fn signal(&self) -> Signal {
        self.signal
    }

    pub fn status(&self) -> Status {
        self.state().status.clone()
    }

    /// What the user has not been told yet: a warning.
    pub fn news(&self) -> Option<Diagnostic> {
        let mut state = self.state();
        let now = clock::now();
        let failing = state.status.failing;
        let (before, since) =
            state.told.as_ref().map_or((false, None), |told| (told.failing, Some(now.saturating_duration_since(told.at))));
        // That it goes on again is said at once: who was warned wants to know.
        if failing == before || (failing && since.is_some_and(|since| since < SILENCE)) {
            return None;
        }
        state.told = Some(Told { failing, at: now });
        Some(match &state.status.last_error {
            Some(error) if failing => Diagnostic::warning(error.clone())
                .hint("the run goes on; what is lost is counted, and it is tried again with what comes next"),
            _ => Diagnostic::warning(format!("{} are exported again", self.signal.name())),
        })
    }

    pub(super) fn note(&self, result: &Result<Accepted, Failed>) {
        let mut state = self.state();
        let status = &mut state.status;
        let error = match result {
            Ok(accepted) if accepted.rejected > 0 => {
                let of = self.signal.name();
                Some(format!("the collector refused {} of the {of} that it was sent: {}", accepted.rejected, accepted.message))
            }
            Ok(_) => None,
            Err(failed) => Some(failed.message.clone()),
        };
        match result {
            Ok(_) => status.sent += 1,
            Err(_) => status.failed += 1,
        }
        status.failing = error.is_some();
        status.last_error = error.or(status.last_error.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::queue::Dropped;

    #[tokio::test(start_paused = true)]
    async fn the_user_is_told_of_changes_and_not_of_each_message() {
        let health = Health::new(Signal::Traces);
        let failed = || Err(Failed { reason: Dropped::Timeout, message: "no answer".into() });
        let news = |health: &Health| health.news().map(|news| news.message);
        health.note(&Ok(Accepted::default()));
        assert_eq!(news(&health), None);
        (0..100).for_each(|_| health.note(&failed()));
        assert_eq!((news(&health), news(&health)), (Some("no answer".into()), None));
        health.note(&Ok(Accepted::default()));
        assert_eq!((news(&health), news(&health)), (Some("spans are exported again".into()), None));
        health.note(&failed());
        assert_eq!(news(&health), None, "so soon");
        tokio::time::advance(SILENCE).await;
        assert_eq!(news(&health), Some("no answer".into()));
        health.note(&Ok(Accepted { rejected: 3, message: "too old".into() }));
        let last_error = Some("the collector refused 3 of the spans that it was sent: too old".into());
        assert_eq!(health.status(), Status { failing: true, last_error, sent: 3, failed: 101 });
    }
}
