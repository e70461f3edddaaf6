//! The three forms of one snapshot, with values.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::prometheus::proto::{Histogram as Message, MetricFamily, MetricType};
use ::protobuf::{CodedInputStream, Message as _, UnknownValueRef};
use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::measure::catalog::{Catalog, CheckId, GroupId, RequestId, TaskId, UserId};
use crate::measure::daemon::Verdict;
use crate::measure::exemplar::Traced;
use crate::measure::health::Health;
use crate::measure::name;
use crate::measure::outcome::RunVerdict;
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::tests::PHASES;
use crate::measure::snapshot::{BaselineTime, Detail, Facts, Phase, RunInfo};
use crate::measure::soak::{Drift, Signal, Soak};
use crate::measure::threshold::{Judgement, ThresholdRule, ThresholdState};
use crate::measure::totals::UserState;
use crate::phases::Phases;
use crate::reason::Reason;
use crate::trace::queue::SpanCounts;
use crate::trace::{SpanId, TraceId};
use crate::units::Quantity;

mod exemplars;

fn catalog() -> Catalog {
    let mut catalog = Catalog { buckets: vec![0.01, 1.0], ..Catalog::default() };
    let user = catalog.add_user("Driver");
    catalog.add_task(user, "look");
    let cars = catalog.add_request("Driver", "look", "GET /cars", "GET");
    catalog.add_request("Driver", "look", "POST /\"x\\", "POST");
    // The same request in another task: one series where only the request is a label.
    let again = catalog.add_request("Driver", "again", "GET /cars", "GET");
    catalog.add_group("Driver", "look", "both");
    catalog.add_check(cars, "status");
    catalog.add_check(again, "status");
    catalog.add_threshold("p95 < 300ms");
    catalog
}

/// Measured so many milliseconds after the minute in which the run started.
fn span(trace: u128, id: u64, millis: u64) -> Traced {
    let ids = (TraceId::new(trace).unwrap(), SpanId::new(id).unwrap());
    Traced { trace: ids.0, span: ids.1, at: Timestamp::from_unix(Duration::from_millis(1_795_428_900_000 + millis)) }
}

pub(in crate::export) fn snapshot() -> Snapshot {
    let catalog = Arc::new(catalog());
    let mut shard = Shard::new(&catalog);
    let millis = Duration::from_millis;
    let ok = Sample {
        response: millis(10),
        service: millis(10),
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 100,
        received_bytes: 2000,
        redirects: 1,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &PHASES,
        exemplar: None,
    };
    let opened = Phases { connect: Some(Duration::from_micros(70)), ..PHASES };
    let first = Sample { phases: &opened, ..ok };
    shard.request(
        RequestId(0),
        &Sample { exemplar: Some(span(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7, 31_250)), ..first },
    );
    let slow = Sample { response: Duration::from_nanos(1_500_000_001), service: millis(500), ..ok };
    shard.request(RequestId(0), &Sample { exemplar: Some(span(7, 0xcafe, 32_000)), ..slow });
    shard.request(RequestId(0), &Sample { response: Duration::ZERO, service: Duration::ZERO, ..ok });
    shard.request(
        RequestId(2),
        &Sample { status: Some(503), failure: Some((Reason::Status, "503")), exemplar: Some(span(8, 9, 32_001)), ..ok },
    );
    shard.request(RequestId(2), &Sample { status: None, failure: Some((Reason::Timeout, "30s")), ..ok });
    shard.task(TaskId(0), true, millis(20));
    shard.group(GroupId(0), false, millis(30));
    shard.check(CheckId(0), true);
    shard.check(CheckId(1), false);
    shard.user(UserId(0), None, Some(UserState::Running));
    shard.user(UserId(0), None, Some(UserState::Waiting));
    shard.users_target(UserId(0), 3);
    shard.lag(Duration::from_secs(4000));
    shard.connections(5, 2);
    let run = RunInfo {
        test: "cars".into(),
        run_id: "r1".into(),
        version: "0.1.0".into(),
        host: "http://127.0.0.1:5000".into(),
        scenario_sha256: "abc".into(),
        started_at: Timestamp::from_unix(Duration::from_millis(1_795_428_930_250)),
        labels: vec![("team".into(), "a\nb".into()), ("user".into(), "taken".into()), ("not-a-label".into(), "x".into())],
    };
    let mut facts = Facts::new(Arc::new(run), Phase::Steady, 100_000);
    facts.planned = Some(Duration::from_secs(12 * 3600));
    facts.steady = Duration::from_millis(90_500);
    facts.generator_shares = Some([0.001, 0.004, 0.006]);
    facts.health = Health {
        cpu_ratio: Some(0.25),
        loop_lag_seconds: Some(0.0001),
        resident_bytes: Some(1_048_576),
        open_fds: Some(12),
        busy_ratio: Some(0.3),
        saturated: false,
    };
    facts.spans = Some(SpanCounts { exported: 1234, dropped: [5, 0, 6, 0, 0, 0, 0], queued: 7 });
    facts.thresholds = [broken()].into();
    facts.soak = Arc::new(soak());
    let quantiles = ["0.5", "0.9", "0.95", "0.99"];
    let baseline =
        |request: &str| quantiles.map(|quantile| BaselineTime { request: request.to_owned(), quantile, seconds: 0.02 });
    facts.baseline = ["GET /cars", "POST /\"x\\"].map(baseline).concat().into();
    facts.verdict = RunVerdict::Failed;
    let mut snapshot = Snapshot::empty(&catalog, facts);
    snapshot.add(&mut shard, Detail::Totals);
    snapshot
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
    let mut drifts = Vec::new();
    for request in ["GET /cars", "POST /\"x\\"] {
        drifts.extend([
            drift(request, Signal::P50, 0.0101, 0.01, 0.5, false),
            drift(request, Signal::P99, 0.0125, 0.25, 0.0001, true),
            drift(request, Signal::FailureRatio, 0.01, 0.0, 1.0, false),
            drift(request, Signal::Throughput, 0.012, 0.2, 0.002, false),
        ]);
    }
    drifts.push(drift("", Signal::ResidentBytes, 0.01, 0.0, 1.0, false));
    Soak { windows: 180, window_seconds: 240.0, min_change: 0.1, fail_on_regression: true, drifts }
}

