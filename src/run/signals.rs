//! The signals that end a run.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::diagnostic::Diagnostic;
use crate::engine::Mode;

/// Ctrl-C and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Diagnostic> {
        let failed = |error| Diagnostic::error(format!("cannot listen for signals: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Does `work` to its end, also when a first signal comes, which is answered with `message` and noted in `mode`. A second
    /// one cuts it off: `None`.
    pub(super) async fn bounded<T>(&mut self, mode: &mut Mode, message: &str, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                () = self.next() => {
                    *mode = if *mode == Mode::Run { Mode::Stop } else { Mode::Cut };
                    if *mode == Mode::Cut {
                        return None;
                    }
                    eprintln!("{message}");
                }
            }
        }
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
