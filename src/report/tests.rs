//! Golden reports of one small run.

mod exporters;

use std::sync::Arc;
use std::time::Duration;

use super::remarks::{Kind, Remark};
use super::*;
use crate::clock::Timestamp;
use crate::measure::catalog::{Catalog, CheckId, RequestId, TaskId, UserId};
use crate::measure::health::Health;
use crate::measure::outcome::CauseKind;
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::tests::PHASES;
use crate::measure::snapshot::{Detail, Facts, Phase, RunInfo};
use crate::measure::soak::{Drift, Signal, Soak};
use crate::measure::threshold::{Judgement, ThresholdRule, ThresholdState};
use crate::measure::totals::UserState;
use crate::reason::Reason;
use crate::trace::queue::SpanCounts;
use crate::units::Quantity;

fn catalog() -> Arc<Catalog> {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("Driver");
    catalog.add_task(user, "look");
    let cars = catalog.add_request("Driver", "look", "GET /cars", "GET");
    catalog.add_request("Driver", "look", "a request with quite a long name", "POST");
    catalog.add_request("Driver", "look", "GET /never", "GET");
    catalog.add_check(cars, "json $.cars[0].brand");
    Arc::new(catalog)
}

fn facts(seconds: u64) -> Facts {
    let run = RunInfo {
        test: "cars".into(),
        run_id: "r1".into(),
        version: "0.1.0".into(),
        host: "http://127.0.0.1:5000".into(),
        scenario_sha256: "abc".into(),
        started_at: Timestamp::from_unix(Duration::from_millis(1_795_428_930_250)),
        labels: vec![("team".into(), "a".into())],
    };
    let mut facts = Facts::new(Arc::new(run), Phase::Steady, 100_000);
    (facts.elapsed, facts.measured, facts.peak_users) = (Duration::from_secs(seconds + 2), Duration::from_secs(seconds), 3);
    facts.worst_health = Health {
        cpu_ratio: Some(0.25),
        loop_lag_seconds: Some(0.0001),
        resident_bytes: Some(12 << 20),
        open_fds: Some(12),
        busy_ratio: Some(0.95),
        saturated: true,
    };
    facts.thresholds = thresholds();
    facts.soak = Arc::new(soak());
    facts.verdict = RunVerdict::Failed;
    facts.spans = Some(SpanCounts { exported: 1_234_567, dropped: [1000, 0, 0, 2, 0, 0, 0], queued: 3 });
    facts
}

/// Memory that grew, and a median that did not.
fn soak() -> Soak {
    let drift = |request: &str, signal, last, change, p_value: f64, regressed| Drift {
        request: request.to_owned(),
        signal,
        first: 0.01,
        last,
        change,
        slope_per_hour: change / 12.0,
        p_value,
        significant: p_value < 0.01,
        regressed,
    };
    let drifts = vec![
        drift("GET /cars", Signal::P50, 0.0101, 0.01, 0.5, false),
        drift("GET /cars", Signal::P99, 0.0125, 0.25, 0.0001, true),
        drift("GET /cars", Signal::Throughput, 0.012, 0.2, 0.002, false),
        drift("", Signal::ResidentBytes, 0.01, 0.0, 1.0, false),
    ];
    Soak { windows: 180, window_seconds: 240.0, min_change: 0.1, fail_on_regression: true, drifts }
}

fn thresholds() -> Arc<[ThresholdState]> {
    let rule = |that: &str, quantity, limit| ThresholdRule {
        name: that.into(),
        that: that.into(),
        scope: "all requests".into(),
        quantity,
        comparison: "<",
        limit,
        over: None,
        after: Duration::ZERO,
        abort: false,
        lag_proof: false,
    };
    let invalid = ThresholdState {
        judgement: Judgement::Invalid,
        value: Some(0.008),
        ..ThresholdState::new(Arc::new(rule("p50 < 300ms", Quantity::Seconds, 0.3)))
    };
    let seconds = Duration::from_secs;
    let ratio = ThresholdRule {
        name: "few failures".into(),
        over: Some(seconds(2)),
        abort: true,
        ..rule("failure_ratio < 1% over 2s", Quantity::Ratio, 0.01)
    };
    let broken = ThresholdState {
        judgement: Judgement::Broken,
        value: Some(0.25),
        worst: Some((0.5, Duration::from_millis(3400))),
        broken_at: Some(seconds(3)),
        aborted: true,
        ..ThresholdState::new(Arc::new(ratio))
    };
    let rule =
        ThresholdRule { scope: "request \"GET /never\"".into(), ..rule("p95 of \"GET /never\" < 1s", Quantity::Seconds, 1.0) };
    let missing = Some("there was nothing of request \"GET /never\"".into());
    let no_data = ThresholdState { judgement: Judgement::NoData, missing, ..ThresholdState::new(Arc::new(rule)) };
    [invalid, broken, no_data].into()
}

