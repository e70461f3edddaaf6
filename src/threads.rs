//! Threads, which the system may refuse: a limit of processes (`RLIMIT_NPROC`, the pids of a container) is an error with a remedy,
//! where the standard library's and tokio's own ways panic.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::{Semaphore, oneshot};

/// So many threads of [`result_of`] at once; further work waits. It is what tokio allows too.
const MOST: usize = 512;
static ROOM: Semaphore = Semaphore::const_new(MOST);

/// Starts a thread.
///
/// # Errors
/// When the system gives none; says what to do about it.
pub fn start<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| refused(&error))
}

/// The same error, with its remedy.
pub fn refused(error: &io::Error) -> io::Error {
    let remedy = "raise the limit of processes (`ulimit -u`, or that of the container)";
    io::Error::new(error.kind(), format!("the system gives no thread: {error}; {remedy}"))
}

/// What comes of work that may block, on a thread of its own which nobody waits for once this is dropped.
///
/// # Errors
/// When the system gives no thread, or the work panicked.
pub async fn result_of<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // It never closes. Work that hangs keeps its place.
    let place = ROOM.acquire().await.map_err(io::Error::other)?;
    let (done, result) = oneshot::channel();
    start(name, move || {
        let _place = place;
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| io::Error::other("its thread has crashed"))
}

/// As [`result_of`], but without a thread the work is done here: it holds up whatever else is done on this one.
///
/// # Errors
/// When the work panicked.
pub async fn result_of_even_here<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let work = Arc::new(Mutex::new(Some(work)));
    let taken = work.clone();
    let take = move || taken.lock().unwrap_or_else(PoisonError::into_inner).take();
    let there = result_of(name, {
        let take = take.clone();
        move || take().map(|work| work())
    });
    match (there.await, take()) {
        (Ok(Some(result)), _) => Ok(result),
        (_, Some(work)) => catch_unwind(AssertUnwindSafe(work)).map_err(|_| io::Error::other("it has crashed")),
        (Err(error), None) => Err(error),
        (Ok(None), None) => Err(io::Error::other("it was done already")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_a_panic_is_an_error() {
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(result_of("there", name).await.unwrap().as_deref(), Some("there"));
        assert_eq!(result_of_even_here("there", name).await.unwrap().as_deref(), Some("there"));
        let broken = result_of_even_here("there", || panic!("a defect")).await.unwrap_err();
        assert_eq!(broken.to_string(), "its thread has crashed");
    }

    #[test]
    fn an_error_has_its_remedy() {
        let error = refused(&io::Error::from_raw_os_error(11)).to_string();
        assert!(error.starts_with("the system gives no thread: Resource temporarily unavailable"), "{error}");
        assert!(error.ends_with("raise the limit of processes (`ulimit -u`, or that of the container)"), "{error}");
    }
}
