//! One user: `on_start`, then task after task with its wait time between, then `on_stop`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::flow::Then;
use super::lifecycle::Handle;
use super::pacing::{overdue, wait_until};
use super::pool::Place;
use super::request::{InFlight, request_of};
use super::stream;
use super::timer::after_those_awake;
use super::tracing::UserTrace;
use super::worker::{Context, Position, lock};
use crate::clock::{self, Instant};
use crate::fault;
use crate::http::{Request, Session};
use crate::measure::catalog::TaskId;
use crate::measure::totals::UserState;
use crate::scenario::plan::{Step, UserType, Wait};
use crate::template::{Random, Scope};

pub(super) struct User {
    pub context: Rc<Context>,
    pub handle: Rc<Handle>,
    pub kind: usize,
    /// Of all users: as it is in the streams of random numbers.
    pub number: u32,
    pub session: Session,
    pub scope: Scope,
    pub random: Random,
    position: Position,
    /// When the next thing this user does should start: the end of the last one, or of the pause after it.
    pub due: Instant,
    /// When the response before that arrived, if it was read later: what counts from a response counts from there.
    pub arrived: Instant,
    /// Until when the task before kept it from what is due, had the generator not been late in that: no lag of the generator.
    pub free: Instant,
    /// By how much the generator was late in the task under way, in starting and reading.
    pub late: Duration,
    /// What a schedule asks for next.
    schedule: Option<Schedule>,
    /// Time so far that is no part of its tasks' durations: pauses of the scenario, and how late responses were read.
    pub excluded: Duration,
    iteration: u64,
    /// What comes after the step under way.
    pub then: Then,
    pub trace: Option<Box<UserTrace>>,
}

/// A throughput that is kept whatever the target does.
#[derive(Clone, Copy)]
struct Schedule {
    /// When the iteration is due that has not begun.
    next: Instant,
    interval: Duration,
    /// For how long the run had been paused when that was known.
    paused: Duration,
}

/// A task that did nothing at all is followed by a pause of this length, so that it does not keep the worker from others.
const BREATHER: Duration = Duration::from_millis(1);

impl Drop for User {
    /// However it ends, what its schedule asked for and did not get is counted. A load of so many iterations got all of them.
    fn drop(&mut self) {
        let (Some(schedule), Some(stopped)) = (self.schedule, self.handle.stopped_at()) else { return };
        let crew = self.context.crews.get(self.handle.crew);
        if crew.is_none_or(|crew| crew.iterations.get() == Some(0)) {
            return;
        }
        let next = schedule.next + self.context.paused().saturating_sub(schedule.paused);
        let overdue = overdue(next, schedule.interval, stopped);
        if overdue > 0 {
            lock(&self.context.shard).iterations_overdue(self.handle.user, overdue);
        }
    }
}

impl User {
    /// The user of slot `slot`, of the type with index `kind`.
    pub(super) fn new(context: Rc<Context>, handle: Rc<Handle>, kind: usize, slot: u32, due: Instant) -> Self {
        let mut session = context.client.session();
        let trace = context.tracing.user().map(|(trace, ids)| {
            session.trace_with(ids);
            trace
        });
        let random = Random::new(context.run.seed, u64::from(slot));
        let scope = Scope::new(context.run.shared.clone(), u64::from(slot) + 1);
        Self {
            context,
            handle,
            kind,
            number: slot,
            session,
            scope,
            random,
            position: Position::default(),
            due,
            arrived: due,
            free: due,
            late: Duration::ZERO,
            schedule: None,
            excluded: Duration::ZERO,
            iteration: 0,
            then: Then::GoOn,
            trace,
        }
    }

