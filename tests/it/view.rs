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
validity: {schedule_lag: 1h, busy: 100%}
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
        let (dir, target, listen) = (tempfile::tempdir().unwrap(), CountingTarget::start(Delays::none()), free_address());
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
        let run = format!("{} run scenario.yaml --listen {listen} --host {}", env!("CARGO_BIN_EXE_otload"), pane.target.url());
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

    fn status(&self) -> Value {
        get(self.listen, "/api/v1/status", &[]).unwrap().json()
    }

    fn pid(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.trim())).unwrap();
        children.trim().to_owned()
    }

    /// The run has ended, its table is printed, and the terminal is as a shell needs it.
    fn is_sane(&self, code: u8) {
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
        let all = self.tmux(&["capture-pane", "-p", "-S", "-200"]);
        assert!(all.contains("Response time percentiles (ms)") && all.contains("stopping: users end their tasks"), "{all}");
        assert!(!all.contains("req/s  failures 0 (0.00%)"), "no lines of progress\n{all}");
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
    let killed = Command::new("kill").args(["-TERM", &pane.pid()]).status().unwrap();
    assert!(killed.success());
    pane.is_sane(0);
}
