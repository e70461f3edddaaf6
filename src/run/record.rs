//! Writes `intervals.jsonl` while the run goes on: on a thread of its own, behind a short queue, so that a slow disk delays
//! nothing. A disk that cannot be written stops the writing, and nothing else.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::live::Live;
use crate::diagnostic::Diagnostic;
use crate::journal::Journal;
use crate::measure::snapshot::{Facts, Snapshot};
use crate::report::intervals::{self, LENGTH};

/// The parts of a run, each written when it is over.
pub(super) struct Recorder {
    warm_up: Duration,
    /// As of the end of the last part.
    last: Snapshot,
    /// When the next part ends.
    due: Duration,
    /// `None` after the first error.
    queue: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<String>>>,
    told: bool,
    /// The log is written while the run goes on, too.
    journal: Journal,
    log_failed: bool,
    /// How many remarks are written.
    remarks: usize,
}

pub(super) const INTERVALS: &str = "intervals.jsonl";

/// More parts than this do not wait for the disk: the next one is longer instead.
const QUEUE: usize = 4;

impl Recorder {
    /// Begins the file. What goes wrong is news, not an error.
    pub(super) fn new(folder: &Path, live: &Live, warm_up: Duration, journal: Journal) -> Self {
        let now = live.snapshot();
        let failure = Arc::new(Mutex::new(None));
        let (queue, received) = sync_channel(QUEUE);
        let (path, failed) = (folder.join(INTERVALS), failure.clone());
        let write = move || {
            if let Err(error) = write_all(&path, &received) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(format!("cannot write {}: {error}", path.display()));
            }
        };
        let thread = Builder::new().name("otload-intervals".to_owned()).spawn(write);
        let mut recorder = Self {
            warm_up,
            last: Snapshot::empty(&now.catalog, Facts::new(now.facts.run.clone(), now.facts.phase, now.facts.series_limit)),
            due: LENGTH,
            queue: Some(queue),
            thread: None,
            failure,
            told: false,
            journal,
            log_failed: false,
            remarks: 0,
        };
        match thread {
            Ok(thread) => recorder.thread = Some(thread),
            Err(error) => recorder.fail(format!("cannot start a thread: {error}")),
        }
        recorder
    }

    /// The run's load begins: who it is, is now known.
    pub(super) fn begin(&mut self, live: &Live) {
        match intervals::first_line(&live.totals(), self.warm_up) {
            Ok(line) => {
                self.send(line);
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Whether a part is over.
    pub(super) fn is_due(&self, elapsed: Duration) -> bool {
        self.queue.is_some() && elapsed >= self.due
    }

    /// Writes what came since the last part.
    pub(super) fn cut(&mut self, now: &Snapshot, live: &Live) {
        if self.queue.is_none() {
            return;
        }
        while self.due <= now.facts.elapsed {
            self.due += LENGTH;
        }
        let remarks = live.remarks_after(self.remarks);
        match intervals::lines(&self.last, now, self.warm_up, &remarks) {
            Ok(lines) => {
                if self.send(lines) {
                    self.last = now.clone();
                    self.remarks += remarks.len();
                }
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Writes the last part, and waits until all of them are on disk. A disk that is slow now is waited for, on a thread that
    /// nothing else needs.
    pub(super) async fn finish(&mut self, now: &Snapshot, live: &Live) {
        let remarks = live.remarks_after(self.remarks);
        let lines = match intervals::lines(&self.last, now, self.warm_up, &remarks) {
            Ok(lines) => lines,
            Err(error) => return self.fail(error.to_string()),
        };
        let (queue, thread) = (self.queue.take(), self.thread.take());
        let wait = move || {
            // Whoever does not take it any more has said why.
            queue.map(|queue| queue.send(lines));
            thread.is_none_or(|thread| thread.join().is_ok())
        };
        if !tokio::task::spawn_blocking(wait).await.unwrap_or(false) {
            self.fail("the thread that writes intervals has crashed".to_owned());
        }
    }

    /// What went wrong, once; it is counted then.
    pub(super) fn news(&mut self, live: &Live) -> Vec<Diagnostic> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| !self.told);
        if failure.is_some() {
            self.told = true;
            self.queue = None;
        }
        let log = self.journal.failure();
        self.log_failed |= log.is_some();
        let warn = |failure: String| {
            live.write_failed();
            let hint = "the run goes on, and what follows is not in the file; its exit code will be 4 if nothing worse happens";
            Diagnostic::warning(failure).hint(hint)
        };
        failure.into_iter().chain(log).map(warn).collect()
    }

    /// Whether all of it could be written so far.
    pub(super) fn is_whole(&self) -> bool {
        !self.log_failed && self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn send(&mut self, lines: String) -> bool {
        match self.queue.as_ref().map(|queue| queue.try_send(lines)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_))) => false,
            // The thread has said why.
            Some(Err(TrySendError::Disconnected(_))) | None => {
                self.queue = None;
                false
            }
        }
    }

    fn fail(&mut self, message: String) {
        self.queue = None;
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }
}

fn write_all(path: &Path, lines: &Receiver<String>) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    for lines in lines {
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
    }
    Ok(())
}
