//! The steps that steer a flow.
//!
//! What ends a task before its last step is noted in [`User::then`]; every list of steps looks at it after each step and gives
//! way. A loop that sends nothing and waits for nothing lets others go first now and then, and no loop is endless.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::activity::Activity;
use super::timer::after_those_awake;
use super::user::User;
use crate::clock;
use crate::scenario::plan::{Action, Control, Each, Loop, MOST_TURNS, OnFailure, Step, Stop, Turns};
use crate::template::{Value, extract::LARGEST};

/// What comes after a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Then {
    /// The next one.
    #[default]
    GoOn,
    /// The next task.
    NextTask,
    /// `on_stop`, and nothing more.
    End,
}

/// The turns of a loop that is under way.
pub(super) struct Course<'a> {
    turns: &'a Turns,
    /// How many have begun.
    begun: u64,
    most: u64,
    items: Vec<Value>,
    /// What its names stood for outside of it.
    outer: (Option<Value>, Option<Value>),
}

/// So many turns without a pause or a request a loop may have before others are let go first.
const BREATH: u64 = 64;

/// A step that computes for longer than this lets others go first.
const LONG: Duration = Duration::from_millis(5);

const INDEX: &str = "loop_index";

impl User {
    /// Does a step that steers. Says whether all went well.
    ///
    /// Boxed, because it may hold steps that hold steps: a future cannot hold itself.
    pub(super) fn control<'a>(&'a mut self, step: &'a Control) -> Pin<Box<dyn Future<Output = bool> + 'a>> {
        Box::pin(async move {
            match &step.action {
                Action::Loop(each) => self.repeat(step, each).await,
                Action::If { .. } | Action::Choose(_) => {
                    let branch = self.busy(step, |user| user.branch(step)).await;
                    match branch {
                        Some((_, steps)) => self.steps(steps).await,
                        None => false,
                    }
                }
                Action::Rendezvous(at) => match self.meet(*at).await {
                    Ok(()) => true,
                    Err(why) => self.mishap(step, &why),
                },
                Action::Set(_) | Action::Log(_) | Action::Fail(_) | Action::Stop(_) => {
                    self.busy(step, |user| user.act(step)).await
                }
            }
        })
    }

    /// Does what a step does at once. If that took long, others go first before the next step, and this user can be stopped.
    async fn busy<T>(&mut self, step: &Control, work: impl FnOnce(&mut Self) -> T) -> T {
        self.context.is_doing(Activity::Step(step.line));
        let began = clock::now();
        let done = work(self);
        self.context.is_doing(Activity::Other);
        if began.elapsed() > LONG {
            after_those_awake().await;
        }
        done
    }

