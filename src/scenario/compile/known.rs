//! Which variables are there for certain where a template stands, along every path that leads to it; and which steps are never
//! reached. A failed request is no path of its own: it is assumed that captures find something.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Compiler;
use super::defined::{Definition, Definitions};
use crate::scenario::document::place::inside;
use crate::template::{Expression, Reference};

/// What is known at a step of a flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Of the user type that is compiled.
    definitions: Definitions,
    task: String,
    certain: BTreeSet<String>,
    /// Names that a step captured on a condition, with that condition.
    when: Vec<(String, String)>,
    /// What has ended the task before here, and in which line.
    ended: Option<(&'static str, usize)>,
}

/// What a branch leaves.
pub(super) struct Left {
    certain: BTreeSet<String>,
    ended: Option<(&'static str, usize)>,
}

impl Compiler<'_> {
    /// Compiles the steps of `task`, which finds `certain`.
    pub(super) fn in_task<T>(
        &mut self,
        (definitions, task): (&Definitions, &str),
        certain: &BTreeSet<String>,
        compile: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let known = Known {
            definitions: definitions.clone(),
            task: task.to_owned(),
            certain: certain.clone(),
            when: Vec::new(),
            ended: None,
        };
        let before = std::mem::replace(&mut self.known, known);
        let done = compile(self);
        self.known = before;
        done
    }

    /// A variable is there from here on.
    pub(super) fn learn(&mut self, name: &str) {
        self.known.certain.insert(name.to_owned());
    }

    pub(super) fn is_certain(&self, name: &str) -> bool {
        self.known.certain.contains(name)
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.known.certain.remove(name);
    }

    /// Whether the user's own steps alone change it.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.known.definitions.contains_key(name)
    }

    /// A variable is there, if `condition` was true.
    pub(super) fn learn_when(&mut self, name: &str, condition: &str) {
        self.known.when.push((condition.trim().to_owned(), name.to_owned()));
    }

    /// While `compile` runs, what `condition` says of names is taken for granted: it looks at them with `is defined`, or others were
    /// captured on the same one.
    pub(super) fn given<T>(&mut self, condition: Option<&Expression>, compile: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.known.certain.clone();
        if let Some(condition) = condition {
            let tested = condition.references().iter().filter(|reference| reference.guarded);
            self.known.certain.extend(tested.map(|reference| reference.root.to_string()));
            let same = self.known.when.iter().filter(|(when, _)| *when == condition.source().trim());
            let same: Vec<_> = same.map(|(_, name)| name.clone()).collect();
            self.known.certain.extend(same);
        }
        let assumed: Vec<_> = self.known.certain.difference(&before).cloned().collect();
        let done = compile(self);
        for name in &assumed {
            self.known.certain.remove(name);
        }
        done
    }

    // === branches ===

    /// Compiles a branch, from what is known here; what is known here afterwards is as before it.
    pub(super) fn branch<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> (T, Left) {
        let (certain, ended) = (self.known.certain.clone(), self.known.ended);
        let done = compile(self);
        let left = Left {
            certain: std::mem::replace(&mut self.known.certain, certain),
            ended: std::mem::replace(&mut self.known.ended, ended),
        };
        (done, left)
    }

    /// One of these branches was taken.
    pub(super) fn merge(&mut self, branches: Vec<Left>) {
        let ended = branches.iter().map(|branch| branch.ended).reduce(Option::and).flatten();
        let open = branches.into_iter().filter(|branch| branch.ended.is_none());
        if let Some(certain) = open.map(|branch| branch.certain).reduce(|a, b| &a & &b) {
            self.known.certain = certain;
        }
        self.known.ended = self.known.ended.or(ended);
    }

    pub(super) fn ends(&mut self, what: &'static str, line: usize) {
        self.known.ended = self.known.ended.or(Some((what, line)));
    }

    /// A step that stands behind the end of its task is reported; once.
    pub(super) fn reached(&mut self, step: &Range<usize>) {
        if let Some((what, line)) = self.known.ended.take() {
            let place = step.start..step.start + self.source.text[step.start..].find([':', '\n']).unwrap_or(1);
            let hint = format!("the `{what}` in line {line} ends the task before; move or remove this step");
            self.push(&place, "this step is never reached", hint);
        }
    }

    // === uses ===

    /// Warns of a variable that may not be there.
    pub(super) fn is_known(&mut self, reference: &Reference, text: &str, range: &Range<usize>) {
        let name = &*reference.root;
        if reference.guarded || self.known.certain.contains(name) {
            return;
        }
        let Some(definitions) = self.known.definitions.get(name) else { return };
        let place = inside(&self.source, range, text, reference.range.clone());
        let hint = self.way_around(definitions, &place);
        // Once in a task is enough.
        self.known.certain.insert(name.to_owned());
        self.warn(&place, format!("`{name}` may not be there yet"), hint);
    }

    /// On which path it is not there.
    fn way_around(&self, definitions: &[Definition], place: &Range<usize>) -> String {
        let here = |definition: &&Definition| definition.task == self.known.task;
        let before = definitions.iter().filter(here).find(|definition| definition.range.start < place.start);
        let found = before.or_else(|| definitions.iter().find(|definition| !here(definition)));
        let Some(found) = found.or_else(|| definitions.first()) else { return String::new() };
        let line = self.line(&found.range);
        let why = match &found.condition {
            _ if found.task != self.known.task && matches!(found.task.as_str(), "on_stop") => {
                "by `on_stop`, which comes last".to_owned()
            }
            Some(condition) if found.task == self.known.task => condition.clone(),
            Some(condition) => format!("by `{}`, {condition}", found.task),
            None if found.task != self.known.task => {
                format!("by the task `{}`, which need not have come before", found.task)
            }
            None => "only later".to_owned(),
        };
        let where_ = if why == "only later" { format!("only later, in line {line}") } else { format!("in line {line}, {why}") };
        format!("it is set {where_}; give it a value before, or look with `is defined`")
    }
}
