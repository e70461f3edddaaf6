//! Exporters: pure functions from a snapshot to bytes. Whoever calls them does the I/O.

pub mod otlp;
pub mod prometheus;
