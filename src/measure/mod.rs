//! Everything that is measured, from one sample to the merged figures.
//!
//! ```text
//!   Catalog ──────────┬────────────────┐        names of users, tasks, requests, groups, checks; ids are indices
//!                     ▼                ▼
//!   worker ──Sample─▶ Shard … Shard ─▶ Snapshot ─┬─ totals      since the start: Prometheus
//!                    (a lock each)   (a merge)   └─ measured()  without the warm-up: summary, report
//! ```
//!
//! A shard belongs to one worker and is never reset by a reader, so all readers agree with each other.

mod bin_rows;
mod bins;
mod brief;
pub mod catalog;
pub mod daemon;
pub mod delta;
pub mod exemplar;
pub mod generator_shift;
pub mod hdr;
pub mod health;
pub mod histogram;
pub mod measured;
pub mod name;
pub mod outcome;
mod pending;
pub mod phases;
pub mod pulse;
pub mod quantiles;
mod scale;
pub mod shard;
pub mod snapshot;
pub mod soak;
pub mod threshold;
pub mod totals;
