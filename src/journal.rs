//! `otload.log`: what a run has said and what happened in it, a line each, with its time. Whoever says something never waits.
//!
//! ```text
//!  warnings, progress, events ─┐
//!                              ├─try_send─▶ queue of 1,024 lines ─▶ a thread ─▶ otload.log, at most 16 MiB
//!  steps of users (`log:`)  ───┘  at most 768 of them                           at most 12 MiB of them
//! ```
//!
//! To write a line from anywhere, keep a clone of the [`Journal`] of the run's job, and `journal.say(Topic::Step, &text)`. That
//! takes about a microsecond, masks the run's secrets, cuts what is too long, and drops and counts what finds no room: the last
//! line of the file says how many lines that were. Users that say much leave room for what otload itself has to say.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Timestamp};
use crate::printable;
use crate::threads;

/// A handle on the log of one run. What is said before the file is opened is kept for it, as far as the queue goes.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Info,
    Warning,
    Error,
    Progress,
    /// Something was done or has begun.
    Event,
    /// A user's own words: a step `log:` of the scenario.
    Step,
}

struct Shared {
    mask: Box<Mask>,
    queue: SyncSender<Message>,
    /// Lines of steps in the queue.
    steps: AtomicUsize,
    /// Lines that found no room.
    cut: AtomicU64,
    file: Mutex<State>,
}

type Mask = dyn Fn(&str) -> String + Send + Sync;

/// Where the lines go.
enum State {
    Nowhere(Receiver<Message>),
    /// The other end tells what became of it.
    Written(PathBuf, Receiver<io::Result<()>>),
    Over,
}

enum Message {
    Line(Timestamp, Topic, String),
    End,
}

/// Lines that wait for the disk.
const QUEUE: usize = 1024;
const STEPS_IN_QUEUE: usize = QUEUE / 4 * 3;
/// Bytes of the file, and of a line.
const LARGEST: usize = 16 << 20;
const STEPS_IN_FILE: usize = LARGEST / 4 * 3;
const LONGEST: usize = 4096;
const BATCH: usize = 64;
/// A disk that hangs does not hang the end of the run.
const PATIENCE: Duration = Duration::from_secs(5);

// === Journal ===

impl Journal {
    /// Of a run whose secrets `mask` takes out.
    pub fn new(mask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let file = Mutex::new(State::Nowhere(lines));
        Self(Arc::new(Shared { mask: Box::new(mask), queue, steps: AtomicUsize::new(0), cut: AtomicU64::new(0), file }))
    }

