//! Whoever reads what otload prints goes away: a pipe without a reader, a full disk, a terminal that has hung up, a limit of file
//! sizes, streams that were closed from the start. The run goes on, its results are there, and so is its verdict.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{CountingTarget, Delays, get, post, wait_for};

const LIMIT: Duration = Duration::from_secs(20);

/// A folder with a scenario that lasts so long, and its target.
fn place(run_time: &str) -> (TempDir, CountingTarget) {
    let (dir, target) = (tempfile::tempdir().unwrap(), CountingTarget::start(Delays::none()));
    let scenario = format!(
        "host: {}\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /}}]}}]\nload: {{users: 2, run_time: {run_time}}}\n\
         validity: {{max_generator_time: 1h, busy: 100%}}\n",
        target.url()
    );
    std::fs::write(dir.path().join("s.yaml"), scenario).unwrap();
    (dir, target)
}

fn otload(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otload"));
    command.current_dir(dir.path()).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

const RUN: &[&str] = &["run", "s.yaml", "--listen", "127.0.0.1:0", "--out", "r"];

fn ended(child: &mut Child) -> ExitStatus {
    let started = otload::clock::now();
    while started.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it did not end");
}

fn summary(dir: &TempDir) -> Value {
    serde_json::from_str(&std::fs::read_to_string(dir.path().join("r/summary.json")).unwrap()).unwrap()
}

fn notes(summary: &Value) -> String {
    summary["notes"].to_string()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_reader_of_messages_that_goes_away_does_not_end_the_run() {
    let (dir, target) = place("30s");
    let mut run = otload(&dir, RUN).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(run.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("otload "), "{first}");
    wait_for("requests", LIMIT, || (target.requests() > 5).then_some(()));
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert_eq!(ended(&mut run).code(), Some(0));
    let summary = summary(&dir);
    assert!(summary["totals"]["requests"].as_u64().unwrap() > 5, "{summary}");
    assert!(notes(&summary).contains("could not be written to standard error: Broken pipe"), "{summary}");
}

#[test]
fn messages_on_a_full_disk_are_counted_in_the_summary() {
    let (dir, _target) = place("300ms");
    let mut run = otload(&dir, RUN).stderr(full()).spawn().unwrap();
    assert_eq!(ended(&mut run).code(), Some(0));
    let summary = summary(&dir);
    assert!(notes(&summary).contains("3 messages could not be written to standard error: No space left on device"), "{summary}");
}

#[test]
fn streams_that_are_closed_from_the_start_are_not_taken_by_files_of_the_run() {
    let (dir, _target) = place("300ms");
    let mut run = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", env!("CARGO_BIN_EXE_otload")])
        .args(RUN)
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    assert_eq!(ended(&mut run).code(), Some(0));
    assert_eq!(summary(&dir)["ended"], "finished");
    for file in std::fs::read_dir(dir.path().join("r")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("Response time percentiles") && !text.contains("metrics: http"), "{path:?}: {text}");
    }
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_the_run_up() {
    let (dir, target) = place("30s");
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut run = otload(&dir, RUN).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    wait_for("requests", LIMIT, || (target.requests() > 5).then_some(()));
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    // That standard output had no room is said where it can be: in the exit code and the summary.
    assert_eq!(ended(&mut run).code(), Some(4));
    let summary = summary(&dir);
    assert!(notes(&summary).contains("standard error: its reader takes nothing"), "{summary}");
    drop(reader);
}

/// A command whose output nobody reads ends quietly; one whose output has no room says so.
#[test]
fn what_a_command_prints_is_needed_to_its_end_or_not_at_all() {
    let (dir, _target) = place("300ms");
    let mut run = otload(&dir, RUN).spawn().unwrap();
    assert_eq!(ended(&mut run).code(), Some(0));
    let commands: &[&[&str]] = &[
        &["check", "s.yaml"],
        &["schema"],
        &["schema", "--markdown"],
        &["dashboards"],
        &["completions", "bash"],
        &["version"],
        &["--help"],
        &["run", "--help"],
        &["report", "r", "--out", "-", "--format", "json"],
        &["report", "r", "--out", "-", "--format", "html"],
        &["report", "r"],
    ];
    for args in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let quiet = otload(&dir, args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((quiet.status.code(), &*String::from_utf8_lossy(&quiet.stderr)), (Some(0), ""), "{args:?} | head");
        let told = otload(&dir, args).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(4), "{args:?} >/dev/full: {said}");
        assert!(said.starts_with("error: cannot write to standard output: No space left on device"), "{args:?}: {said}");
    }
    // With nobody left to tell, the exit code still says it.
    let mute = otload(&dir, &["check", "missing.yaml"]).stderr(full()).status().unwrap();
    assert_eq!(mute.code(), Some(2));
}

#[test]
fn a_limit_of_file_sizes_is_a_full_disk_and_kills_nothing() {
    let (dir, _target) = place("1s");
    let mut command = otload(&dir, &[RUN, &["--quiet"]].concat());
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    prlimit(Some(Pid::from_child(&run)), Resource::Fsize, Rlimit { current: Some(512), maximum: Some(512) }).unwrap();
    let status = ended(&mut run);
    assert_eq!((status.code(), status.signal()), (Some(4), None));
    let (mut out, mut said) = (String::new(), String::new());
    run.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(out.contains("Aggregated"), "{out}");
    assert!(said.contains("summary.json: File too large"), "{said}");
    // So it is for every command.
    let schema = dir.path().join("schema.json");
    let limited = ["-c", "ulimit -f 1; exec \"$0\" schema >\"$1\"", env!("CARGO_BIN_EXE_otload")];
    let schema = Command::new("sh").args(limited).arg(schema).output().unwrap();
    let said = String::from_utf8_lossy(&schema.stderr);
    assert_eq!(schema.status.code(), Some(4), "{said}");
    assert!(said.contains("cannot write to standard output: File too large"), "{said}");
}

#[test]
fn a_daemon_without_a_reader_of_its_messages_starts_runs() {
    let (_dir, target) = place("200ms");
    let scenario = format!(
        "host: {}\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /}}]}}]\nload: {{users: 1, run_time: 200ms}}\n",
        target.url()
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.yaml"), scenario).unwrap();
    let mut daemon =
        otload(&dir, &["serve", ".", "--listen", "127.0.0.1:0", "--out", "r"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("metrics: ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0);
    }
    drop(lines);
    let address = line.trim().trim_start_matches("metrics: http://").trim_end_matches("/metrics").parse().unwrap();
    for _ in 0..2 {
        let json = [("content-type", "application/json")];
        assert_eq!(post(address, "/api/v1/runs", &json, br#"{"scenario":"s"}"#).unwrap().status, 201);
        wait_for("its end", LIMIT, || {
            let runs = get(address, "/api/v1/runs", &[]).unwrap().json();
            runs["runs"].as_array().unwrap().iter().all(|run| !run["ended_at"].is_null()).then_some(())
        });
    }
    assert_eq!(get(address, "/healthz", &[]).unwrap().text(), "ok\n");
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert_eq!(ended(&mut daemon).code(), Some(0));
}

/// Takes a terminal for the program of its arguments, hangs up when the view is on, and prints how the program ended, and how many
/// hundredths of a second of a processor it used in the second after that.
const HANG_UP: &str = r"
import fcntl, os, pty, signal, struct, sys, termios, time
ours, theirs = pty.openpty()
fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for fd in (0, 1, 2): os.dup2(theirs, fd)
    os.close(ours)
    os.execve(sys.argv[1], sys.argv[1:], dict(os.environ, TERM='xterm'))
os.close(theirs)
seen = b''
while b'\x1b[?1049h' not in seen: seen += os.read(ours, 65536)
until = time.time() + 1
os.set_blocking(ours, False)
while time.time() < until:
    try: os.read(ours, 65536)
    except BlockingIOError: time.sleep(0.02)
os.close(ours)
def used():
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])
time.sleep(0.5)
before = used()
time.sleep(1)
busy = used() - before
until = time.time() + 15
while time.time() < until:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended: sys.exit(print(os.waitstatus_to_exitcode(status), busy))
    time.sleep(0.05)
os.kill(pid, 9)
os.waitpid(pid, 0)
print('it did not end', busy)
";

/// Where SIGHUP is ignored, nothing but its terminal tells the run that nobody watches any more.
#[test]
fn a_terminal_that_is_gone_ends_the_view_and_not_the_run() {
    let (dir, target) = place("4s");
    let mut command = Command::new("python3");
    let hung = command.args(["-c", HANG_UP, env!("CARGO_BIN_EXE_otload")]).args(RUN).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&hung.stdout);
    let (code, busy) = said.trim().rsplit_once(' ').unwrap_or_else(|| panic!("{hung:?}"));
    assert_eq!(code, "0", "{hung:?}");
    assert!(busy.parse::<u32>().unwrap() < 50, "{busy} of 100 ticks were used: something spins");
    assert!(target.requests() > 100);
    let summary = summary(&dir);
    assert_eq!((&summary["ended"], &summary["passed"]), (&"finished".into(), &Value::Null), "{summary}");
    let log = std::fs::read_to_string(dir.path().join("r/otload.log")).unwrap();
    assert!(log.contains("the terminal is gone: the live view ends, and the run goes on"), "{log}");
}

#[test]
fn a_log_on_a_full_disk_is_said_and_the_other_results_are_there() {
    let (dir, _target) = place("300ms");
    std::fs::create_dir(dir.path().join("r")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("r/otload.log")).unwrap();
    let run = otload(&dir, RUN).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(4), "{said}");
    assert!(said.contains("otload.log: No space left on device"), "{said}");
    assert_eq!(summary(&dir)["ended"], "finished");
}
