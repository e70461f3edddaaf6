//! otload: a load generator.
pub mod clock;
pub mod diagnostic;
pub mod reason;
pub mod units;
