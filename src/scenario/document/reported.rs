//! Problems as they are found, up to a number that a person reads.

use crate::diagnostic::{Diagnostic, Problems, Severity};

/// More errors than this, or more warnings, are counted only: a file that is no scenario at all has one in each line.
const MOST: usize = 100;

/// Problems that have been found so far.
#[derive(Debug, Default)]
pub struct Reported {
    problems: Problems,
    errors: usize,
    warnings: usize,
}

impl Reported {
    pub fn push(&mut self, problem: Diagnostic) {
        let count = match problem.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MOST {
            self.problems.push(problem);
        }
    }

    /// Whether further errors are only counted; then there is no need to look for what they should say.
    pub fn is_full(&self) -> bool {
        self.errors >= MOST
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them; when some were left out, with a warning that says so.
    pub fn finish(mut self) -> Problems {
        for (count, what) in [(self.errors, "errors"), (self.warnings, "warnings")] {
            if count > MOST {
                self.problems.push(Diagnostic::warning(format!("only {MOST} of {count} {what} are shown")));
            }
        }
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_is_lost_behind_warnings_and_the_count_is_told() {
        let mut reported = Reported::default();
        (0..150).for_each(|n| reported.push(Diagnostic::warning(format!("w{n}"))));
        assert!(!reported.has_errors());
        (0..101).for_each(|n| reported.push(Diagnostic::error(format!("e{n}"))));
        assert!(reported.has_errors());
        let problems = reported.finish();
        let messages: Vec<_> = problems.sorted().iter().map(|problem| problem.message.clone()).collect();
        assert_eq!(messages.len(), 202);
        assert_eq!((messages[0].as_str(), messages[99].as_str()), ("e0", "e99"));
        assert_eq!(messages[200..], ["only 100 of 101 errors are shown", "only 100 of 150 warnings are shown"]);
    }
}
