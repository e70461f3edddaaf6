//! Alerts in real programs: six runs side by side, each with a trouble of its own but for one, scraped by three Prometheus servers that
//! store histograms each in another way. What fires has to arrive at a webhook, by a real Alertmanager; the run without a
//! trouble fires nothing.
//!
//! The rules are those of the binary, with windows that are sixty times as short: minutes are seconds.
//!
//! | run | what happens | alert |
//! |---|---|---|
//! | `drift` | each answer takes 2% longer every 5 s | `OtloadLatencyDrift` |
//! | `failing` | from 45 s on every fifth answer is a 500 | `OtloadFailureBurnRate` |
//! | `drop` | from 50 s on answers take four times as long, for users who wait for them | `OtloadThroughputDrop` |
//! | `saturated` | its process is halted for 0.4 s in each second | `OtloadGeneratorSaturated` |
//! | `killed` | its process is killed after 25 s | `OtloadDown` |
//! | `flat` | nothing | none |
//!
//! The runs are light, so other tests need not wait for them: they do not [join the company](crate::kit::Company).

mod hook;
mod moody;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use otload::clock::{Instant, now};
use tempfile::TempDir;

use crate::kit::{Process, Prometheus, Signal, free_address, get, later, wait_for};
use hook::Hook;
use moody::{Mood, Moody};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than any of it takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(165);

/// What each answer takes at first, in seconds: so long that a machine on which much else goes on adds little to it.
const USUAL: f64 = 0.8;

struct Run {
    id: &'static str,
    process: Process,
    metrics: SocketAddr,
    _dir: TempDir,
    _target: Moody,
}

impl Run {
    fn start(id: &'static str, load: &str, mood: impl Fn(f64) -> Mood + Send + Sync + 'static) -> Self {
        let target = Moody::start(mood);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cars.yaml"), format!("host: {}\nname: cars\n{load}\n", target.url())).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_otload"));
        command.current_dir(dir.path()).args(["run", "cars.yaml", "--listen", "127.0.0.1:0", "--run-id", id]);
        let process = Process::spawn(&mut command);
        let url = process.stderr.wait_for_line("metrics:", 20 * SECOND);
        let metrics = url.trim_start_matches("http://").trim_end_matches("/metrics").parse().unwrap();
        Self { id, process, metrics, _dir: dir, _target: target }
    }
}

/// Users who begin a task every three seconds, however long it takes.
const PACED: &str = "users: [{name: U, wait_time: {constant_pacing: 3s}, tasks: [{get: /cars}]}]
load: {users: 24, spawn_rate: 8/s, run_time: 170s}
validity: {max_generator_time: 1h, busy: 100%}";

/// Twelve users who wait for each answer.
const WAITING: &str = "users: [{name: U, tasks: [{get: /cars}]}]
load: {users: 12, spawn_rate: 12/s, run_time: 170s}
validity: {max_generator_time: 1h, busy: 100%}";

/// Arrivals that cannot start in time while the process is halted.
const OPEN: &str = "users: [{name: U, tasks: [{get: /cars}]}]
load: {arrival_rate: 50/s, max_users: 200, run_time: 170s}";

fn runs() -> Vec<Run> {
    let usual = Mood { seconds: USUAL, status: 200 };
    let asked = AtomicU32::new(0);
    vec![
        Run::start("drift", PACED, move |at| Mood { seconds: USUAL * 1.02_f64.powf(at / 5.0), ..usual }),
        Run::start("flat", PACED, move |_| usual),
        Run::start("failing", PACED, move |at| {
            let fails = at > 45.0 && asked.fetch_add(1, SeqCst).is_multiple_of(5);
            Mood { status: if fails { 500 } else { 200 }, ..usual }
        }),
        Run::start("drop", WAITING, move |at| Mood { seconds: if at > 50.0 { 1.2 } else { 0.3 }, ..usual }),
        Run::start("saturated", OPEN, move |_| Mood { seconds: 0.01, ..usual }),
        Run::start("killed", PACED, move |_| usual),
    ]
}

