//! `otload dashboards`: the dashboards, rules and alerts that are built in, to a folder or into Grafana.

use std::path::Path;

use super::args::DashboardsArgs;
use super::{Exit, LARGEST_TOKEN, complain, environment, print, refuse};
use crate::dashboards::push::{Done, Grafana};
use crate::dashboards::rules::{self, Windows};
use crate::dashboards::{self, File};
use crate::diagnostic::Diagnostic;
use crate::file;
use crate::run::Failed;
use crate::scenario::plan::Plan;
use crate::scenario::{self, Overrides};

/// Where a token may be, if no file is named.
const TOKEN_VARIABLE: &str = "GRAFANA_TOKEN";

pub(super) fn dashboards(args: &DashboardsArgs) -> Exit {
    let plan = match &args.scenario {
        None => None,
        Some(file) => match plan(file) {
            Some(plan) => Some(plan),
            None => return Exit::Wrong,
        },
    };
    let options = rules::Options { windows: Windows::default().shortened(args.shorten.unwrap_or(1)), ..Default::default() };
    let files = dashboards::made_for(&options, plan.as_ref());
    let told = match (&args.write, &args.push) {
        (None, None) => Ok(list(&files)),
        (Some(folder), None) => write(folder, &files),
        (None, Some(url)) => push(args, url, &files),
        (Some(folder), Some(url)) => write(folder, &files).and_then(|written| Ok(written + &push(args, url, &files)?)),
    };
    match told {
        Ok(told) => print(&told),
        Err(failed) => refuse(&failed),
    }
}

/// The plan of a scenario whose thresholds are drawn; `None` when it is wrong, and its problems are printed.
fn plan(file: &Path) -> Option<Plan> {
    let overrides = Overrides { env: environment(), ..Overrides::default() };
    match scenario::load(file, &overrides) {
        Ok((plan, warnings)) => {
            complain(&warnings);
            Some(plan)
        }
        Err(problems) => {
            complain(&problems);
            None
        }
    }
}

fn list(files: &[File]) -> String {
    let width = files.iter().map(|file| file.path.len()).max().unwrap_or_default();
    files.iter().map(|file| format!("{:width$}  {}\n", file.path, file.about)).collect()
}

/// Writes them all, and says which.
fn write(folder: &Path, files: &[File]) -> Result<String, Failed> {
    let mut told = String::new();
    for file in files {
        let path = folder.join(&file.path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &file.contents));
        written.map_err(|error| {
            let problem = Diagnostic::error(format!("cannot write {}: {error}", path.display()));
            Failed::Broken(problem.hint("choose another folder with --write"))
        })?;
        told.push_str(&format!("{}\n", path.display()));
    }
    Ok(told)
}

fn push(args: &DashboardsArgs, url: &str, files: &[File]) -> Result<String, Failed> {
    let token = match &args.token_file {
        Some(file) => Some(file::read_text(file, LARGEST_TOKEN).map_err(|error| {
            let problem = Diagnostic::error(format!("cannot read --token-file {}: {error}", file.display()));
            Failed::Refused(problem.hint("name a file that holds the token of a service account, and nothing else"))
        })?),
        None => std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()),
    };
    let grafana = Grafana::try_new(url, token.as_deref(), args.ca.clone()).map_err(Failed::Refused)?;
    let pushed = grafana.push(files).map_err(Failed::Broken)?;
    let line = |one: &dashboards::push::Pushed| {
        let done = match one.done {
            Done::Created => "created",
            Done::Updated => "updated",
            Done::Unchanged => "unchanged",
        };
        format!("{done:9}  {}\n", one.url)
    };
    Ok(pushed.iter().map(line).collect())
}
