//! What measuring costs: recording a request, merging shards for a scrape, writing the three forms and the spans of a
//! batch, judging thresholds.
//! `cargo bench --bench measure`; the snapshot has about 70 requests, which are more than 5,000 series.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use divan::{Bencher, black_box};
use otload::clock::Timestamp;
use otload::diagnostic::Source;
use otload::export::otlp::encode::spans;
use otload::export::otlp::settings::Identity;
use otload::export::prometheus::{Format, encode};
use otload::judge::verdict::Verdict;
use otload::measure::catalog::{Catalog, RequestId};
use otload::measure::exemplar::Traced;
use otload::measure::shard::{Sample, Shard};
use otload::measure::snapshot::{Detail, Facts, Phase, RunInfo, Snapshot};
use otload::phases::Phases;
use otload::reason::Reason;
use otload::scenario::{Overrides, compile};
use otload::trace::{Hop, Kind, Span, SpanId, TraceId};

const REQUESTS: u32 = 70;

/// Of a request on a connection that was kept, whose answer came in one piece.
const PHASES: Phases = Phases {
    send: Some(Duration::from_micros(8)),
    wait: Some(Duration::from_micros(1900)),
    receive: Some(Duration::ZERO),
    ..Phases::NONE
};

fn main() {
    divan::main();
}

fn catalog() -> Arc<Catalog> {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("UserBehaviour");
    for id in 0..REQUESTS {
        let task = format!("task {id}");
        catalog.add_task(user, &task);
        catalog.add_request("UserBehaviour", &task, &format!("GET /cars/{id}"), "GET");
    }
    Arc::new(catalog)
}

fn facts() -> Facts {
    let run = RunInfo {
        test: "cars".to_owned(),
        run_id: "20261123-101530-abcd".to_owned(),
        version: "0.1.0".to_owned(),
        host: "http://127.0.0.1:5000".to_owned(),
        scenario_sha256: "0".repeat(64),
        started_at: Timestamp::from_unix(Duration::from_secs(1_795_428_930)),
        labels: Vec::new(),
    };
    Facts::new(Arc::new(run), Phase::Steady, 100_000)
}

/// Latencies between 1 and 60 ms that do not repeat, without a random generator's cost.
fn sample(number: u64) -> Sample<'static> {
    let response = Duration::from_nanos(1_000_000 + number.wrapping_mul(2_654_435_761) % 59_000_000);
    let failure = number.is_multiple_of(50).then_some((Reason::Status, "503 Service Unavailable"));
    let status = Some(if failure.is_some() { 503 } else { 200 });
    Sample {
        response,
        service: response,
        lag: Duration::ZERO,
        status,
        failure,
        sent_bytes: 120,
        received_bytes: 2048,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &PHASES,
        exemplar: None,
    }
}

fn filled(catalog: &Arc<Catalog>) -> Shard {
    let mut shard = Shard::new(catalog);
    for number in 0..u64::from(REQUESTS) * 1000 {
        shard.request(RequestId((number % u64::from(REQUESTS)) as u32), &sample(number / 7));
    }
    shard
}

#[divan::bench]
fn record_request(bencher: Bencher<'_, '_>) {
    let catalog = catalog();
    let mut shard = filled(&catalog);
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        shard.request(black_box(RequestId(3)), black_box(&sample(number)));
    });
}

/// The open model: response and service time differ.
#[divan::bench]
fn record_request_with_two_times(bencher: Bencher<'_, '_>) {
    let catalog = catalog();
    let mut shard = filled(&catalog);
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let sample = sample(number);
        shard.request(black_box(RequestId(3)), black_box(&Sample { service: sample.response / 2, ..sample }));
    });
}

