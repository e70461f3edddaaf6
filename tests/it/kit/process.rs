//! A child process whose output is read all the time, and which does not outlive its value.

use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use super::wait_for;

/// A running program. It leads a process group of its own, so that its own children end with it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// What a program has printed so far.
#[derive(Debug)]
pub(crate) struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

// === impl Process ===

impl Process {
    /// Panics with how to install it if the program is not there.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
        let mut child = spawned.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => panic!("`{name}` is not installed; `bash tests/run.sh` installs what the tests need"),
            _ => panic!("`{name}` cannot be started: {error}"),
        });
        let (stdout, stderr) = (Output::of(child.stdout.take().unwrap()), Output::of(child.stderr.take().unwrap()));
        Self { name, child, ended: None, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program itself. One that has ended already is left alone.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or_else(|| self.child.try_wait().unwrap());
        self.ended
    }

    /// Waits for the end; the exit code, or 128 and the signal's number as shells count. Panics after `limit` with all
    /// that was printed.
    pub(crate) fn wait(&mut self, limit: Duration) -> i32 {
        let started = otload::clock::now();
        while self.ended().is_none() && started.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        let Some(status) = self.ended() else {
            self.kill();
            panic!("`{}` still ran after {limit:?}; it printed\n{}\n{}", self.name, self.stdout.text(), self.stderr.text());
        };
        self.stdout.finish();
        self.stderr.finish();
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
    }

    /// Ends it and its children at once.
    pub(crate) fn kill(&mut self) {
        // The group has the pid's number, and the pid is not given to another before the wait below.
        if self.ended().is_none() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

// === impl Output ===

impl Output {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// What follows `start` on the first line that begins with it; panics after `limit`.
    pub(crate) fn wait_for_line(&self, start: &str, limit: Duration) -> String {
        let found = wait_for_or(limit, || {
            self.text().lines().find_map(|line| line.trim_start().strip_prefix(start).map(|rest| rest.trim().to_owned()))
        });
        found.unwrap_or_else(|| panic!("no line begins with `{start}` after {limit:?}:\n{}", self.text()))
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

fn wait_for_or<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started = otload::clock::now();
    wait_for("an answer or the end of the wait", limit * 2, || match ask() {
        None if started.elapsed() < limit => None,
        answer => Some(answer),
    })
}

#[test]
fn output_and_exit_code_are_seen() {
    let mut process = Process::spawn(Command::new("sh").args(["-c", "echo port: 12; echo oh >&2; exit 3"]));
    assert_eq!(process.stdout.wait_for_line("port:", Duration::from_secs(5)), "12");
    assert_eq!(process.wait(Duration::from_secs(5)), 3);
    assert_eq!((process.stdout.text(), process.stderr.text()), ("port: 12\n".to_owned(), "oh\n".to_owned()));
}

#[test]
fn signals_and_drop_end_it_with_its_children() {
    let mut process = Process::spawn(Command::new("sleep").arg("60"));
    process.signal(Signal::TERM);
    assert_eq!(process.wait(Duration::from_secs(5)), 128 + 15);
    let parent = Process::spawn(Command::new("sh").args(["-c", "sleep 60 & echo child: $!; wait"]));
    let child: i32 = parent.stdout.wait_for_line("child:", Duration::from_secs(5)).parse().unwrap();
    assert!(parent.pid() > 1);
    drop(parent);
    // An orphan that has ended may be a zombie until it is reaped, so its state is read.
    wait_for("the child's end", Duration::from_secs(5), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

#[test]
#[should_panic(expected = "`no-such-program` is not installed; `bash tests/run.sh` installs")]
fn a_missing_program_says_how_to_get_it() {
    Process::spawn(&mut Command::new("no-such-program"));
}
