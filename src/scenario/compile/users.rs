//! User types and their tasks: names, shares, order, and which of them the tags choose.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::Compiler;
use super::defined::Paths;
use super::flow::on_failure;
use super::steps::Around;
use crate::diagnostic::{Diagnostic, nearest};
use crate::load::{Profile, limits};
use crate::measure::catalog::UserId;
use crate::scenario::document::Scenario;
use crate::scenario::document::model::{Order as OrderForm, Step as StepForm, Task as TaskForm, UserType as UserForm};
use crate::scenario::document::read::Field;
use crate::scenario::document::values::List;
use crate::scenario::plan::{LARGEST_DECK, Order, Per, Plan, Share, Step, Task, UserType, Wait};

/// Names under which other things than tasks are measured.
const TASKS_OF_OURS: [&str; 2] = ["on_start", "on_stop"];
const USERS_OF_OURS: [&str; 2] = ["setup", "teardown"];

impl Compiler<'_> {
    pub(super) fn users(&mut self, field: &Field<List<UserForm>>) -> Vec<UserType> {
        let Some(list) = field.given() else { return Vec::new() };
        if list.value.items.is_empty() && list.value.whole {
            self.push(&list.range, "there are no users", "write `users: [{name: Visitor, tasks: [{get: /}]}]`");
        }
        self.unknown_tags(&list.value);
        let mut seen = HashMap::new();
        let mut users = Vec::new();
        for form in &list.value.items {
            self.user_name(&form.value, &mut seen);
            if form.value.name.is_absent() && list.value.items.len() > 1 {
                let start = form.range.start..form.range.start + 1;
                self.push(
                    &start,
                    "with several user types each needs a `name`",
                    "add one, such as `name: Visitor`; metrics carry it",
                );
            }
            users.extend(self.user(&form.value));
        }
        let weightless = |user: &UserForm| user.weight.value() == Some(&0);
        if list.value.items.iter().all(|user| weightless(&user.value))
            && let Some(weight) = list.value.items.last().and_then(|user| user.value.weight.given())
        {
            self.push(
                &weight.range,
                "all user types have the weight 0, so there would be nobody",
                "give at least one of them a weight above 0",
            );
        }
        let filtered = !self.overrides.tags.is_empty() || !self.overrides.exclude_tags.is_empty();
        if filtered && users.is_empty() && !list.value.items.is_empty() && !self.problems.has_errors() {
            self.problems.push(
                Diagnostic::error("no task is left by --tags and --exclude-tags").hint("choose others, or leave the options out"),
            );
        }
        users
    }

    fn user_name(&mut self, form: &UserForm, seen: &mut HashMap<String, Range<usize>>) {
        let Some(name) = form.name.given() else { return };
        if !self.check_name(name, "the name of a user type") {
            return;
        }
        if USERS_OF_OURS.contains(&name.value.as_str()) {
            let message = format!("`{}` is the name under which the steps of `{}` are measured", name.value, name.value);
            self.push(&name.range, message, "choose another name");
        }
        if let Some(first) = seen.insert(name.value.clone(), name.range.clone()) {
            let hint = format!("the first is in line {}; metrics could not tell them apart", self.line(&first));
            self.push(&name.range, format!("two user types are named `{}`", name.value), hint);
        }
    }

    pub(super) fn line(&self, range: &Range<usize>) -> usize {
        self.source.text.get(..range.start).unwrap_or_default().matches('\n').count() + 1
    }

    /// `None` when the tags leave none of its tasks.
    fn user(&mut self, form: &UserForm) -> Option<UserType> {
        // What is chosen is known before, so that what is not gets no names in the catalog; its mistakes count all the same.
        let tasks = form.tasks.value().map(|list| list.items.as_slice()).unwrap_or_default();
        let chosen: Vec<bool> = tasks.iter().map(|task| self.chosen(&form.tags, &task.value.tags)).collect();
        let name = form.name.value().cloned().unwrap_or_else(|| "User".to_owned());
        let catalog = (!chosen.contains(&true)).then(|| self.catalog.clone());
        let names: Vec<String> = tasks.iter().map(|task| self.plain_name(&task.value)).collect();
        self.paths = self.paths(form, &names);
        let definitions = self.paths.definitions.clone();
        let failing = self.failing;
        self.failing = on_failure(&form.on_failure, failing);
        let user = self.with_names(definitions.keys(), |compiler| compiler.chosen_user(form, &name, &chosen));
        self.failing = failing;
        if let Some(catalog) = catalog {
            self.catalog = catalog;
        }
        user
    }

    fn chosen_user(&mut self, form: &UserForm, name: &str, chosen: &[bool]) -> Option<UserType> {
        let id = self.catalog.add_user(name);
        let share = self.share(form);
        let wait_time = form.wait_time.given().and_then(|wait| self.wait(wait)).unwrap_or(Wait::NONE);
        let order = match form.order.value() {
            None | Some(OrderForm::Weighted) => Order::Weighted,
            Some(OrderForm::Sequential) => Order::Sequential,
            Some(OrderForm::Shuffle) => Order::Shuffle,
        };
        let (on_start, at_start) =
            self.using(|compiler| compiler.around_tasks(&form.on_start, Around { user: name, task: "on_start" }));
        let mut used = BTreeSet::new();
        let all = self.tasks(form, (name, id), chosen, &mut used);
        let (on_stop, at_stop) =
            self.using(|compiler| compiler.around_tasks(&form.on_stop, Around { user: name, task: "on_stop" }));
        let rows = self.user_rows(&at_start, &at_stop, &used);
        let tasks: Vec<Task> = self.choose(all, chosen);
        // Without such steps nothing is measured under their names, so they get none.
        let any = tasks.first().map(|task| task.id);
        let mut around = |steps: bool, task: &str| if steps { Some(self.catalog.add_task(id, task)) } else { any };
        let (on_start_task, on_stop_task) = (around(!on_start.is_empty(), "on_start"), around(!on_stop.is_empty(), "on_stop"));
        let user = UserType {
            id,
            name: name.to_owned(),
            share,
            own_load: !form.load.is_absent(),
            wait_time,
            order,
            on_start,
            on_stop,
            rows,
            on_start_task: on_start_task?,
            on_stop_task: on_stop_task?,
            tasks,
        };
        let cards: u64 = user.deck().into_iter().map(u64::from).sum();
        if user.order == Order::Shuffle && cards > LARGEST_DECK {
            let place = form.order.given().map_or(0..0, |order| order.range.clone());
            let message = format!("a deck of {cards} tasks is too large to shuffle: each user holds one");
            self.push(
                &place,
                message,
                format!("give smaller weights, at most {LARGEST_DECK} together, or choose `order: weighted`"),
            );
        }
        Some(user).filter(|user| !user.tasks.is_empty())
    }

    fn share(&mut self, form: &UserForm) -> Share {
        if let (Some(_), Some(second)) = (form.weight.key(), form.fixed_count.key()) {
            self.push(&second.clone(), "a user type has a `weight` or a `fixed_count`, not both", "remove one of the two");
        }
        match form.fixed_count.given() {
            Some(count) => {
                if count.value == 0 {
                    self.push(
                        &count.range,
                        "`fixed_count` is 0, so there would be no such user",
                        "give a number, or remove the user type",
                    );
                } else if let Err(error) = limits::users(count.value) {
                    self.push(&count.range, error.to_string(), error.hint());
                }
                Share::Fixed(count.value)
            }
            None => Share::Weight(form.weight.value().copied().unwrap_or(1)),
        }
    }

    // === tasks ===

    /// All tasks with their places in the file; those that are not chosen are compiled for their mistakes only.
    /// What rows the chosen ones use is added to `used`.
    fn tasks(
        &mut self,
        form: &UserForm,
        (user, user_id): (&str, UserId),
        chosen: &[bool],
        used: &mut BTreeSet<usize>,
    ) -> Vec<Task> {
        let Some(list) = form.tasks.given() else { return Vec::new() };
        if list.value.items.is_empty() && list.value.whole {
            self.push(&list.range, "this user type has no tasks", "write `tasks: [{get: /}]`");
        }
        let mut names: HashMap<String, (Range<usize>, bool)> = HashMap::new();
        let mut tasks = Vec::new();
        for (at, (task, chosen)) in list.value.items.iter().zip(chosen).enumerate() {
            let (name, place) = self.task_name(&task.value, &task.range);
            let given = task.value.name.given().is_some();
            if let Some((first, first_given)) = names.get(&name).filter(|_| !name.is_empty()).cloned() {
                let line = self.line(&first);
                let hint = match given || first_given {
                    true => format!("the first is in line {line}; give this one another name"),
                    false => {
                        format!("the first is in line {line}; give one of them a `name`, or write it once with a higher `weight`")
                    }
                };
                self.push(&place, format!("two tasks of `{user}` are named `{name}`"), hint);
            } else {
                names.insert(name.clone(), (place, given));
            }
            let catalog = (!chosen).then(|| self.catalog.clone());
            let (definitions, before) = (self.paths.definitions.clone(), self.paths.before_tasks.get(at).cloned());
            let (steps, by_task) = self.using(|compiler| {
                compiler.in_task((&definitions, &name), &before.unwrap_or_default(), |compiler| {
                    compiler.task_steps(&task.value, Around { user, task: &name })
                })
            });
            let rows = self.rows_per(Per::Task, &by_task);
            let id = self.catalog.add_task(user_id, &name);
            match catalog {
                Some(catalog) => self.catalog = catalog,
                None => used.extend(by_task),
            }
            let weight = task.value.weight.value().copied().unwrap_or(1);
            tasks.push(Task { id, name, weight, steps, rows, next: Vec::new() });
        }
        self.next(&list.value, &mut tasks);
        self.reachable(form, &list.value, &tasks);
        tasks
    }

    /// `on_start` or `on_stop`.
    fn around_tasks(&mut self, field: &Field<List<StepForm>>, around: Around<'_>) -> Vec<Step> {
        let Paths { definitions, constant, after_start, .. } = self.paths.clone();
        let certain = if around.task == "on_start" { constant } else { after_start };
        self.in_task((&definitions, around.task), &certain, |compiler| compiler.steps_of(field, around))
    }

    /// A task's name, whatever is wrong with it.
    fn plain_name(&self, task: &TaskForm) -> String {
        let given = task.name.value().cloned();
        given.or_else(|| self.default_name(&task.request()).map(|(name, _)| name)).unwrap_or_default()
    }

    /// A task of one request is named after it, a flow by its `name`.
    fn task_name(&mut self, task: &TaskForm, range: &Range<usize>) -> (String, Range<usize>) {
        if let Some(name) = task.name.given() {
            // Without a flow it is the request's name too, and looked at there.
            if (task.flow.is_absent() || self.check_name(name, "a task's name")) && TASKS_OF_OURS.contains(&name.value.as_str()) {
                let message = format!("`{}` is the name under which the steps of `{}` are measured", name.value, name.value);
                self.push(&name.range, message, "choose another name");
            }
            return (name.value.clone(), name.range.clone());
        }
        if let Some(key) = task.flow.key() {
            if task.name.is_absent() {
                self.push(
                    &key.clone(),
                    "a task with a `flow` needs a `name`",
                    "add one, such as `name: look at a car`; metrics carry it",
                );
            }
            return (String::new(), key.clone());
        }
        match self.default_name(&task.request()) {
            Some((name, place)) => (name, place),
            None => (String::new(), range.clone()),
        }
    }

    /// Fills in which task follows which.
    fn next(&mut self, list: &List<TaskForm>, tasks: &mut [Task]) {
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        for (at, form) in list.items.iter().enumerate() {
            let Some(next) = form.value.next.given() else { continue };
            if next.value.0.is_empty() {
                self.push(&next.range, "`next` names no task", "write `next: {name of a task: 1}`, or remove it");
            }
            let mut sum = 0u64;
            for (key, weight) in &next.value.0 {
                sum += u64::from(weight.value);
                match names.iter().position(|name| *name == key.name) {
                    Some(target) => tasks[at].next.push((target, weight.value)),
                    None => {
                        let hint = match nearest(&key.name, names.iter().map(String::as_str)) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!(
                                "its tasks are {}",
                                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                            ),
                        };
                        self.push(&key.range, format!("this user type has no task `{}`", key.name), hint);
                    }
                }
            }
            if sum == 0 && !next.value.0.is_empty() {
                self.push(
                    &next.range,
                    "all weights of `next` are 0, so nothing could follow",
                    "give at least one of them a weight above 0",
                );
            }
            tasks[at].next.retain(|(_, weight)| *weight > 0);
        }
    }

    /// Every task can be reached: by its weight, or by the `next` of one that can.
    fn reachable(&mut self, form: &UserForm, list: &List<TaskForm>, tasks: &[Task]) {
        if !list.whole || tasks.is_empty() || list.items.iter().any(|task| matches!(task.value.weight, Field::Wrong { .. })) {
            return;
        }
        if form.order.value() == Some(&OrderForm::Sequential) {
            self.useless_weights(list);
            return;
        }
        if tasks.iter().all(|task| task.weight == 0) {
            let place = list.items.last().and_then(|task| task.value.weight.given()).map_or(0..0, |weight| weight.range.clone());
            self.push(
                &place,
                "all tasks have the weight 0, so none could be chosen",
                "give at least one of them a weight above 0",
            );
            return;
        }
        // The first task is chosen by weight; where each task has a `next`, later ones are not.
        let mut reached: Vec<bool> = tasks.iter().map(|task| task.weight > 0).collect();
        let mut open: Vec<usize> = (0..tasks.len()).filter(|at| reached[*at]).collect();
        while let Some(at) = open.pop() {
            for (target, _) in &tasks[at].next {
                if !std::mem::replace(&mut reached[*target], true) {
                    open.push(*target);
                }
            }
        }
        for ((task, form), _) in tasks.iter().zip(&list.items).zip(&reached).filter(|(_, reached)| !**reached) {
            let place = form.value.weight.given().map_or_else(|| form.range.clone(), |weight| weight.range.clone());
            self.push(
                &place,
                format!("the task `{}` is never reached: its weight is 0, and no other task names it as `next`", task.name),
                "give it a weight above 0, or remove it",
            );
        }
    }

    fn useless_weights(&mut self, list: &List<TaskForm>) {
        for weight in list.items.iter().filter_map(|task| task.value.weight.given()) {
            self.warn(
                &weight.range,
                "with `order: sequential` weights mean nothing",
                "remove it, or choose `weighted` or `shuffle`",
            );
        }
    }

    /// Types that the weights leave out, because there are too few users for them.
    pub(super) fn never_there(&mut self, scenario: &Scenario, plan: &Plan) {
        let mut present = vec![false; plan.users.len()];
        // Of arrivals there are enough for everybody.
        let Some(crew) = plan.crews.first().filter(|crew| !matches!(crew.profile, Profile::Open(_))) else { return };
        let peak = crew.profile.peak();
        (0..plan.users.len()).filter(|at| !crew.users.contains(at)).for_each(|at| present[at] = true);
        for at in (0..peak.min(20_000)).filter_map(|slot| crew.user_of(u64::from(slot))) {
            present[at] = true;
        }
        let forms = scenario.users.value().map(|list| list.items.as_slice()).unwrap_or_default();
        for (user, _) in plan.users.iter().zip(present).filter(|(user, present)| !present && user.share != Share::Weight(0)) {
            let place = forms
                .iter()
                .find_map(|form| form.value.name.given().filter(|name| name.value == user.name))
                .map(|name| name.range.clone());
            let message = format!("with {peak} user{} there is never a `{}`", if peak == 1 { "" } else { "s" }, user.name);
            self.warn(&place.unwrap_or(0..0), message, "raise the load's users, or this type's `weight`");
        }
    }
}
