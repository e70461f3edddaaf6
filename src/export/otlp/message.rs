//! The three messages of OTLP: how each is sent by gRPC, and what of it was refused.

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use super::sender::Accepted;

/// A message that a collector takes.
pub trait Message: prost::Message + Clone + 'static {
    type Answer: prost::Message + Default;

    /// One call.
    fn call(
        channel: Channel,
        gzip: bool,
        largest_answer: usize,
        request: tonic::Request<Self>,
    ) -> impl Future<Output = Result<tonic::Response<Self::Answer>, tonic::Status>> + Send;

    /// What the answer says of partial success.
    fn accepted(answer: Self::Answer) -> Accepted;
}

macro_rules! message {
    ($request:ty, $answer:ty, $client:ident, $rejected:ident) => {
        impl Message for $request {
            type Answer = $answer;

            async fn call(
                channel: Channel,
                gzip: bool,
                largest_answer: usize,
                request: tonic::Request<Self>,
            ) -> Result<tonic::Response<$answer>, tonic::Status> {
                let client = $client::new(channel).max_decoding_message_size(largest_answer);
                let mut client = if gzip { client.send_compressed(CompressionEncoding::Gzip) } else { client };
                client.export(request).await
            }

            fn accepted(answer: $answer) -> Accepted {
                let partial = answer.partial_success.unwrap_or_default();
                // A negative number makes no sense, and is none.
                Accepted { rejected: u64::try_from(partial.$rejected).unwrap_or(0), message: partial.error_message }
            }
        }
    };
}

message!(ExportTraceServiceRequest, ExportTraceServiceResponse, TraceServiceClient, rejected_spans);
message!(ExportMetricsServiceRequest, ExportMetricsServiceResponse, MetricsServiceClient, rejected_data_points);
message!(ExportLogsServiceRequest, ExportLogsServiceResponse, LogsServiceClient, rejected_log_records);
