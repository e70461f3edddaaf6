//! Flows: steps one after the other, with groups and pauses between the requests.

use std::ops::Range;

use super::Compiler;
use super::flow::on_failure;
use super::text::After;
use crate::scenario::document::model::{Step as StepForm, Task as TaskForm};
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::values::List;
use crate::scenario::document::wait::WaitForm;
use crate::scenario::plan::{
    Action, Address, Auth, AwsKeys, Body, Control, Each, PartContent, RequestStep, Rule, Step, Turns, Wait,
};
use crate::template::{JsonTemplate, Reference, Template};
use crate::units::duration_from_seconds;

/// The names under which steps are measured.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) user: &'a str,
    pub(super) task: &'a str,
}

impl Compiler<'_> {
    /// `setup` or `teardown`.
    pub(super) fn once(&mut self, field: &Field<List<StepForm>>, name: &'static str) -> Vec<Step> {
        self.single = Some(name);
        self.data.without_users = Some(name);
        let definitions = self.definitions_of(field, name);
        let constant = self.constants_of(&definitions);
        let steps = self.with_names(definitions.keys(), |compiler| {
            compiler
                .in_task((&definitions, name), &constant, |compiler| compiler.steps_of(field, Around { user: name, task: name }))
        });
        self.data.without_users = None;
        self.single = None;
        self.no_rows_by_defaults(&steps, name);
        steps
    }

    /// `setup`, whose variables all others see under its name.
    pub(super) fn setup(&mut self, field: &Field<List<StepForm>>) -> Vec<Step> {
        // Known, so that it is explained why it is not to be used here.
        let steps = self.with_names(&["setup".to_owned()], |compiler| compiler.once(field, "setup"));
        // When it could not be read, nothing can be said of what is in it.
        match field {
            Field::Wrong { .. } => self.names.open("setup"),
            _ => self.names.closed("setup", self.definitions_of(field, "setup").into_keys()),
        }
        steps
    }

    /// Lists of steps of which each begins anew: there is no response before them.
    pub(super) fn steps_of(&mut self, field: &Field<List<StepForm>>, around: Around<'_>) -> Vec<Step> {
        let Some(list) = field.given() else { return Vec::new() };
        let mut steps = self.flow(list, around, &mut After::Nothing);
        keep_bodies(&mut steps, false);
        steps
    }

    /// The steps of a task: its flow, or its one request.
    pub(super) fn task_steps(&mut self, task: &TaskForm, around: Around<'_>) -> Vec<Step> {
        let failing = self.failing;
        self.failing = on_failure(&task.on_failure, failing);
        let steps = self.steps_of_task(task, around);
        self.failing = failing;
        steps
    }

    fn steps_of_task(&mut self, task: &TaskForm, around: Around<'_>) -> Vec<Step> {
        let keys = task.request();
        let actions = keys.actions();
        let mut steps = match (task.flow.key(), actions.first()) {
            (Some(flow), Some((method, _))) => {
                self.push(
                    &flow.clone(),
                    format!("a task is one request or a `flow`, but here are `{method}` and `flow`"),
                    "move the request into the flow",
                );
                Vec::new()
            }
            (Some(_), None) => {
                self.no_request_keys(&keys, "a task with a `flow`");
                match task.flow.given() {
                    Some(list) => self.flow(list, around, &mut After::Nothing),
                    None => Vec::new(),
                }
            }
            (None, _) => match self.request(&keys, around, &mut After::Nothing) {
                Some(request) => vec![Step::Request(Box::new(request))],
                None => Vec::new(),
            },
        };
        if task.flow.is_absent() && actions.is_empty() && !task.has_odd_keys {
            let known = self.place_of_task(task);
            self.push(&known, "this task does nothing", "give it a request, such as `get: /cars`, or a `flow` of steps");
        }
        keep_bodies(&mut steps, false);
        steps
    }

    fn place_of_task(&self, task: &TaskForm) -> Range<usize> {
        let keys = task.request();
        let candidates =
            [task.name.key(), task.weight.key(), task.tags.key(), task.next.key(), keys.expect.key(), keys.headers.key()];
        candidates.into_iter().flatten().min_by_key(|range| range.start).cloned().unwrap_or(0..0)
    }

    pub(super) fn flow(&mut self, list: &Placed<List<StepForm>>, around: Around<'_>, after: &mut After) -> Vec<Step> {
        if list.value.items.is_empty() && list.value.whole {
            self.push(&list.range, "there are no steps", "add one, such as `- get: /cars`, or remove the key");
        }
        let mut steps = Vec::new();
        for step in &list.value.items {
            self.reached(&step.range);
            // What it says of failures holds for all within it.
            let failing = self.failing;
            self.failing = on_failure(&step.value.on_failure, failing);
            steps.extend(self.step(step, around, after));
            self.failing = failing;
        }
        steps
    }

    fn step(&mut self, step: &Placed<StepForm>, around: Around<'_>, after: &mut After) -> Option<Step> {
        let form = &step.value;
        let keys = form.request();
        let mut actions = keys.actions();
        actions.extend(form.think.key().map(|key| ("think", key.clone())));
        actions.extend(form.group.key().map(|key| ("group", key.clone())));
        actions.extend(form.controls());
        actions.sort_by_key(|(_, key)| key.start);
        if let [(first, _), (second, place), ..] = actions.as_slice() {
            self.push(
                place,
                format!("a step does one thing, but here are `{first}` and `{second}`"),
                "begin a step of its own with `- `",
            );
            return None;
        }
        if actions.is_empty() && form.has_odd_keys {
            return None;
        }
        let action = actions.first().map(|(name, _)| *name);
        if let (Some(flow), false) = (form.flow.key(), matches!(action, Some("group" | "loop" | "if"))) {
            self.push(
                &flow.clone(),
                "a `flow` among steps needs a `group` or a `loop`",
                "write `group: NAME` or `loop: {count: 3}` beside it, or put its steps here",
            );
            return None;
        }
        if let (Some(branch), false) = (form.then.key().or(form.r#else.key()), action == Some("if")) {
            self.push(&branch.clone(), "`then` and `else` need an `if`", "write `if: EXPRESSION` beside it");
            return None;
        }
        match actions.first() {
            None => {
                self.push(
                    &step.range,
                    "this step does nothing",
                    "give it a request such as `get: /cars`, or `think: 1s`, or a `group`, `loop` or `if`",
                );
                None
            }
            Some(("think", _)) => {
                self.no_request_keys(&keys, "a pause");
                self.unnamed(&keys, "a pause");
                form.think.given().and_then(|wait| self.think(wait))
            }
            Some(("group", key)) => {
                self.no_request_keys(&keys, "a group");
                self.unnamed(&keys, "a group");
                self.group(form, key, around, after)
            }
            Some((name, key)) if form.controls().iter().any(|(control, _)| control == name) => {
                let what = format!("a step with `{name}`");
                self.no_request_keys(&keys, &what);
                self.unnamed(&keys, &what);
                self.control(step, (name, key), around, after)
            }
            Some(_) => self.request(&keys, around, after).map(|request| Step::Request(Box::new(request))),
        }
    }

    fn group(&mut self, form: &StepForm, key: &Range<usize>, around: Around<'_>, after: &mut After) -> Option<Step> {
        if form.flow.is_absent() {
            self.push(key, "a `group` needs a `flow`", "write its steps below `flow:`");
        }
        let name = form.group.given()?;
        if !self.check_name(name, "a group's name") {
            return None;
        }
        let id = self.catalog.add_group(around.user, around.task, &name.value);
        let steps = form.flow.given().map(|list| self.flow(list, around, after)).unwrap_or_default();
        Some(Step::Group { id, steps })
    }

    fn unnamed(&mut self, keys: &crate::scenario::document::model::RequestKeys<'_>, what: &str) {
        if let Some(key) = keys.name.key() {
            self.push(&key.clone(), format!("{what} has no `name`"), "remove it; a group's name stands after `group:`");
        }
    }

    // === pauses ===

    pub(super) fn wait(&mut self, wait: &Placed<WaitForm>) -> Option<Wait> {
        Some(match &wait.value {
            WaitForm::Constant(duration) => Wait::Constant(*duration),
            WaitForm::Between(a, b) => Wait::Between(a.value, b.value),
            WaitForm::Exponential(mean) => Wait::Exponential(*mean),
            WaitForm::Normal { mean, std } => Wait::Normal { mean: *mean, std: *std },
            WaitForm::Pacing(duration) => Wait::Pacing(*duration),
            WaitForm::Throughput(rate) => match duration_from_seconds(1.0 / rate.value.per_second()) {
                Ok(duration) if !duration.is_zero() => Wait::Throughput(duration),
                _ => {
                    self.push(
                        &rate.range,
                        "at this rate a user would never do a task, or all at once",
                        "give the tasks per second of one user, such as `0.5/s`",
                    );
                    return None;
                }
            },
        })
    }

    fn think(&mut self, wait: &Placed<WaitForm>) -> Option<Step> {
        if matches!(wait.value, WaitForm::Pacing(_) | WaitForm::Throughput(_)) {
            self.push(
                &wait.range,
                "pacing is about whole tasks and cannot be a pause between steps",
                "use it as the user's `wait_time`, or give a duration here",
            );
            return None;
        }
        self.wait(wait).map(Step::Think)
    }
}