fn shard() -> Shard {
    let mut shard = Shard::new(&catalog());
    shard.end_warm_up();
    let ok = |millis| Sample {
        response: Duration::from_millis(millis),
        service: Duration::from_millis(millis / 2),
        lag: Duration::from_micros(millis * 10),
        status: Some(200),
        failure: None,
        sent_bytes: 100,
        received_bytes: 2000,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &PHASES,
        exemplar: None,
    };
    for millis in [2, 4, 6, 8, 1000] {
        shard.request(RequestId(0), &ok(millis));
        shard.check(CheckId(0), millis < 1000);
    }
    shard.request(RequestId(1), &Sample { status: Some(503), failure: Some((Reason::Status, "503 from \x1b[31m/x")), ..ok(20) });
    shard.request(
        RequestId(1),
        &Sample { status: None, failure: Some((Reason::Timeout, "no response within 30s")), ..ok(30_000) },
    );
    shard.request(RequestId(1), &Sample { status: Some(201), redirects: 1, ..ok(40) });
    shard.task(TaskId(0), true, Duration::from_millis(9));
    shard.user(UserId(0), None, Some(UserState::Running));
    shard.user(UserId(0), None, Some(UserState::Waiting));
    shard.users_target(UserId(0), 3);
    shard.drop_arrivals(UserId(0), 1);
    shard.lag(Duration::from_micros(50));
    shard.connections(2, 2);
    shard
}

fn snapshot(shard: &Shard, seconds: u64) -> Snapshot {
    let mut snapshot = Snapshot::empty(&catalog(), facts(seconds));
    snapshot.add(&mut shard.clone(), Detail::Full);
    snapshot
}

/// Somebody's own words, with a character that would change a terminal.
fn remark() -> Remark {
    let at = Timestamp::from_unix(Duration::from_millis(1_795_428_933_250));
    Remark { at, elapsed: Duration::from_secs(3), kind: Kind::Annotation, text: "v2 is out".into() }
}

fn outcome() -> Outcome {
    Outcome {
        remarks: vec![remark()],
        end: RunEnd::Finished,
        recorded: true,
        valid: false,
        unjudged: None,
        invalid_reasons: vec!["a worker was busy for 95% of the time".into()],
        verdict: RunVerdict::Failed,
        failure_causes: vec![FailureCause {
            kind: CauseKind::Threshold,
            message: "threshold failed: few failures: failure_ratio < 1% over 2s: it was 50%".into(),
        }],
        fail_on_errors: false,
        notes: vec!["the target answered with redirects".into()],
        traces: None,
    }
}

#[test]
fn golden_text() {
    exporters::golden("text.txt", &text::write(&snapshot(&shard(), 4), &outcome()));
}

#[test]
fn golden_json() {
    exporters::golden("summary.json", &json::write(&snapshot(&shard(), 4), &outcome()).unwrap());
}

