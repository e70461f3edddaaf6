//! What to think of a run: whether its figures can be believed, and whether it gets worse.

pub mod drift;
pub mod outcome;
pub mod validity;
pub mod verdict;