// === which bodies are kept ===

/// Marks the requests whose response something looks at: their own expectations, or a later step. Goes backwards; `wanted`
/// says whether what follows looks at `response`. Says the same of what was passed.
fn keep_bodies(steps: &mut [Step], mut wanted: bool) -> bool {
    for step in steps.iter_mut().rev() {
        match step {
            Step::Think(_) => {}
            Step::Group { steps, .. } => wanted = keep_bodies(steps, wanted),
            Step::Control(control) => wanted = keep_bodies_within(control, wanted),
            Step::Request(request) => {
                let own = request.expect.iter().any(|expectation| looks_at_body(&expectation.rule))
                    || request.captures.iter().any(|capture| capture.from.is_in_body());
                request.keep_body |= own || wanted;
                let headers = request.expect.iter().any(|expectation| matches!(expectation.rule, Rule::Header(..)))
                    || !request.captures.is_empty();
                request.keep_head |= headers || request.keep_body;
                // A skipped request leaves the response of the one before.
                wanted = uses_response(request) || (wanted && request.when.is_some());
            }
        }
    }
    wanted
}

fn keep_bodies_within(control: &mut Control, wanted: bool) -> bool {
    match &mut control.action {
        Action::If { condition, then, otherwise } => {
            let (then, otherwise) = (keep_bodies(then, wanted), keep_bodies(otherwise, wanted));
            then || otherwise || of_response(condition.references())
        }
        Action::Choose(arms) => {
            let wants: Vec<_> = arms.iter_mut().map(|(_, steps)| keep_bodies(steps, wanted)).collect();
            wants.contains(&true)
        }
        Action::Loop(each) => {
            let by_turns = match &each.turns {
                Turns::While { condition, .. } => of_response(condition.references()),
                Turns::Each { list: Each::Of(list), .. } => of_response(list.references()),
                Turns::Each { list: Each::Fixed(list), .. } => list.references().any(is_response),
                Turns::Counted(count) => of_response(count.references()),
                Turns::Count(_) => false,
            };
            // What its first step looks at is what its last one leaves.
            let again = keep_bodies(&mut each.steps, wanted || by_turns);
            keep_bodies(&mut each.steps, wanted || by_turns || again) || by_turns || wanted
        }
        Action::Set(all) => wanted || all.iter().any(|(_, value)| value.references().any(is_response)),
        Action::Log(text) | Action::Fail(text) => wanted || of_response(text.references()),
        Action::Stop(_) => false,
        Action::Rendezvous(_) => wanted,
    }
}