const EXPECTED: [(&str, &str, &str); 5] = [
    ("OtloadLatencyDrift", "drift", "warning"),
    ("OtloadFailureBurnRate", "failing", "critical"),
    ("OtloadThroughputDrop", "drop", "warning"),
    ("OtloadGeneratorSaturated", "saturated", "warning"),
    ("OtloadDown", "killed", "critical"),
];

#[test]
fn what_goes_wrong_arrives_at_a_webhook_and_what_goes_well_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let rules = written_rules(dir.path());
    let hook = Hook::start();
    let alertmanager = alertmanager(dir.path(), hook.address());
    let began = now();
    let mut runs = runs();
    let targets: Vec<_> = runs.iter().map(|run| run.metrics).collect();
    let servers = ["native", "classic", "both"].map(|stores| (stores, prometheus(stores, &targets, &rules, alertmanager.1)));

    let arrived = |hook: &Hook, (alert, run, _): (&str, &str, &str), stores: &str| {
        hook.alerts().into_iter().find(|one| {
            let labels = &one["labels"];
            labels["alertname"] == alert && labels["run_id"] == run && labels["stores"] == stores && one["status"] == "firing"
        })
    };
    let missing = || {
        let all = EXPECTED.iter().flat_map(|alert| servers.iter().map(move |(stores, _)| (*alert, *stores)));
        all.filter(|(alert, stores)| arrived(&hook, *alert, stores).is_none()).collect::<Vec<_>>()
    };
    let mut said = 0;
    while !missing().is_empty() {
        assert!(began.elapsed() < LIMIT, "did not arrive: {:?}\n{}", missing(), state(&servers));
        torment(&mut runs, began);
        if hook.alerts().len() > said {
            said = hook.alerts().len();
            eprintln!("{:.0?}: still missing: {:?}", began.elapsed(), missing());
        }
    }
    for alert in EXPECTED {
        let (name, _, severity) = alert;
        let one = arrived(&hook, alert, "native").unwrap();
        assert_eq!(one["labels"]["severity"], severity);
        let annotations = &one["annotations"];
        let runbook = annotations["runbook_url"].as_str().unwrap();
        assert!(runbook.ends_with(&format!("docs/alerts.md#{}", name.to_lowercase())), "{runbook}");
        for text in ["summary", "description"].map(|text| annotations[text].as_str().unwrap()) {
            assert!(!text.contains("<error") && !text.contains("{{") && !text.contains("NaN"), "{text}");
        }
    }
    let flat: Vec<_> = hook.alerts().into_iter().filter(|alert| alert["labels"]["run_id"] == "flat").collect();
    assert!(flat.is_empty(), "{flat:?}");
    for (stores, server) in &servers {
        let fired = server.query("count by (run_id, alertname) (count_over_time(ALERTS{alertstate=\"firing\"}[10m]))");
        let fired_of = |run: &str| -> Vec<String> {
            let of = fired.iter().filter(|one| one.labels["run_id"] == run);
            of.map(|one| one.labels["alertname"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(fired_of("flat"), [""; 0], "{stores}");
        assert_eq!(fired_of("drift"), ["OtloadLatencyDrift"], "{stores}: the drift and nothing else");
        assert!(server.warnings().is_empty(), "{stores}: {:?}", server.warnings());
        recorded(stores, server);
    }
    assert!(runs.iter().all(|run| run.id == "killed" || run.process.stderr.text().find("panicked").is_none()));
}

/// What is recorded is what happens, however histograms are stored. Times may be longer on a busy machine.
fn recorded(stores: &str, server: &Prometheus) {
    let within = |what: &str, least: f64, most: f64| {
        let value = server.value(what).unwrap_or_else(|| panic!("{stores} has no {what}"));
        assert!((least..=most).contains(&value), "{stores}: {what} is {value}, not from {least} to {most}");
    };
    let flat = |what: &str| format!("{what}{{run_id=\"flat\"}}");
    within(&flat("run:otload_requests:rate_5s"), 5.0, 11.0);
    within(&flat("run_request:otload_request_duration_seconds:mean_5s"), USUAL, 2.0 * USUAL);
    // 0.8 s are in the classic bucket from 0.75 to 1 s, and in the native one from 0.771 to 0.841 s.
    let (p50, floor) = if stores == "classic" { (0.875, 0.75) } else { (0.771, 0.771) };
    within(&flat("run:otload_request_duration_seconds:p50_5s"), p50, 2.0 * p50);
    within(&flat("run_request:otload_request_duration_seconds:p95_floor_5s"), floor, 2.0 * floor);
    within(&flat("run:otload_request_failures:ratio_5s"), 0.0, 0.0);
    within("run:otload_request_failures:ratio_30s{run_id=\"failing\"}", 0.12, 0.28);
    within(&flat("run:otload_run_planned_seconds:or_default"), 170.0, 170.0);
}

/// For about half a second: what has to be done to processes.
fn torment(runs: &mut [Run], began: Instant) {
    let mut of = |id| runs.iter_mut().position(|run| run.id == id).unwrap();
    let (saturated, killed) = (of("saturated"), of("killed"));
    if began.elapsed() > 25 * SECOND && runs[killed].process.ended().is_none() {
        runs[killed].process.kill();
    }
    runs[saturated].process.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(400));
    runs[saturated].process.signal(Signal::CONT);
    std::thread::sleep(Duration::from_millis(600));
}

/// By the binary, as a user gets them.
fn written_rules(dir: &Path) -> Vec<String> {
    let written =
        crate::kit::Otload::command(&["dashboards", "--write", dir.to_str().unwrap(), "--shorten", "60"]).expect_code(0);
    let rules: Vec<_> = written.stdout.lines().filter(|path| path.ends_with(".yaml")).map(str::to_owned).collect();
    assert_eq!(rules.len(), 2, "{}", written.stdout);
    rules
}

fn alertmanager(dir: &Path, hook: SocketAddr) -> (Process, SocketAddr) {
    let config = dir.join("alertmanager.yml");
    let route = "{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}";
    let receiver = format!("{{name: hook, webhook_configs: [{{url: 'http://{hook}/', send_resolved: true}}]}}");
    std::fs::write(&config, format!("route: {route}\nreceivers: [{receiver}]\n")).unwrap();
    let address = free_address();
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=");
    let process = Process::spawn(&mut command);
    wait_for("Alertmanager to be ready", 20 * SECOND, || {
        get(address, "/-/ready", &[]).ok().filter(|answer| answer.status == 200)
    });
    (process, address)
}

/// Scrapes all of them every second, and stores histograms so.
fn prometheus(stores: &str, targets: &[SocketAddr], rules: &[String], alertmanager: SocketAddr) -> Prometheus {
    let (program, flags, scrape) = match stores {
        "native" => (PathBuf::from("prometheus"), "--enable-feature=native-histograms", ""),
        "classic" => (PathBuf::from("prometheus"), "--enable-feature=exemplar-storage", ""),
        _ => (later("prometheus"), "--enable-feature=native-histograms", "always_scrape_classic_histograms: true, "),
    };
    let targets = serde_json::json!(targets.iter().map(SocketAddr::to_string).collect::<Vec<_>>());
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, external_labels: {{stores: {stores}}}}}
rule_files: {}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}
scrape_configs: [{{job_name: otload, {scrape}static_configs: [{{targets: {targets}}}]}}]
",
        serde_json::json!(rules)
    );
    Prometheus::launch(&program, &config, &[flags, "--rules.alert.resend-delay=1s"])
}

/// For whoever has to find out why something did not fire.
fn state(servers: &[(&str, Prometheus)]) -> String {
    let mut out = String::new();
    for (stores, server) in servers {
        for what in ["ALERTS", "{__name__=~\".+:.+:(held|first_.*|median_.*)\"}", "up"] {
            for one in server.query(what) {
                out.push_str(&format!("{stores} {} {}\n", one.labels, one.value));
            }
        }
    }
    out
}
