//! `report.html`, made of what the results folder holds at the end of a run.

use std::fs::File;
use std::io::BufReader;

use serde_json::Value;

use super::files::ResultFolder;
use super::record::INTERVALS;
use crate::diagnostic::Diagnostic;
use crate::report::html::{self, Charts};
use crate::report::intervals::Recorded;

/// Writes the page of the run that `summary` is of. Without readable intervals it has no charts.
///
/// # Errors
/// Names the file.
pub(super) fn write(folder: &ResultFolder, summary: &str) -> Result<(), Diagnostic> {
    let summary: Value = serde_json::from_str(summary)
        .map_err(|error| Diagnostic::error(format!("cannot read the summary for report.html: {error}")))?;
    let file = File::open(folder.path().join(INTERVALS)).ok();
    let recorded = file.and_then(|file| Recorded::read(BufReader::new(file)).ok());
    let charts = recorded.map_or_else(|| Charts::new(0.0, Vec::new()), |recorded| Charts::of(&recorded));
    folder.write_report(&html::page(&summary, charts))
}
