//! `otload report`: what the results of a run say, after it: all reports from its folder alone, or where the time went, from a
//! trace store.

use std::path::Path;

use super::args::{ReportArgs, ReportFormat};
use super::{Exit, colour, print, printed, refuse};
use crate::console;
use crate::diagnostic::Diagnostic;
use crate::report::where_time_goes::{html, text};
use crate::run::{self, Failed, Format, Reports};

pub(super) fn report(args: &ReportArgs) -> Exit {
    match &args.traces {
        Some(store) => where_time_goes(args, store),
        None => match rebuild(args) {
            Ok(exit) => exit,
            Err(failed) => refuse(&failed),
        },
    }
}

fn rebuild(args: &ReportArgs) -> Result<Exit, Failed> {
    let mut formats: Vec<Format> = args.format.iter().copied().map(format).collect();
    if formats.is_empty() {
        formats.extend(Format::ALL);
    }
    let out = args.out.as_deref().unwrap_or(&args.folder);
    let one = match formats[..] {
        [format] if format.files().len() == 1 => Some(format),
        _ => None,
    };
    if out == Path::new("-") && one.is_none() {
        let problem = Diagnostic::error("only one file fits on standard output")
            .hint("write `--out - --format` with html, json, junit or markdown; the others are several files");
        return Err(Failed::Refused(problem));
    }
    let mut reports = Reports::read(&args.folder).map_err(Failed::Refused)?;
    reports.warnings.iter().for_each(|warning| console::problem(warning, colour()));
    match one {
        Some(format) if out == Path::new("-") => {
            let write = if format == Format::Json { console::json } else { console::document };
            Ok(reports.render(format).iter().map(|(_, text)| printed(write(text))).next().unwrap_or(Exit::Passed))
        }
        _ => {
            let written = reports.write(&formats, out).map_err(Failed::Broken)?;
            Ok(print(&written.iter().map(|file| format!("{}\n", file.display())).collect::<String>()))
        }
    }
}

fn format(format: ReportFormat) -> Format {
    match format {
        ReportFormat::Html => Format::Html,
        ReportFormat::Json => Format::Json,
        ReportFormat::Csv => Format::Csv,
        ReportFormat::Junit => Format::Junit,
        ReportFormat::Markdown => Format::Markdown,
    }
}

fn where_time_goes(args: &ReportArgs, store: &str) -> Exit {
    let account = match run::account_of(&args.folder, store, args.limit as usize) {
        Ok(account) => account,
        Err(failed) => return refuse(&failed),
    };
    let printed = print(&text(&account));
    match &args.html {
        Some(file) if printed == Exit::Passed => write(file, &html(&account)),
        _ => printed,
    }
}

fn write(file: &Path, page: &str) -> Exit {
    match std::fs::write(file, page) {
        Ok(()) => {
            console::line(&format!("page: {}", file.display()));
            Exit::Passed
        }
        Err(error) => {
            let problem =
                Diagnostic::error(format!("cannot write {}: {error}", file.display())).hint("choose another file with --html");
            console::problem(&problem, colour());
            Exit::Failed
        }
    }
}