fn broken() -> ThresholdState {
    let rule = ThresholdRule {
        name: "p95 < 300ms".into(),
        that: "p95 < 300ms".into(),
        scope: "all requests".into(),
        quantity: Quantity::Seconds,
        comparison: "<",
        limit: 0.3,
        over: None,
        after: Duration::ZERO,
        abort: false,
        lag_proof: false,
    };
    ThresholdState { judgement: Judgement::Broken, value: Some(0.512), ..ThresholdState::new(Arc::new(rule)) }
}

fn text_of(snapshot: &Snapshot, format: Format) -> String {
    String::from_utf8(encode(snapshot, format)).unwrap()
}

/// The messages of a delimited body.
fn decode(body: &[u8]) -> Vec<MetricFamily> {
    let mut input = CodedInputStream::from_bytes(body);
    let mut families = Vec::new();
    while !input.eof().unwrap() {
        families.push(MetricFamily::parse_from_bytes(&input.read_bytes().unwrap()).unwrap());
    }
    families
}

/// Compares with a file beside this one; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/export/prometheus/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == text, "{name} differs; see UPDATE_GOLDEN=1 and git diff");
}

#[test]
fn golden_text() {
    golden("text.txt", &text_of(&snapshot(), Format::Text));
}

#[test]
fn golden_openmetrics() {
    golden("openmetrics.txt", &text_of(&snapshot(), Format::OpenMetrics));
}

/// Every family of the table is written, and by every form; none has two series with the same labels.
#[test]
fn every_metric_has_a_source() {
    let snapshot = snapshot();
    let text = text_of(&snapshot, Format::Text);
    let openmetrics = text_of(&snapshot, Format::OpenMetrics);
    let protobuf = decode(&encode(&snapshot, Format::Protobuf));
    assert_eq!(protobuf.iter().map(MetricFamily::name).collect::<Vec<_>>(), name::ALL.iter().map(|m| m.name).collect::<Vec<_>>());
    for metric in name::ALL {
        assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.name())), "{}", metric.name);
        assert!(openmetrics.contains(&format!("# TYPE {} {}\n", metric.family(), metric.kind.name())), "{}", metric.name);
    }
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).collect();
    assert_eq!(samples.iter().map(|(series, _)| series).collect::<BTreeSet<_>>().len(), samples.len());
    assert!(samples.len() as u64 <= snapshot.catalog.series(), "{} series", samples.len());
}

