//! The messages of OTLP, taken and printed by a real receiver.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use otload::clock::Timestamp;
use otload::export::otlp::encode;
use otload::export::otlp::message::Message;
use otload::export::otlp::settings::Identity;
use otload::measure::catalog::{Catalog, RequestId};
use otload::measure::exemplar::Traced;
use otload::measure::shard::{Sample, Shard};
use otload::measure::snapshot::{Detail, Facts, Phase, RunInfo, Snapshot};
use otload::reason::Reason;
use otload::trace::{FailureLog, Hop, Kind, Span, SpanId, TraceId};

use crate::kit::{Rotel, post};

const TRACE: u128 = 0x0af7651916cd43dd8448eb211c80319c;
const CLIENT: u64 = 0xb7ad6b7169203331;
const TASK: u64 = 0x00f067aa0ba902b7;

/// What is printed before the spans, metrics or records of every message, after a line of its own.
const SENDER: &str = "\
Resource SchemaURL: https://opentelemetry.io/schemas/1.37.0
Resource attributes:
     -> service.name: Str(cars-load)
     -> service.version: Str(0.1.0)
     -> service.instance.id: Str(r1)
     -> deployment.environment.name: Str(staging)
";

fn catalog() -> Catalog {
    let mut catalog = Catalog { buckets: vec![0.01, 1.0], ..Catalog::default() };
    let user = catalog.add_user("Driver");
    catalog.add_task(user, "look");
    catalog.add_request("Driver", "look", "GET /cars/{id}", "GET");
    catalog
}

fn run() -> RunInfo {
    RunInfo {
        test: "cars".into(),
        run_id: "r1".into(),
        version: "0.1.0".into(),
        host: "http://127.0.0.1:5000".into(),
        scenario_sha256: "abc".into(),
        started_at: at(0),
        labels: vec![("team".into(), "blue".into())],
    }
}

fn identity() -> Identity {
    Identity { service_name: "cars-load".into(), attributes: vec![("deployment.environment.name".into(), "staging".into())] }
}

/// So many milliseconds after the run's start.
fn at(millis: u64) -> Timestamp {
    Timestamp::from_unix(Duration::from_millis(1_795_428_930_250 + millis))
}

fn post_to(rotel: &Rotel, path: &str, message: &impl Message) {
    let answer = post(rotel.http(), path, &[("content-type", "application/x-protobuf")], &message.pack()).unwrap();
    // An empty answer is one without `partial_success`: nothing was refused.
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
}

