//! OTLP: spans, metrics and logs of failures, to a collector over gRPC or HTTP.

pub mod encode;
pub mod settings;
