//! The reports of a run, from its results folder: as it ends, and for `otload report` at any time after, also of a run that was
//! killed.
//!
//! ```text
//!  summary.json, or what intervals.jsonl makes up ─┬─▶ summary.json  report.html  junit.xml  report.md
//!  intervals.jsonl, read once ─────────────────────┴─▶ report.html  stats.csv  stats_history.csv  failures.csv
//! ```

use std::fs;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{ResultFolder, SUMMARY};
use super::record::INTERVALS;
use super::traces::{self, LARGEST_SUMMARY};
use crate::diagnostic::Diagnostic;
use crate::file;
use crate::report::digest::Digest;
use crate::report::html::{self, Charts};
use crate::report::intervals::{Outline, Unreadable};
use crate::report::{csv, junit, markdown, rebuilt};

/// What reports are made of.
pub struct Reports {
    summary: Value,
    /// As it was written, or rebuilt.
    json: String,
    digest: Option<Digest>,
    /// What whoever asked for them should know.
    pub warnings: Vec<Diagnostic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Csv,
    Junit,
    Markdown,
}

/// The others are of a run whose summary is there.
const ENDED: [Format; 4] = [Format::Html, Format::Csv, Format::Junit, Format::Markdown];

// === Format ===

impl Format {
    pub const ALL: [Self; 5] = [Self::Html, Self::Json, Self::Csv, Self::Junit, Self::Markdown];

    /// What it becomes in the results folder.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Html => &["report.html"],
            Self::Json => &[SUMMARY],
            Self::Csv => &["stats.csv", "stats_history.csv", "failures.csv"],
            Self::Junit => &["junit.xml"],
            Self::Markdown => &["report.md"],
        }
    }
}

// === Reports ===

impl Reports {
    /// Reads the results folder of a run that is over, in whatever way.
    ///
    /// # Errors
    /// When neither its summary nor its intervals can be read.
    pub fn read(folder: &Path) -> Result<Self, Diagnostic> {
        let summary = match fs::metadata(folder.join(SUMMARY)) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // What is wrong with it is said there.
            _ => Some(traces::read::<Value>(folder)?),
        };
        let (digest, unread) = match digest(folder) {
            Ok(digest) => (Some(digest), None),
            Err(problem) => (None, Some(problem)),
        };
        // One that was rebuilt is rebuilt again: there may be more to know now. And one of an earlier run is of that run.
        let same = |summary: &Value| {
            digest.as_ref().is_none_or(|digest| {
                (&summary["run_id"], &summary["started_at"])
                    == (&digest.meta.run_id.as_str().into(), &digest.meta.started_at.as_str().into())
            })
        };
        match summary.filter(|summary| same(summary) && (summary["ended"] != "cut_off" || digest.is_none())) {
            Some(summary) => {
                let json = file::read_text(&folder.join(SUMMARY), LARGEST_SUMMARY).unwrap_or_else(|_| format!("{summary:#}\n"));
                let warnings = unread.into_iter().map(|problem| {
                    Diagnostic::warning(problem.message)
                        .hint("the reports are without what only the intervals tell: charts and history")
                });
                Ok(Self { summary, json, digest, warnings: warnings.collect() })
            }
            None => match (digest, unread) {
                (Some(digest), _) => Self::rebuild(digest),
                (None, Some(problem)) => Err(problem),
                (None, None) => Err(Diagnostic::error("there are no results")),
            },
        }
    }

    fn rebuild(digest: Digest) -> Result<Self, Diagnostic> {
        let wrong = |error: serde_json::Error| Diagnostic::error(format!("cannot rebuild the summary: {error}"));
        let json = rebuilt::summary(&digest).map_err(wrong)?;
        let summary: Value = serde_json::from_str(&json).map_err(wrong)?;
        let warnings = summary["notes"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Diagnostic::warning);
        Ok(Self { warnings: warnings.collect(), summary, json, digest: Some(digest) })
    }

    /// The files of a format, by name.
    pub fn render(&mut self, format: Format) -> Vec<(&'static str, String)> {
        let (summary, digest) = (&self.summary, self.digest.as_mut());
        let texts = match format {
            Format::Html => {
                let charts = digest.map(|digest| std::mem::replace(&mut digest.charts, Charts::new(0.0, Vec::new())));
                vec![html::page(summary, charts.unwrap_or_else(|| Charts::new(0.0, Vec::new())))]
            }
            Format::Json => vec![self.json.clone()],
            Format::Csv => {
                let digest = digest.as_deref();
                vec![csv::stats(summary, digest), csv::history(digest), csv::failures(summary, digest)]
            }
            Format::Junit => vec![junit::write(summary)],
            Format::Markdown => vec![markdown::write(summary)],
        };
        format.files().iter().copied().zip(texts).collect()
    }

    /// Writes them into a folder; answers with the files.
    ///
    /// # Errors
    /// Names the first file that cannot be written.
    pub fn write(&mut self, formats: &[Format], folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        let folder = ResultFolder::create(folder)?;
        let mut written = Vec::new();
        for format in formats {
            for (name, text) in self.render(*format) {
                folder.write_report(name, &text)?;
                written.push(folder.path().join(name));
            }
        }
        Ok(written)
    }
}

/// Writes all reports of a run that has just ended with this summary, which is on disk already.
///
/// # Errors
/// Names the first file that cannot be written.
pub(super) fn write(folder: &ResultFolder, json: String) -> Result<(), Diagnostic> {
    let summary = serde_json::from_str(&json)
        .map_err(|error| Diagnostic::error(format!("cannot read the summary for the reports: {error}")))?;
    // Without readable intervals there are no charts; why, has been said.
    let mut reports = Reports { summary, json, digest: digest(folder.path()).ok(), warnings: Vec::new() };
    for format in ENDED {
        for (name, text) in reports.render(format) {
            folder.write_report(name, &text)?;
        }
    }
    Ok(())
}

fn digest(folder: &Path) -> Result<Digest, Diagnostic> {
    let path = folder.join(INTERVALS);
    let open = || {
        file::open(&path).map(|(file, _)| BufReader::new(file)).map_err(|error| {
            Diagnostic::error(format!("cannot read {}: {error}", path.display()))
                .hint("name the results folder of a run, like `results/cars-20261123-101530-3f7a`")
        })
    };
    let unreadable = |error: Unreadable| {
        Diagnostic::error(format!("{} is not as otload writes it: {error}", path.display()))
            .hint("it may have been changed, or is of another version of otload")
    };
    let outline = Outline::of(open()?).map_err(unreadable)?;
    Digest::read(open()?, outline).map_err(unreadable)
}
