//! Failures as log records: an event each, with the ids of the request's span.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};

use super::attribute::{error_type, number, of_request, pairs, text};
use super::resource::{SCHEMA_URL, resource, scope};
use super::trace_flags;
use crate::export::otlp::settings::Identity;
use crate::measure::catalog::Catalog;
use crate::measure::snapshot::RunInfo;
use crate::trace::FailureLog;

/// What every record is an occurrence of.
const EVENT: &str = "otload.request.failure";

/// All of them in one message.
pub fn logs(failures: &[FailureLog], catalog: &Catalog, run: &RunInfo, identity: &Identity) -> ExportLogsServiceRequest {
    let log_records = failures.iter().map(|failure| record(failure, catalog, run)).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope(run)), log_records, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource(run, identity));
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: SCHEMA_URL.to_owned() }] }
}

fn record(failure: &FailureLog, catalog: &Catalog, run: &RunInfo) -> LogRecord {
    let mut attributes: Vec<_> = failure.status.map(|status| number("http.response.status_code", status)).into_iter().collect();
    attributes.extend(error_type(failure.status, Some(failure.reason)).map(|error| text("error.type", error)));
    attributes.extend(of_request(run, catalog, failure.request));
    // `error.type` may be the status: this is the label of `otload_request_failures_total`.
    attributes.push(text("otload.reason", failure.reason.name()));
    let time = failure.time.unix_nanos();
    let (trace_id, span_id) = match failure.trace {
        Some((trace, span)) => (trace.bytes().to_vec(), span.bytes().to_vec()),
        None => Default::default(),
    };
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: SeverityNumber::Error.into(),
        severity_text: "ERROR".to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(failure.message.to_string())) }),
        attributes: pairs(attributes),
        flags: trace_flags(failure.sampled && failure.trace.is_some()),
        trace_id,
        span_id,
        event_name: EVENT.to_owned(),
        ..LogRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message as _;

    use super::super::attribute::shown;
    use super::*;
    use crate::clock::Timestamp;
    use crate::measure::snapshot::tests::{catalog, facts};
    use crate::reason::Reason;
    use crate::trace::{SpanId, TraceId};

    #[test]
    fn failures_are_events_with_the_ids_of_their_spans() {
        let time = Timestamp::from_unix(Duration::from_nanos(1_795_428_931_000_000_007));
        let ids = (TraceId::new(0x0af7651916cd43dd8448eb211c80319c).unwrap(), SpanId::new(0xb7ad6b7169203331).unwrap());
        let refused = FailureLog {
            time,
            request: 0,
            reason: Reason::ConnectRefused,
            message: "connection refused".into(),
            status: None,
            trace: None,
            sampled: true,
        };
        let failures = [
            FailureLog {
                reason: Reason::Check,
                message: "no car".into(),
                status: Some(404),
                trace: Some(ids),
                ..refused.clone()
            },
            FailureLog { sampled: false, trace: Some(ids), request: 99, ..refused.clone() },
            refused,
        ];
        let run = facts().run;
        let bytes = logs(&failures, &catalog(), &run, &Identity::default()).encode_to_vec();
        let message = ExportLogsServiceRequest::decode(&*bytes).unwrap();

        let [of_resource] = &*message.resource_logs else { panic!("{message:?}") };
        assert_eq!(of_resource.resource, Some(resource(&run, &Identity::default())));
        let [of_scope] = &*of_resource.scope_logs else { panic!("{of_resource:?}") };
        assert_eq!(of_scope.scope, Some(scope(&run)));
        assert_eq!([&of_resource.schema_url, &of_scope.schema_url], [SCHEMA_URL; 2]);
        let [check, unknown, refused] = &*of_scope.log_records else { panic!("{of_scope:?}") };

        let quoted = |text: &str| format!("{text:?}");
        let of_run = [("otload.run_id", quoted("r1")), ("otload.test", quoted("cars"))];
        let of_request = [("otload.user", quoted("U")), ("otload.task", quoted("t")), ("otload.request", quoted("GET /a"))];
        let mut wanted = vec![("http.response.status_code", "404".to_owned()), ("error.type", quoted("404"))];
        wanted.extend(of_run.clone().into_iter().chain(of_request.clone()));
        wanted.push(("otload.reason", quoted("check")));
        assert_eq!(shown(&check.attributes), wanted);
        let mut wanted = vec![("error.type", quoted("connect_refused"))];
        wanted.extend(of_run.clone());
        wanted.push(("otload.reason", quoted("connect_refused")));
        assert_eq!(shown(&unknown.attributes), wanted);

        for record in [check, unknown, refused] {
            assert_eq!([record.time_unix_nano, record.observed_time_unix_nano], [1_795_428_931_000_000_007; 2]);
            assert_eq!((record.severity_number, &*record.severity_text, &*record.event_name), (17, "ERROR", EVENT));
        }
        let body = |record: &LogRecord| record.body.clone().and_then(|body| body.value);
        assert_eq!(body(check), Some(Value::StringValue("no car".to_owned())));
        assert_eq!(body(refused), Some(Value::StringValue("connection refused".to_owned())));
        let ids_of = |record: &LogRecord| (record.trace_id.clone(), record.span_id.clone(), record.flags);
        assert_eq!(ids_of(check), (ids.0.bytes().to_vec(), ids.1.bytes().to_vec(), 1));
        assert_eq!(ids_of(unknown), (ids.0.bytes().to_vec(), ids.1.bytes().to_vec(), 0));
        assert_eq!(ids_of(refused), (vec![], vec![], 0));
    }
}
