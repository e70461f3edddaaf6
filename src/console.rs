//! Standard output and standard error. Writing there never panics, never ends a run, and never holds one up for long.
//!
//! ```text
//!  out, json, document ──▶ standard output      the caller learns what went wrong
//!  line, problem ────────▶ standard error       nobody is left who could be told: it is counted
//! ```
//!
//! A terminal may be gone, a pipe without a reader, a disk full. What could not be written is counted by [`losses`], which a run
//! notes in its summary. The macros of the standard library panic there instead, so that only this module writes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::diagnostic::Diagnostic;
use crate::printable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// What could not be written to a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Loss {
    texts: u64,
    /// Why the first one was not.
    first: String,
    /// Its reader takes nothing at all: it is not waited for a second time.
    is_stuck: bool,
    /// It was a terminal when the program began.
    was_terminal: bool,
}

/// How many texts could not be written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    output: u64,
    error: u64,
}

static STATE: [Mutex<Loss>; 2] =
    [const { Mutex::new(Loss { texts: 0, first: String::new(), is_stuck: false, was_terminal: false }) }; 2];
static IMPATIENT: AtomicBool = AtomicBool::new(false);

/// As long as a reader that takes nothing is waited for, where somebody else would have to wait too.
const PATIENCE: Duration = Duration::from_secs(5);
/// A pipe that can be written at all takes so many bytes without waiting (`PIPE_BUF`).
const PIECE: usize = 4096;
/// A terminal may have less room.
const PIECE_OF_A_TERMINAL: usize = 256;

/// Remembers what the streams are. To be called once, before anything is written.
pub fn begin() {
    for stream in [Stream::Output, Stream::Error] {
        state(stream).was_terminal = is_terminal(stream);
    }
}

/// From now on, a reader that takes nothing for five seconds loses what it was to read: a run must not wait for it.
pub fn lose_patience() {
    IMPATIENT.store(true, Ordering::Relaxed);
}

pub fn is_terminal(stream: Stream) -> bool {
    match stream {
        Stream::Output => stdout().is_terminal(),
        Stream::Error => stderr().is_terminal(),
    }
}

/// Prints text for people to standard output.
///
/// # Errors
/// When it could not be written.
pub fn out(text: &str) -> io::Result<()> {
    document(&printable::lines(text))
}

/// Prints a JSON document to standard output.
///
/// # Errors
/// When it could not be written.
pub fn json(text: &str) -> io::Result<()> {
    document(&printable::json(text))
}

/// Prints a document that has made foreign text harmless in its own way to standard output.
///
/// # Errors
/// When it could not be written.
pub fn document(text: &str) -> io::Result<()> {
    written(Stream::Output, text.as_bytes())
}

/// Prints a line to standard error.
pub fn line(text: &str) {
    error(&format!("{}\n", printable::one_line(text)));
}

/// Prints a problem to standard error.
pub fn problem(problem: &Diagnostic, colour: bool) {
    error(&problem.render(colour));
}

/// Prints to standard error what has been rendered: it may have colours.
pub fn error(rendered: &str) {
    // It is counted, and there is nobody else to tell.
    let _ = written(Stream::Error, rendered.as_bytes());
}

/// Whether this error of standard output says that nobody reads it any more.
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
        || (error.raw_os_error() == Some(Errno::IO.raw_os_error()) && state(Stream::Output).was_terminal)
}

/// How much could not be written so far.
pub fn losses() -> Losses {
    Losses { output: state(Stream::Output).texts, error: state(Stream::Error).texts }
}

impl Losses {
    /// What was lost since then, in words.
    pub fn notes_since(self, before: Self) -> Vec<String> {
        let of = [(Stream::Output, "output", self.output - before.output), (Stream::Error, "error", self.error - before.error)];
        let lost = of.into_iter().filter(|(_, _, texts)| *texts > 0);
        lost.map(|(stream, name, texts)| {
            let messages = if texts == 1 { "1 message".to_owned() } else { format!("{texts} messages") };
            format!("{messages} could not be written to standard {name}: {}", state(stream).first)
        })
        .collect()
    }
}

/// Standard output for the frames of the live view.
#[derive(Debug)]
pub struct Frames;

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all(Stream::Output, &mut state(Stream::Output), bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let mut state = state(stream);
    let result = write_all(stream, &mut state, bytes);
    if let Err(error) = &result {
        if state.texts == 0 {
            let _ = write!(state.first, "{error}");
        }
        state.texts += 1;
    }
    result
}

/// Writes all of it, while whoever else writes there waits.
fn write_all(stream: Stream, state: &mut Loss, mut bytes: &[u8]) -> io::Result<()> {
    let (output, errors) = (stdout(), stderr());
    let fd = match stream {
        Stream::Output => output.as_fd(),
        Stream::Error => errors.as_fd(),
    };
    let piece = if state.was_terminal { PIECE_OF_A_TERMINAL } else { PIECE };
    while !bytes.is_empty() {
        if let Err(error) = wait_for_room(fd, patience(state)) {
            state.is_stuck = true;
            return Err(error);
        }
        match rustix::io::write(fd, &bytes[..bytes.len().min(piece)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                state.is_stuck = false;
            }
            // Somebody else has made it non-blocking.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// As long as this stream's reader is waited for; `None` is for ever.
fn patience(state: &Loss) -> Option<Duration> {
    match (IMPATIENT.load(Ordering::Relaxed), state.is_stuck) {
        (false, _) => None,
        (true, false) => Some(PATIENCE),
        (true, true) => Some(Duration::ZERO),
    }
}

/// Returns when something can be written, or an error can be learnt from it.
fn wait_for_room(fd: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<()> {
    let limit = patience.map(|limit| Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) });
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], limit.as_ref()) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader takes nothing")),
            Err(Errno::INTR) => {}
            // What cannot be waited for says so when it is written.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

fn state(stream: Stream) -> MutexGuard<'static, Loss> {
    STATE[stream as usize].lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "here, and nowhere else: what it writes itself is written without its buffer")]
fn stdout() -> io::Stdout {
    io::stdout()
}

#[expect(clippy::disallowed_methods, reason = "here, and nowhere else")]
fn stderr() -> io::Stderr {
    io::stderr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_said_with_the_first_cause() {
        let before = Losses { output: 2, error: 5 };
        assert_eq!(before.notes_since(before), Vec::<String>::new());
        let now = Losses { output: 3, error: 9 };
        let notes = now.notes_since(before);
        assert!(notes[0].starts_with("1 message could not be written to standard output: "), "{notes:?}");
        assert!(notes[1].starts_with("4 messages could not be written to standard error: "), "{notes:?}");
    }

    #[test]
    fn a_reader_that_takes_nothing_is_not_waited_for_without_end() {
        let (_reader, writer) = io::pipe().unwrap();
        assert!(wait_for_room(writer.as_fd(), Some(Duration::ZERO)).is_ok(), "there is room");
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while rustix::io::write(&writer, &[0; PIECE]).is_ok() {}
        let error = wait_for_room(writer.as_fd(), Some(Duration::from_millis(20))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn whoever_was_waited_for_in_vain_is_not_waited_for_again() {
        let stuck = Loss { is_stuck: true, ..Loss::default() };
        assert_eq!([patience(&Loss::default()), patience(&stuck)], [None, None], "a command waits for its reader");
        lose_patience();
        assert_eq!([patience(&Loss::default()), patience(&stuck)], [Some(PATIENCE), Some(Duration::ZERO)]);
        IMPATIENT.store(false, Ordering::Relaxed);
    }
}