/// The budget is not far off: with every reason and both results there is nothing left of it.
#[test]
fn the_budget_is_what_a_full_run_exports() {
    let mut catalog = catalog();
    (0..3).for_each(|id| catalog.add_stream(RequestId(id)));
    let catalog = Arc::new(catalog);
    let mut shard = Shard::new(&catalog);
    let time = Duration::from_millis(1);
    let whole = Some(time);
    let all = Phases { dns: whole, connect: whole, tls: whole, first_event: whole, ..PHASES };
    for id in 0..3 {
        let sample = Sample {
            response: time,
            service: time,
            lag: Duration::ZERO,
            status: Some(201),
            failure: None,
            sent_bytes: 1,
            received_bytes: 1,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            phases: &all,
            exemplar: None,
        };
        shard.request(RequestId(id), &sample);
        for reason in Reason::ALL {
            shard.request(RequestId(id), &Sample { status: Some(500), failure: Some((reason, "")), ..sample });
        }
    }
    for ok in [true, false] {
        shard.task(TaskId(0), ok, time);
        shard.group(GroupId(0), ok, time);
    }
    let mut snapshot = snapshot();
    (snapshot.catalog, snapshot.totals) = (Arc::clone(&catalog), Snapshot::empty(&catalog, snapshot.facts.clone()).totals);
    snapshot.add(&mut shard, Detail::Totals);
    let samples = text_of(&snapshot, Format::Text).lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples as u64, catalog.series());
}

#[test]
fn at_the_start_successes_are_zero_and_failures_absent() {
    let snapshot = Snapshot::empty(&Arc::new(catalog()), snapshot().facts);
    let text = text_of(&snapshot, Format::Text);
    let run = "test=\"cars\",run_id=\"r1\",team=\"a\\nb\"";
    let request = format!("{run},user=\"Driver\",task=\"look\",request=\"GET /cars\",method=\"GET\"");
    for line in [
        format!("otload_requests_total{{{request},status=\"200\",result=\"success\"}} 0\n"),
        format!("otload_request_duration_seconds_count{{{request},result=\"success\"}} 0\n"),
        format!("otload_iterations_total{{{run},user=\"Driver\",task=\"look\",result=\"failure\"}} 0\n"),
        format!("otload_checks_total{{{run},request=\"GET /cars\",check=\"status\",result=\"failure\"}} 0\n"),
        format!("otload_sent_bytes_total{{{run},request=\"GET /cars\"}} 0\n"),
        format!("otload_request_failures_total{{{request},reason=\"connect_refused\"}} 0\n"),
        format!("otload_request_phase_seconds_count{{{run},request=\"GET /cars\",phase=\"receive\"}} 0\n"),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    assert!(!text.contains("phase=\"connect\""));
    assert!(!text.contains("duration_seconds_count{test=\"cars\",run_id=\"r1\",team=\"a\\nb\",user=\"Driver\",task=\"look\",request=\"GET /cars\",method=\"GET\",result=\"failure\""));
}

#[test]
fn a_threshold_without_data_has_no_value_and_is_not_broken_yet() {
    let line = |name: &str| format!("{name}{{test=\"cars\",run_id=\"r1\",team=\"a\\nb\",threshold=\"p95 < 300ms\"}} ");
    let mut snapshot = snapshot();
    snapshot.facts.thresholds = [ThresholdState::new(broken().rule)].into();
    for (verdict, valid, run) in [
        (RunVerdict::Passed, true, Some(1)),
        (RunVerdict::Failed, true, Some(0)),
        (RunVerdict::Failed, false, Some(0)),
        (RunVerdict::Passed, false, None),
        (RunVerdict::NotJudged, true, None),
    ] {
        (snapshot.facts.verdict, snapshot.facts.valid) = (verdict, valid);
        let text = text_of(&snapshot, Format::Text);
        assert!(text.contains(&format!("{}1\n", line("otload_threshold_ok"))), "{text}");
        assert!(text.contains(&format!("{}0.3\n", line("otload_threshold_limit"))), "{text}");
        assert!(!text.contains("otload_threshold_value"), "{text}");
        let of_run = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{test=\"cars\",run_id=\"r1\",team=\"a\\nb\"}} ")))
        };
        assert_eq!(of_run("otload_run_passed").map(|value| value.parse().unwrap()), run, "{text}");
        assert_eq!(of_run("otload_run_judged"), Some(if run.is_some() { "1" } else { "0" }), "{text}");
    }
}

