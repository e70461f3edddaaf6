//! The shipped rules by promtool: each alert fires for what it is about, and for nothing that looks like it.
//!
//! A [`Run`] is simulated minute by minute as its series would be scraped; what is wrong with it is a [`Trouble`], and when it is
//! wrong makes the case. Every case says all alerts that ever fired in it, of whatever name.

mod simulated;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{Otload, later, root};
use simulated::{Run, Trouble};

/// A situation and which alerts of which runs fire in it.
struct Case {
    name: String,
    runs: Vec<Run>,
    /// Alert and run, at any time.
    fired: Vec<(&'static str, &'static str)>,
    /// The same, at one minute.
    firing: Vec<(usize, Vec<(&'static str, &'static str)>)>,
}

/// What is wrong with a run, and how rules look at it.
struct Kind {
    trouble: Trouble,
    alert: &'static str,
    /// It takes so many minutes of a steady load to be judged.
    age: usize,
    /// When it begins to be wrong so that it is bound to fire, and from when on it is firing for certain.
    wrong: usize,
    fires: usize,
    /// So many minutes of it are an outlier.
    outlier: usize,
}

/// So long all of them are watched; runs stay as they ended.
const MINUTES: usize = 300;

/// All that can go wrong with a run that goes on.
const KINDS: [Kind; 10] = [
    Kind { trouble: Trouble::Creeping(0.5), alert: "OtloadLatencyDrift", age: 35, wrong: 60, fires: 130, outlier: 8 },
    Kind { trouble: Trouble::Creeping(0.145), alert: "OtloadLatencySlope", age: 155, wrong: 10, fires: 177, outlier: 8 },
    Kind { trouble: Trouble::SlowerThanBaseline, alert: "OtloadBaselineRegression", age: 35, wrong: 0, fires: 60, outlier: 8 },
    Kind { trouble: Trouble::Failing(0.06), alert: "OtloadFailureBurnRate", age: 5, wrong: 60, fires: 85, outlier: 4 },
    Kind { trouble: Trouble::FewerRequests, alert: "OtloadThroughputDrop", age: 35, wrong: 60, fires: 80, outlier: 5 },
    Kind { trouble: Trouble::Dropping, alert: "OtloadArrivalsDropped", age: 5, wrong: 60, fires: 80, outlier: 4 },
    Kind { trouble: Trouble::Saturated, alert: "OtloadGeneratorSaturated", age: 5, wrong: 60, fires: 70, outlier: 2 },
    Kind { trouble: Trouble::BreakingThreshold, alert: "OtloadThresholdBroken", age: 2, wrong: 60, fires: 65, outlier: 1 },
    Kind { trouble: Trouble::Invalid, alert: "OtloadRunInvalid", age: 2, wrong: 60, fires: 65, outlier: 1 },
    Kind { trouble: Trouble::Regressed, alert: "OtloadSoakRegressed", age: 180, wrong: 100, fires: 201, outlier: 8 },
];

impl Kind {
    /// Long enough for it to fire, and short enough for nothing else to.
    fn end(&self) -> usize {
        self.fires + 5
    }

    fn run(&self, id: &'static str, wrong: Range<usize>) -> Run {
        self.of(Run::new(id).steady(10..self.end()), wrong)
    }

    fn of(&self, run: Run, wrong: Range<usize>) -> Run {
        let run = if self.alert == "OtloadBaselineRegression" { run.baseline(0.2) } else { run };
        run.with(self.trouble, wrong)
    }

    fn cases(&self) -> Vec<Case> {
        let (alert, end) = (self.alert, self.end());
        let whole = end + 40;
        let case = |name: &str, runs: Vec<Run>| Case::new(format!("{alert}: {name}"), runs);
        let fires = vec![(alert, "r1")];
        vec![
            case("fires, and is over with the run", vec![self.run("r1", self.wrong..whole)])
                .fires(&fires)
                .at(self.wrong.max(10 + self.age), &[])
                .at(self.fires, &fires)
                .at(end + 2, &[]),
            case("ramp-up", vec![self.run("r1", 0..10)]),
            case("end of the run", vec![self.run("r1", end..whole)]),
            case("a single outlier window", vec![self.run("r1", 50..50 + self.outlier)]),
            case("a scrape gap", vec![self.run("r1", 0..0).gap(55..57)]),
            case("a gap so long that windows are empty", vec![self.run("r1", 0..0).gap(46..56)]).fires(&[("OtloadDown", "r1")]),
            case("a run too young", vec![self.of(Run::new("r1").steady(10..10 + self.age - 1), 10..whole)]),
            case("another run beside it", vec![self.run("r1", 0..0), self.run("r2", self.wrong..whole)]).fires(&[(alert, "r2")]),
        ]
    }
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.iter().flat_map(Kind::cases).collect();
    cases.extend(lost());
    cases.extend(others());
    cases
}

