//! The stack without containers: `compose/native`, with Debian's programs and with later ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded::Serializer;

use crate::kit::{Process, get, later, root, venv, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// A run of an hour that breaks one threshold and keeps another.
const SCENARIO: &str = "host: http://cars-api:5000
users: [{name: U, wait_time: 100ms, tasks: [{get: /cars}]}]
load: {users: 3, run_time: 1h}
thresholds: [\"p50 < 1us\", \"p50 < 1h\"]
validity: {max_generator_time: 1h, busy: 100%}
";

/// Beside those that otload ships, which wait for minutes.
const RULES: &str = r#"groups:
  - name: short
    rules:
      - alert: OtloadThresholdBroken
        expr: otload_threshold_ok == 0
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.threshold }} is broken"}
      - alert: OtloadDown
        expr: up{job="otload"} == 0
        labels: {severity: critical}
        annotations: {summary: otload is down}
"#;

/// A stack that is brought down when it is dropped.
struct Native {
    dir: TempDir,
}

// === impl Native ===

impl Native {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["rules", "scenarios"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for file in std::fs::read_dir(root().join("dashboards/rules")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join("rules").join(file.file_name())).unwrap();
        }
        std::fs::write(dir.path().join("rules/short.yaml"), RULES).unwrap();
        std::fs::write(dir.path().join("scenarios/breaks.yaml"), SCENARIO).unwrap();
        let schedule = "schedule: [{cron: '@reboot', scenario: breaks}]\n";
        std::fs::write(dir.path().join("scenarios/serve.yaml"), schedule).unwrap();
        Self { dir }
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("stack").canonicalize().unwrap_or_else(|_| self.dir.path().join("stack"))
    }

    /// Its code, and all that it printed.
    fn native(&self, command: &str, args: &[&str]) -> (i32, String) {
        let mut native = Command::new(root().join("compose/native"));
        native.arg(command).arg("--dir").arg(self.place()).args(args);
        let mut process = Process::spawn(&mut native);
        let code = process.wait(120 * SECOND);
        (code, process.stdout.text() + &process.stderr.text())
    }

    fn up(&self, args: &[&str]) -> (i32, String) {
        let (rules, scenarios) = (self.dir.path().join("rules"), self.dir.path().join("scenarios"));
        let gunicorn = venv().join("bin/gunicorn");
        let [rules, scenarios, gunicorn] = [&rules, &scenarios, &gunicorn].map(|path| path.to_str().unwrap());
        let ours = ["--otload", env!("CARGO_BIN_EXE_otload"), "--gunicorn", gunicorn, "--rules", rules, "--scenarios", scenarios];
        self.native("up", &[&ours, args].concat())
    }

    #[track_caller]
    fn up_well(&self, args: &[&str]) {
        let (code, said) = self.up(args);
        assert_eq!(code, 0, "{said}");
    }

    fn stack(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.place().join("stack.json")).unwrap()).unwrap()
    }

    fn address(&self, service: &str) -> SocketAddr {
        self.stack()["addresses"][service].as_str().unwrap().parse().unwrap()
    }

    fn kill(&self, service: &str) {
        let pid = i32::try_from(self.stack()["pids"][service].as_i64().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    }

    /// What Prometheus answers; the value of each series as text.
    fn query(&self, expression: &str) -> Vec<(Value, String)> {
        let path: String = Serializer::new("/api/v1/query?".to_owned()).append_pair("query", expression).finish();
        let answer = get(self.address("prometheus"), &path, &[]).unwrap().json();
        let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}"));
        series.iter().map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap_or("histogram").to_owned())).collect()
    }

    /// Waits until the receiver has got this alert.
    fn alert(&self, name: &str) -> Value {
        let receiver = self.address("receiver");
        wait_for(name, 60 * SECOND, || {
            let all = get(receiver, "/alerts", &[]).ok()?.json();
            all.as_array().unwrap().iter().find(|alert| alert["labels"]["alertname"] == name).cloned()
        })
    }

    /// Process ids of what bears the mark of this stack.
    fn processes(&self) -> Vec<String> {
        marked(&self.place())
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let (code, said) = self.native("down", &[]);
        if code != 0 {
            eprintln!("{said}");
        }
    }
}

fn marked(place: &Path) -> Vec<String> {
    let mark = format!("OTLOAD_NATIVE_STACK={}", place.display());
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    let environ = |name: &str| std::fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|name| environ(name).split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
        .collect()
}

