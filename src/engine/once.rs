//! Every task once, in order, by one user of each type and without pauses: the debugger behind `otload check --once`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::checks;
use super::flow::Then;
use super::lifecycle::Handle;
use super::request::{Outcome, render, request_of};
use super::seen::Response;
use super::stream;
use super::supervisor::{Options, RunFacts};
use super::timer::Timer;
use super::tracing::Tracing;
use super::user::User;
use super::worker::Context;
use crate::clock;
use crate::http::{Client, Exchange, Request, TraceHead};
use crate::load::Part;
use crate::measure::shard::Shard;
use crate::random::fresh_seed;
use crate::scenario::plan::{Action, Auth, Control, Plan, RequestStep, Step};
use crate::secrets::mask;
use crate::template::Value;
use crate::template::budget::Budget;
use crate::trace::Ids;

/// What an observer of a single run is told.
pub enum Seen<'a> {
    /// A user type's task begins.
    Task { user: &'a str, task: &'a str },
    /// Which way a flow goes, in words: a branch, a turn, a variable, an end.
    Flow(String),
    /// A step that is no request has failed.
    Failed { line: usize, why: String },
    /// A request whose `when` is false.
    Skipped(&'a RequestStep),
    /// A request that could not be rendered.
    Unsent { step: &'a RequestStep, error: String },
    Request {
        step: &'a RequestStep,
        request: &'a Request<'a>,
        exchange: &'a Exchange,
        /// Each check's name with what was found: `Ok` if it holds, and then maybe nothing.
        checks: Vec<(&'a str, Result<Option<String>, String>)>,
        /// The variables that it filled, as JSON; those that stayed empty are not there.
        captured: Vec<(&'a str, String)>,
        failure: Option<String>,
    },
}

/// Runs setup, each user type's `on_start`, tasks and `on_stop`, and teardown; returns how many requests failed.
pub async fn run_once(plan: &Arc<Plan>, client: &Client, seed: u64, mut observe: impl FnMut(Seen<'_>)) -> usize {
    let started = clock::now();
    let mut options = Options { seeded: true, ..Options::plain("once", seed) };
    let context_of = |options: &Options| {
        let run = Arc::new(RunFacts::new(plan, options, started));
        let shard = Arc::new(Mutex::new(Shard::new(&plan.catalog)));
        let client = (client.clone(), Tracing::off());
        Rc::new(Context::new(plan.clone(), run, client, shard, Part::WHOLE, Timer::new()))
    };
    let user_of = |context: &Rc<Context>, kind: usize| {
        let mut user = User::new(context.clone(), Handle::detached(plan.users[kind].id), kind, kind as u32, started);
        if plan.observe.traces.is_some() {
            user.session.trace_with(Ids::new(fresh_seed(), 0));
        }
        user
    };
    let mut failures = 0;
    if !plan.setup.is_empty() {
        let mut user = user_of(&context_of(&options), 0);
        failures += task(&mut user, plan, ("setup", "setup"), &plan.setup, &mut observe).await;
        options.setup = user.scope.variables();
    }
    let context = context_of(&options);
    for (kind, user_type) in plan.users.iter().enumerate() {
        let mut user = user_of(&context, kind);
        let around = |steps: &'_ Vec<Step>| !steps.is_empty();
        user.feed(&user_type.rows.user);
        user.feed(&user_type.rows.on_start);
        if around(&user_type.on_start) {
            failures += task(&mut user, plan, (&user_type.name, "on_start"), &user_type.on_start, &mut observe).await;
        }
        for (iteration, one) in user_type.tasks.iter().enumerate() {
            user.scope.set_iteration(iteration as u64);
            user.feed(&one.rows);
            failures += task(&mut user, plan, (&user_type.name, &one.name), &one.steps, &mut observe).await;
        }
        user.feed(&user_type.rows.on_stop);
        if around(&user_type.on_stop) {
            failures += task(&mut user, plan, (&user_type.name, "on_stop"), &user_type.on_stop, &mut observe).await;
        }
    }
    if !plan.teardown.is_empty() {
        failures += task(&mut user_of(&context, 0), plan, ("teardown", "teardown"), &plan.teardown, &mut observe).await;
    }
    failures
}

async fn task(
    user: &mut User,
    plan: &Plan,
    (name, task): (&str, &str),
    all: &[Step],
    observe: &mut dyn FnMut(Seen<'_>),
) -> usize {
    observe(Seen::Task { user: name, task });
    let failures = steps(user, plan, all, observe).await;
    if user.then != Then::GoOn {
        observe(Seen::Flow(if user.then == Then::End { "the user ends" } else { "the task ends" }.to_owned()));
    }
    // Every task is shown, also those that a user who has ended would not come to.
    user.then = Then::GoOn;
    user.scope.clear_response();
    failures
}

/// Steps one after the other; groups are flattened, for nothing is measured here, and pauses left out. Boxed, because they may hold
/// steps.
fn steps<'a>(
    user: &'a mut User,
    plan: &'a Plan,
    all: &'a [Step],
    observe: &'a mut dyn FnMut(Seen<'_>),
) -> Pin<Box<dyn Future<Output = usize> + 'a>> {
    Box::pin(async move {
        let mut failures = 0;
        for step in all {
            match step {
                Step::Request(step) => {
                    if !request(user, plan, step, observe).await {
                        failures += 1;
                        user.failed(step.on_failure);
                    }
                }
                Step::Think(_) => {}
                Step::Group { steps: inner, .. } => failures += steps(user, plan, inner, observe).await,
                Step::Control(step) => failures += control(user, plan, step, observe).await,
            }
            if user.then != Then::GoOn {
                break;
            }
        }
        failures
    })
}

/// Loops are shown up to this turn.
const MOST_SHOWN: u64 = 100;

async fn control(user: &mut User, plan: &Plan, step: &Control, observe: &mut dyn FnMut(Seen<'_>)) -> usize {
    let line = step.line;
    let known = user.context.run.mishaps();
    let mut failures = 0;
    match &step.action {
        Action::If { condition, .. } => {
            if let Some((at, inner)) = user.branch(step) {
                let way = if at == 0 { "then" } else { "else" };
                observe(Seen::Flow(format!("if {}: {way}", condition.source().trim())));
                failures += steps(user, plan, inner, observe).await;
            }
        }
        Action::Choose(arms) => {
            if let Some((at, inner)) = user.branch(step) {
                observe(Seen::Flow(format!("choose: branch {} of {}", at + 1, arms.len())));
                failures += steps(user, plan, inner, observe).await;
            }
        }
        Action::Loop(each) => match user.begin(&each.turns) {
            Err(error) => drop(user.mishap(step, &error)),
            Ok(mut course) => {
                loop {
                    match user.turn(&mut course) {
                        Ok(true) if course.begun() > MOST_SHOWN => {
                            observe(Seen::Flow(format!("loop: no more than {MOST_SHOWN} turns are shown")));
                            break;
                        }
                        Ok(true) => observe(Seen::Flow(format!("loop: turn {}", course.begun()))),
                        Ok(false) => {
                            observe(Seen::Flow(format!("loop: ends after {} turns", course.begun())));
                            break;
                        }
                        Err(error) => {
                            user.mishap(step, &error);
                            break;
                        }
                    }
                    failures += steps(user, plan, &each.steps, observe).await;
                    if user.then != Then::GoOn {
                        break;
                    }
                }
                user.end(course);
            }
        },
        Action::Set(all) => {
            if user.act(step) {
                let shown = all.iter().filter_map(|(name, _)| Some(format!("{name} = {}", shown(&user.scope.get(name)?))));
                observe(Seen::Flow(format!("set: {}", shown.collect::<Vec<_>>().join(", "))));
            }
        }
        Action::Log(text) => {
            let mut said = String::new();
            match text.render(&user.scope, &mut user.random, &mut said) {
                Ok(()) => observe(Seen::Flow(format!("log: {said}"))),
                Err(error) => drop(user.mishap(step, &error)),
            }
        }
        Action::Rendezvous(at) => {
            let name = plan.rendezvous.get(*at).map_or("", |rendezvous| rendezvous.name.as_str());
            observe(Seen::Flow(format!("rendezvous {name}: not waited for, there is one user")));
        }
        Action::Fail(_) | Action::Stop(_) => drop(user.act(step)),
    }
    // What went wrong in this very step; those within it have been shown.
    let now = user.context.run.mishaps();
    if now != known
        && let Some(why) =
            now.into_iter().find(|text| !known.contains(text) && text.starts_with(&format!("the step in line {line} ")))
    {
        failures += 1;
        observe(Seen::Failed { line, why });
    }
    failures
}

fn shown(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// A trace of one request, sampled.
fn single_trace() -> TraceHead {
    let mut ids = Ids::new(fresh_seed(), 0);
    TraceHead { trace: ids.trace(), span: ids.span(), sampled: true, recorded: false, baggage: None }
}

async fn request(user: &mut User, plan: &Plan, step: &RequestStep, observe: &mut dyn FnMut(Seen<'_>)) -> bool {
    user.feed(&step.rows);
    let rendered = match user.wanted(step) {
        Ok(false) => {
            observe(Seen::Skipped(step));
            return true;
        }
        Ok(true) => match step.auth.as_deref() {
            Some(Auth::OAuth2(at)) => user.token(*at).await.map_err(|(_, message)| message),
            _ => Ok(()),
        }
        .and_then(|()| render(step, &user.scope, &mut user.random, &user.context.run)),
        Err(error) => Err(error),
    };
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(error) => {
            observe(Seen::Unsent { step, error: mask(&plan.secrets, &error).into_owned() });
            return false;
        }
    };
    // Head and body are always wanted here: they are shown.
    // Nothing is exported here, but who looks at one request wants to find it at the server.
    let head = plan.observe.traces.as_ref().map(|_| single_trace());
    let events = step.stream.as_deref().map(|rule| stream::events(rule, &user.scope, &user.random));
    let (events, trace) = (events.as_deref(), head.as_ref());
    let request = Request { keep_body: true, keep_head: true, trace, events, ..request_of(step, &rendered, None) };
    let mut exchange = user.session.exchange(&request).await;
    let Outcome { checks, failure } = user.judge(step, &rendered, &mut exchange, events);
    let name = |id: crate::measure::catalog::CheckId| plan.catalog.checks[id.index()].check.as_str();
    let mut response = Response::new(&exchange, Budget::default());
    // In the order of the expectations.
    let checks = checks
        .into_iter()
        .zip(&step.expect)
        .map(|(check, expectation)| (name(check.id), check.outcome.map(|()| checks::found(&expectation.rule, &mut response))));
    let checks = checks.collect();
    let captured = step.captures.iter().filter_map(|capture| {
        let value = user.scope.get(&capture.name)?;
        Some((&*capture.name, shown(&value)))
    });
    let ok = failure.is_none();
    observe(Seen::Request {
        step,
        request: &request,
        exchange: &exchange,
        checks,
        captured: captured.collect(),
        failure: failure.map(|(reason, text)| format!("{reason}: {text}")),
    });
    ok
}