/// Runs and daemons that vanish.
fn lost() -> Vec<Case> {
    let steady = |id| Run::new(id).steady(10..200);
    let case = |name: &str, runs: Vec<Run>| Case::new(format!("OtloadDown: {name}"), runs);
    let down = [("OtloadDown", "r1")];
    let daemon_down = [("OtloadServeDown", "")];
    let daemon = || Run::new("r1").steady(10..50).daemon();
    let vanishing = case("fires, and is forgotten after an hour", vec![steady("r1").vanishing(100)]);
    vec![
        vanishing.fires(&down).at(101, &[]).at(105, &down).at(170, &[]),
        case("a run that is lost in its ramp", vec![Run::new("r1").steady(30..200).vanishing(20)]).fires(&down),
        case("a run that ended, and its process too", vec![steady("r1").vanishing(208)]),
        case("a run that was not seen to be done, but on its way", vec![steady("r1").vanishing(203)]),
        case("a run that was not seen to be done, but was to be", vec![steady("r1").planned(Some(100.0 * 60.0)).vanishing(100)]),
        case("a scrape or two that failed", vec![steady("r1").gap(100..102)]),
        case("another run beside it", vec![steady("r1").vanishing(100), steady("r2")]).fires(&down),
        case(
            "the next run of a daemon, before the last one was seen to be done",
            vec![steady("r1").vanishing(100), Run::new("r2").steady(110..200).beginning(101).on("r1:9464")],
        ),
        case("a daemon between runs", vec![daemon()]),
        case("a daemon that is gone", vec![daemon().vanishing(120)]).fires(&daemon_down).at(125, &daemon_down),
    ]
}

/// What is particular to some of them.
fn others() -> Vec<Case> {
    let steady = |id| Run::new(id).steady(10..150);
    let later = |id| Run::new(id).steady(10..190);
    let creeping = |id| steady(id).with(Trouble::Creeping(0.5), 60..200);
    let drift = [("OtloadLatencyDrift", "r1")];
    let burns = [("OtloadFailureBurnRate", "r1")];
    let slower = (Trouble::Slower(1.5), 60..200);
    vec![
        Case::new("drift: one scrape that fails does not end it", vec![creeping("r1").gap(140..141)])
            .fires(&drift)
            .at(140, &drift),
        Case::new(
            "drift: its beginning is known after Prometheus was away",
            vec![steady("r1").with(Trouble::Slower(1.3), 70..200).gap(60..95)],
        )
        .fires(&[drift[0], ("OtloadDown", "r1")])
        .at(145, &drift),
        Case::new("drift: another load is another beginning", vec![later("r1").scaled(60).with(slower.0, slower.1.clone())]),
        Case::new("drift: a pause is another beginning", vec![later("r1").paused(60..70).with(slower.0, slower.1)]),
        Case::new("drift: of another load too", vec![later("r1").scaled(60).with(Trouble::Creeping(0.5), 100..200)])
            .fires(&drift)
            .at(175, &drift),
        Case::new("drift: two shards are one run", vec![creeping("r1"), creeping("r1").on("other:9464")]).fires(&drift),
        Case::new("drift: a saturated generator's latencies are its own", vec![creeping("r1").with(Trouble::Saturated, 60..200)])
            .fires(&[("OtloadGeneratorSaturated", "r1")]),
        Case::new("drift: faster is no drift", vec![steady("r1").with(Trouble::Slower(0.5), 60..200)]),
        Case::new("drift: of so few requests nothing is said", vec![creeping("r1").rate(0.2)]),
        Case::new(
            "slope: a wave that comes round",
            vec![Run::new("r1").steady(10..290).with(Trouble::Slower(0.8), 0..400).with(Trouble::Wave(60.0, 0.3), 0..400)],
        ),
        Case::new(
            "failures: half of the budget",
            vec![Run::new("r1").steady(10..290).planned(None).with(Trouble::Failing(0.005), 0..400)],
        ),
        Case::new(
            "failures: twice the budget, for hours",
            vec![Run::new("r1").steady(10..200).with(Trouble::Failing(0.02), 0..300)],
        )
        .fires(&burns)
        .at(125, &[])
        .at(140, &burns),
        Case::new("failures: they have stopped", vec![steady("r1").with(Trouble::Failing(0.5), 60..80)])
            .fires(&burns)
            .at(75, &burns)
            .at(88, &[]),
        Case::new(
            "threshold: in an invalid run none is ok, and none is broken",
            vec![steady("r1").with(Trouble::Invalid, 60..300)],
        )
        .fires(&[("OtloadRunInvalid", "r1")]),
        // All of it is in the first value of its status, and nothing comes after.
        Case::new("failures: a first burst", vec![steady("r1").planned(Some(4.0 * 3600.0)).with(Trouble::Failing(1.0), 60..61)])
            .fires(&burns)
            .at(59, &[])
            .at(63, &burns)
            .at(70, &[]),
        Case::new("throughput: rare requests come by chance", vec![later("r1").rate(0.05).with(Trouble::FewerRequests, 60..200)]),
        Case::new("throughput: fewer users do less", vec![later("r1").scaled(60).with(Trouble::FewerRequests, 60..200)]),
        // 110 ms and 105 ms are in one bucket up to 250 ms, within which a p95 of 242 ms would be guessed.
        Case::new(
            "baseline: within a bucket nothing is known",
            vec![steady("r1").with(Trouble::Slower(0.55), 0..200).baseline(0.105)],
        ),
    ]
}

