//! The names that steps give to variables of a user, looked up before the steps are compiled: a template may use what a later
//! task captures.

use std::collections::BTreeSet;

use super::Compiler;
use crate::scenario::document::model::{RequestKeys, Step as StepForm, UserType as UserForm};
use crate::scenario::document::read::Field;
use crate::scenario::document::values::List;
use crate::template::Names;

impl Compiler<'_> {
    /// Makes the names of a user type's steps known while `compile` runs.
    pub(super) fn with_names_of<T>(&mut self, user: &UserForm, compile: impl FnOnce(&mut Self) -> T) -> T {
        let mut names = BTreeSet::new();
        of_steps(&user.on_start, &mut names);
        for task in user.tasks.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            of_request(&task.value.request(), &mut names);
            of_steps(&task.value.flow, &mut names);
        }
        of_steps(&user.on_stop, &mut names);
        self.with_names(&names, compile)
    }

    pub(super) fn with_names<T>(&mut self, names: &BTreeSet<String>, compile: impl FnOnce(&mut Self) -> T) -> T {
        let mut inner: Names = self.names.clone();
        names.iter().for_each(|name| inner.open(name));
        let outer = std::mem::replace(&mut self.names, inner);
        let done = compile(self);
        self.names = outer;
        done
    }
}

/// The names that a list of steps may define.
pub(super) fn of_steps(steps: &Field<List<StepForm>>, names: &mut BTreeSet<String>) {
    for step in steps.value().map(|list| list.items.as_slice()).unwrap_or_default() {
        of_request(&step.value.request(), names);
        of_steps(&step.value.flow, names);
    }
}

fn of_request(keys: &RequestKeys<'_>, names: &mut BTreeSet<String>) {
    for (key, _) in keys.capture.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
        names.insert(key.name.clone());
    }
}
