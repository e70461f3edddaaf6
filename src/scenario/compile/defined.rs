//! The names that steps give to variables of a user, looked up before the steps are compiled: where each is defined and on which
//! condition, and which are there for certain when a list of steps has been done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Compiler;
use crate::scenario::document::model::{
    Order as OrderForm, RequestKeys, Step as StepForm, Task as TaskForm, UserType as UserForm,
};
use crate::scenario::document::node::{Key, shorten};
use crate::scenario::document::read::Field;
use crate::scenario::document::values::List;
use crate::template::Names;

/// A place that defines a name.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub range: Range<usize>,
    /// The task that it is in, or `on_start` and its like.
    pub task: String,
    /// Why it may be passed by, if it may.
    pub condition: Option<String>,
}

/// All definitions of a user type, by name.
pub(super) type Definitions = BTreeMap<String, Vec<Definition>>;

/// How the steps of a user type give each other names.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    pub definitions: Definitions,
    /// What is there for certain: from the start, after `on_start`, before each task.
    pub constant: BTreeSet<String>,
    pub after_start: BTreeSet<String>,
    pub before_tasks: Vec<BTreeSet<String>>,
}

/// What is known where a list of steps ends.
#[derive(Clone, Debug, Default)]
struct Certain {
    /// Names that are there for certain; `None` where nobody comes.
    at_end: Option<BTreeSet<String>>,
    /// At the ends before the end, such as `stop: task`.
    exits: Vec<BTreeSet<String>>,
}

impl Compiler<'_> {
    /// All that a user type's steps define, and what each of its tasks finds for certain. `names` are those of its tasks.
    pub(super) fn paths(&self, user: &UserForm, names: &[String]) -> Paths {
        let mut all = Definitions::new();
        self.define(&user.on_start, "on_start", None, &mut all);
        let tasks = user.tasks.value().map(|list| list.items.as_slice()).unwrap_or_default();
        for (task, name) in tasks.iter().zip(names) {
            self.define_request(&task.value.request(), name, None, &mut all);
            self.define(&task.value.flow, name, None, &mut all);
        }
        self.define(&user.on_stop, "on_stop", None, &mut all);
        let constant = self.constants_of(&all);
        let after_start = certain_of(&user.on_start, constant.clone()).at_the_latest();
        let tasks: Vec<&TaskForm> = tasks.iter().map(|task| &task.value).collect();
        let before_tasks = before_tasks(user, &tasks, names, &after_start);
        Paths { definitions: all, constant, after_start, before_tasks }
    }

    /// Names that stand for something also where no step has defined them.
    pub(super) fn constants_of(&self, definitions: &Definitions) -> BTreeSet<String> {
        definitions.keys().filter(|name| self.names.contains(name)).cloned().collect()
    }

    /// All that a list of steps defines.
    pub(super) fn definitions_of(&self, steps: &Field<List<StepForm>>, task: &str) -> Definitions {
        let mut all = Definitions::new();
        self.define(steps, task, None, &mut all);
        all
    }

    /// Makes names known while `compile` runs.
    pub(super) fn with_names<'n, T>(
        &mut self,
        names: impl IntoIterator<Item = &'n String>,
        compile: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut inner: Names = self.names.clone();
        names.into_iter().for_each(|name| inner.open(name));
        let outer = std::mem::replace(&mut self.names, inner);
        let done = compile(self);
        self.names = outer;
        done
    }

    fn define(&self, steps: &Field<List<StepForm>>, task: &str, condition: Option<&str>, all: &mut Definitions) {
        for step in steps.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            let form = &step.value;
            self.define_request(&form.request(), task, condition, all);
            for (key, _) in form.set.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
                self.define_name(key, task, condition, all);
            }
            let inside = |what: String| condition.map_or(what, str::to_owned);
            let line = self.line(&step.range);
            if let Some(test) = form.r#if.value() {
                let of = |what: &str| inside(format!("{what} `{}` in line {line}", shorten(test)));
                self.define(&form.then, task, Some(&of("only after")), all);
                self.define(&form.r#else, task, Some(&of("only without")), all);
            }
            for arm in form.choose.value().map(|list| list.items.as_slice()).unwrap_or_default() {
                let of = inside(format!("only in one branch of `choose` in line {line}"));
                self.define(&arm.value.flow, task, Some(&of), all);
            }
            match form.r#loop.value() {
                Some(each) if !always_runs(each) => {
                    let of = inside(format!("only in the loop of line {line}, which may have no turn"));
                    self.define(&form.flow, task, Some(&of), all);
                }
                _ => self.define(&form.flow, task, condition, all),
            }
        }
    }

    fn define_request(&self, keys: &RequestKeys<'_>, task: &str, condition: Option<&str>, all: &mut Definitions) {
        let when = keys.when.value().map(|when| format!("only when `{}`", shorten(when)));
        let condition = condition.map(str::to_owned).or(when);
        for (key, _) in keys.capture.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            self.define_name(key, task, condition.as_deref(), all);
        }
    }

    fn define_name(&self, key: &Key, task: &str, condition: Option<&str>, all: &mut Definitions) {
        if !super::constants::is_identifier(&key.name) {
            return;
        }
        let place = Definition { range: key.range.clone(), task: task.to_owned(), condition: condition.map(str::to_owned) };
        all.entry(key.name.clone()).or_default().push(place);
    }
}