#[test]
fn every_alert_fires_for_its_cause_and_not_for_what_looks_like_it() {
    let cases = cases();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.yaml");
    std::fs::write(&file, promtool_tests(&cases)).unwrap();
    let test = |promtool: &PathBuf| {
        let checked = Command::new(promtool).args(["check", "rules"]).args(rule_files()).output().unwrap();
        assert!(checked.status.success(), "{}: {}", promtool.display(), output(&checked));
        let tested = Command::new(promtool).args(["test", "rules"]).arg(&file).output().unwrap();
        assert!(tested.status.success(), "{}: {}", promtool.display(), output(&tested));
    };
    let test = &test;
    std::thread::scope(|scope| {
        let tests: Vec<_> = promtools().into_iter().map(|promtool| scope.spawn(move || test(&promtool))).collect();
        tests.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// Thresholds, and whether they are broken in a run of 20 requests a second of 200 ms, and in one with 6% failures besides.
const THRESHOLDS: [(&str, [bool; 2]); 17] = [
    ("p95 < 250ms", [false, false]),
    ("p95 < 100ms", [true, true]),
    ("p50 of \"GET /cars\" >= 250ms", [true, true]),
    ("p50 of \"GET /cars\" >= 100ms", [false, false]),
    ("p99 of user \"U\" < 250ms over 10m", [false, false]),
    ("p99 of task \"t\" < 100ms over 10m", [true, true]),
    ("mean < 150ms over 10m", [true, true]),
    ("mean <= 250ms", [false, false]),
    ("max < 250ms", [false, false]),
    ("max < 100ms over 10m", [true, true]),
    ("min > 250ms", [true, true]),
    ("failure_ratio < 1% over 10m", [false, true]),
    ("failures <= 0", [false, true]),
    ("rps >= 15/s over 10m", [false, false]),
    ("rps >= 25/s", [true, true]),
    ("requests < 1000 over 10m", [true, true]),
    // It may still come.
    ("requests > 1000000000", [false, false]),
];

#[test]
fn thresholds_of_a_scenario_are_alerts_that_agree_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("cars.yaml");
    let list: String = THRESHOLDS.iter().map(|(text, _)| format!("  - {text}\n")).collect();
    let rest = "users: [{name: U, tasks: [{name: t, flow: [{get: /cars}]}]}]\nload: {users: 1, run_time: 1h}\n";
    std::fs::write(&scenario, format!("host: http://127.0.0.1:5000\n{rest}thresholds:\n{list}")).unwrap();
    let args = ["dashboards", "--write", dir.path().to_str().unwrap(), "--scenario", scenario.to_str().unwrap()];
    let written = Otload::command(&args).expect_code(0).stdout;
    let rules = dir.path().join("rules/otload-thresholds-cars.yaml");
    assert!(written.lines().any(|line| Path::new(line) == rules), "{written}");

    let runs = [Run::new("fast").steady(10..60), Run::new("failing").steady(10..60).with(Trouble::Failing(0.06), 0..60)];
    let mut out =
        format!("rule_files: [{}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n", rules.display());
    for (series, values) in runs.iter().flat_map(|run| run.series("case", 80)) {
        let _ = writeln!(out, "      - series: {}\n        values: {values}", quoted(&series));
    }
    out.push_str("    promql_expr_test:\n");
    for (nth, run) in ["fast", "failing"].into_iter().enumerate() {
        // While it is steady, and once it is done.
        for (minute, on) in [(45, true), (70, false)] {
            let alerts = format!("group by (threshold) (ALERTS{{alertstate=\"firing\",run_id=\"case/{run}\"}})");
            let _ = writeln!(out, "      - expr: {}\n        eval_time: {minute}m\n        exp_samples:", quoted(&alerts));
            for (threshold, _) in THRESHOLDS.iter().filter(|(_, broken)| on && broken[nth]) {
                let labels = format!("{{threshold={}}}", quoted(threshold));
                let _ = writeln!(out, "          - {{labels: {}, value: 1}}", quoted(&labels));
            }
        }
    }
    let file = dir.path().join("test.yaml");
    std::fs::write(&file, out).unwrap();
    for promtool in promtools() {
        let checked = Command::new(&promtool).args(["check", "rules"]).arg(&rules).output().unwrap();
        assert!(checked.status.success(), "{}: {}", promtool.display(), output(&checked));
        let tested = Command::new(&promtool).args(["test", "rules"]).arg(&file).output().unwrap();
        assert!(tested.status.success(), "{}: {}", promtool.display(), output(&tested));
    }
}

fn output(of: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&of.stdout), String::from_utf8_lossy(&of.stderr))
}

