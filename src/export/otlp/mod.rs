//! OTLP: spans, metrics and logs of failures, to a collector over gRPC or HTTP.
//!
//! ```text
//!  settings ─ the file ─┐
//!  environment ─────────┴─ exporter: where to, and how
//!                             ▼
//!  trace::queue ─▶ deliver ─▶ sender ─▶ grpc or http ─▶ the collector
//!                  batches    attempts, pauses between them
//! ```

mod environment;
pub mod exporter;
pub mod settings;