/// Each with an exported span: the dearest case of `observe.traces`.
#[divan::bench]
fn record_request_with_an_exemplar(bencher: Bencher<'_, '_>) {
    let catalog = catalog();
    let mut shard = filled(&catalog);
    let ids = TraceId::new(1).zip(SpanId::new(1));
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let at = Timestamp::from_unix(Duration::from_micros(number));
        let exemplar = ids.map(|(trace, span)| Traced { trace, span, at });
        shard.request(black_box(RequestId(3)), black_box(&Sample { exemplar, ..sample(number) }));
    });
}

#[divan::bench(args = [Detail::Totals, Detail::Full])]
fn merge_four_shards(bencher: Bencher<'_, '_>, detail: Detail) {
    let catalog = catalog();
    let shards: Vec<_> = (0..4).map(|_| Arc::new(Mutex::new(filled(&catalog)))).collect();
    bencher.bench_local(|| Snapshot::take(&catalog, facts(), &shards, detail));
}

#[divan::bench(args = Format::ALL)]
fn encode_five_thousand_series(bencher: Bencher<'_, '_>, format: Format) {
    let catalog = catalog();
    let shards = [Arc::new(Mutex::new(filled(&catalog)))];
    let snapshot = Snapshot::take(&catalog, facts(), &shards, Detail::Totals);
    bencher.bench_local(|| encode(&snapshot, format));
}

/// As many as are sent at once.
#[divan::bench]
fn encode_a_batch_of_512_spans(bencher: Bencher<'_, '_>) {
    let (catalog, facts, identity) = (catalog(), facts(), Identity::default());
    let hop = |number: u32| Hop {
        request: number % REQUESTS,
        resend: 0,
        method: http::Method::GET,
        url: format!("http://127.0.0.1:5000/cars/{number}").into(),
        peer: Some(([127, 0, 0, 1], 5000).into()),
        status: Some(200),
        version: Some("1.1"),
        failure: None,
        sent_bytes: 120,
        received_bytes: 2048,
        phases: ["send", "wait", "receive"].map(|phase| (phase, Duration::from_micros(50))).to_vec(),
    };
    let batch: Vec<_> = (1..=512)
        .filter_map(|number: u32| {
            Some(Span {
                trace: TraceId::new(u128::from(number))?,
                id: SpanId::new(u64::from(number))?,
                parent: None,
                sampled: true,
                started: Timestamp::from_unix(Duration::from_secs(1_795_428_930)),
                duration: Duration::from_micros(150),
                kind: Kind::Request(Box::new(hop(number))),
            })
        })
        .collect();
    bencher.bench_local(|| spans(black_box(&batch), &catalog, &facts.run, &identity));
}

/// What is done each second: five thresholds over 50 requests, two of them over windows that are full.
#[divan::bench]
fn judge_five_thresholds(bencher: Bencher<'_, '_>) {
    let tasks: Vec<_> = (0..50).map(|id| format!("{{get: /cars/{id}}}")).collect();
    let text = format!(
        "host: http://127.0.0.1:5000\nusers: [{{name: U, tasks: [{}]}}]\nload: {{users: 1}}\nthresholds:\n  - p95 < 300ms\n  \
         - p99 of \"GET /cars/7\" < 1s\n  - failure_ratio < 1% over 30s\n  - p95 < 300ms over 1m\n  - rps > 10\n",
        tasks.join(", ")
    );
    let source = Arc::new(Source { name: "cars.yaml".to_owned(), text });
    let Ok((plan, _)) = compile(source, &Overrides::default()) else { return };
    let mut verdict = Verdict::new(&plan.thresholds, &plan.catalog, false, |_| None);
    let shards = [Arc::new(Mutex::new(filled(&plan.catalog)))];
    let mut facts = facts();
    for second in 1..=120 {
        facts.measured = Duration::from_secs(second);
        verdict.look(&Snapshot::take(&plan.catalog, facts.clone(), &shards, Detail::Full));
    }
    let mut snapshot = Snapshot::take(&plan.catalog, facts, &shards, Detail::Full);
    bencher.bench_local(|| {
        snapshot.facts.measured += Duration::from_secs(1);
        verdict.look(black_box(&snapshot))
    });
}
