//! Threads that read files for the daemon. Its event loop never does: a disk, or a server behind it, may not answer for ever.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Semaphore, oneshot};

use crate::control::Refusal;
use crate::threads;

/// So many threads at most, those that never come back among them. None of them keeps the daemon from ending.
#[derive(Debug)]
pub(super) struct FileThreads {
    slots: Arc<Semaphore>,
    patience: Duration,
}

const MOST_THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

impl FileThreads {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(MOST_THREADS)), patience: PATIENCE }
    }

    /// Does `work` on a thread, and waits for it, but not for ever.
    ///
    /// # Errors
    /// There is no thread, or it does not come back.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let late = |_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the files of the daemon's folder do not answer")
                .hint("does the disk, or the server that the folder is mounted from, still work?")
        };
        let done = async {
            let slot = self.slots.clone().acquire_owned().await.ok();
            let (tell, told) = oneshot::channel();
            let started = threads::start("files", move || {
                // Nobody may be waiting any more.
                let _ = tell.send(work());
                drop(slot);
            });
            let broken = |error: &dyn std::fmt::Display| {
                Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("the files of the daemon's folder cannot be read: {error}"),
                )
            };
            started.map_err(|error| broken(&error))?;
            told.await.map_err(|_| broken(&"the thread that read them broke down"))
        };
        tokio::time::timeout(self.patience, done).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn files_that_do_not_answer_hold_up_nobody_for_ever() {
        let files = FileThreads { patience: Duration::from_millis(100), ..FileThreads::new() };
        assert_eq!(files.run(|| 5).await, Ok(5));
        let mut stuck = Vec::new();
        for _ in 0..MOST_THREADS {
            let (go, gone) = channel::<()>();
            stuck.push(go);
            let refusal = files.run(move || gone.recv().is_ok()).await.unwrap_err();
            assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        }
        // All threads are taken, and no more are made.
        assert_eq!(files.run(|| 5).await.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        drop(stuck);
        let again = FileThreads { patience: PATIENCE, slots: files.slots.clone() };
        assert_eq!(again.run(|| 5).await, Ok(5));
        let broken = again.run(|| -> u32 { std::panic::resume_unwind(Box::new("on purpose")) }).await.unwrap_err();
        assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(again.run(|| 5).await, Ok(5), "its thread is free again");
    }
}
