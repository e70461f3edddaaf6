//! Recording rules and alerts.

use super::File;

/// All of them, as shipped.
pub(super) fn files() -> Vec<File> {
    Vec::new()
}
