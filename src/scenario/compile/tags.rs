//! `tags`, `--tags` and `--exclude-tags`: which tasks a run has.

use std::collections::BTreeSet;

use super::Compiler;
use crate::diagnostic::{Diagnostic, nearest};
use crate::scenario::document::model::UserType as UserForm;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::List;
use crate::scenario::plan::Task;

type Tags = Field<List<String, true>>;

impl Compiler<'_> {
    /// Whether a task is among those that the command line asks for.
    pub(super) fn chosen(&self, user: &Tags, task: &Tags) -> bool {
        let has = |wanted: &[String]| {
            let tags = [user, task].into_iter().filter_map(Field::value).flat_map(|list| &list.items);
            tags.into_iter().any(|tag| wanted.contains(&tag.value))
        };
        (self.overrides.tags.is_empty() || has(&self.overrides.tags)) && !has(&self.overrides.exclude_tags)
    }

    /// Only the chosen tasks, `next` adapted.
    pub(super) fn choose(&self, tasks: Vec<Task>, chosen: &[bool]) -> Vec<Task> {
        let mut place = 0;
        let places: Vec<Option<usize>> = chosen
            .iter()
            .map(|chosen| {
                place += usize::from(*chosen);
                chosen.then(|| place - 1)
            })
            .collect();
        let kept = tasks.into_iter().zip(chosen).filter(|(_, chosen)| **chosen);
        kept.map(|(mut task, _)| {
            task.next = task.next.iter().filter_map(|(target, weight)| Some((places[*target]?, *weight))).collect();
            task
        })
        .collect()
    }

    /// Tags of the command line that nothing has.
    pub(super) fn unknown_tags(&mut self, users: &List<UserForm>) {
        let tasks =
            users.items.iter().flat_map(|user| user.value.tasks.value().map(|list| list.items.as_slice()).unwrap_or_default());
        let fields = users.items.iter().map(|user| &user.value.tags).chain(tasks.map(|task| &task.value.tags));
        let known: Vec<&Placed<String>> = fields.filter_map(Field::value).flat_map(|list| &list.items).collect();
        for (option, tags) in [("--tags", &self.overrides.tags), ("--exclude-tags", &self.overrides.exclude_tags)] {
            for tag in tags.iter().filter(|tag| known.iter().all(|known| known.value != **tag)) {
                let problem = Diagnostic::error(format!("{option}: nothing in the scenario has the tag `{tag}`"));
                let hint = match nearest(tag, known.iter().map(|known| known.value.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "nothing in it has `tags`".to_owned(),
                    None => {
                        let all: BTreeSet<_> = known.iter().map(|known| known.value.as_str()).collect();
                        format!("it has {}", all.into_iter().collect::<Vec<_>>().join(", "))
                    }
                };
                self.problems.push(problem.hint(hint));
            }
        }
    }
}