#[test]
fn without_traces_there_are_no_counters_of_spans() {
    let mut snapshot = snapshot();
    assert!(
        text_of(&snapshot, Format::Text)
            .contains("otload_spans_dropped_total{test=\"cars\",run_id=\"r1\",team=\"a\\nb\",reason=\"shutdown\"} 0\n")
    );
    snapshot.facts.spans = None;
    for format in [Format::Text, Format::OpenMetrics] {
        assert!(!text_of(&snapshot, format).contains("otload_spans"));
    }
}

/// What Prometheus reads from the unknown fields: (schema, zero threshold, zero count, buckets).
fn native_of(message: &Message) -> (u64, f64, u64, Vec<(i64, i64)>) {
    let (mut schema, mut threshold, mut zero, mut spans, mut deltas) = (0, 0.0, 99, Vec::new(), Vec::new());
    let unzigzag = |number: u64| (number >> 1) as i64 ^ -((number & 1) as i64);
    for (field, value) in message.special_fields.unknown_fields() {
        match (field, value) {
            (5, UnknownValueRef::Varint(number)) => schema = number,
            (6, UnknownValueRef::Fixed64(bits)) => threshold = f64::from_bits(bits),
            (7, UnknownValueRef::Varint(number)) => zero = number,
            (12, UnknownValueRef::LengthDelimited(bytes)) => {
                let mut input = CodedInputStream::from_bytes(bytes);
                assert_eq!(input.read_raw_varint32().unwrap(), 0x08);
                let offset = input.read_sint32().unwrap();
                assert_eq!(input.read_raw_varint32().unwrap(), 0x10);
                spans.push((offset, input.read_uint32().unwrap()));
                assert!(input.eof().unwrap());
            }
            (13, UnknownValueRef::LengthDelimited(bytes)) => {
                let mut input = CodedInputStream::from_bytes(bytes);
                while !input.eof().unwrap() {
                    deltas.push(input.read_sint64().unwrap());
                }
            }
            // Exemplars have tests of their own.
            (16, UnknownValueRef::LengthDelimited(_)) => {}
            other => panic!("unexpected field {other:?}"),
        }
    }
    let (mut index, mut count, mut buckets) = (0, 0, Vec::new());
    let mut steps = deltas.into_iter();
    for (offset, length) in spans {
        index += i64::from(offset);
        for _ in 0..length {
            count += steps.next().unwrap();
            buckets.push((index, count));
            index += 1;
        }
    }
    assert_eq!(steps.next(), None);
    (unzigzag(schema) as u64, threshold, zero, buckets.into_iter().filter(|(_, count)| *count != 0).collect())
}

#[test]
fn golden_protobuf() {
    let families = decode(&encode(&snapshot(), Format::Protobuf));
    let family = |name: &str| families.iter().find(|family| family.name() == name).unwrap();

    let durations = family("otload_request_duration_seconds");
    assert_eq!(durations.get_field_type(), MetricType::HISTOGRAM);
    let first = &durations.get_metric()[0];
    let labels: Vec<_> = first.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
    let wanted =
        [("test", "cars"), ("run_id", "r1"), ("team", "a\nb"), ("user", "Driver"), ("task", "look"), ("request", "GET /cars")];
    assert_eq!(labels[..6], wanted);
    assert_eq!(labels[6..], [("method", "GET"), ("result", "success")]);
    let histogram = first.get_histogram();
    assert_eq!((histogram.get_sample_count(), histogram.get_sample_sum()), (3, 1.510_000_001));
    let buckets: Vec<_> = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
    assert_eq!(buckets, [(0.01, 2), (1.0, 2), (f64::INFINITY, 3)]);
    // 10 ms lies in (2^(-54/8), 2^(-53/8)], 1.5 s in (2^(4/8), 2^(5/8)], and one was zero.
    assert_eq!(native_of(histogram), (3, 2_f64.powi(-128), 1, vec![(-53, 1), (5, 1)]));

    let empty = durations.get_metric()[1].get_histogram();
    assert_eq!((empty.get_sample_count(), native_of(empty)), (0, (3, 2_f64.powi(-128), 0, vec![])));

    let requests = family("otload_requests_total");
    assert_eq!(requests.get_field_type(), MetricType::COUNTER);
    let counts: Vec<_> = requests.get_metric().iter().map(|metric| metric.get_counter().value()).collect();
    assert_eq!(counts, [3.0, 0.0, 0.0, 1.0, 1.0]);
    let target = family("otload_users_target");
    assert_eq!((target.get_field_type(), target.get_metric()[0].get_gauge().value()), (MetricType::GAUGE, 3.0));
}