    async fn repeat(&mut self, step: &Control, each: &Loop) -> bool {
        let mut course = match self.busy(step, |user| user.begin(&each.turns)).await {
            Ok(course) => course,
            Err(error) => return self.mishap(step, &error),
        };
        let (mut ok, mut idle) = (true, 0);
        loop {
            match self.busy(step, |user| user.turn(&mut course)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    ok = self.mishap(step, &error);
                    break;
                }
            }
            let before = self.due;
            ok &= self.steps(&each.steps).await;
            if self.then != Then::GoOn {
                break;
            }
            if self.due == before {
                idle += 1;
                if idle % BREATH == 0 {
                    after_those_awake().await;
                }
            }
        }
        self.end(course);
        ok
    }

    // === what is done at once ===

    /// Which branch is taken, by number from 0, with its steps.
    pub(super) fn branch<'a>(&mut self, step: &'a Control) -> Option<(usize, &'a [Step])> {
        match &step.action {
            Action::If { condition, then, otherwise } => match condition.is_true(&self.scope, &mut self.random) {
                Ok(true) => Some((0, then)),
                Ok(false) => Some((1, otherwise)),
                Err(error) => {
                    self.mishap(step, &error);
                    None
                }
            },
            Action::Choose(arms) => {
                let total = arms.iter().map(|(weight, _)| u64::from(*weight)).sum::<u64>().max(1);
                let mut at = self.random.below(total);
                let chosen = arms.iter().position(|(weight, _)| match at.checked_sub(u64::from(*weight)) {
                    Some(rest) => {
                        at = rest;
                        false
                    }
                    None => true,
                });
                chosen.map(|chosen| (chosen, arms[chosen].1.as_slice()))
            }
            _ => None,
        }
    }

    /// A step that neither waits nor holds others. Says whether it went well.
    pub(super) fn act(&mut self, step: &Control) -> bool {
        match &step.action {
            Action::Set(all) => {
                for (name, value) in all {
                    match value.value(&self.scope, &mut self.random).and_then(|value| bounded(name, value)) {
                        Ok(value) => self.scope.set(name, value),
                        Err(error) => return self.mishap(step, &error),
                    }
                }
                true
            }
            Action::Log(text) => {
                let mut line = String::new();
                match text.render(&self.scope, &mut self.random, &mut line) {
                    Ok(()) => {
                        self.context.run.say(&line);
                        true
                    }
                    Err(error) => self.mishap(step, &error),
                }
            }
            Action::Fail(text) => {
                let mut why = String::new();
                let rendered = text.render(&self.scope, &mut self.random, &mut why);
                self.then = self.then.max(Then::NextTask);
                self.mishap(step, &rendered.err().unwrap_or(why))
            }
            Action::Stop(stop) => {
                if *stop == Stop::Run {
                    self.context.run.stop(format!("`stop: run` in line {} has stopped the run", step.line));
                }
                self.then = self.then.max(if *stop == Stop::Task { Then::NextTask } else { Then::End });
                true
            }
            Action::Loop(_) | Action::If { .. } | Action::Choose(_) | Action::Rendezvous(_) => true,
        }
    }

    /// A step failed by itself. Gives `false`, so that it can be what the step gives.
    pub(super) fn mishap(&mut self, step: &Control, why: &str) -> bool {
        self.context.run.mishap(step.line, why);
        self.failed(step.on_failure);
        false
    }

    /// What follows from a failure.
    pub(super) fn failed(&mut self, on_failure: OnFailure) {
        self.then = self.then.max(match on_failure {
            OnFailure::Continue => Then::GoOn,
            OnFailure::NextTask => Then::NextTask,
            OnFailure::StopUser => Then::End,
        });
    }

    // === turns ===

    /// Begins a loop.
    pub(super) fn begin<'a>(&mut self, turns: &'a Turns) -> Result<Course<'a>, String> {
        let (most, items) = match turns {
            Turns::Count(count) => (*count, Vec::new()),
            Turns::Counted(template) => {
                let value = template.value(&self.scope, &mut self.random)?;
                // A template with more than the one expression gives a text.
                let count = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
                let count = count.and_then(|count| u64::try_from(count).ok());
                let count = count.ok_or_else(|| format!("`count` is no whole number: {value}"))?;
                if count > MOST_TURNS {
                    return Err(format!("`count` is {count}, and a loop has at most {MOST_TURNS} turns"));
                }
                (count, Vec::new())
            }
            Turns::While { at_most, .. } => (*at_most, Vec::new()),
            Turns::Each { list, .. } => {
                let list = match list {
                    Each::Of(expression) => expression.eval(&self.scope, &mut self.random)?,
                    Each::Fixed(list) => list.value(&self.scope, &mut self.random)?,
                };
                if list.as_str().is_some() {
                    return Err(format!("`for_each` needs a list, and this is the text {list:?}"));
                }
                let items = list.try_iter().map_err(|_| format!("`for_each` needs a list, and this is {list}"))?;
                let items: Vec<Value> = items.take(MOST_TURNS as usize + 1).collect();
                if items.len() as u64 > MOST_TURNS {
                    return Err(format!("`for_each` has at most {MOST_TURNS} turns"));
                }
                (items.len() as u64, items)
            }
        };
        let item = match turns {
            Turns::Each { name, .. } => self.scope.own(name),
            _ => None,
        };
        Ok(Course { turns, begun: 0, most, items, outer: (self.scope.own(INDEX), item) })
    }

    /// Whether there is another turn; its names are set.
    pub(super) fn turn(&mut self, course: &mut Course<'_>) -> Result<bool, String> {
        if course.begun >= course.most && !matches!(course.turns, Turns::While { .. }) {
            return Ok(false);
        }
        self.scope.set(INDEX, Value::from(course.begun));
        match course.turns {
            Turns::While { condition, at_most } => {
                if !condition.is_true(&self.scope, &mut self.random)? {
                    return Ok(false);
                }
                if course.begun >= *at_most {
                    return Err(format!("the loop has not ended after {at_most} turns"));
                }
            }
            Turns::Each { name, .. } => {
                let item = course.items.get_mut(course.begun as usize).map(std::mem::take);
                self.scope.set(name, item.unwrap_or_default());
            }
            Turns::Count(_) | Turns::Counted(_) => {}
        }
        course.begun += 1;
        Ok(true)
    }

    /// After a loop its names are what they were.
    pub(super) fn end(&mut self, course: Course<'_>) {
        let (index, item) = course.outer;
        self.scope.restore(INDEX, index);
        if let Turns::Each { name, .. } = course.turns {
            self.scope.restore(name, item);
        }
    }

    // === meetings ===

    /// Waits until enough users are there.
    async fn meet(&mut self, at: usize) -> Result<(), String> {
        let (context, handle) = (self.context.clone(), self.handle.clone());
        let (Some(rendezvous), Some(meeting)) = (context.plan.rendezvous.get(at), context.run.meetings.get(at)) else {
            return Ok(());
        };
        let began = clock::now();
        let met = tokio::select! {
            () = meeting.join() => Ok(()),
            // Who is to stop ends its task, and keeps nobody.
            () = handle.stopped() => Ok(()),
            () = context.timer.sleep_until(began + rendezvous.timeout) => Err(format!(
                "rendezvous `{}`: {} of {} users came within {}",
                rendezvous.name,
                meeting.waiting() + 1,
                rendezvous.users,
                crate::units::format_duration(rendezvous.timeout)
            )),
        };
        // It is a pause, and what comes after it is due when it is over.
        let now = clock::now();
        self.excluded += now.saturating_duration_since(self.due);
        self.due_at(now);
        met
    }
}

