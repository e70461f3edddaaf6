//! Open loads: tasks arrive, and users are there to do them.
//!
//! ```text
//!  arrivals ──due──▶ follow ── the user that was free last ──▶ place ──bell──▶ user: one task ──▶ free again
//!                      │ nobody free, fewer than max_users: a new one
//!                      └ nobody free at all: dropped, and counted
//! ```
//!
//! The user that became free last is taken first, so that few connections are warm rather than many cold. A user waits for
//! its next arrival in its own future: an arrival costs a bell, no allocation and no new task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

use super::lifecycle::{Handle, Started, Stopping, start, until};
use super::orders::{Mode, Orders};
use super::timer::after_those_awake;
use super::user::User;
use super::worker::{Context, lock};
use crate::clock::{self, Instant};
use crate::load::{Arrivals, Course, Open};
use crate::measure::totals::UserState;
use crate::random::Random;

/// Where a user is handed its tasks.
pub(super) struct Place {
    handle: Rc<Handle>,
    /// When the task that has arrived was due.
    due: Cell<Option<Instant>>,
    /// Among the places of the crew on this worker.
    number: usize,
    free: Rc<Free>,
    /// The index of its user type.
    kind: usize,
}

/// Places that are free.
struct Free {
    /// Of users that are, the latest at the end; a list for each user type.
    users: RefCell<Vec<VecDeque<usize>>>,
    /// Those whose user has left.
    vacant: RefCell<Vec<usize>>,
}

/// One crew's users on this worker.
struct Pool<'a> {
    context: &'a Rc<Context>,
    crew: usize,
    /// At most `most`; a place is empty only while its user is exchanged for another.
    places: Vec<Option<(Rc<Place>, Started)>>,
    most: usize,
    free: Rc<Free>,
    stopping: Stopping,
    /// Places that were taken again after their user had left.
    vacated: u64,
}

/// Of so many arrivals that are dropped at once it is looked at which type of user each of them wanted.
const MOST_BY_TYPE: u64 = 1000;

/// Streams of random numbers that belong to no user begin here: users are numbered in 32 bits.
const STREAMS: u64 = 1 << 32;

/// Starts tasks as the open load of a crew says, until it is over and the last user has ended.
pub(super) async fn follow(context: &Rc<Context>, crew: usize, load: &Open, mut orders: watch::Receiver<Orders>) {
    let part = context.part_of(crew);
    let random = Random::new(context.run.seed, STREAMS + ((crew as u64) << 16) + u64::from(part.index));
    let mut arrivals = load.arrivals(part, random);
    let mut course = Course::default();
    let mut pool = Pool::new(context, crew, part.count(load.max_users()) as usize);
    'told: loop {
        let (mode, told) = context.heed(&mut orders, crew);
        if mode != Mode::Run {
            break;
        }
        // Both move with each pause.
        let start_of_time = context.start_of(crew);
        let end = load.end().map(|end| start_of_time + end);
        if told != course {
            course = told;
            if let Some((steered, at)) = context.plan.crews[crew].profile.arrivals(&course).zip(course.since()) {
                // Up to then by the old rule, also if this comes late.
                if !context.is_paused() {
                    pool.all_arrived(&mut arrivals, start_of_time, at, clock::now());
                }
                arrivals.steer(&steered);
            }
        }
        // One future for many turns: entering and leaving the channel's list at each of ten thousand arrivals a second costs.
        let mut changed = pin!(orders.changed());
        loop {
            let now = clock::now();
            let mut next = None;
            let mut all_found_users = true;
            if !context.is_paused() {
                // All that is due is started on this wake. Before the load's time has begun, nothing is.
                if let Some(elapsed) = now.checked_duration_since(start_of_time) {
                    all_found_users = pool.all_arrived(&mut arrivals, start_of_time, elapsed, now);
                }
                let due = arrivals.peek().map(|arrival| start_of_time + arrival.due);
                if due.is_none() && end.is_some_and(|end| end <= now) {
                    break 'told;
                }
                next = due.or(end);
            }
            if !all_found_users {
                // At a rate that nobody can keep the next one is due before this one is counted: users go first, and orders are
                // looked at.
                after_those_awake().await;
                break;
            }
            let wake = [next, pool.stopping.deadline(now)].into_iter().flatten().min();
            let mut sleep = pin!(until(context, wake));
            let told = poll_fn(|cx| match sleep.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => changed.as_mut().poll(cx).map(|_| true),
            });
            if told.await {
                break;
            }
        }
    }
    pool.end(orders).await;
}

// === impl Pool ===

impl<'a> Pool<'a> {
    fn new(context: &'a Rc<Context>, crew: usize, most: usize) -> Self {
        let kinds = context.plan.users.len();
        let free = Rc::new(Free { users: RefCell::new(vec![VecDeque::new(); kinds]), vacant: RefCell::default() });
        Self { context, crew, places: Vec::new(), most, free, stopping: Stopping::default(), vacated: 0 }
    }

    /// All tasks that are due by `until` of the load's time have arrived. Those that find no user are dropped; says whether there
    /// were none.
    fn all_arrived(&mut self, arrivals: &mut Arrivals, start_of_time: Instant, until: Duration, now: Instant) -> bool {
        while let Some(arrival) = arrivals.peek().filter(|arrival| arrival.due <= until) {
            if !self.arrived(arrival.number, start_of_time + arrival.due, now) {
                // Nobody becomes free before others run: whatever else is due finds no user either, and may be too much to be
                // looked at one by one.
                let count = arrivals.skip_due(until);
                self.drop_arrivals(arrival.number, count);
                return false;
            }
            arrivals.next();
        }
        true
    }