#[test]
fn promtool_has_nothing_to_complain_about() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs promtool ({error}): apt-get install --no-install-recommends prometheus"));
    let mut snapshot = snapshot();
    // It wants the label `quantile` on summaries only. The baseline's are those of a run that is over: nothing that is still counted.
    // The generator's shares are of quantiles, and have no count.
    snapshot.facts.baseline = Arc::default();
    snapshot.facts.generator_shares = None;
    promtool.stdin.take().unwrap().write_all(&encode(&snapshot, Format::Text)).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

proptest! {
    /// One snapshot, three forms, the same numbers.
    #[test]
    fn forms_agree(values in prop::collection::vec(0..5_000_000_000_u64, 0..60)) {
        let catalog = Arc::new(catalog());
        let mut shard = Shard::new(&catalog);
        for nanos in &values {
            shard.lag(Duration::from_nanos(*nanos));
        }
        let mut snapshot = Snapshot::empty(&catalog, snapshot().facts);
        snapshot.add(&mut shard, Detail::Totals);
        let families = decode(&encode(&snapshot, Format::Protobuf));
        let family = families.iter().find(|family| family.name() == name::SCHEDULE_LAG.name).unwrap();
        let histogram = family.get_metric()[0].get_histogram();
        let native: i64 = native_of(histogram).3.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(native as u64 + native_of(histogram).2, values.len() as u64);
        let text = text_of(&snapshot, Format::Text);
        for bucket in histogram.get_bucket() {
            let le = text::boundary(bucket.upper_bound());
            let line = format!("otload_schedule_lag_seconds_bucket{{test=\"cars\",run_id=\"r1\",team=\"a\\nb\",le=\"{le}\"}} {}\n", bucket.cumulative_count());
            prop_assert!(text.contains(&line), "{line}");
        }
        let openmetrics = text_of(&snapshot, Format::OpenMetrics);
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(samples(&text), samples(&openmetrics));
    }
}

#[test]
fn a_daemon_counts_beside_its_run() {
    let mut counts = DaemonCounts::default();
    (counts.running, counts.skipped) = (true, 2);
    counts.ended(Verdict::Crashed);
    for format in [Format::Text, Format::OpenMetrics] {
        let text = String::from_utf8(with_daemon(encode(&snapshot(), format), &counts, format)).unwrap();
        let ends = text.matches("# EOF\n").count();
        assert_eq!(
            (ends, text.ends_with("# EOF\n")),
            (usize::from(format == Format::OpenMetrics), format == Format::OpenMetrics)
        );
        for line in [
            "otload_serve_runs_total{verdict=\"crashed\"} 1\n",
            "otload_serve_runs_total{verdict=\"passed\"} 0\n",
            "otload_serve_runs_skipped_total{} 2\n",
            "otload_serve_running{} 1\n",
            "otload_run_valid{test=",
        ] {
            assert!(text.contains(line), "{line} is missing");
        }
    }
    let run = encode(&snapshot(), Format::Protobuf);
    let families = decode(&with_daemon(run.clone(), &counts, Format::Protobuf));
    assert_eq!(families.len(), decode(&run).len() + 3);
    assert_eq!(families.last().unwrap().get_metric()[0].get_gauge().value(), 1.0);
    assert!(!with_daemon(Vec::new(), &counts, Format::Text).is_empty(), "before the first run");
}