    /// A line, from any thread.
    pub fn say(&self, topic: Topic, text: &str) {
        let shared = &self.0;
        if topic == Topic::Step && shared.steps.fetch_add(1, Ordering::Relaxed) >= STEPS_IN_QUEUE {
            shared.steps.fetch_sub(1, Ordering::Relaxed);
            shared.cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let line = Message::Line(clock::timestamp(), topic, one_line(&(shared.mask)(text)));
        if let Err(error) = shared.queue.try_send(line) {
            if topic == Topic::Step {
                shared.steps.fetch_sub(1, Ordering::Relaxed);
            }
            // After its end nobody counts.
            if matches!(error, TrySendError::Full(_)) {
                shared.cut.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Begins the file; what was said before comes first.
    ///
    /// # Errors
    /// When it cannot be made; then nothing is written.
    pub fn open(&self, path: &Path) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
        let mut state = self.state();
        let (report, reported) = channel();
        let State::Nowhere(lines) = std::mem::replace(&mut *state, State::Over) else { return Ok(()) };
        let file = File::create(path).map_err(failed)?;
        let shared = self.0.clone();
        let write = move || {
            let _ = report.send(shared.write(file, &lines));
        };
        threads::start("otload-log", write).map_err(failed)?;
        *state = State::Written(path.to_owned(), reported);
        Ok(())
    }

    /// Why nothing is written any more; said once.
    pub fn failure(&self) -> Option<String> {
        let mut state = self.state();
        let State::Written(path, reported) = &*state else { return None };
        let failure = reported.try_recv().ok()?.err().map(|error| format!("cannot write {}: {error}", path.display()));
        *state = State::Over;
        failure
    }

    /// Writes what was said until here to its end. What is said later is lost.
    ///
    /// # Errors
    /// When it could not be written, unless that was said already.
    pub fn finish(&self) -> Result<(), String> {
        let State::Written(path, reported) = std::mem::replace(&mut *self.state(), State::Over) else { return Ok(()) };
        let started = clock::now();
        while let Err(TrySendError::Full(_)) = self.0.queue.try_send(Message::End) {
            if started.elapsed() > PATIENCE {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let failed = |why: &dyn fmt::Display| Err(format!("cannot write {}: {why}", path.display()));
        match reported.recv_timeout(PATIENCE) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => failed(&error),
            Err(RecvTimeoutError::Timeout) => failed(&"the disk does not answer"),
            Err(RecvTimeoutError::Disconnected) => failed(&"its thread has crashed"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Journal {
    /// Of a run without secrets.
    fn default() -> Self {
        Self::new(str::to_owned)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Progress => "progress",
            Self::Event => "event",
            Self::Step => "log",
        }
    }
}

impl Shared {
    fn write(&self, mut file: File, lines: &Receiver<Message>) -> io::Result<()> {
        let (mut size, mut of_steps, mut end) = (0, 0, false);
        while !end {
            let Ok(first) = lines.recv() else { break };
            // Those that wait are written together.
            let mut text = String::new();
            for message in iter::once(first).chain(lines.try_iter().take(BATCH)) {
                let Message::Line(at, topic, said) = message else {
                    end = true;
                    continue;
                };
                let line = line(at, topic, &said);
                let of_step = if topic == Topic::Step { line.len() } else { 0 };
                if topic == Topic::Step {
                    self.steps.fetch_sub(1, Ordering::Relaxed);
                }
                if size + line.len() > LARGEST || of_steps + of_step > STEPS_IN_FILE {
                    self.cut.fetch_add(1, Ordering::Relaxed);
                } else {
                    (size, of_steps) = (size + line.len(), of_steps + of_step);
                    text.push_str(&line);
                }
            }
            file.write_all(text.as_bytes())?;
        }
        match self.cut.load(Ordering::Relaxed) {
            0 => {}
            cut => {
                let said = format!("{cut} lines found no room here: they came too fast, or were too many");
                file.write_all(line(clock::timestamp(), Topic::Warning, &said).as_bytes())?;
            }
        }
        file.sync_data()
    }
}

fn line(at: Timestamp, topic: Topic, text: &str) -> String {
    format!("{}  {:<8}  {text}\n", at.rfc3339(), topic.name())
}

/// Foreign text on a line of its own, and no longer than [`LONGEST`].
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for c in text.trim_end().chars() {
        if out.len() + c.len_utf8() > LONGEST {
            out.push('…');
            break;
        }
        printable::push(&mut out, c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(journal: &Journal, path: &Path) -> Vec<String> {
        journal.finish().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_line_has_its_time_and_topic_and_no_secret() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("otload.log");
        let journal = Journal::new(|text| text.replace("hunter2", "***"));
        journal.say(Topic::Warning, "before the file; hint: none\n");
        journal.open(&path).unwrap();
        journal.say(Topic::Step, "token=hunter2\nand \x1b[31mmore");
        journal.say(Topic::Event, &"ü".repeat(LONGEST));
        let lines = written(&journal, &path);
        journal.say(Topic::Info, "too late");
        let said: Vec<&str> = lines.iter().map(|line| &line[26..]).collect();
        assert_eq!(said[..2], ["warning   before the file; hint: none", "log       token=***\\nand \\u{1b}[31mmore"]);
        assert_eq!((said[2].len(), &said[2][..12]), (10 + LONGEST + '…'.len_utf8(), "event     ü"));
        let time = &lines[0][..24];
        assert!(time.starts_with("20") && &time[10..11] == "T" && time.ends_with('Z'), "{time}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn steps_leave_room_for_the_rest_and_what_was_cut_is_counted() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("otload.log");
        let journal = Journal::default();
        // There is nobody yet to empty the queue.
        (0..5000).for_each(|number| journal.say(Topic::Step, &format!("step {number}")));
        (0..300).for_each(|number| journal.say(Topic::Progress, &format!("progress {number}")));
        journal.open(&path).unwrap();
        let lines = written(&journal, &path);
        let count = |topic: &str| lines.iter().filter(|line| line[26..].starts_with(topic)).count();
        assert_eq!((count("log"), count("progress")), (STEPS_IN_QUEUE, QUEUE - STEPS_IN_QUEUE));
        let cut = 5000 - STEPS_IN_QUEUE + 300 - (QUEUE - STEPS_IN_QUEUE);
        assert_eq!(
            lines.last().unwrap()[26..],
            format!("warning   {cut} lines found no room here: they came too fast, or were too many")
        );
    }

    #[test]
    fn the_file_has_an_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("otload.log");
        let journal = Journal::default();
        journal.open(&path).unwrap();
        let long = "x".repeat(LONGEST);
        let mut said = 0;
        while said < 4000 {
            // As fast as it is written.
            if journal.0.steps.load(Ordering::Relaxed) < STEPS_IN_QUEUE / 2 {
                journal.say(Topic::Step, &long);
                said += 1;
            }
        }
        journal.say(Topic::Info, "still heard");
        let lines = written(&journal, &path);
        let kept = STEPS_IN_FILE / (LONGEST + 37);
        assert_eq!(lines.len(), kept + 2);
        assert!(lines[kept].ends_with("info      still heard"));
        assert!(lines[kept + 1].contains(&format!("{} lines found no room", 4000 - kept)));
    }

    #[test]
    fn a_disk_that_is_full_is_told_once() {
        let journal = Journal::default();
        journal.open(Path::new("/dev/full")).unwrap();
        journal.say(Topic::Info, "x");
        let failure = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(2));
            journal.failure()
        });
        assert!(failure.unwrap().starts_with("cannot write /dev/full: No space left"));
        assert_eq!((journal.failure(), journal.finish()), (None, Ok(())));
        assert!(Journal::default().open(Path::new("/no/such/folder/x")).is_err());
    }
}