/// Whether a loop has a turn, whatever comes.
pub(super) fn always_runs(each: &crate::scenario::document::flow::Loop) -> bool {
    use crate::scenario::document::node::Value;
    match each.count.value().map(|any| &any.0.value) {
        Some(Value::Number(number, _)) => number.as_u64().is_some_and(|count| count > 0),
        _ => matches!(each.for_each.value().map(|any| &any.0.value), Some(Value::List(items)) if !items.is_empty()),
    }
}

// === what is there for certain ===

impl Certain {
    /// Whichever end was taken.
    fn at_the_latest(self) -> BTreeSet<String> {
        self.exits.into_iter().chain(self.at_end).reduce(|a, b| &a & &b).unwrap_or_default()
    }
}

fn join(a: Option<BTreeSet<String>>, b: Option<BTreeSet<String>>) -> Option<BTreeSet<String>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a & &b),
        (one, other) => one.or(other),
    }
}

fn certain_of(steps: &Field<List<StepForm>>, before: BTreeSet<String>) -> Certain {
    let mut certain = Certain { at_end: Some(before), exits: Vec::new() };
    for step in steps.value().map(|list| list.items.as_slice()).unwrap_or_default() {
        let Some(mut now) = certain.at_end.take() else { break };
        let form = &step.value;
        of_request(&form.request(), &mut now);
        now.extend(form.set.value().into_iter().flat_map(|pairs| pairs.0.iter().map(|(key, _)| key.name.clone())));
        if form.stop.key().is_some() || form.fail.key().is_some() {
            certain.exits.push(now);
            break;
        }
        let mut inner = |steps: &Field<List<StepForm>>| {
            let inner = certain_of(steps, now.clone());
            certain.exits.extend(inner.exits);
            inner.at_end
        };
        certain.at_end = if form.r#if.key().is_some() {
            let then = inner(&form.then);
            join(then, inner(&form.r#else))
        } else if let Some(arms) = form.choose.value() {
            let arms: Vec<_> = arms.items.iter().map(|arm| inner(&arm.value.flow)).collect();
            arms.into_iter().reduce(join).flatten()
        } else if let Some(each) = form.r#loop.value() {
            let inside = inner(&form.flow);
            if always_runs(each) { inside } else { Some(now) }
        } else {
            inner(&form.flow)
        };
    }
    certain
}

fn of_request(keys: &RequestKeys<'_>, names: &mut BTreeSet<String>) {
    if keys.when.is_absent() {
        names.extend(keys.capture.value().into_iter().flat_map(|pairs| pairs.0.iter().map(|(key, _)| key.name.clone())));
    }
}

/// What each task finds for certain: what those leave that may come before it.
fn before_tasks(user: &UserForm, tasks: &[&TaskForm], names: &[String], at_start: &BTreeSet<String>) -> Vec<BTreeSet<String>> {
    let after = |at: usize, before: &BTreeSet<String>| {
        let mut own = before.clone();
        of_request(&tasks[at].request(), &mut own);
        certain_of(&tasks[at].flow, own).at_the_latest()
    };
    let weight = |at: usize| tasks[at].weight.value().copied().unwrap_or(1);
    if user.order.value() == Some(&OrderForm::Sequential) && tasks.iter().all(|task| task.next.is_absent()) {
        let mut before = vec![at_start.clone()];
        for at in 0..tasks.len() {
            before.push(after(at, &before[at]));
        }
        before.truncate(tasks.len());
        return before;
    }
    // Those that are chosen by weight may be the first. Others come only after those that name them: at first anything is
    // thought to be there, then what some of these do not leave is taken away, until nothing changes.
    let mut before: Vec<Option<BTreeSet<String>>> =
        (0..tasks.len()).map(|at| (weight(at) > 0).then(|| at_start.clone())).collect();
    for _ in 0..tasks.len() {
        let mut changed = false;
        for at in 0..tasks.len() {
            let Some(known) = before[at].clone() else { continue };
            let left = after(at, &known);
            for (key, _) in tasks[at].next.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
                let Some(target) = names.iter().position(|name| *name == key.name).filter(|target| weight(*target) == 0) else {
                    continue;
                };
                let joined = join(before[target].clone(), Some(left.clone()));
                changed |= joined != before[target];
                before[target] = joined;
            }
        }
        if !changed {
            break;
        }
    }
    before.into_iter().map(Option::unwrap_or_default).collect()
}
