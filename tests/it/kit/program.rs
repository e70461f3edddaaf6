//! The binary under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Company, Process, Signal};

/// A running `otload run`, in a folder of its own, with its metrics on a free port.
#[derive(Debug)]
pub(crate) struct Otload {
    process: Process,
    dir: TempDir,
    _company: Company,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    dir: TempDir,
}

/// Tests run side by side, and their runs are late now and then: that is no reason for exit code 3, unless it is what a test
/// is about. Then its scenario has a `validity` of its own.
const LENIENT: &str = "validity: {max_generator_time: 1h, busy: 100%}\n";

// === impl Otload ===

impl Otload {
    /// `otload run` of this scenario, which is written as `scenario.yaml` into the run's folder, with limits of `validity` that
    /// no company breaks if it has none.
    pub(crate) fn run(scenario: &str, args: &[&str]) -> Self {
        Self::run_with_env(scenario, args, &[])
    }

    /// With variables in its environment.
    pub(crate) fn run_with_env(scenario: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(args);
        Self::start(with_scenario(scenario), &[&["run", "scenario.yaml"], &all[..]].concat(), env)
    }

    /// As a process that may open so many files and no more.
    pub(crate) fn run_with_descriptors(limit: u32, scenario: &str, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_otload")]);
        command.args(["run", "scenario.yaml", "--listen", "127.0.0.1:0"]).args(args);
        Self::spawn(command, with_scenario(scenario), &[])
    }

    /// Without an address for its metrics.
    pub(crate) fn run_bare(scenario: &str, args: &[&str]) -> Self {
        Self::run_bare_with_env(scenario, args, &[])
    }

    pub(crate) fn run_bare_with_env(scenario: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start(with_scenario(scenario), &[&["run", "scenario.yaml"], args].concat(), env)
    }

    /// `otload serve` of a folder with these files.
    pub(crate) fn serve(files: &[(&str, &str)], args: &[&str]) -> Self {
        Self::serve_in(files, args, &[])
    }

    pub(crate) fn serve_with_env(files: &[(&str, &str)], env: &[(&str, &str)]) -> Self {
        Self::serve_in(files, &[], env)
    }

    fn serve_in(files: &[(&str, &str)], args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self::start(dir, &[&["serve", ".", "--listen", "127.0.0.1:0"], args].concat(), env)
    }

    /// Any command, to its end.
    pub(crate) fn command(args: &[&str]) -> Finished {
        Self::command_with_env(args, &[])
    }

    pub(crate) fn command_with_env(args: &[&str], env: &[(&str, &str)]) -> Finished {
        Self::start(tempfile::tempdir().unwrap(), args, env).wait(Duration::from_secs(30))
    }

    /// One that may take longer than others.
    pub(crate) fn command_within(limit: Duration, args: &[&str]) -> Finished {
        Self::start(tempfile::tempdir().unwrap(), args, &[]).wait(limit)
    }

    fn start(dir: TempDir, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otload"));
        command.args(args);
        Self::spawn(command, dir, env)
    }

    fn spawn(mut command: Command, dir: TempDir, env: &[(&str, &str)]) -> Self {
        command.current_dir(dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTLOAD_") {
                command.env_remove(name);
            }
        }
        command.envs(env.iter().copied());
        let company = Company::join();
        Self { process: Process::spawn(&mut command), dir, _company: company }
    }

    /// Where it serves `/metrics`; waits until it has said so.
    pub(crate) fn metrics(&self) -> SocketAddr {
        let url = self.process.stderr.wait_for_line("metrics:", Duration::from_secs(20));
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics"));
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("`{url}` is not the address of the metrics"))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end; panics after `limit`.
    pub(crate) fn wait(mut self, limit: Duration) -> Finished {
        let code = self.process.wait(limit);
        Finished { code, stdout: self.process.stdout.text(), stderr: self.process.stderr.text(), dir: self.dir }
    }
}

fn with_scenario(scenario: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let judged = scenario.lines().any(|line| line.starts_with("validity:"));
    let validity = if judged { "" } else { LENIENT };
    assert!(scenario.ends_with('\n'), "a line of its own comes behind it");
    std::fs::write(dir.path().join("scenario.yaml"), format!("{scenario}{validity}")).unwrap();
    dir
}

// === impl Finished ===

impl Finished {
    /// Panics with all that was printed unless it ended with this code, and without a panic of its own.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        let (stdout, stderr) = (&self.stdout, &self.stderr);
        assert!(self.code == code, "ended with {}, not {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.code);
        assert!(!stderr.contains("panicked at"), "{stderr}");
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the only run.
    #[track_caller]
    pub(crate) fn results(&self) -> PathBuf {
        let results = self.dir.path().join("results");
        let runs: Vec<_> = std::fs::read_dir(&results)
            .unwrap_or_else(|error| panic!("no results ({error}); it printed\n{}\n{}", self.stdout, self.stderr))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }

    /// The run's `summary.json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let path = self.results().join("summary.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The only request of this name in the summary.
    #[track_caller]
    pub(crate) fn request(&self, name: &str) -> Value {
        let summary = self.summary();
        let all = summary["requests"].as_array().unwrap();
        let mut found = all.iter().filter(|request| request["request"] == name);
        match (found.next(), found.next()) {
            (Some(one), None) => one.clone(),
            (Some(_), Some(_)) => panic!("more than one request is named `{name}`"),
            (None, _) => panic!("no request is named `{name}`: {all:#?}"),
        }
    }
}

/// With what a run without thresholds ends: 1 if it made requests of which none succeeded.
pub(crate) fn code_of(summary: &Value) -> i32 {
    let count = |field: &str| summary["totals"][field].as_u64().unwrap();
    i32::from(count("requests") > 0 && count("requests") == count("failures"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{CountingTarget, Delays, Finished, Otload, get};

    #[test]
    fn a_run_is_seen_while_it_lasts_and_read_afterwards() {
        let target = CountingTarget::start(Delays::none());
        let scenario = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 2}\n";
        let mut run = Otload::run(scenario, &["--host", &target.url()]);
        let metrics = get(run.metrics(), "/metrics", &[]).unwrap();
        assert_eq!(metrics.status, 200);
        super::super::wait_for("some requests", Duration::from_secs(10), || (target.requests() > 10).then_some(()));
        assert!(run.is_running() && run.dir().join("scenario.yaml").exists());
        run.signal(Signal::TERM);
        let finished: Finished = run.wait(Duration::from_secs(20)).expect_code(0);
        assert!(finished.results().starts_with(finished.dir()));
        assert_eq!(finished.request("GET /cars")["requests"], target.requests());
    }
}