#[test]
fn nothing_measured_is_no_reason_to_fail() {
    let mut nothing = snapshot(&Shard::new(&catalog()), 0);
    nothing.facts.spans = None;
    nothing.facts.thresholds = Arc::default();
    let text = text::write(&nothing, &Outcome { valid: true, ..Outcome::default() });
    assert!(
        text.contains("      Aggregated                             0  0 (0.00%) |   -    -    -    - |  0.00        0.00\n"),
        "{text}"
    );
    assert!(text.contains(" · not judged\n"), "{text}");
    for absent in ["Failures", "Thresholds", "Spans", "invalid", "note", "NaN", "inf"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    let json = json::write(&nothing, &Outcome::default()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["totals"]["response_time_seconds"], serde_json::Value::Null);
    assert_eq!(json["totals"]["rps"], 0.0);
    assert_eq!(json.get("spans"), Some(&serde_json::Value::Null));
}

#[test]
fn the_verdict_is_in_the_first_line_and_a_sign_before_each_threshold() {
    let mut snapshot = snapshot(&shard(), 4);
    let mut thresholds = snapshot.facts.thresholds.to_vec();
    thresholds[0].judgement = Judgement::Holds;
    snapshot.facts.thresholds = thresholds.into();
    let said = |valid, verdict| text::write(&snapshot, &Outcome { valid, verdict, ..Outcome::default() });
    for (valid, verdict, words) in [
        (true, RunVerdict::Passed, "passed"),
        (true, RunVerdict::Failed, "failed"),
        (true, RunVerdict::NotJudged, "not judged"),
        (false, RunVerdict::NotJudged, "invalid"),
        (false, RunVerdict::Failed, "failed, invalid"),
    ] {
        assert!(said(valid, verdict).contains(&format!(" · {words}\n")), "{words}");
    }
    assert!(
        said(true, RunVerdict::Failed).contains("\n✓  p50 < 300ms                                 8ms\n"),
        "{}",
        said(true, RunVerdict::Failed)
    );
}

#[test]
fn spans_take_a_line_and_reasons_are_told_when_there_are_some() {
    let mut snapshot = snapshot(&shard(), 4);
    snapshot.facts.spans = Some(SpanCounts { exported: 1234, ..SpanCounts::default() });
    let text = text::write(&snapshot, &outcome());
    assert!(text.contains("\nSpans: 1,234 exported, 0 dropped\n"), "{text}");
    assert_eq!([0, 999, 1000, 12_345, 1_234_567].map(grouped), ["0", "999", "1,000", "12,345", "1,234,567"]);
}

#[test]
fn progress_is_of_the_interval() {
    let mut shard = shard();
    let before = snapshot(&shard, 63);
    for millis in 1..=100 {
        let time = Duration::from_millis(millis);
        let failure = (millis > 98).then_some((Reason::Reset, "peer"));
        let sample = Sample {
            response: time,
            service: time,
            lag: Duration::ZERO,
            status: Some(200),
            failure,
            sent_bytes: 0,
            received_bytes: 0,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            phases: &PHASES,
            exemplar: None,
        };
        shard.request(RequestId(0), &sample);
    }
    let now = snapshot(&shard, 68);
    assert_eq!(
        progress::line(&before, &now),
        "00:01:10  steady     users 2/3  20.0 req/s  failures 2 (2.00%)  p50 50.0  p95 95.0  p99 99.0 ms"
    );
    assert_eq!(progress::line(&now, &now), "00:01:10  steady     users 2/3  0.0 req/s  failures 0 (0.00%)  no response times");
}

#[test]
fn the_same_name_in_two_tasks_tells_them_apart() {
    let mut catalog = Catalog::default();
    for (task, name) in [("a", "GET /x"), ("b", "GET /x"), ("b", "GET"), ("b", "GETTER /y")] {
        catalog.add_request("U", task, name, "GET");
    }
    let snapshot = Snapshot::empty(&Arc::new(catalog), facts(1));
    let names: Vec<_> = snapshot.catalog.requests.iter().map(|name| row_name(&snapshot, name)).collect();
    assert_eq!(names, ["/x (U, a)", "/x (U, b)", "GET", "GETTER /y"]);
}

#[test]
fn times_have_three_digits() {
    for (seconds, text) in [
        (0.0, "0.000"),
        (0.000_123_4, "0.123"),
        (0.000_999_9, "1.00"),
        (0.009_999, "10.0"),
        (0.0123, "12.3"),
        (0.09999, "100"),
        (1.5, "1500"),
    ] {
        assert_eq!(millis(seconds), text);
    }
}
