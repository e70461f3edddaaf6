//! Appends to a file on a thread of its own, behind a short queue: a slow disk delays nobody, and one that cannot be written
//! stops the writing.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::threads;

/// A file that pieces are added to, each on disk before the next one.
pub(super) struct Writer {
    /// `None` after the first error, and at the end.
    queue: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<String>>>,
}

/// More pieces than this do not wait for the disk.
const QUEUE: usize = 4;

impl Writer {
    /// Begins the file anew. What goes wrong is in [`Self::failure`].
    pub(super) fn start(path: &Path) -> Self {
        let failure = Arc::new(Mutex::new(None));
        let (queue, received) = sync_channel(QUEUE);
        let (path, failed) = (path.to_owned(), failure.clone());
        let write = move || {
            if let Err(error) = write_all(&path, &received) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(format!("cannot write {}: {error}", path.display()));
            }
        };
        let mut writer = Self { queue: Some(queue), thread: None, failure };
        match threads::start("otload-intervals", write) {
            Ok(thread) => writer.thread = Some(thread),
            Err(error) => writer.fail(format!("cannot write intervals.jsonl: {error}")),
        }
        writer
    }

    /// Whether it takes more.
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds a piece. Not taken while too many wait, and after an error.
    pub(super) fn offer(&mut self, text: String) -> bool {
        match self.queue.as_ref().map(|queue| queue.try_send(text)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_))) => false,
            // The thread has said why.
            Some(Err(TrySendError::Disconnected(_))) | None => {
                self.queue = None;
                false
            }
        }
    }

    /// Adds the last piece, however long that takes, and answers when all is on disk, or will never be.
    pub(super) fn finish(&mut self, last: String) -> impl FnOnce() + Send + 'static {
        let (queue, thread, failure) = (self.queue.take(), self.thread.take(), self.failure.clone());
        move || {
            // If it is not taken any more, the thread has said why.
            let _ = queue.map(|queue| queue.send(last));
            if thread.is_some_and(|thread| thread.join().is_err()) {
                let crashed = "the thread that writes intervals has crashed".to_owned();
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(crashed);
            }
        }
    }

    /// Why nothing more is written.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn fail(&mut self, message: String) {
        self.queue = None;
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }
}

fn write_all(path: &Path, pieces: &Receiver<String>) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    for piece in pieces {
        file.write_all(piece.as_bytes())?;
        file.sync_data().or_else(|error| {
            // A pipe has nothing to be synced.
            if error.kind() == std::io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_is_written_also_when_the_disk_was_too_slow_for_some_before() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Nobody reads: a disk that takes nothing.
        let mut writer = Writer::start(&pipe);
        let taken = (0..20).filter(|number| writer.offer(format!("{number}\n"))).count();
        assert_eq!((taken, writer.is_open()), (QUEUE, true));
        let finish = std::thread::spawn(writer.finish("last\n".to_owned()));
        assert_eq!(std::fs::read_to_string(&pipe).unwrap(), "0\n1\n2\n3\nlast\n");
        finish.join().unwrap();
        assert_eq!(writer.failure(), None);
    }

    #[test]
    fn a_full_disk_is_said_once_and_nothing_more_is_taken() {
        let mut writer = Writer::start(Path::new("/dev/full"));
        assert!(writer.offer("x".to_owned()));
        writer.finish("y".to_owned())();
        assert!(writer.failure().unwrap().starts_with("cannot write /dev/full: No space left"));
        assert!(!writer.is_open() && !writer.offer("z".to_owned()));
    }
}
