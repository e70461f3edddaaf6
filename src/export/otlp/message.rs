//! The three messages of OTLP: how each is sent, and what of it was refused.

use std::marker::PhantomData;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use serde_json::Value;

use super::sender::Accepted;

/// A message that a collector takes.
pub trait Message: Send + Sync + 'static {
    type Answer: prost::Message + Default + 'static;

    /// Where gRPC has the call.
    const METHOD: &'static str;

    /// As it goes over the wire.
    fn pack(&self) -> Bytes;

    /// What the answer says of partial success.
    fn accepted(answer: Self::Answer) -> Accepted;

    /// The answer in JSON, as it is in protobuf.
    fn of_json(answer: &Value) -> Self::Answer;
}

/// A message that was written as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed<M> {
    pub bytes: Bytes,
    of: PhantomData<fn() -> M>,
}

impl<M> Packed<M> {
    /// `bytes` are those of an `M`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), of: PhantomData }
    }
}

impl<M: Message> Message for Packed<M> {
    type Answer = M::Answer;

    const METHOD: &'static str = M::METHOD;

    fn pack(&self) -> Bytes {
        self.bytes.clone()
    }

    fn accepted(answer: M::Answer) -> Accepted {
        M::accepted(answer)
    }

    fn of_json(answer: &Value) -> M::Answer {
        M::of_json(answer)
    }
}

/// An `int64`, which JSON has as a number or as a string.
fn whole(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

macro_rules! message {
    ($request:ty, $answer:ty, $method:literal, $rejected:ident, $in_json:literal) => {
        impl Message for $request {
            type Answer = $answer;

            const METHOD: &'static str = $method;

            fn pack(&self) -> Bytes {
                prost::Message::encode_to_vec(self).into()
            }

            fn accepted(answer: $answer) -> Accepted {
                let partial = answer.partial_success.unwrap_or_default();
                // A negative number makes no sense, and is none.
                Accepted { rejected: u64::try_from(partial.$rejected).unwrap_or(0), message: partial.error_message }
            }

            fn of_json(answer: &Value) -> $answer {
                let (told, mut read) = (&answer["partialSuccess"], <$answer>::default());
                if told.is_object() {
                    let partial = read.partial_success.get_or_insert_default();
                    partial.$rejected = whole(&told[$in_json]);
                    partial.error_message = told["errorMessage"].as_str().unwrap_or_default().to_owned();
                }
                read
            }
        }
    };
}

message!(
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    rejected_spans,
    "rejectedSpans"
);
message!(
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    rejected_data_points,
    "rejectedDataPoints"
);
message!(
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    rejected_log_records,
    "rejectedLogRecords"
);
