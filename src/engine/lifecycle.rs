//! How many users there are: a worker asks its part of the load profile and starts and stops them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::supervisor::Mode;
use super::user::User;
use super::worker::{Context, lock};
use crate::clock::{self, Instant};
use crate::load::Decision;
use crate::measure::catalog::UserId;
use crate::measure::totals::UserState;

/// What a user and those who stop it both hold.
pub(super) struct Handle {
    pub user: UserId,
    state: Cell<UserState>,
    stop: Notify,
}

/// A user that has been started.
struct Started {
    handle: Rc<Handle>,
    task: AbortHandle,
}

/// Starts and stops users as the profile says, until the load is over and the last user has ended.
pub(super) async fn follow(context: Rc<Context>, mut mode: watch::Receiver<Mode>) {
    let mut present: Vec<Started> = Vec::new();
    let mut stopping: VecDeque<(Instant, Started)> = VecDeque::new();
    let mix = context.plan.mix();
    let mut ending = false;
    loop {
        // The supervisor is gone: nobody would read what is measured.
        let command = if mode.has_changed().is_err() { Mode::Cut } else { *mode.borrow_and_update() };
        if command == Mode::Cut {
            present.iter().chain(stopping.iter().map(|(_, user)| user)).for_each(|user| user.task.abort());
            wait_for_the_last(&context).await;
            return;
        }
        let now = clock::now();
        let elapsed = context.elapsed(now);
        let exhausted = context.iterations.get() == Some(0);
        ending |= command == Mode::Stop || (exhausted && context.alive.get() == 0);
        let decision = match context.plan.load.decide(elapsed, present.len() as u32, context.part) {
            _ if ending => Decision::Done,
            // The users that are at work end their tasks; nobody new comes.
            Decision::Start { .. } | Decision::Stop if exhausted => Decision::Idle,
            decision => decision,
        };
        let mut wake = None;
        match decision {
            Decision::Start { due } => {
                let slot = context.part.slot(present.len() as u32);
                match mix.user_of(slot) {
                    Some(user) => present.push(start(&context, user, slot, context.run.started + due)),
                    // Only fixed users, and all of them are there: `compile` refuses such a file.
                    None => ending = true,
                }
                continue;
            }
            Decision::Stop => {
                if let Some(user) = present.pop() {
                    stop(&context, user, now, &mut stopping);
                }
                continue;
            }
            Decision::WaitUntil(at) => wake = Some(context.run.started + at),
            Decision::Idle => {}
            Decision::Done => {
                ending = true;
                while let Some(user) = present.pop() {
                    stop(&context, user, now, &mut stopping);
                }
                if context.alive.get() == 0 {
                    return;
                }
            }
        }
        while stopping.front().is_some_and(|(deadline, user)| *deadline <= now || user.task.is_finished()) {
            stopping.pop_front().into_iter().for_each(|(_, user)| user.task.abort());
        }
        let cut = stopping.front().map(|(deadline, _)| *deadline);
        let wake = [wake, cut].into_iter().flatten().min();
        tokio::select! {
            () = async { match wake { Some(at) => context.timer.sleep_until(at).await, None => std::future::pending().await } } => {}
            _ = mode.changed() => {}
            // Only an ending worker, or one that runs out of iterations, cares that somebody has ended.
            () = context.ended.notified(), if ending || context.iterations.get().is_some() => {}
        }
    }
}

fn start(context: &Rc<Context>, user: usize, slot: u32, due: Instant) -> Started {
    let handle = Rc::new(Handle { user: context.plan.users[user].id, state: Cell::new(UserState::Running), stop: Notify::new() });
    let alive = Alive::new(context.clone(), handle.clone());
    let user = User::new(context.clone(), handle.clone(), user, slot, due);
    let task = tokio::task::spawn_local(async move {
        let _alive = alive;
        user.live().await;
    });
    Started { handle, task: task.abort_handle() }
}

fn stop(context: &Context, user: Started, now: Instant, stopping: &mut VecDeque<(Instant, Started)>) {
    if user.task.is_finished() {
        return;
    }
    user.handle.enter(context, UserState::Stopping);
    user.handle.stop.notify_one();
    stopping.push_back((now + context.plan.graceful_stop, user));
}

async fn wait_for_the_last(context: &Context) {
    while context.alive.get() > 0 {
        context.ended.notified().await;
    }
}

/// Counts a user as long as its future is there, however it ends.
struct Alive {
    context: Rc<Context>,
    handle: Rc<Handle>,
}

impl Alive {
    fn new(context: Rc<Context>, handle: Rc<Handle>) -> Self {
        context.alive.set(context.alive.get() + 1);
        context.user_state(handle.user, None, Some(UserState::Running));
        context.run.users_changed(1);
        Self { context, handle }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        lock(&self.context.shard).user(self.handle.user, Some(self.handle.state.get()), None);
        self.context.run.users_changed(-1);
        self.context.alive.set(self.context.alive.get() - 1);
        self.context.ended.notify_one();
    }
}

// === impl Handle ===

impl Handle {
    /// Of a user that nothing stops: for setup, teardown and single runs.
    pub(super) fn detached(user: UserId) -> Rc<Self> {
        Rc::new(Self { user, state: Cell::new(UserState::Running), stop: Notify::new() })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.get() == UserState::Stopping
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
            self.stop.notified().await;
        }
    }
}