#[test]
fn spans_arrive_whole() {
    let hop = Hop {
        request: 0,
        resend: 1,
        method: http::Method::GET,
        url: "http://me:***@127.0.0.1:5000/cars/7".into(),
        peer: Some(([127, 0, 0, 1], 5000).into()),
        status: Some(200),
        version: Some("1.1"),
        failure: Some((Reason::Check, "no car".into())),
        sent_bytes: 100,
        received_bytes: 2000,
        phases: vec![("connect", Duration::from_micros(150)), ("receive", Duration::from_millis(9))],
    };
    let task = Span {
        trace: TraceId::new(TRACE).unwrap(),
        id: SpanId::new(TASK).unwrap(),
        parent: None,
        sampled: true,
        started: at(1),
        duration: Duration::from_millis(20),
        kind: Kind::Task { task: 0, ok: false },
    };
    let kind = Kind::Request(Box::new(hop));
    let client = Span { id: SpanId::new(CLIENT).unwrap(), parent: SpanId::new(TASK), kind, ..task.clone() };

    let rotel = Rotel::start();
    post_to(&rotel, "/v1/traces", &encode::spans(&[client, task], &catalog(), &run(), &identity()));
    rotel.wait_for(&format!("ResourceSpans #0\n{SENDER}ScopeSpans #0\n"));
    rotel.wait_for(
        "\
InstrumentationScope otload 0.1.0
Span #0
    Trace ID       : 0af7651916cd43dd8448eb211c80319c
    Parent ID      : 00f067aa0ba902b7
    ID             : b7ad6b7169203331
    Name           : GET /cars/{id}
    Kind           : SPAN_KIND_CLIENT
Start time: 1795428930251000000
End time: 1795428930271000000
    Status code    : STATUS_CODE_ERROR
    Status message : no car
Attributes:
     -> http.request.method: Str(GET)
     -> url.full: Str(http://REDACTED:REDACTED@127.0.0.1:5000/cars/7)
     -> url.template: Str(/cars/{id})
     -> server.address: Str(127.0.0.1)
     -> server.port: Int(5000)
     -> http.response.status_code: Int(200)
     -> error.type: Str(check)
     -> network.protocol.version: Str(1.1)
     -> network.peer.address: Str(127.0.0.1)
     -> network.peer.port: Int(5000)
     -> http.request.resend_count: Int(1)
     -> user_agent.synthetic.type: Str(test)
     -> otload.run_id: Str(r1)
     -> otload.test: Str(cars)
     -> otload.user: Str(Driver)
     -> otload.task: Str(look)
     -> otload.request: Str(GET /cars/{id})
Events:
SpanEvent #0
     -> Name: connect
     -> Timestamp: 1795428930251150000
     -> DroppedAttributesCount: 0
SpanEvent #1
     -> Name: receive
     -> Timestamp: 1795428930260000000
     -> DroppedAttributesCount: 0
Span #1
    Trace ID       : 0af7651916cd43dd8448eb211c80319c
    Parent ID      : 
    ID             : 00f067aa0ba902b7
    Name           : look
    Kind           : SPAN_KIND_INTERNAL
Start time: 1795428930251000000
End time: 1795428930271000000
    Status code    : STATUS_CODE_ERROR
    Status message : 
Attributes:
     -> otload.run_id: Str(r1)
     -> otload.test: Str(cars)
     -> otload.user: Str(Driver)
     -> otload.task: Str(look)
",
    );
}

/// The receiver finds the bounds of buckets by itself, from scale and offset: 10 ms must lie within what it prints.
#[test]
fn metrics_arrive_with_exponential_buckets() {
    let catalog = Arc::new(catalog());
    let mut shard = Shard::new(&catalog);
    let ok = Sample {
        response: Duration::from_millis(10),
        service: Duration::from_millis(10),
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 100,
        received_bytes: 2000,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &otload::phases::Phases::NONE,
        exemplar: None,
    };
    for millis in [10, 14, 14, 0] {
        let (trace, span) = (TraceId::new(TRACE).unwrap(), SpanId::new(CLIENT).unwrap());
        let exemplar = (millis == 10).then_some(Traced { trace, span, at: at(5000) });
        shard.request(RequestId(0), &Sample { response: Duration::from_millis(millis), exemplar, ..ok });
    }
    let mut snapshot = Snapshot::empty(&catalog, Facts::new(Arc::new(run()), Phase::Steady, 1000));
    snapshot.add(&mut shard, Detail::Totals);

    let rotel = Rotel::start();
    post_to(&rotel, "/v1/metrics", &encode::metrics(&snapshot, &identity(), at(10_000)));
    rotel.wait_for(&format!("ResourceMetrics #0\n{SENDER}ScopeMetrics #0\n"));
    rotel.wait_for(
        "\
     -> Name: otload.request.duration
     -> Description: Response time: from the moment the request should have started to its last byte.
     -> Unit: s
     -> DataType: ExponentialHistogram
     -> AggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE
ExponentialHistogramDataPoints #0
Data point attributes:
     -> test: Str(cars)
     -> run_id: Str(r1)
     -> team: Str(blue)
     -> user: Str(Driver)
     -> task: Str(look)
     -> request: Str(GET /cars/{id})
     -> method: Str(GET)
     -> result: Str(success)
StartTimestamp: 1795428930250000000
Timestamp: 1795428940250000000
Count: 4
Sum: 0.038
Bucket [0, 0], Count: 1
Bucket (0.009290680585958756, 0.010131559020711015], Count: 1
Bucket (0.010131559020711015, 0.01104854345603981], Count: 0
Bucket (0.01104854345603981, 0.012048522073499544], Count: 0
Bucket (0.012048522073499544, 0.013139006488339289], Count: 0
Bucket (0.013139006488339289, 0.01432818817507299], Count: 2
Exemplars:
Exemplar #0
     -> Trace ID: 0af7651916cd43dd8448eb211c80319c
     -> Span ID: b7ad6b7169203331
     -> Timestamp: 1795428935250000000
     -> Value: 0.01
Metric #1
",
    );
    rotel.wait_for(
        "\
     -> Name: otload.received
     -> Description: Bytes received with responses.
     -> Unit: By
     -> DataType: Sum
     -> IsMonotonic: true
     -> AggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE
NumberDataPoints #0
Data point attributes:
     -> test: Str(cars)
     -> run_id: Str(r1)
     -> team: Str(blue)
     -> request: Str(GET /cars/{id})
StartTimestamp: 1795428930250000000
Timestamp: 1795428940250000000
Value: 8000
",
    );
    rotel.wait_for(
        "\
     -> Name: otload.series.limit
     -> Description: Time series that a run may export; above it the run is refused.
     -> Unit: {series}
     -> DataType: Gauge
NumberDataPoints #0
Data point attributes:
     -> test: Str(cars)
     -> run_id: Str(r1)
     -> team: Str(blue)
StartTimestamp: 0
Timestamp: 1795428940250000000
Value: 1000
",
    );
}

#[test]
fn failures_arrive_over_grpc_too() {
    let failure = FailureLog {
        time: at(21),
        request: 0,
        reason: Reason::Check,
        message: "no car".into(),
        status: Some(404),
        trace: Some((TraceId::new(TRACE).unwrap(), SpanId::new(CLIENT).unwrap())),
        sampled: true,
    };
    let message = encode::logs(&[failure], &catalog(), &run(), &identity());

    let rotel = Rotel::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let mut client = LogsServiceClient::connect(format!("http://{}", rotel.grpc())).await.unwrap();
        client.export(message).await.unwrap().into_inner()
    });
    assert_eq!(answer.partial_success, None);
    rotel.wait_for(&format!("ResourceLog #0\n{SENDER}ScopeLogs #0\n"));
    rotel.wait_for(
        "\
InstrumentationScope otload 0.1.0
LogRecord #0
ObservedTimestamp: 1795428930271000000
Timestamp: 1795428930271000000
SeverityText: ERROR
SeverityNumber: SEVERITY_NUMBER_ERROR(17)
EventName: otload.request.failure
Body: Str(no car)
Attributes:
     -> http.response.status_code: Int(404)
     -> error.type: Str(404)
     -> otload.run_id: Str(r1)
     -> otload.test: Str(cars)
     -> otload.user: Str(Driver)
     -> otload.task: Str(look)
     -> otload.request: Str(GET /cars/{id})
     -> otload.reason: Str(check)
    Trace ID       : 0af7651916cd43dd8448eb211c80319c
    Span ID        : b7ad6b7169203331
Flags: 1
",
    );
}
