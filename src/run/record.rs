//! Writes `intervals.jsonl` while the run goes on: on a thread of its own, behind a short queue, so that a slow disk delays
//! nothing. A disk that cannot be written stops the writing, and nothing else.

use std::path::Path;
use std::time::Duration;

use super::live::Live;
use super::writer::Writer;
use crate::diagnostic::Diagnostic;
use crate::journal::Journal;
use crate::measure::snapshot::{Facts, Snapshot};
use crate::report::intervals::{self, LENGTH};
use crate::threads;

/// The parts of a run, each written when it is over.
pub(super) struct Recorder {
    warm_up: Duration,
    /// As of the end of the last part.
    last: Snapshot,
    /// When the next part ends.
    due: Duration,
    /// Parts that find its queue full are not lost: the next one is longer instead.
    writer: Writer,
    told: bool,
    /// The log is written while the run goes on, too.
    journal: Journal,
    log_failed: bool,
    /// How many remarks are written.
    remarks: usize,
}

pub(super) const INTERVALS: &str = "intervals.jsonl";

impl Recorder {
    /// Begins the file. What goes wrong is news, not an error.
    pub(super) fn new(folder: &Path, live: &Live, warm_up: Duration, journal: Journal) -> Self {
        let now = live.snapshot();
        Self {
            warm_up,
            last: Snapshot::empty(&now.catalog, Facts::new(now.facts.run.clone(), now.facts.phase, now.facts.series_limit)),
            due: LENGTH,
            writer: Writer::start(&folder.join(INTERVALS)),
            told: false,
            journal,
            log_failed: false,
            remarks: 0,
        }
    }

    /// The run's load begins: who it is, is now known.
    pub(super) fn begin(&mut self, live: &Live) {
        match intervals::first_line(&live.totals(), self.warm_up) {
            Ok(line) => {
                self.writer.offer(line);
            }
            Err(error) => self.writer.fail(error.to_string()),
        }
    }

    /// Whether a part is over.
    pub(super) fn is_due(&self, elapsed: Duration) -> bool {
        self.writer.is_open() && elapsed >= self.due
    }

    /// Writes what came since the last part.
    pub(super) fn cut(&mut self, now: &Snapshot, live: &Live) {
        if !self.writer.is_open() {
            return;
        }
        while self.due <= now.facts.elapsed {
            self.due += LENGTH;
        }
        let remarks = live.remarks_after(self.remarks);
        match intervals::lines(&self.last, now, self.warm_up, &remarks) {
            Ok(lines) => {
                if self.writer.offer(lines) {
                    self.last = now.clone();
                    self.remarks += remarks.len();
                }
            }
            Err(error) => self.writer.fail(error.to_string()),
        }
    }

    /// Writes the last part, and waits until all of them are on disk. A disk that is slow now is waited for, on a thread that
    /// nothing else needs.
    pub(super) async fn finish(&mut self, now: &Snapshot, live: &Live) {
        let remarks = live.remarks_after(self.remarks);
        let lines = match intervals::lines(&self.last, now, self.warm_up, &remarks) {
            Ok(lines) => lines,
            Err(error) => return self.writer.fail(error.to_string()),
        };
        if threads::result_of_even_here("disk", self.writer.finish(lines)).await.is_err() {
            self.writer.fail("the thread that waits for the disk has crashed".to_owned());
        }
    }

    /// What went wrong, once; it is counted then.
    pub(super) fn news(&mut self, live: &Live) -> Vec<Diagnostic> {
        let failure = self.writer.failure().filter(|_| !self.told);
        self.told |= failure.is_some();
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
        !self.log_failed && self.writer.failure().is_none()
    }
}
