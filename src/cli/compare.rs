//! `otload compare`: two runs side by side. The exit code says whether the second is worse, or that it cannot be told.

use std::path::Path;

use super::args::{CompareArgs, CompareFormat};
use super::{Exit, colour, document, print, refuse};
use crate::console;
use crate::diagnostic::Diagnostic;
use crate::report::compare::{self, Limits, Run, Verdict, html, json, markdown, text};
use crate::run::{Failed, Results};
use crate::units::Ratio;

pub(super) fn compare(args: &CompareArgs) -> Exit {
    let default = Limits::default();
    let limits = Limits {
        min_change: args.min_change.map_or(default.min_change, Ratio::get),
        min_failure_change: args.min_failure_change.map_or(default.min_failure_change, Ratio::get),
    };
    let compared = (|| {
        let (before, after) = (read(&args.before)?, read(&args.after)?);
        compare::compare(before, after, limits).map_err(|error| Diagnostic::error(error.message).hint(error.hint))
    })();
    let comparison = match compared {
        Ok(comparison) => comparison,
        Err(problem) => return refuse(&Failed::Refused(problem)),
    };
    let report = match args.format {
        CompareFormat::Text => text::write(&comparison),
        CompareFormat::Markdown => markdown::write(&comparison),
        CompareFormat::Html => html::write(&comparison),
        CompareFormat::Json => json::write(&comparison),
    };
    let written = match &args.out {
        Some(file) => write(file, &report),
        None if args.format == CompareFormat::Text => print(&report),
        None => document(&report),
    };
    match comparison.verdict {
        Verdict::Worse if written == Exit::Passed => Exit::RunFailed,
        Verdict::CannotTell if written == Exit::Passed => Exit::CannotTell,
        _ => written,
    }
}

fn read(folder: &Path) -> Result<Run, Diagnostic> {
    let results = Results::read(folder)?;
    if let Some(torn) = &results.recorded.torn {
        console::problem(&Diagnostic::warning(format!("{}: {torn}", folder.display())), colour());
    }
    Ok(Run::of(&results.recorded, results.valid()))
}

fn write(file: &Path, report: &str) -> Exit {
    match std::fs::write(file, report) {
        Ok(()) => Exit::Passed,
        Err(error) => {
            let message = format!("cannot write {}: {error}", file.display());
            refuse(&Failed::Broken(Diagnostic::error(message).hint("choose another file with --out")))
        }
    }
}
