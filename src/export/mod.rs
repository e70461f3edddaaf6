//! Exporters: pure functions from a snapshot to bytes. Whoever calls them does the I/O.

mod families;
pub mod otlp;
pub mod prometheus;