impl Course<'_> {
    /// How many turns have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }
}

/// Why a user cannot keep a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unkept {
    TooLarge,
    TooDeep,
}

/// Lists and maps inside each other; the deepest of a value that a user keeps.
const DEEPEST: usize = 50;

/// What a user keeps is bounded: a template that doubles its own variable would soon fill the memory.
fn bounded(name: &str, value: Value) -> Result<Value, String> {
    let size = match value.as_str() {
        Some(text) => fitting(text.len()),
        None => size_of(&value, 0),
    };
    match size {
        Ok(_) => Ok(value),
        Err(Unkept::TooLarge) => Err(format!("`{name}` would be larger than {} MiB", LARGEST >> 20)),
        Err(Unkept::TooDeep) => Err(format!("`{name}` would be nested more than {DEEPEST} levels deep")),
    }
}

fn fitting(size: usize) -> Result<usize, Unkept> {
    if size > LARGEST { Err(Unkept::TooLarge) } else { Ok(size) }
}

/// About how many bytes it takes.
fn size_of(value: &Value, depth: usize) -> Result<usize, Unkept> {
    use crate::template::ValueKind;
    match value.kind() {
        ValueKind::String => fitting(value.as_str().map_or(0, str::len) + 8),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map if depth < DEEPEST => {
            let mut size = 8;
            let Ok(items) = value.try_iter() else { return Ok(size) };
            let is_map = value.kind() == ValueKind::Map;
            for item in items {
                size += size_of(&item, depth + 1)?;
                if is_map && let Ok(member) = value.get_item(&item) {
                    size += size_of(&member, depth + 1)?;
                }
                fitting(size)?;
            }
            Ok(size)
        }
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => Err(Unkept::TooDeep),
        _ => Ok(8),
    }
}
