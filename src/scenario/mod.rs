//! A test as people write it, and as it is run.
//!
//! ```text
//! file ── document ──▶ Scenario ── compile ──▶ Plan ── describe ──▶ text for people
//!         as written               all problems    immutable, nothing
//!         (and its JSON Schema     at once         about the file can be wrong
//!         and reference)
//! ```

pub mod compile;
pub mod describe;
pub mod document;
pub mod plan;
mod reference;
pub mod threshold;

pub use compile::{Overrides, compile, load, parse_host};
pub use describe::describe;
pub use document::schema;
pub use reference::reference;
