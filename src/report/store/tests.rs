//! Answers as the stores write them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn span(id: u64, parent: Option<u64>, service: &str, name: &str, kind: SpanKind, start: u64, duration: u64) -> StoredSpan {
    let parent = parent.map(|id| SpanId::new(id).unwrap());
    StoredSpan { id: SpanId::new(id).unwrap(), parent, service: service.into(), name: name.into(), kind, start, duration }
}

/// What all the answers below say.
fn expected() -> Vec<StoredSpan> {
    vec![
        span(0xb7ad6b7169203331, None, "otload", "GET /cars", SpanKind::Client, 1_795_428_930_250_000_000, 120_000_000),
        span(
            0x00f067aa0ba902b7,
            Some(0xb7ad6b7169203331),
            "cars-api",
            "GET /cars",
            SpanKind::Server,
            1_795_428_930_251_500_000,
            100_000_000,
        ),
    ]
}

#[test]
fn tempo_with_ids_in_base64() {
    let answer = br#"{"batches":[
      {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"otload"}},{"key":"telemetry.sdk.language","value":{"stringValue":"rust"}}]},
       "scopeSpans":[{"scope":{"name":"otload","version":"0.1.0"},"spans":[
         {"traceId":"CvdlGRbNQ92ESOshHIAxnA==","spanId":"t61rcWkgMzE=","name":"GET /cars","kind":"SPAN_KIND_CLIENT",
          "startTimeUnixNano":"1795428930250000000","endTimeUnixNano":"1795428930370000000",
          "attributes":[{"key":"http.response.status_code","value":{"intValue":"200"}}],"status":{}}]}]},
      {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cars-api"}}]},
       "instrumentationLibrarySpans":[{"spans":[
         {"traceId":"CvdlGRbNQ92ESOshHIAxnA==","spanId":"APBnqgupArc=","parentSpanId":"t61rcWkgMzE=","name":"GET /cars",
          "kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1795428930251500000","endTimeUnixNano":"1795428930351500000"}]}]}]}"#;
    assert_eq!(parse(answer).unwrap().spans, expected());
}

#[test]
fn otlp_with_ids_in_hexadecimal_bare_and_wrapped() {
    let spans = json!({"resourceSpans": [
        {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "otload"}}]}, "scopeSpans": [{"spans": [
            {"spanId": "B7AD6B7169203331", "parentSpanId": "", "name": "GET /cars", "kind": 3,
             "startTimeUnixNano": 1_795_428_930_250_000_000_u64, "endTimeUnixNano": 1_795_428_930_370_000_000_u64}]}]},
        {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cars-api"}}]}, "scopeSpans": [{"spans": [
            {"spanId": "00f067aa0ba902b7", "parentSpanId": "b7ad6b7169203331", "name": "GET /cars", "kind": 2,
             "startTimeUnixNano": "1795428930251500000", "endTimeUnixNano": "1795428930351500000"},
            // Another copy, as of a store with replicas.
            {"spanId": "00f067aa0ba902b7", "parentSpanId": "b7ad6b7169203331", "name": "GET /cars", "kind": 2}]}]},
    ]});
    assert_eq!(parse(spans.to_string().as_bytes()).unwrap().spans, expected());
    for wrapped in [json!({"trace": spans, "metrics": {}, "status": "COMPLETE"}), json!({"result": spans})] {
        assert_eq!(parse(wrapped.to_string().as_bytes()).unwrap().spans, expected());
    }
}

#[test]
fn jaeger() {
    let answer = br#"{"data":[{"traceID":"0af7651916cd43dd8448eb211c80319c","spans":[
      {"traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"b7ad6b7169203331","operationName":"GET /cars","references":[],
       "startTime":1795428930250000,"duration":120000,"tags":[{"key":"span.kind","type":"string","value":"client"}],
       "logs":[],"processID":"p1","warnings":null},
      {"traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"f067aa0ba902b7","operationName":"GET /cars",
       "references":[{"refType":"FOLLOWS_FROM","traceID":"x","spanID":"1"},
                     {"refType":"CHILD_OF","traceID":"0af7651916cd43dd8448eb211c80319c","spanID":"b7ad6b7169203331"}],
       "startTime":1795428930251500,"duration":100000,
       "tags":[{"key":"http.response.status_code","type":"int64","value":200},{"key":"span.kind","type":"string","value":"server"}],
       "processID":"p2"}],
      "processes":{"p1":{"serviceName":"otload","tags":[]},"p2":{"serviceName":"cars-api","tags":[]}},"warnings":null}],
      "total":0,"limit":0,"offset":0,"errors":null}"#;
    assert_eq!(parse(answer).unwrap().spans, expected());
}

#[test]
fn otelite() {
    let answer = br#"{"trace_id":"0af7651916cd43dd8448eb211c80319c","spans":[
      {"span_id":"b7ad6b7169203331","trace_id":"0af7651916cd43dd8448eb211c80319c","parent_span_id":null,"name":"GET /cars",
       "kind":"Client","start_time":1795428930250000000,"end_time":1795428930370000000,"duration":120000000,"attributes":{},
       "resource":{"attributes":{"service.name":"otload"}},"status":{"code":"OK","message":null},"events":[]},
      {"span_id":"00f067aa0ba902b7","trace_id":"0af7651916cd43dd8448eb211c80319c","parent_span_id":"b7ad6b7169203331",
       "name":"GET /cars","kind":"Server","start_time":1795428930251500000,"end_time":1795428930351500000,"duration":100000000,
       "attributes":{},"resource":{"attributes":{"service.name":"cars-api"}},"status":{"code":"OK","message":null},"events":[]}],
      "start_time":1795428930250000000,"end_time":1795428930370000000,"duration":120000000,"span_count":2,"service_names":[]}"#;
    assert_eq!(parse(answer).unwrap().spans, expected());
}

