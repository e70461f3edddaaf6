//! otload: a load generator whose interface is Prometheus, Grafana and OpenTelemetry.
//!
//! The way of a run through the crate:
//!
//! ```text
//!  cars.yaml ─ scenario ─▶ Plan ─ run ─▶ engine: workers × users ─ http ─▶ the target
//!                                  │        │ each worker records into its
//!                                  │        ▼
//!                                  │     measure::Shard ─ merged copies ─▶ Snapshot
//!                                  │                                          ├─▶ export: /metrics
//!                                  ├─ control: serves it                      ├─▶ report: table, summary.json
//!                                  ├─ keys ◀──────────────────────────────────┼─▶ view: the terminal
//!                                  └─ exit code ◀─ judge ─────────────────────┘
//! ```
//!
//! - [`scenario`] reads the YAML, reports all problems together and makes a [`scenario::plan::Plan`].
//! - [`load`] says when users start and stop: pure functions of time. Only [`engine`] sleeps.
//! - [`template`] renders what differs from request to request.
//! - [`engine`] runs users; [`http`] does their exchanges, over a transport.
//! - [`measure`] counts; [`export`] and [`report`] turn a snapshot into bytes; [`judge`] says whether to believe it.
//! - [`trace`] is what ties a request to the server's spans: ids, spans, the queue to their exporter.
//! - [`view`] shows a run at a terminal while it goes on.
//! - [`dashboards`] shows the metrics in Grafana, and raises alerts.
//! - [`run`] wires these together, [`control`] serves HTTP beside it, [`cli`] is the command line.
//!
//! Who may import whom is drawn in CONTRIBUTING.md and kept by a test.

pub mod cli;
pub mod clock;
pub mod console;
pub mod control;
pub mod dashboards;
pub mod demo;
pub mod diagnostic;
pub mod engine;
pub mod export;
pub mod fault;
pub mod file;
pub mod http;
pub mod journal;
pub mod judge;
pub mod load;
pub mod measure;
pub mod phases;
pub mod printable;
pub mod random;
pub mod reason;
pub mod report;
pub mod run;
pub mod scenario;
pub mod secrets;
pub mod statistics;
pub mod template;
pub mod threads;
pub mod trace;
pub mod units;
pub mod view;
