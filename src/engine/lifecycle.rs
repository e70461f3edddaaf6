//! How many users there are: a worker asks its part of the load profile and starts and stops them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::orders::{Mode, Orders};
use super::signals::Deserted;
use super::user::User;
use super::worker::{Context, lock};
use crate::clock::{self, Instant};
use crate::load::{Course, Decision};
use crate::measure::catalog::UserId;
use crate::measure::totals::UserState;

/// What a user and those who stop it both hold.
pub(super) struct Handle {
    pub user: UserId,
    /// The crew that it belongs to, by index.
    pub crew: usize,
    state: Cell<UserState>,
    /// When its load ended, or it was told to stop before that.
    stopped_at: Cell<Option<Instant>>,
    /// Rung when it is to stop, or a task has arrived.
    pub bell: Notify,
}

/// A user that has been started.
pub(super) struct Started {
    pub handle: Rc<Handle>,
    pub task: AbortHandle,
}

/// Users that were told to stop, and until when each may take to do so.
#[derive(Default)]
pub(super) struct Stopping(VecDeque<(Instant, Started)>);

/// Starts and stops users as the closed profile of a crew says, until the load is over and the last user has ended.
pub(super) async fn follow(context: &Rc<Context>, crew: usize, mut orders: watch::Receiver<Orders>) {
    let (plan, state, part) = (&context.plan.crews[crew], &context.crews[crew], context.part_of(crew));
    let mut present: Vec<Started> = Vec::new();
    let mut stopping = Stopping::default();
    let mut course = Course::default();
    let Some(mut load) = plan.profile.curve(&course) else { return };
    let mut ending = false;
    // Only where users may leave is it looked at whether they have.
    let mut deserted = context.run.signals.deserted(crew).filter(|_| state.may_leave);
    loop {
        let (mode, told) = context.heed(&mut orders, crew);
        if mode == Mode::Cut {
            present.iter().for_each(|user| user.task.abort());
            stopping.cut();
            state.wait_for_the_last().await;
            return;
        }
        if told != course {
            course = told;
            load = plan.profile.curve(&course).unwrap_or(load);
        }
        let now = clock::now();
        let (start_of_time, elapsed) = (context.start_of(crew), context.elapsed(crew, now));
        let exhausted = state.iterations.get() == Some(0);
        // Nobody takes the place of who has left; when all have, there is nothing to wait for.
        let gone = state.alive.get() == 0;
        let left = deserted.as_mut().is_some_and(|users| {
            let most = part.count(plan.profile.peak());
            users.everywhere(gone && present.len() as u32 >= most && (state.left.get() > 0 || most == 0))
        });
        ending |= mode == Mode::Stop || (exhausted && gone) || left;
        let decision = match elapsed.map(|elapsed| load.decide(elapsed, present.len() as u32, part)) {
            _ if ending => Decision::Done,
            _ if context.is_paused() => Decision::Idle,
            None => Decision::WaitUntil(Duration::ZERO),
            // The users that are at work end their tasks; nobody new comes.
            Some(Decision::Start { .. } | Decision::Stop) if exhausted => Decision::Idle,
            Some(decision) => decision,
        };
        let mut wake = None;
        match decision {
            Decision::Start { due } => {
                let slot = part.slot(present.len() as u32);
                match plan.user_of(u64::from(slot)) {
                    Some(user) => {
                        let handle = Handle::new(context.plan.users[user].id, crew);
                        let user = Box::new(User::new(
                            context.clone(),
                            handle.clone(),
                            user,
                            context.number(crew, slot),
                            start_of_time + due,
                        ));
                        present.push(start(context, handle, user.live()));
                    }
                    // Only fixed users, and all of them are there: `compile` refuses such a file.
                    None => ending = true,
                }
                continue;
            }
            Decision::Stop => {
                if let Some(user) = present.pop() {
                    stopping.add(context, user, now, now);
                }
                continue;
            }
            Decision::WaitUntil(at) => wake = Some(start_of_time + at),
            Decision::Idle => {}
            Decision::Done => {
                ending = true;
                let end = plan.profile.end_of(&course).map_or(now, |end| (start_of_time + end).min(now));
                while let Some(user) = present.pop() {
                    stopping.add(context, user, now, end);
                }
                if state.alive.get() == 0 {
                    return;
                }
            }
        }
        let wake = [wake, stopping.deadline(now)].into_iter().flatten().min();
        tokio::select! {
            () = until(context, wake) => {}
            _ = orders.changed() => {}
            // Only an ending worker, or one that runs out of iterations, cares that somebody has ended.
            () = changed(&mut deserted) => {}
            () = state.ended.notified(), if ending || state.iterations.get().is_some() || state.may_leave => {}
        }
    }
}