#[test]
fn what_is_missing_has_its_default() {
    let bare = |id| span(id, None, "", "", SpanKind::Other, 0, 0);
    for answer in [
        r#"{"batches":[{"scopeSpans":[{"spans":[{"spanId":"0000000000000001","endTimeUnixNano":"5"}]},{}]},{}]}"#,
        r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":[{"spanId":"AAAAAAAAAAE","parentSpanId":"AAAAAAAAAAA="}]}]}]}"#,
        r#"{"data":[{"spans":[{"spanID":"1","parentSpanID":"0","duration":-3}]}]}"#,
        r#"{"spans":[{"span_id":"0000000000000001","parent_span_id":"0000000000000000","resource":null}]}"#,
    ] {
        assert_eq!(parse(answer.as_bytes()).unwrap().spans, [bare(1)], "{answer}");
    }
    for nothing in [r"{}", r#"{"trace":{}}"#, r#"{"batches":[]}"#, r#"{"data":null,"errors":[{"code":404}]}"#, r#"{"spans":[]}"#]
    {
        assert_eq!(parse(nothing.as_bytes()).unwrap(), StoredTrace::default(), "{nothing}");
    }
    let backwards = r#"{"batches":[{"scopeSpans":[{"spans":[{"spanId":"0000000000000001","startTimeUnixNano":"9","endTimeUnixNano":"5"}]}]}]}"#;
    assert_eq!(parse(backwards.as_bytes()).unwrap().spans[0].duration, 0);
}

#[test]
fn what_is_no_trace_is_said() {
    for (answer, why) in [
        ("", "it is not JSON: EOF"),
        ("<!doctype html><title>Log in</title>", "it is not JSON: expected value at line 1 column 1"),
        ("[]", "it is JSON, but no trace as Tempo, Jaeger or otelite write it"),
        ("3", "it is JSON, but no trace"),
        (r#"{"status":"ok"}"#, "it is JSON, but no trace"),
        (r#"{"batches":{}}"#, "its `batches` is not a list"),
        (r#"{"batches":[{"scopeSpans":[{"spans":"x"}]}]}"#, "its `spans` is not a list"),
        (r#"{"batches":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}"#, "a span in it has the id null, which cannot be read"),
        (r#"{"batches":[{"scopeSpans":[{"spans":[{"spanId":"zz"}]}]}]}"#, r#"a span in it has the id "zz", which"#),
        (r#"{"data":[{"spans":[{"spanID":"12345678901234567"}]}]}"#, r#"the id "12345678901234567""#),
        (r#"{"data":[{"spans":[{"spanID":"1","references":[{"refType":"CHILD_OF","spanID":"é"}]}]}]}"#, r#"the id "é""#),
        (r#"{"spans":[{"span_id":"span1"}]}"#, r#"the id "span1""#),
    ] {
        let error = parse(answer.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{answer}: {error}");
    }
}

#[test]
fn addresses() {
    let trace = TraceId::new(0x0af7651916cd43dd8448eb211c80319c).unwrap();
    for (given, asked) in [
        ("http://h:3200", "http://h:3200/api/traces/0af7651916cd43dd8448eb211c80319c"),
        ("http://h:3200/", "http://h:3200/api/traces/0af7651916cd43dd8448eb211c80319c"),
        ("https://u:p@h/tempo/", "https://u:p@h/tempo/api/traces/0af7651916cd43dd8448eb211c80319c"),
        ("http://h/api/v2/traces", "http://h/api/v2/traces/0af7651916cd43dd8448eb211c80319c"),
    ] {
        assert_eq!(address(&base(given).unwrap(), trace).as_str(), asked);
    }
    for (bad, why) in [
        ("tempo", "relative URL without a base"),
        ("localhost:3200", "its scheme is `localhost`, not `http` or `https`"),
        ("http://", "empty host"),
        ("http://h/?a=b", "it may not have a query or a fragment"),
    ] {
        let problem = base(bad).unwrap_err();
        assert!(problem.message.starts_with(&format!("`{bad}` is not the base URL")), "{}", problem.message);
        assert!(problem.message.contains(why) && problem.hint.is_some(), "{}", problem.message);
    }
}

/// JSON that looks like an answer in places.
fn answers() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "trace",
        "batches",
        "resourceSpans",
        "scopeSpans",
        "spans",
        "data",
        "spanId",
        "spanID",
        "span_id",
        "references",
        "tags",
        "processes",
        "process",
        "resource",
        "attributes",
        "kind",
        "duration",
        "startTime",
        "refType",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::from("b7ad6b7169203331")),
        "\\PC{0,17}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_give_a_trace_or_a_sentence(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn so_does_any_json(answer in answers()) {
        let _ = parse(answer.to_string().as_bytes());
    }
}
