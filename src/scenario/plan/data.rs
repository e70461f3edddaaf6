//! Rows of data files: which there are, and who gets which.

use std::sync::Arc;

pub use crate::scenario::document::data::{AtEnd, Per, RowOrder};
use crate::template::Table;

/// A file whose rows templates see.
#[derive(Debug)]
pub struct Feeder {
    /// As templates call it.
    pub name: String,
    /// As the scenario names its file.
    pub file: String,
    pub table: Arc<Table>,
    pub order: RowOrder,
    pub per: Per,
    pub at_end: AtEnd,
}

/// Feeders by index into [`Plan::data`](super::Plan::data).
pub type Uses = Box<[usize]>;

/// What a user of a type is given besides what its tasks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRows {
    /// At its start, for good.
    pub user: Uses,
    /// For `on_start` and for `on_stop`.
    pub on_start: Uses,
    pub on_stop: Uses,
}
