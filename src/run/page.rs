//! `report.html`, made of what the results folder holds at the end of a run.

use serde_json::Value;

use super::files::ResultFolder;
use crate::diagnostic::Diagnostic;
use crate::report::html::{self, Charts};

/// Writes the page of the run that `summary` is of.
///
/// # Errors
/// Names the file.
pub(super) fn write(folder: &ResultFolder, summary: &str) -> Result<(), Diagnostic> {
    let summary: Value = serde_json::from_str(summary)
        .map_err(|error| Diagnostic::error(format!("cannot read the summary for report.html: {error}")))?;
    folder.write_report(&html::page(&summary, Charts::new(0.0, Vec::new())))
}