/// Returns when users have left on another worker.
async fn changed(deserted: &mut Option<Deserted<'_>>) {
    match deserted {
        Some(deserted) => deserted.changed().await,
        None => std::future::pending().await,
    }
}

/// Sleeps; without a moment for ever.
pub(super) async fn until(context: &Context, wake: Option<Instant>) {
    match wake {
        Some(at) => context.timer.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Sets a user to work, whose whole life is `life`.
pub(super) fn start(context: &Rc<Context>, handle: Rc<Handle>, life: impl Future<Output = ()> + 'static) -> Started {
    let _alive = Alive::new(context.clone(), handle.clone());
    let task = tokio::task::spawn_local(Living { life, _alive });
    Started { handle, task: task.abort_handle() }
}

// === impl Stopping ===

impl Stopping {
    /// Tells a user to stop, and remembers until when it may. Its load ended `at`, which may be before now.
    pub(super) fn add(&mut self, context: &Context, user: Started, now: Instant, at: Instant) {
        if user.task.is_finished() {
            return;
        }
        user.handle.enter(context, UserState::Stopping);
        user.handle.stopped_at.set(Some(at));
        user.handle.bell.notify_one();
        self.0.push_back((now + context.plan.graceful_stop, user));
    }

    /// Cuts off whose time is over; when it is over for the next one.
    pub(super) fn deadline(&mut self, now: Instant) -> Option<Instant> {
        while self.0.front().is_some_and(|(deadline, user)| *deadline <= now || user.task.is_finished()) {
            self.0.pop_front().into_iter().for_each(|(_, user)| user.task.abort());
        }
        self.0.front().map(|(deadline, _)| *deadline)
    }

    /// Cuts off all of them.
    pub(super) fn cut(&self) {
        self.0.iter().for_each(|(_, user)| user.task.abort());
    }
}

pin_project! {
    /// A user's task. An `async` block that awaits what it was given holds it twice (once as it was given, once as it is awaited),
    /// and with it half of a user's memory; this holds it once.
    struct Living<F> {
        #[pin]
        life: F,
        _alive: Alive,
    }
}

impl<F: Future<Output = ()>> Future for Living<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        self.project().life.poll(context)
    }
}

/// Counts a user as long as its future is there, however it ends.
struct Alive {
    context: Rc<Context>,
    handle: Rc<Handle>,
}

impl Alive {
    fn new(context: Rc<Context>, handle: Rc<Handle>) -> Self {
        let alive = &context.crews[handle.crew].alive;
        alive.set(alive.get() + 1);
        context.user_state(handle.user, None, Some(UserState::Running));
        context.run.users_changed(1);
        Self { context, handle }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nothing of it goes further than this task, and nobody asks what became of it.
            self.context.run.broke();
        }
        lock(&self.context.shard).user(self.handle.user, Some(self.handle.state.get()), None);
        self.context.run.users_changed(-1);
        let crew = &self.context.crews[self.handle.crew];
        crew.alive.set(crew.alive.get() - 1);
        crew.ended.notify_one();
    }
}

// === impl Handle ===

impl Handle {
    pub(super) fn new(user: UserId, crew: usize) -> Rc<Self> {
        Rc::new(Self { user, crew, state: Cell::new(UserState::Running), stopped_at: Cell::new(None), bell: Notify::new() })
    }

    /// Of a user that nothing stops: for setup, teardown and single runs.
    pub(super) fn detached(user: UserId) -> Rc<Self> {
        Self::new(user, 0)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.get() == UserState::Stopping
    }

    /// When its load ended, or it was told to stop before that; `None` before.
    pub(super) fn stopped_at(&self) -> Option<Instant> {
        self.stopped_at.get()
    }

    /// Changes the state; a stopping user stays one.
    pub(super) fn enter(&self, context: &Context, state: UserState) {
        let before = self.state.get();
        if before != UserState::Stopping && before != state {
            self.state.set(state);
            context.user_state(self.user, Some(before), Some(state));
        }
    }

    /// Returns when the user is told to stop.
    pub(super) async fn stopped(&self) {
        while !self.is_stopping() {
            self.bell.notified().await;
        }
    }
}
