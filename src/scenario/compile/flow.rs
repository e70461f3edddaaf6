//! Steps that steer a flow: loops, branches, variables, meetings and ends.

use std::ops::Range;

use super::Compiler;
use super::defined::always_runs;
use super::steps::Around;
use super::text::After;
use crate::scenario::document::flow::{Loop as LoopForm, OnFailureForm, Rendezvous as RendezvousForm, StopForm};
use crate::scenario::document::model::Step as StepForm;
use crate::scenario::document::node::Value;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::{Any, List, Pairs};
use crate::scenario::plan::{
    Action, Control, Each, Loop, MOST_TURNS, OnFailure, Plan, Rendezvous, Step, Stop, TURNS_OF_WHILE, Turns,
};
use crate::template::{Expression, Template};
use std::time::Duration;

/// Who waits for longer is not met any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Steps within steps beyond this are refused; more cannot be read either.
const DEEPEST: usize = 16;

impl StepForm {
    /// The keys of a step that steers, which say what it does.
    pub(super) fn controls(&self) -> Vec<(&'static str, Range<usize>)> {
        let keys = [
            ("loop", self.r#loop.key()),
            ("if", self.r#if.key()),
            ("choose", self.choose.key()),
            ("set", self.set.key()),
            ("rendezvous", self.rendezvous.key()),
            ("log", self.log.key()),
            ("fail", self.fail.key()),
            ("stop", self.stop.key()),
        ];
        keys.into_iter().filter_map(|(name, key)| Some((name, key?.clone()))).collect()
    }
}

/// The failure's consequence within a form, or the one around it.
pub(super) fn on_failure(field: &Field<OnFailureForm>, around: OnFailure) -> OnFailure {
    match field.value() {
        None => around,
        Some(OnFailureForm::Continue) => OnFailure::Continue,
        Some(OnFailureForm::NextTask) => OnFailure::NextTask,
        Some(OnFailureForm::StopUser) => OnFailure::StopUser,
    }
}

impl Compiler<'_> {
    /// A step that steers, by the key `action`.
    pub(super) fn control(
        &mut self,
        step: &Placed<StepForm>,
        (name, key): (&str, &Range<usize>),
        around: Around<'_>,
        after: &mut After,
    ) -> Option<Step> {
        let form = &step.value;
        self.depth += 1;
        if self.depth > DEEPEST {
            if self.depth == DEEPEST + 1 {
                self.push(key, format!("more than {DEEPEST} steps within each other"), "divide it into several tasks");
            }
            self.depth -= 1;
            return None;
        }
        let line = self.line(key);
        let action = match name {
            "loop" => self.repeat(form, key, around, after),
            "if" => self.condition(form, key, around, after),
            "choose" => self.choice(form, around, after),
            "set" => form.set.given().and_then(|pairs| self.set(pairs, *after)).map(Action::Set),
            "rendezvous" => form.rendezvous.given().and_then(|form| self.rendezvous(form)).map(Action::Rendezvous),
            "log" => form.log.given().and_then(|text| self.message(text, "log", *after)).map(Action::Log),
            "fail" => {
                let text = form.fail.given().and_then(|text| self.message(text, "fail", *after));
                self.ends("fail", line);
                text.map(Action::Fail)
            }
            _ => form.stop.value().map(|stop| {
                let (stop, what) = match stop {
                    StopForm::Task => (Stop::Task, "stop: task"),
                    StopForm::User => (Stop::User, "stop: user"),
                    StopForm::Run => (Stop::Run, "stop: run"),
                };
                self.ends(what, line);
                if let (Some(single), true) = (self.single, stop != Stop::Task) {
                    let hint = "`stop: task` ends its steps; `fail: MESSAGE` in `setup` keeps the run from beginning";
                    self.push(key, format!("`{single}` has no users and no run to stop"), hint);
                }
                Action::Stop(stop)
            }),
        };
        self.depth -= 1;
        let on_failure = on_failure(&form.on_failure, self.failing);
        Some(Step::Control(Box::new(Control { line, on_failure, action: action? })))
    }

    fn message(&mut self, text: &Placed<String>, key: &str, after: After) -> Option<Template> {
        if text.value.trim().is_empty() {
            self.push(&text.range, format!("`{key}` says nothing"), "write what is to be read, such as `no car is left`");
            return None;
        }
        self.template(text, after)
    }

    // === branches ===

    fn condition(&mut self, form: &StepForm, key: &Range<usize>, around: Around<'_>, after: &mut After) -> Option<Action> {
        if form.then.is_absent() {
            let hint = match form.flow.key() {
                Some(_) => "its steps stand below `then:`, and those of the other branch below `else:`",
                None => "write its steps below `then:`",
            };
            self.push(key, "an `if` needs a `then`", hint);
        }
        let condition = form.r#if.given().and_then(|test| self.expression(test, *after));
        let always = condition.as_ref().and_then(Expression::constant).map(|value| value.is_true());
        if let (Some(always), Some(test)) = (always, form.r#if.given()) {
            let (what, never) = if always { ("true", "else") } else { ("false", "then") };
            let message = format!("this condition is always {what}");
            let hint = match (always, form.r#else.key()) {
                (true, None) => "it looks at nothing; write its steps without the `if`".to_owned(),
                _ => format!("it looks at nothing, so `{never}` is never reached"),
            };
            self.warn(&test.range, message, hint);
        }
        let mut then_after = *after;
        let (then, then_left) = self.branch(|compiler| {
            compiler.given(condition.as_ref(), |compiler| compiler.branch_steps(&form.then, around, &mut then_after))
        });
        let mut else_after = *after;
        let (otherwise, else_left) = self.branch(|compiler| compiler.branch_steps(&form.r#else, around, &mut else_after));
        self.merge(vec![then_left, else_left]);
        *after = either(then_after, else_after);
        Some(Action::If { condition: condition?, then, otherwise })
    }

    fn choice(&mut self, form: &StepForm, around: Around<'_>, after: &mut After) -> Option<Action> {
        let list = form.choose.given()?;
        if list.value.items.is_empty() && list.value.whole {
            self.push(&list.range, "there are no branches", "write `choose: [{weight: 3, flow: [...]}, {flow: [...]}]`");
        }
        let weight = |arm: &Placed<crate::scenario::document::flow::Arm>| arm.value.weight.value().copied().unwrap_or(1);
        if !list.value.items.is_empty() && list.value.items.iter().all(|arm| weight(arm) == 0) {
            let place = list.value.items.last().and_then(|arm| arm.value.weight.given());
            let place = place.map_or_else(|| list.range.clone(), |weight| weight.range.clone());
            self.push(
                &place,
                "all branches have the weight 0, so none could be chosen",
                "give at least one of them a weight above 0",
            );
        }
        let (mut arms, mut left, mut after_all) = (Vec::new(), Vec::new(), None);
        for arm in &list.value.items {
            let mut own = *after;
            let (steps, end) = self.branch(|compiler| compiler.branch_steps(&arm.value.flow, around, &mut own));
            after_all = Some(after_all.map_or(own, |all| either(all, own)));
            arms.push((weight(arm), steps));
            // What is never chosen is no path.
            if weight(arm) > 0 {
                left.push(end);
            }
        }
        self.merge(left);
        *after = after_all.unwrap_or(*after);
        Some(Action::Choose(arms))
    }

    fn branch_steps(&mut self, field: &Field<List<StepForm>>, around: Around<'_>, after: &mut After) -> Vec<Step> {
        field.given().map(|list| self.flow(list, around, after)).unwrap_or_default()
    }

    // === loops ===

    fn repeat(&mut self, form: &StepForm, key: &Range<usize>, around: Around<'_>, after: &mut After) -> Option<Action> {
        if form.flow.is_absent() {
            self.push(key, "a `loop` needs a `flow`", "write its steps below `flow:`, beside `loop:`");
        }
        let each = form.r#loop.given()?;
        let before = *after;
        let item = self.item_name(&each.value);
        let own = ["loop_index".to_owned()].into_iter().chain(item.clone());
        let own: Vec<_> = own.collect();
        let turns = self.turns(each, key, form, before);
        // Its first turn knows what stands before it; later ones know no less.
        let (steps, left) = self.branch(|compiler| {
            let names = own.clone();
            compiler.with_names(&names, |compiler| {
                own.iter().for_each(|name| compiler.learn(name));
                let condition = match &turns {
                    Some(Turns::While { condition, .. }) => Some(condition.clone()),
                    _ => None,
                };
                compiler.given(condition.as_ref(), |compiler| compiler.branch_steps(&form.flow, around, after))
            })
        });
        if always_runs(&each.value) {
            self.merge(vec![left]);
            own.iter().for_each(|name| self.forget(name));
        } else {
            *after = either(*after, before);
        }
        Some(Action::Loop(Loop { turns: turns?, steps }))
    }

    fn item_name(&mut self, each: &LoopForm) -> Option<String> {
        each.for_each.key()?;
        match each.r#as.given() {
            Some(name) => self.variable_name(&name.value, &name.range).then(|| name.value.clone()),
            None => Some("item".to_owned()),
        }
    }

    fn turns(&mut self, each: &Placed<LoopForm>, key: &Range<usize>, form: &StepForm, after: After) -> Option<Turns> {
        let LoopForm { count, r#while, for_each, r#as, at_most, has_odd_keys } = &each.value;
        let kinds = [("count", count.key()), ("while", r#while.key()), ("for_each", for_each.key())];
        let mut given: Vec<_> = kinds.into_iter().filter_map(|(name, key)| Some((name, key?.clone()))).collect();
        given.sort_by_key(|(_, key)| key.start);
        match given.as_slice() {
            [(first, _), (second, place), ..] => {
                let message = format!("a loop has one end, but here are `{first}` and `{second}`");
                self.push(place, message, "keep one; `stop: task` or an `if` can end it otherwise");
                return None;
            }
            [] => {
                if !has_odd_keys {
                    self.push(key, "this loop has no end", "give it `count: 3`, `while: EXPRESSION` or `for_each: LIST`");
                }
                return None;
            }
            [_] => {}
        }
        for (own, of, beside) in [("as", "for_each", r#as.key()), ("at_most", "while", at_most.key())] {
            if let Some(place) = beside.filter(|_| given[0].0 != of) {
                let message = format!("`{own}` belongs to `{of}`, and this is `{}`", given[0].0);
                self.push(&place.clone(), message, "remove it");
            }
        }
        if let Some(count) = count.given() {
            return self.count(count, after);
        }
        if let Some(test) = r#while.given() {
            // It is looked at within the loop.
            let own = ["loop_index".to_owned()];
            let condition = self.with_names(&own, |compiler| {
                compiler.branch(|compiler| {
                    compiler.learn("loop_index");
                    compiler.expression(test, after)
                })
            });
            let condition = condition.0?;
            self.ending(test, &condition, form, at_most.is_absent());
            let at_most = match at_most.given() {
                Some(most) if (1..=MOST_TURNS).contains(&most.value) => most.value,
                Some(most) => {
                    self.push(
                        &most.range,
                        format!("`at_most` is from 1 to {MOST_TURNS}"),
                        "give a number of turns that is never needed",
                    );
                    return None;
                }
                None => TURNS_OF_WHILE,
            };
            return Some(Turns::While { condition, at_most });
        }
        let list = for_each.given()?;
        let name = r#as.value().map_or("item", String::as_str).into();
        match &list.value.0.value {
            Value::Text(text) => {
                let text = Placed { value: text.clone(), range: list.range.clone() };
                self.expression(&text, after).map(|expression| Turns::Each { list: Each::Of(expression), name })
            }
            Value::List(items) if items.is_empty() => {
                self.push(&list.range, "the list is empty, so the loop has no turn", "put something into it, or remove the loop");
                None
            }
            Value::List(_) => self.assigned(&list.value.0, after).map(|list| Turns::Each { list: Each::Fixed(list), name }),
            _ => {
                let message = format!("expected a list or an expression that gives one, found {}", list.value.0.describe());
                self.push(&list.range, message, "write `for_each: cars` or `for_each: [a, b]`");
                None
            }
        }
    }

    fn count(&mut self, count: &Placed<Any>, after: After) -> Option<Turns> {
        match &count.value.0.value {
            Value::Number(number, spelling) => match number.as_u64() {
                Some(0) => {
                    self.push(&count.range, "`count` is 0, so the loop has no turn", "give a number above 0, or remove the loop");
                    None
                }
                Some(turns) if turns <= MOST_TURNS => Some(Turns::Count(turns)),
                Some(_) => {
                    let hint = "a user does its tasks over and over; make the loop a task";
                    self.push(&count.range, format!("a loop has at most {MOST_TURNS} turns"), hint);
                    None
                }
                None => {
                    self.push(&count.range, format!("expected a whole number, found `{spelling}`"), "write `count: 3`");
                    None
                }
            },
            Value::Text(text) => self.template_at(text, &count.range, after).and_then(|template| match template.as_literal() {
                Some(_) => {
                    self.push(&count.range, format!("`{text}` is not a number of turns"), "write `count: 3`, or a template");
                    None
                }
                None => Some(Turns::Counted(template)),
            }),
            _ => {
                let message = format!("expected a number, found {}", count.value.0.describe());
                self.push(&count.range, message, "write `count: 3`");
                None
            }
        }
    }

    /// Whether a `while` can end, and begin, as far as it can be seen.
    fn ending(&mut self, test: &Placed<String>, condition: &Expression, form: &StepForm, unlimited: bool) {
        if let Some(value) = condition.constant() {
            if !value.is_true() {
                self.warn(&test.range, "this condition is always false", "it looks at nothing, so the loop has no turn");
            } else if unlimited && !leaves(&form.flow) {
                let message = "this loop never ends by itself";
                let hint =
                    format!("it is given up after {TURNS_OF_WHILE} turns; let its condition change, or put a `stop` into it");
                self.warn(&test.range, message, hint);
            }
            return;
        }
        // Only of variables it can be seen who changes them.
        let inside = self.definitions_of(&form.flow, "");
        let roots: Vec<&str> = condition.references().iter().map(|reference| &*reference.root).collect();
        let fixed = |root: &&str| self.is_variable(root) && !inside.contains_key(*root);
        if !condition.varies() && !roots.is_empty() && roots.iter().all(fixed) && !leaves(&form.flow) {
            let names: Vec<_> = roots.iter().map(|root| format!("`{root}`")).collect();
            let message = format!("nothing in this loop changes {}", names.join(" or "));
            self.warn(&test.range, message, "so it has no turn, or never ends; set or capture it anew in the loop");
        }
    }

    // === variables ===

    fn set(&mut self, pairs: &Placed<Pairs<Any>>, after: After) -> Option<Vec<(Box<str>, crate::template::Assigned)>> {
        if pairs.value.0.is_empty() {
            self.push(&pairs.range, "nothing is set", "write `set: {name: value}`, or remove the step");
        }
        let mut all = Vec::new();
        for (key, value) in &pairs.value.0 {
            let named = self.variable_name(&key.name, &key.range);
            let value = self.assigned(&value.value.0, after);
            self.learn(&key.name);
            all.push(value.filter(|_| named).map(|value| (key.name.as_str().into(), value)));
        }
        all.into_iter().collect()
    }

    // === meetings ===

    fn rendezvous(&mut self, form: &Placed<RendezvousForm>) -> Option<usize> {
        let RendezvousForm { name, users, timeout, .. } = &form.value;
        let timeout = self.more_than_zero(timeout, "timeout").unwrap_or(PATIENCE);
        let (name, users) = (name.given()?, users.given()?);
        if users.value < 2 {
            self.push(&users.range, format!("`users` is {}, so nobody is waited for", users.value), "give a number from 2 on");
            return None;
        }
        if self.single.is_some() {
            let message = format!("`{}` has one user, who would wait in vain", self.single.unwrap_or_default());
            self.push(&name.range, message, "put the rendezvous into a task");
            return None;
        }
        let own = Rendezvous { name: name.value.clone(), users: users.value, timeout };
        match self.rendezvous.iter().position(|(known, _)| known.name == own.name) {
            None => {
                self.rendezvous.push((own, users.range.clone()));
                Some(self.rendezvous.len() - 1)
            }
            Some(at) if self.rendezvous[at].0 == own => Some(at),
            Some(at) => {
                let line = self.line(&self.rendezvous[at].1);
                let message = format!("the rendezvous `{}` has other `users` or another `timeout` elsewhere", own.name);
                self.push(
                    &name.range,
                    message,
                    format!("the other is in line {line}; make them the same, or give this one a name of its own"),
                );
                None
            }
        }
    }

    /// Meetings to which never enough users come.
    pub(super) fn never_met(&mut self, plan: &Plan) {
        let most: u64 = plan.crews.iter().map(|crew| u64::from(crew.profile.peak())).sum();
        for (rendezvous, place) in self.rendezvous.clone() {
            if u64::from(rendezvous.users) > most {
                let message = format!("there are never {} users, but {most} at most", rendezvous.users);
                self.warn(&place, message, "who comes waits until the `timeout`, and its task has failed");
            }
        }
    }
}

/// There may be a response after one of two ways.
fn either(a: After, b: After) -> After {
    if a == After::Request { a } else { b }
}

/// Whether a `stop` or `fail` stands somewhere in these steps.
fn leaves(steps: &Field<List<StepForm>>) -> bool {
    steps.value().map(|list| list.items.as_slice()).unwrap_or_default().iter().any(|step| {
        let form = &step.value;
        let arms = form.choose.value().map(|list| list.items.as_slice()).unwrap_or_default();
        form.stop.key().is_some()
            || form.fail.key().is_some()
            || form.on_failure.key().is_some()
            || [&form.flow, &form.then, &form.r#else].into_iter().any(leaves)
            || arms.iter().any(|arm| leaves(&arm.value.flow))
    })
}