    /// Counts arrivals of this worker that found no user, the first of which is `number`.
    fn drop_arrivals(&self, number: u64, count: u64) {
        if self.context.run.is_stopped() {
            return;
        }
        let (plan, of) = (&self.context.plan, u64::from(self.context.part.of));
        let mut shard = lock(&self.context.shard);
        // The first of them one by one; the types of all others are in the same proportion.
        let first = count.min(MOST_BY_TYPE);
        let mut counts = vec![0u64; if first < count { plan.users.len() } else { 0 }];
        for at in 0..first {
            let Some(kind) = plan.crews[self.crew].user_of(number.saturating_add(at * of)) else { continue };
            shard.drop_arrivals(plan.users[kind].id, 1);
            counts.get_mut(kind).into_iter().for_each(|count| *count += 1);
        }
        let mut before = 0;
        let rest = u128::from(count - first);
        let share = |upto: u64| (rest * u128::from(upto) / u128::from(first.max(1))) as u64;
        for (user, counted) in plan.users.iter().zip(counts) {
            shard.drop_arrivals(user.id, share(before + counted) - share(before));
            before += counted;
        }
    }

    /// A task has arrived: hands it to a free user, or makes one. Says whether it found a user.
    fn arrived(&mut self, number: u64, due: Instant, now: Instant) -> bool {
        if self.context.run.is_stopped() {
            return false;
        }
        // Every crew of an open load has a type with a weight.
        let Some(kind) = self.context.plan.crews[self.crew].user_of(number) else { return false };
        if let Some(place) = self.free.latest(kind).and_then(|at| self.places[at].as_ref()) {
            place.0.hand(self.context, due);
        } else if let Some(at) = self.room(now) {
            self.start(kind, at, due);
        } else {
            return false;
        }
        true
    }

    /// A place for a new user: one more, or that of the user of another type who has been free for longest.
    fn room(&mut self, now: Instant) -> Option<usize> {
        let vacant = self.free.vacant.borrow_mut().pop();
        if let Some(at) = vacant {
            self.places[at] = None;
            self.vacated += 1;
            return Some(at);
        }
        if self.places.len() < self.most {
            self.places.push(None);
            return Some(self.places.len() - 1);
        }
        let at = self.free.longest()?;
        if let Some((_, user)) = self.places[at].take() {
            self.stopping.add(self.context, user, now, now);
        }
        Some(at)
    }

    fn start(&mut self, kind: usize, at: usize, due: Instant) {
        let plan = &self.context.plan;
        let handle = Handle::new(plan.users[kind].id, self.crew);
        let slot = self.context.number(self.crew, self.context.part_of(self.crew).slot(at as u32));
        let place =
            Rc::new(Place { handle: handle.clone(), due: Cell::new(Some(due)), number: at, free: self.free.clone(), kind });
        let mut user = Box::new(User::new(self.context.clone(), handle.clone(), kind, slot, due));
        if self.vacated > 0 {
            // A new user, who does not do once more what the one before did.
            user.random = Random::new(self.context.run.seed, u64::from(slot) + (self.vacated << 40));
        }
        let user = start(self.context, handle, user.serve(place.clone()));
        self.places[at] = Some((place, user));
    }

    /// Nothing more arrives: free users stop at once, the others when they have ended their task.
    async fn end(mut self, mut orders: watch::Receiver<Orders>) {
        let (context, state) = (self.context, &self.context.crews[self.crew]);
        let now = clock::now();
        for (_, user) in self.places.drain(..).flatten() {
            self.stopping.add(context, user, now, now);
        }
        while state.alive.get() > 0 {
            if context.heed(&mut orders, self.crew).0 == Mode::Cut {
                self.stopping.cut();
                return state.wait_for_the_last().await;
            }
            let deadline = self.stopping.deadline(clock::now());
            tokio::select! {
                () = until(context, deadline) => {}
                _ = orders.changed() => {}
                () = state.ended.notified() => {}
            }
        }
    }
}

// === impl Free ===

impl Free {
    /// Takes the place of this type whose user became free last.
    fn latest(&self, kind: usize) -> Option<usize> {
        self.users.borrow_mut().get_mut(kind)?.pop_back()
    }

    /// Takes the place whose user has been free for longest, of the type that has most of them.
    fn longest(&self) -> Option<usize> {
        self.users.borrow_mut().iter_mut().max_by_key(|places| places.len())?.pop_front()
    }
}

// === impl Place ===

impl Place {
    /// Gives the free user a task.
    fn hand(&self, context: &Context, due: Instant) {
        self.due.set(Some(due));
        self.handle.enter(context, UserState::Running);
        self.handle.bell.notify_one();
    }

    /// When the next task that arrives was due; `None` when the user is to stop. What has been handed over is still done.
    pub(super) async fn arrival(&self) -> Option<Instant> {
        loop {
            if let Some(due) = self.due.take() {
                return Some(due);
            }
            if self.handle.is_stopping() {
                return None;
            }
            self.handle.bell.notified().await;
        }
    }

    /// The user has left of its own accord: another one may come.
    pub(super) fn vacate(&self) {
        if !self.handle.is_stopping() {
            self.free.vacant.borrow_mut().push(self.number);
        }
    }

    /// The user has ended its task, and is free for another.
    pub(super) fn done(&self, context: &Context) {
        self.handle.enter(context, UserState::Waiting);
        if !self.handle.is_stopping() {
            self.free.users.borrow_mut()[self.kind].push_back(self.number);
        }
    }
}