fn is_response(reference: &Reference) -> bool {
    &*reference.root == "response"
}

fn of_response(references: &[Reference]) -> bool {
    references.iter().any(is_response)
}

fn looks_at_body(rule: &Rule) -> bool {
    matches!(rule, Rule::Json { .. } | Rule::Body(_) | Rule::That(_))
}

/// Whether rendering the request needs the response of one before.
fn uses_response(request: &RequestStep) -> bool {
    let template = |template: &Template| of_response(template.references());
    let pairs = |pairs: &[(Template, Template)]| pairs.iter().any(|(name, value)| template(name) || template(value));
    let json = |json: &JsonTemplate| json.references().any(is_response);
    let url = matches!(&request.address, Address::Rendered { template: url, .. } if template(url));
    let body = match &request.body {
        Body::None => false,
        Body::Text(text) => template(text),
        Body::Json(document) => json(document),
        Body::Form(fields) => pairs(fields),
        Body::File(_) => false,
        Body::Multipart(parts) => parts.iter().any(|part| {
            let given = [&part.filename, &part.content_type].into_iter().flatten();
            let text = if let PartContent::Text(text) = &part.content { Some(text) } else { None };
            given.chain(text).any(template) || template(&part.name)
        }),
    };
    let auth = match request.auth.as_deref() {
        Some(Auth::Basic { user, password }) => template(user) || template(password),
        Some(Auth::AwsSigV4(keys)) => {
            let AwsKeys { access_key, secret_key, session_token, region, service } = &**keys;
            [access_key, secret_key, region, service].into_iter().chain(session_token).any(template)
        }
        Some(Auth::OAuth2(_)) | None => false,
    };
    url || body
        || auth
        || request.stream.as_ref().and_then(|stream| stream.until.as_ref()).is_some_and(|until| of_response(until.references()))
        || pairs(&request.query)
        || request.rendered_headers.iter().any(|(_, value)| template(value))
        || request.when.as_ref().is_some_and(|when| of_response(when.references()))
}
