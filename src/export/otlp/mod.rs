//! OTLP: spans, metrics and logs of failures, to a collector over gRPC or HTTP.
//!
//! ```text
//!  settings ─ the file ─┐
//!  environment ─────────┴─ exporter: where to, and how
//!                             ▼
//!  trace::queue ─▶ deliver ─▶ sender ─▶ grpc or http ─▶ the collector
//!                  batches    attempts, pauses between them
//!            in delivery, a thread of its own
//!                     └─▶ health: what the user is told, once
//! ```

pub mod deliver;
pub mod delivery;
mod environment;
pub mod exporter;
mod grpc;
pub mod health;
mod http;
pub mod message;
pub mod sender;
pub mod settings;

#[cfg(test)]
mod tests;
