//! The results folder: made and tried before anything runs, written when all is over.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;

/// A folder that could be written when the run began.
pub(super) struct ResultFolder {
    path: PathBuf,
}

pub(super) const SUMMARY: &str = "summary.json";

impl ResultFolder {
    /// Makes the folder and tries to write into it. What an earlier run left there is kept until the new summary replaces it.
    ///
    /// # Errors
    /// Names the folder and what to do.
    pub(super) fn create(path: &Path) -> Result<Self, Diagnostic> {
        let failed = |error: std::io::Error| {
            Diagnostic::error(format!("cannot write results to {}: {error}", path.display()))
                .hint("choose another folder with --out, or make this one writable")
        };
        fs::create_dir_all(path).map_err(failed)?;
        let folder = Self { path: path.to_owned() };
        let trial = folder.temporary();
        fs::write(&trial, b"").map_err(failed)?;
        fs::remove_file(&trial).map_err(failed)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes away the reports of an earlier run: beside this one's intervals they would be taken for its own. Its summary stays
    /// until there is another one.
    pub(super) fn clear(&self, reports: impl Iterator<Item = &'static str>) {
        reports.filter(|name| *name != SUMMARY).for_each(|name| {
            let _ = fs::remove_file(self.path.join(name));
        });
    }

    /// Writes `summary.json` whole or not at all.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn write_summary(&self, json: &str) -> Result<(), Diagnostic> {
        self.write_whole(SUMMARY, json, "the figures are in the table above; free some space and run again")
    }

    /// Writes a report whole or not at all.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn write_report(&self, name: &str, text: &str) -> Result<(), Diagnostic> {
        self.write_whole(name, text, "free some space; `otload report` makes it of the results folder at any time")
    }

    fn write_whole(&self, name: &str, text: &str, hint: &str) -> Result<(), Diagnostic> {
        let (temporary, path) = (self.temporary(), self.path.join(name));
        let write = || {
            use std::io::Write as _;
            let mut file = fs::File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Diagnostic::error(format!("cannot write {}: {error}", path.display())).hint(hint)
        })
    }

    /// Writes `scenario.yaml`: what was run, below a comment that says how.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn write_scenario(&self, text: &str) -> Result<(), Diagnostic> {
        let path = self.path.join("scenario.yaml");
        fs::write(&path, text).map_err(|error| Diagnostic::error(format!("cannot write {}: {error}", path.display())))
    }

    fn temporary(&self) -> PathBuf {
        self.path.join(format!(".{SUMMARY}.{}", std::process::id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_made_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let error = ResultFolder::create(&file.join("results")).err().unwrap();
        assert!(error.message.contains("file/results"), "{}", error.message);
        assert!(error.hint.unwrap().contains("--out"));
    }

    #[test]
    fn the_summary_replaces_an_older_one_and_leaves_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = ResultFolder::create(&place.path().join("a/b")).unwrap();
        folder.write_summary("{1}").unwrap();
        folder.write_summary("{2}").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(SUMMARY)).unwrap(), "{2}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        folder.write_report("junit.xml", "<testsuites/>").unwrap();
        folder.clear(["junit.xml", SUMMARY, "report.md"].into_iter());
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), folder.path().join(SUMMARY).exists()), (1, true));
    }
}
