//! What to think of a run: whether its figures can be believed.

pub mod validity;