    /// The whole life, until it is told to stop or there are no more iterations.
    ///
    /// Boxed, here and below: a future holds its arguments twice.
    pub(super) async fn live(mut self: Box<Self>) {
        let context = self.context.clone();
        let user = &context.plan.users[self.kind];
        if !self.feed(&user.rows.user) {
            return;
        }
        if !user.on_start.is_empty() && self.feed(&user.rows.on_start) {
            self.task(user.on_start_task, &user.on_start).await;
        }
        let crew = &context.crews[self.handle.crew];
        loop {
            self.hold().await;
            if self.then == Then::End || self.handle.is_stopping() || self.context.run.is_stopped() || !crew.take_iteration() {
                break;
            }
            let (began, before, paused) = (self.due, self.due, context.paused());
            let task = self.context.next_task(user, &mut self.position, &mut self.random);
            if !self.feed(&user.tasks[task].rows) {
                break;
            }
            self.scope.set_iteration(self.iteration);
            if let Wait::Throughput(interval) = user.wait_time {
                self.schedule = Some(Schedule { next: began + interval, interval, paused });
            }
            self.task(user.tasks[task].id, &user.tasks[task].steps).await;
            self.iteration += 1;
            if self.then == Then::End {
                break;
            }
            let idle = self.due == before;
            if crew.iterations.get() != Some(0) {
                // A schedule that counts from the task's start does not count a pause that came since.
                self.wait(user, began + (context.paused() - paused), idle).await;
            }
        }
        if std::mem::take(&mut self.then) == Then::End {
            crew.left.set(crew.left.get() + 1);
        }
        if !user.on_stop.is_empty() && self.feed(&user.rows.on_stop) {
            self.task(user.on_stop_task, &user.on_stop).await;
        }
    }

    /// The life of a user of an open load: one task for each arrival that `place` is handed, until it is told to stop.
    ///
    /// The first arrival is due when the user is made, and so is `on_start`; the task itself is due when `on_start` has ended.
    /// What a user does before its first task is measured under its own name: counted to the task once more, it would be
    /// taken for a slow answer to what had not been asked yet.
    pub(super) async fn serve(mut self: Box<Self>, place: Rc<Place>) {
        let context = self.context.clone();
        let user = &context.plan.users[self.kind];
        if !self.feed(&user.rows.user) {
            return;
        }
        if !user.on_start.is_empty() && self.feed(&user.rows.on_start) {
            self.task(user.on_start_task, &user.on_start).await;
        }
        let mut first = true;
        while self.then != Then::End
            && let Some(due) = place.arrival().await
        {
            if !std::mem::take(&mut first) {
                self.due_at(due);
            }
            // Handed over before the pause, while `on_start` was under way.
            self.hold().await;
            let task = self.context.next_task(user, &mut self.position, &mut self.random);
            if !self.feed(&user.tasks[task].rows) {
                break;
            }
            self.scope.set_iteration(self.iteration);
            self.task(user.tasks[task].id, &user.tasks[task].steps).await;
            self.iteration += 1;
            if self.then != Then::End {
                place.done(&self.context);
            }
        }
        let left = std::mem::take(&mut self.then) == Then::End;
        self.due_at(clock::now());
        if !user.on_stop.is_empty() && self.feed(&user.rows.on_stop) {
            self.task(user.on_stop_task, &user.on_stop).await;
        }
        if left {
            place.vacate();
        }
    }

    /// The steps of one task, measured as a whole.
    pub(super) async fn task(&mut self, id: TaskId, steps: &[Step]) -> bool {
        fault::may_break("user");
        let (began, excluded) = (self.due, self.excluded);
        self.late = Duration::ZERO;
        if let Some(trace) = &mut self.trace {
            trace.begin_task(id);
        }
        let ok = self.steps(steps).await;
        if self.then == Then::NextTask {
            self.then = Then::GoOn;
        }
        self.scope.clear_response();
        if let Some(trace) = &mut self.trace {
            trace.task_ended(ok);
        }
        self.context.task_done(id, ok, self.busy_since(began, excluded));
        ok
    }

    /// Time since `began` without the pauses that the scenario asks for, and without late reads.
    fn busy_since(&self, began: Instant, excluded_before: Duration) -> Duration {
        self.due.saturating_duration_since(began).saturating_sub(self.excluded - excluded_before)
    }

    /// What comes next is due at `due`, whenever a response arrived.
    pub(super) fn due_at(&mut self, due: Instant) {
        (self.due, self.arrived) = (due, due);
    }

