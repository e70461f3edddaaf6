//! `otload report`: what the results of a run say, after it. So far: where the time went, from a trace store.

use std::path::Path;

use super::args::ReportArgs;
use super::{Exit, colour, print, refuse};
use crate::diagnostic::Diagnostic;
use crate::report::where_time_goes::{html, text};
use crate::run::{self, Failed};

pub(super) fn report(args: &ReportArgs) -> Exit {
    let Some(store) = &args.traces else {
        let problem = Diagnostic::error("`otload report` needs `--traces URL`: reports without traces cannot be rebuilt yet")
            .hint(
                "give the base URL of the trace store that the run exported to, like http://127.0.0.1:3200; what else is known \
                   of the run is in its summary.json",
            );
        return refuse(&Failed::Refused(problem));
    };
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
            eprintln!("page: {}", file.display());
            Exit::Passed
        }
        Err(error) => {
            let problem =
                Diagnostic::error(format!("cannot write {}: {error}", file.display())).hint("choose another file with --html");
            eprint!("{}", problem.render(colour()));
            Exit::Failed
        }
    }
}
