//! What a template may refer to, known before anything runs, so that a slip of the pen is found at its line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The names that exist where a template stands: checked when it is parsed.
///
/// `user_id`, `iteration`, `run_id` and `response` are always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// A root and its fields; `None` when they are known only while it runs.
    roots: BTreeMap<String, Option<BTreeSet<String>>>,
}

/// A use of a name in a template: `accounts` and `email` of `{{ accounts.email }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub root: Box<str>,
    /// The first field after the root, when it is written out.
    pub field: Option<Box<str>>,
    /// Bytes of the text that was parsed.
    pub range: Range<usize>,
    /// The text looks whether it is there: `x is defined`, `x | default(1)`.
    pub guarded: bool,
    /// What is written on the other side of a comparison: `response.status == 200`.
    pub compared_with: Option<Literal>,
}

/// A value that is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    Text,
    Number,
}

impl Names {
    /// Only what is always there.
    pub fn new() -> Self {
        let mut names = Self { roots: BTreeMap::new() };
        ["user_id", "iteration", "run_id"].into_iter().for_each(|root| names.open(root));
        names.closed("response", ["status", "headers", "body", "json"].map(str::to_owned));
        names
    }

    /// A name whose fields, if any, are not known beforehand: a variable, a capture, a row.
    pub fn open(&mut self, root: &str) {
        self.roots.insert(root.to_owned(), None);
    }

    /// A name with just these fields: `env`, `setup`, rows of a file with a header. More calls add fields.
    pub fn closed(&mut self, root: &str, fields: impl IntoIterator<Item = String>) {
        if let Some(known) = self.roots.entry(root.to_owned()).or_insert_with(|| Some(BTreeSet::new())) {
            known.extend(fields);
        }
    }

    /// Whether there is a name `root`.
    pub fn contains(&self, root: &str) -> bool {
        self.roots.contains_key(root)
    }

    /// All names, in order.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(String::as_str)
    }

    /// The fields of `root`, when it exists and its fields are a closed set.
    pub fn fields(&self, root: &str) -> Option<&BTreeSet<String>> {
        self.roots.get(root)?.as_ref()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_names_gather_fields_and_open_ones_have_none() {
        let mut names = Names::new();
        names.closed("setup", ["token".to_owned()]);
        names.closed("setup", ["id".to_owned()]);
        names.open("car");
        names.closed("car", ["brand".to_owned()]);
        assert_eq!(names.fields("setup").unwrap().iter().collect::<Vec<_>>(), ["id", "token"]);
        assert_eq!(names.fields("car"), None);
        assert!(names.contains("car") && names.contains("response") && !names.contains("cars"));
        assert_eq!(names.roots().collect::<Vec<_>>(), ["car", "iteration", "response", "run_id", "setup", "user_id"]);
    }
}