    /// Steps one after the other; a failed one does not keep the others from happening. Says whether all went well.
    pub(super) async fn steps(&mut self, steps: &[Step]) -> bool {
        let mut ok = true;
        for step in steps {
            match step {
                // In here, and not in a future of its own: that would be moved into this one for each request, all of it.
                Step::Request(step) => {
                    if step.auth.is_some() && !self.token_for(step).await {
                        ok = false;
                        self.failed(step.on_failure);
                        if self.then != Then::GoOn {
                            break;
                        }
                        continue;
                    }
                    let rendered = match self.ready(step) {
                        Ok(rendered) => rendered,
                        Err(fine) => {
                            ok &= fine;
                            if self.then != Then::GoOn {
                                break;
                            }
                            continue;
                        }
                    };
                    let mut flight = InFlight::new(self, step, &rendered);
                    let head = flight.trace.as_deref().and_then(UserTrace::request).map(|traced| &traced.head);
                    let events = step.stream.as_deref().map(|rule| stream::events(rule, &self.scope, &self.random));
                    let (prepared, events) = (self.context.prepared(step), events.as_deref());
                    let request = Request { trace: head, events, ..request_of(step, &rendered, prepared) };
                    self.session.exchange_into(&request, &mut flight.exchange).await;
                    flight.ended(self);
                    ok &= self.conclude(step, &rendered, &mut flight.exchange, events);
                    drop(flight);
                    rendered.done();
                }
                Step::Think(wait) => self.think(*wait).await,
                Step::Group { id, steps } => {
                    let (began, excluded) = (self.due, self.excluded);
                    // Boxed, because a group may hold groups: a future cannot hold itself.
                    let inner: Pin<Box<dyn Future<Output = bool> + '_>> = Box::pin(self.steps(steps));
                    let good = inner.await;
                    let duration = self.busy_since(began, excluded);
                    lock(&self.context.shard).group(*id, good, duration);
                    ok &= good;
                }
                Step::Control(control) => ok &= self.control(control).await,
            }
            if self.then != Then::GoOn {
                break;
            }
        }
        ok
    }

    /// A pause inside a task. It belongs to the task, so a stop does not cut it short.
    async fn think(&mut self, wait: Wait) {
        // It begins with the arrival of the response, so a late read shortens the sleep and not the load. What is due after it is
        // not due before the response was read.
        let over = wait_until(wait, self.arrived, self.arrived, &mut self.random).max(self.due);
        self.excluded += over.saturating_duration_since(self.due);
        self.due_at(over);
        self.context.timer.sleep_until(over).await;
    }

    /// The pause after a task; a stop ends it at once.
    async fn wait(&mut self, user: &UserType, began: Instant, idle: bool) {
        let mut over = wait_until(user.wait_time, began, self.arrived, &mut self.random);
        // A start that a schedule sets is late if we read late: that is our lag, and `free` ends with the arrival. One that the
        // response sets off cannot be due before it was read: nobody asked for it earlier.
        let is_scheduled = match user.wait_time {
            Wait::Throughput(_) => true,
            Wait::Pacing(_) => over > self.arrived,
            _ => false,
        };
        if !is_scheduled {
            over = over.max(self.due);
        }
        if idle {
            over = over.max(clock::now() + BREATHER);
        }
        if over <= self.due || self.handle.is_stopping() {
            // A throughput that is behind: by the target's fault, but for what the generator was late.
            self.free = self.due.checked_sub(self.late).unwrap_or(self.due).min(self.arrived);
            self.due_at(over.min(self.due));
            after_those_awake().await;
            return;
        }
        self.due_at(over);
        self.handle.enter(&self.context, UserState::Waiting);
        let mut paused = self.context.paused();
        loop {
            tokio::select! {
                () = self.context.timer.sleep_until(self.due) => {}
                () = self.handle.stopped() => return self.due_at(clock::now()),
            }
            if self.context.is_paused() {
                self.resumed().await;
            }
            // While the run stood still, so did the wait.
            let more = self.context.paused() - paused;
            self.due_at(self.due + more);
            paused += more;
            if more.is_zero() || self.handle.is_stopping() {
                break;
            }
        }
        self.handle.enter(&self.context, UserState::Running);
    }

    /// Before a task: waits while the run is paused. What is due afterwards is so much later, and not late.
    async fn hold(&mut self) {
        if !self.context.is_paused() || self.handle.is_stopping() {
            return;
        }
        let paused = self.context.paused();
        self.handle.enter(&self.context, UserState::Waiting);
        self.resumed().await;
        self.handle.enter(&self.context, UserState::Running);
        let more = self.context.paused() - paused;
        (self.due, self.arrived) = (self.due + more, self.arrived + more);
    }

    /// Returns when the run goes on, or the user is to stop. Boxed, because it is rare and a future has room for all that it may
    /// wait for.
    async fn resumed(&self) {
        Box::pin(async {
            tokio::select! {
                () = self.context.resumed() => {}
                () = self.handle.stopped() => {}
            }
        })
        .await;
    }
}
