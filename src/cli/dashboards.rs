//! `otload dashboards`: the dashboards, rules and alerts that are built in, to a folder or into Grafana.

use std::path::Path;

use super::args::DashboardsArgs;
use super::{Exit, print, refuse};
use crate::dashboards::rules::{self, Windows};
use crate::dashboards::{self, File};
use crate::diagnostic::Diagnostic;
use crate::run::Failed;

pub(super) fn dashboards(args: &DashboardsArgs) -> Exit {
    let options = rules::Options { windows: Windows::default().shortened(args.shorten.unwrap_or(1)), ..Default::default() };
    let files = dashboards::made_for(&options, None);
    match &args.write {
        None => list(&files),
        Some(folder) => match write(folder, &files) {
            Ok(told) => print(&told),
            Err(problem) => refuse(&Failed::Broken(problem)),
        },
    }
}

fn list(files: &[File]) -> Exit {
    let width = files.iter().map(|file| file.path.len()).max().unwrap_or_default();
    print(&files.iter().map(|file| format!("{:width$}  {}\n", file.path, file.about)).collect::<String>())
}

/// Writes them all, and says which.
fn write(folder: &Path, files: &[File]) -> Result<String, Diagnostic> {
    let mut told = String::new();
    for file in files {
        let path = folder.join(&file.path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, &file.contents));
        written.map_err(|error| {
            Diagnostic::error(format!("cannot write {}: {error}", path.display())).hint("choose another folder with --write")
        })?;
        told.push_str(&format!("{}\n", path.display()));
    }
    Ok(told)
}
