//! otload: a load generator.
pub mod clock;
pub mod diagnostic;
pub mod load;
pub mod reason;
pub mod units;
