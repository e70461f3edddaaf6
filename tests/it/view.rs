//! The live view in a real terminal, which is tmux's: what is seen, what keys do, and how the terminal is left.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{CountingTarget, Delays, free_address, get, wait_for};

const SECOND: Duration = Duration::from_secs(1);
const SCENARIO: &str = "\
name: cars
users: [{name: U, wait_time: 50ms, tasks: [{get: /cars}]}]
load: {users: 5}
thresholds: [p99 < 10s]
validity: {max_generator_time: 1h, busy: 100%}
";

/// A shell in a terminal, in which `otload run` was started.
struct Pane {
    server: String,
    listen: SocketAddr,
    dir: TempDir,
    target: CountingTarget,
}

impl Pane {
    fn start(width: u16, height: u16) -> Self {
        Self::start_with(width, height, Delays::none(), "worker")
    }

    /// Where `place` of the binary breaks down when [`Self::break_down`] says so.
    fn start_with(width: u16, height: u16, delays: Delays, place: &str) -> Self {
        let (dir, target, listen) = (tempfile::tempdir().unwrap(), CountingTarget::start(delays), free_address());
        std::fs::write(dir.path().join("scenario.yaml"), SCENARIO).unwrap();
        // In a file, so that the command's own echo is not taken for its answer.
        std::fs::write(
            dir.path().join("sane.sh"),
            "echo $(stty -a | tr ' ;' '\\n\\n' | grep -xE -e '-?(icanon|echo|isig|opost)') end\n",
        )
        .unwrap();
        let server = format!("otload-{}-{}", std::process::id(), listen.port());
        let pane = Self { server, listen, dir, target };
        let (width, height) = (width.to_string(), height.to_string());
        let at = pane.dir.path().to_string_lossy().into_owned();
        pane.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, "-c", &at, "env PS1='$ ' sh"]);
        let (otload, url) = (env!("CARGO_BIN_EXE_otload"), pane.target.url());
        let run = format!("OTLOAD_FAULT={place}:fault {otload} run scenario.yaml --listen {listen} --host {url}");
        pane.line(&run);
        pane.until("the view", |screen| screen.contains("users 5/5"));
        pane
    }

    fn tmux(&self, args: &[&str]) -> String {
        let run = Command::new("tmux").args(["-L", &self.server]).args(args).output();
        let Output { status, stdout, stderr } =
            run.unwrap_or_else(|error| panic!("tmux: {error}; `apt-get install tmux` has it, and tests/run.sh does so"));
        assert!(status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn line(&self, text: &str) {
        self.keys(&["-l", text]);
        self.keys(&["Enter"]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn until(&self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        wait_for(what, 20 * SECOND, || Some(self.screen()).filter(|screen| seen(screen)))
    }

    fn break_down(&self) {
        std::fs::write(self.dir.path().join("fault"), "").unwrap();
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.pid()]).status().unwrap().success());
    }

    fn status(&self) -> Value {
        get(self.listen, "/api/v1/status", &[]).unwrap().json()
    }

    fn pid(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.trim())).unwrap();
        children.trim().to_owned()
    }

    /// The run was stopped and has ended, its table is printed, and the terminal is as a shell needs it.
    fn is_sane(&self, code: u8) {
        let all = self.after(code);
        assert!(all.contains("stopping: users end their tasks"), "{all}");
        assert!(all.contains("Response time percentiles (ms)"), "{all}");
        assert!(!all.contains("req/s  failures 0 (0.00%)"), "no lines of progress\n{all}");
    }

    /// What is to be read when the run has ended with this code, and has left a terminal as a shell needs it.
    fn after(&self, code: u8) -> String {
        let flag = |name: &str| self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned();
        wait_for("the shell's turn", 30 * SECOND, || (flag("pane_current_command") == "sh").then_some(()));
        self.line("echo code $?; sh sane.sh");
        let screen = self.until("the answer", |screen| screen.lines().any(|line| line.trim_end().ends_with(" end")));
        assert!(screen.contains(&format!("\ncode {code}\n")), "{screen}");
        let flags = screen.lines().find(|line| line.ends_with(" end")).unwrap();
        for flag in ["icanon", "echo", "isig", "opost"] {
            assert!(flags.split(' ').any(|is| is == flag), "{flag} in {flags}");
        }
        assert_eq!((flag("alternate_on"), flag("cursor_flag")), ("0".to_owned(), "1".to_owned()));
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-200"])
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.server, "kill-server"]).output();
    }
}

/// A number of a line that begins so.
fn figure(screen: &str, line: &str, at: usize) -> f64 {
    let found = screen.lines().find(|one| one.trim_start().starts_with(line)).unwrap_or_else(|| panic!("{line} in\n{screen}"));
    let word = found[found.find(line).unwrap()..].split_whitespace().nth(at).unwrap();
    word.replace(',', "").parse().unwrap_or_else(|_| panic!("{word} in {found}"))
}

#[test]
fn the_figures_of_both_sizes_are_the_target_s_and_q_leaves_a_sane_terminal() {
    for (width, height) in [(80, 24), (200, 60)] {
        let pane = Pane::start(width, height);
        pane.until("five seconds", |screen| screen.contains("00:00:05"));
        // The target stands still while the figures are compared.
        pane.keys(&["p"]);
        pane.until("the pause", |screen| screen.lines().nth(1).is_some_and(|line| line.trim_start().starts_with("paused")));
        std::thread::sleep(2 * SECOND);
        let screen = pane.screen();
        let requests = pane.target.requests() as f64;
        assert!(requests > 50.0);
        assert_eq!(figure(&screen, "GET", 2), requests, "{screen}");
        assert_eq!(figure(&screen, "Aggregated", 1), requests, "{screen}");
        let first = screen.lines().next().unwrap();
        assert!(first.starts_with(&format!(" cars → {}", pane.target.url())), "{screen}");
        assert!(screen.contains("users 5/5  failures 0 (0.00%)  passing so far"), "{screen}");
        assert!(screen.contains("threshold holds: p99 < 10s, now "), "{screen}");
        assert_eq!(screen.contains("failures/s\n"), width == 200, "{screen}");
        assert_eq!(screen.lines().count(), usize::from(height));
        pane.keys(&["q"]);
        pane.is_sane(0);
    }
}