#[test]
fn one_command_brings_it_up_alerts_arrive_and_one_brings_it_down() {
    let native = Native::new();
    native.up_well(&["--free-ports"]);
    // Prometheus scrapes otload, and has the rules.
    let up: Vec<_> = native.query("up{job=\"otload\"}").into_iter().map(|(_, value)| value).collect();
    assert_eq!(up, ["1"]);
    let rules = get(native.address("prometheus"), "/api/v1/rules", &[]).unwrap().json();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let names: Vec<_> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["otload-alerts", "otload-recording", "short"]);
    // The run is against the application.
    let requests = wait_for("requests in Prometheus", 30 * SECOND, || {
        native.query("sum by (request, result) (otload_requests_total)").into_iter().find(|(_, value)| value != "0")
    });
    assert_eq!((&requests.0["request"], &requests.0["result"]), (&"GET /cars".into(), &"success".into()));

    let broken = native.alert("OtloadThresholdBroken");
    assert_eq!((&broken["status"], &broken["labels"]["test"]), (&"firing".into(), &"breaks".into()));
    assert_eq!(broken["annotations"]["summary"], "p50 < 1us is broken");

    // What ships was evaluated by now, all of it without a mistake.
    let recorded =
        wait_for("a recorded series", 60 * SECOND, || native.query("run:otload_run_steady_seconds:held").into_iter().next());
    assert_eq!(recorded.0["test"], "breaks");
    let health = || {
        let rules = get(native.address("prometheus"), "/api/v1/rules", &[]).unwrap().json();
        let all = rules["data"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        all.filter(|rule| rule["health"] != "ok").cloned().collect::<Vec<_>>()
    };
    wait_for("each rule to be evaluated", 60 * SECOND, || {
        let ill = health();
        assert!(ill.iter().all(|rule| rule["health"] == "unknown"), "{ill:#?}");
        ill.is_empty().then_some(())
    });

    // A second one changes nothing, and says so.
    let before = native.processes();
    let (code, said) = native.up(&["--free-ports"]);
    assert!(code == 0 && said.contains("it is up already"), "{code} {said}");
    assert_eq!(native.processes(), before);

    native.kill("otload");
    assert_eq!(native.alert("OtloadDown")["labels"]["severity"], "critical");
    let (code, said) = native.native("status", &[]);
    assert!(code == 1 && said.contains("ended"), "{code} {said}");
    let (code, said) = native.up(&["--free-ports"]);
    assert!(code == 1 && said.contains("not all of it is well") && said.contains("hint: "), "{code} {said}");

    let addresses = native.stack()["addresses"].clone();
    let (code, said) = native.native("down", &[]);
    assert!(code == 0 && said.contains("processes have ended"), "{code} {said}");
    assert_eq!(native.processes(), [""; 0]);
    for (service, address) in addresses.as_object().unwrap() {
        assert!(std::net::TcpStream::connect(address.as_str().unwrap()).is_err(), "{service} still listens on {address}");
    }
    assert_eq!(native.native("down", &[]), (0, "nothing was up\n".to_owned()));
}

#[test]
fn a_later_prometheus_keeps_both_forms_and_down_finds_what_lost_its_parent() {
    let native = Native::new();
    let (prometheus, alertmanager) = (later("prometheus"), later("prometheus-alertmanager"));
    let programs = ["--prometheus", prometheus.to_str().unwrap(), "--alertmanager", alertmanager.to_str().unwrap()];
    native.up_well(&[&programs[..], &["--free-ports"]].concat());
    let series = |selector: &str| native.query(&format!("count({selector})")).first().map(|(_, value)| value.clone());
    wait_for("classic buckets", 30 * SECOND, || series("otload_request_duration_seconds_bucket"));
    assert_eq!(native.query("otload_request_duration_seconds").first().unwrap().1, "histogram");
    assert_eq!(native.alert("OtloadThresholdBroken")["status"], "firing");

    // All that it started itself is killed: gunicorn's workers are left, as are those of any other.
    let workers = native.processes().len();
    for service in ["otload", "prometheus", "alertmanager", "receiver", "cars-api"] {
        native.kill(service);
    }
    assert!(workers >= 7, "{workers}");
    let (code, said) = native.native("down", &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(native.processes(), [""; 0]);
}

#[test]
fn what_is_missing_or_taken_is_said_and_nothing_is_left() {
    let native = Native::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("prometheus={}", taken.local_addr().unwrap().port());
    for (args, error) in [
        (&["--free-ports", "--port", &port][..], "prometheus cannot listen on"),
        (&["--free-ports", "--port", "grafana=3000"], "services are receiver, "),
        (&["--free-ports", "--prometheus", "/no/such/program"], "/no/such/program is no program"),
    ] {
        let (code, said) = native.up(args);
        assert!(code == 1 && said.contains("error: ") && said.contains(error), "{code} {said}");
        assert_eq!(native.processes(), [""; 0]);
    }
    // What does not start takes the others along, and its log is shown.
    std::fs::write(native.dir.path().join("rules/short.yaml"), "groups: 5\n").unwrap();
    let (code, said) = native.up(&["--free-ports"]);
    assert!(code == 1 && said.contains("prometheus ended with code") && said.contains("short.yaml"), "{code} {said}");
    assert_eq!(native.processes(), [""; 0]);
}
