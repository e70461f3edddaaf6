//! Reads what a run has left in its results folder; a killed run too.

use std::io::{BufReader, ErrorKind};
use std::path::Path;

use serde_json::Value;

use super::files::SUMMARY;
use super::record::INTERVALS;
use super::traces;
use crate::diagnostic::Diagnostic;
use crate::file;
use crate::report::intervals::Recorded;

/// The files of a run.
pub struct Results {
    pub recorded: Recorded,
    /// `None` for a run that did not come to its end.
    pub summary: Option<Value>,
}

impl Results {
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn read(folder: &Path) -> Result<Self, Diagnostic> {
        let path = folder.join(INTERVALS);
        let (file, _) = file::open(&path).map_err(|error| {
            Diagnostic::error(format!("cannot read {}: {error}", path.display()))
                .hint("name the results folder of a run, like `results/cars-20261123-101530-3f7a`")
        })?;
        let recorded = Recorded::read(BufReader::new(file)).map_err(|error| {
            Diagnostic::error(format!("{} is not as otload writes it: {error}", path.display()))
                .hint("it may have been changed, or is of another version of otload")
        })?;
        // What an earlier run has left there is not of this one.
        let summary = match std::fs::metadata(folder.join(SUMMARY)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            _ => Some(traces::read::<Value>(folder)?).filter(|summary| summary["run_id"] == *recorded.meta.run_id),
        };
        Ok(Self { recorded, summary })
    }

    /// Whether its figures can be believed; `None` if nobody said so at its end.
    pub fn valid(&self) -> Option<bool> {
        self.summary.as_ref()?["valid"].as_bool()
    }
}