fn rule_files() -> [PathBuf; 2] {
    ["otload-recording.yaml", "otload-alerts.yaml"].map(|file| root().join("dashboards/rules").join(file))
}

/// That of the system, and of the later suite.
fn promtools() -> [PathBuf; 2] {
    ["promtool".into(), later("promtool")]
}

/// The file that `promtool test rules` reads.
fn promtool_tests(cases: &[Case]) -> String {
    let mut out = String::from("rule_files:\n");
    for file in rule_files() {
        let _ = writeln!(out, "  - {}", file.display());
    }
    out.push_str("evaluation_interval: 1m\ntests:\n");
    // One test with all of them is many times as fast as many, and each has many others beside it.
    out.push_str("  - interval: 1m\n    input_series:\n");
    for (series, values) in cases.iter().flat_map(|case| case.runs.iter().flat_map(|run| run.series(&case.name, MINUTES))) {
        let _ = writeln!(out, "      - series: {}\n        values: {values}", quoted(&series));
    }
    out.push_str("    promql_expr_test:\n");
    for case in cases {
        let questions = [(MINUTES, format!("[{MINUTES}m]"), &case.fired)].into_iter();
        let moments = case.firing.iter().map(|(minute, firing)| (*minute, String::new(), firing));
        for (minute, range, wanted) in questions.chain(moments) {
            // The job of a run is its case; alerts on runs do not have it.
            let own = ["run_id=~", "job="].map(|label| {
                let name = if label.starts_with("run_id") { format!("{}/.*", case.name) } else { case.name.clone() };
                let alerts = format!("ALERTS{{alertstate=\"firing\",{label}\"{name}\"}}{range}");
                if range.is_empty() { alerts } else { format!("count_over_time({alerts})") }
            });
            let expression = format!("group by (alertname, run_id) ({})", own.join(" or "));
            let _ = writeln!(out, "      - expr: {}\n        eval_time: {minute}m\n        exp_samples:", quoted(&expression));
            for (alert, run) in wanted {
                let run = if run.is_empty() { String::new() } else { format!(", run_id=\"{}/{run}\"", case.name) };
                let labels = format!("{{alertname=\"{alert}\"{run}}}");
                let _ = writeln!(out, "          - {{labels: {}, value: 1}}", quoted(&labels));
            }
        }
    }
    out
}

/// As JSON has it, which is YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// === impl Case ===

impl Case {
    fn new(name: impl Into<String>, runs: Vec<Run>) -> Self {
        Self { name: name.into(), runs, fired: Vec::new(), firing: Vec::new() }
    }

    fn fires(mut self, alerts: &[(&'static str, &'static str)]) -> Self {
        self.fired = alerts.to_vec();
        self
    }

    fn at(mut self, minute: usize, alerts: &[(&'static str, &'static str)]) -> Self {
        self.firing.push((minute, alerts.to_vec()));
        self
    }
}