#[test]
fn keys_change_users_and_pause_and_a_resize_is_followed() {
    let pane = Pane::start(80, 24);
    let target = |users: u64| {
        wait_for(&format!("{users} users"), 10 * SECOND, || {
            let status = pane.status();
            (status["users_target"] == users && status["users"] == users).then_some(())
        });
    };
    pane.keys(&["w"]);
    target(6);
    pane.keys(&["W", "W"]);
    target(26);
    pane.keys(&["S", "s"]);
    target(15);
    pane.until("what was done", |screen| screen.contains("scaled: users from 16 to 15 at once"));
    pane.keys(&["p"]);
    wait_for("the pause", 10 * SECOND, || (pane.status()["phase"] == "paused").then_some(()));
    pane.keys(&["p"]);
    wait_for("its end", 10 * SECOND, || (pane.status()["phase"] == "steady").then_some(()));
    pane.keys(&["?"]);
    pane.until("help", |screen| screen.contains("one user more, one less"));
    pane.keys(&["x"]);
    pane.until("no help", |screen| !screen.contains("one user more, one less"));
    pane.tmux(&["resize-window", "-x", "60", "-y", "20"]);
    pane.until("a hint", |screen| screen.contains("this terminal has 60×20"));
    pane.tmux(&["resize-window", "-x", "200", "-y", "60"]);
    pane.until("all figures", |screen| screen.contains("failures/s\n"));
    pane.keys(&["C-c"]);
    pane.is_sane(0);
}

#[test]
fn after_sigterm_the_terminal_is_sane() {
    let pane = Pane::start(80, 24);
    pane.signal("-TERM");
    pane.is_sane(0);
}

#[test]
fn a_second_key_or_signal_ends_at_once_and_the_terminal_is_sane() {
    type Ask = fn(&Pane);
    let asked: [(&str, Ask); 3] =
        [("q", |pane| pane.keys(&["q"])), ("Ctrl-C", |pane| pane.keys(&["C-c"])), ("SIGTERM", |pane| pane.signal("-TERM"))];
    for (what, ask) in asked {
        // Nothing ends by itself within the graceful stop.
        let pane = Pane::start_with(80, 24, Delays::cycle(&[120 * SECOND]), "worker");
        wait_for("requests under way", 10 * SECOND, || (pane.target.requests() == 5).then_some(()));
        ask(&pane);
        pane.until(what, |screen| screen.contains("stopping: users end their tasks, at most 30s"));
        assert_eq!(pane.status()["users"], 5, "the first one lets tasks end");
        ask(&pane);
        pane.is_sane(130);
    }
}

/// What broke down is read, and what was measured until then.
#[test]
fn after_a_panic_in_a_user_or_a_worker_the_terminal_is_sane_and_the_run_ends() {
    for (place, who) in [("user", "a user"), ("worker", "worker ")] {
        let pane = Pane::start_with(80, 24, Delays::none(), place);
        wait_for("some requests", 10 * SECOND, || (pane.target.requests() > 20).then_some(()));
        pane.break_down();
        let all = pane.after(4);
        let at = |text: &str| all.find(text).unwrap_or_else(|| panic!("{text} in\n{all}"));
        let told = at("panicked at ");
        assert!(all[told..].contains(&format!("a fault that was ordered for this {place}")), "{all}");
        assert!(told < at("warning: a part of otload broke down, and the run is stopped"), "{all}");
        let table = at("Response time percentiles (ms)");
        assert!(at("warning: a part of otload") < table && table < at(&format!("error: {who}")), "{all}");
        assert!(all.contains("broke down; its part of the load is missing") && all.contains("hint: this is a defect"), "{all}");
        let summary = std::fs::read_dir(pane.dir.path().join("results")).unwrap().next().unwrap().unwrap().path();
        let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary.join("summary.json")).unwrap()).unwrap();
        assert_eq!((&summary["valid"], &summary["passed"]), (&false.into(), &Value::Null), "{summary}");
        assert!(summary["invalid_reasons"][0].as_str().unwrap().contains("broke down"), "{summary}");
        assert!(summary["totals"]["requests"].as_u64().unwrap() > 20, "{summary}");
    }
}

#[test]
fn after_a_panic_of_what_conducts_the_run_the_terminal_is_sane_too() {
    let pane = Pane::start_with(80, 24, Delays::none(), "conductor");
    pane.break_down();
    let all = pane.after(4);
    let told = all.find("panicked at ").unwrap_or_else(|| panic!("{all}"));
    assert!(all[told..].contains("a fault that was ordered for this conductor"), "{all}");
    assert!(all[told..].contains("error: otload itself broke down"), "{all}");
}

#[test]
fn a_view_that_breaks_down_leaves_a_run_with_plain_lines() {
    let pane = Pane::start_with(80, 24, Delays::none(), "view");
    pane.break_down();
    pane.until("plain lines", |screen| {
        screen.contains("a fault that was ordered for this view") && screen.contains("req/s  failures 0 (0.00%)")
    });
    assert_eq!(pane.status()["phase"], "steady");
    pane.keys(&["C-c"]);
    let all = pane.after(0);
    assert!(all.contains("stopping: users end their tasks") && all.contains("Response time percentiles (ms)"), "{all}");
}
