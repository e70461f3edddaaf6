//! A worker: a thread with a runtime of its own, its users and its shard.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::activity::Activity;
use super::orders::{Mode, Orders, Pauses};
use super::timer::Timer;
use super::tracing::Tracing;
use super::{lifecycle, pool, supervisor::RunFacts};
use crate::clock::{self, Instant};
use crate::fault;
use crate::http::{Client, Prepared};
use crate::load::{Course, Part, Profile};
use crate::measure::catalog::{TaskId, UserId};
use crate::measure::shard::Shard;
use crate::measure::totals::UserState;
use crate::scenario::plan::{Address, Order, Plan, RequestStep, UserType};
use crate::template::Random;

/// What all users of a worker share.
pub(super) struct Context {
    pub plan: Arc<Plan>,
    pub run: Arc<RunFacts>,
    pub client: Client,
    pub tracing: Arc<Tracing>,
    pub shard: Arc<Mutex<Shard>>,
    pub part: Part,
    /// This worker's part of each crew of the plan.
    pub crews: Vec<CrewState>,
    pub timer: Timer,
    /// As of the last look at the orders.
    pauses: Cell<Pauses>,
    resumed: Notify,
    /// The heads of requests, as far as they are the same each time, by the step's number.
    prepared: Vec<Option<Prepared>>,
    choosers: Vec<Chooser>,
}

/// What the users of a crew share on this worker.
pub(super) struct CrewState {
    /// Tasks that may still be started; `None` for any number.
    pub iterations: Cell<Option<u64>>,
    /// Users whose future has not ended yet.
    pub alive: Cell<u32>,
    /// Rung whenever one has ended.
    pub ended: Notify,
    /// Users that have ended of their own accord.
    pub left: Cell<u32>,
    /// Its users may do so.
    pub may_leave: bool,
}

/// What chooses a user type's tasks: the sums of weights up to each task.
struct Chooser {
    cumulative: Vec<u64>,
    /// Some task says what comes after it.
    walks: bool,
}

/// Where a user stands in its order of tasks.
#[derive(Default)]
pub(super) struct Position {
    last: Option<usize>,
    deck: Vec<u32>,
}

/// How late the runtime's timer comes is looked at this often.
const LOOP_PROBE: Duration = Duration::from_millis(100);

/// The whole life of a worker.
pub(super) async fn work(context: Rc<Context>, orders: watch::Receiver<Orders>) {
    // They have no end of their own.
    let (mut beside, mut crews) = (JoinSet::new(), JoinSet::new());
    beside.spawn_local({
        let context = context.clone();
        async move { context.timer.drive().await }
    });
    beside.spawn_local(probe(context.clone()));
    for crew in 0..context.plan.crews.len() {
        let (context, orders) = (context.clone(), orders.clone());
        crews.spawn_local(async move {
            match context.plan.crews[crew].profile {
                Profile::Open(ref load) => pool::follow(&context, crew, load, orders).await,
                _ => lifecycle::follow(&context, crew, orders).await,
            }
        });
    }
    while !crews.is_empty() {
        let ended = tokio::select! {
            Some(ended) = crews.join_next() => ended,
            Some(ended) = beside.join_next() => ended,
        };
        // If one of them panicked, so does the worker: without its timer all others would sleep for ever.
        if let Err(broken) = ended
            && let Ok(panic) = broken.try_into_panic()
        {
            context.run.broke();
            std::panic::resume_unwind(panic);
        }
    }
}

/// Measures by how much this worker's event loop is behind.
async fn probe(context: Rc<Context>) {
    loop {
        let due = clock::now() + LOOP_PROBE;
        context.timer.sleep_until(due).await;
        fault::may_break("worker");
        let late = clock::now().saturating_duration_since(due);
        lock(&context.shard).loop_lag(late);
    }
}

/// The shard; a user that panicked while it held it does not take the figures with it.
pub(super) fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Context ===

impl Context {
    pub(super) fn new(
        plan: Arc<Plan>,
        run: Arc<RunFacts>,
        (client, tracing): (Client, Arc<Tracing>),
        shard: Arc<Mutex<Shard>>,
        part: Part,
        timer: Timer,
    ) -> Self {
        let crews = plan.crews.iter().enumerate().map(|(index, crew)| {
            let (profile, part) = (&crew.profile, part_of(part, index));
            CrewState {
                iterations: Cell::new(profile.iterations().map(|all| part.iterations(all, profile.peak()))),
                alive: Cell::new(0),
                ended: Notify::new(),
                left: Cell::new(0),
                may_leave: crew.users.iter().any(|user| plan.users[*user].may_leave()),
            }
        });
        let crews = crews.collect();
        let choosers = plan.users.iter().map(Chooser::new).collect();
        let mut prepared = vec![None; plan.requests];
        plan.each_request(&mut |step| {
            let (method, headers) = (&step.method, &step.headers);
            prepared[step.number] = match (&step.address, &*step.query) {
                _ if !step.has_fixed_headers() => None,
                (Address::Fixed(url), []) => Some(client.prepare(method, url, headers)),
                (Address::Fixed(base) | Address::Rendered { base: Some(base), .. }, _) => {
                    client.prepare_lines(method, base, headers)
                }
                (Address::Rendered { base: None, .. }, _) => None,
            };
        });
        let (pauses, resumed) = (Cell::default(), Notify::new());
        Self { plan, run, client, tracing, shard, part, crews, timer, pauses, resumed, prepared, choosers }
    }

    /// What never changes of the step's head.
    pub(super) fn prepared(&self, step: &RequestStep) -> Option<&Prepared> {
        self.prepared.get(step.number).and_then(Option::as_ref)
    }

    /// This worker's part of a crew. The parts are turned by one from crew to crew: of many crews with one user each, not all
    /// are the first worker's.
    pub(super) fn part_of(&self, crew: usize) -> Part {
        part_of(self.part, crew)
    }

    /// What is said now: whether to go on, and what has become of a crew's load. When the supervisor is gone nobody would read
    /// what is measured.
    ///
    /// Whoever of this worker hears of a pause first, or of its end, does so for all.
    pub(super) fn heed(&self, orders: &mut watch::Receiver<Orders>, crew: usize) -> (Mode, Course) {
        if orders.has_changed().is_err() {
            return (Mode::Cut, Course::default());
        }
        let orders = orders.borrow_and_update();
        let before = self.pauses.replace(orders.pauses);
        if before.are_on() && before != orders.pauses {
            self.resumed.notify_waiters();
        }
        (orders.mode, orders.courses.get(crew).copied().unwrap_or_default())
    }

    /// Notes what this worker is busy with.
    #[inline]
    pub(super) fn is_doing(&self, activity: Activity) {
        self.run.is_doing(self.part.index, activity);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pauses.get().are_on()
    }

    /// For how long the run has stood still so far.
    pub(super) fn paused(&self) -> Duration {
        let pauses = self.pauses.get();
        // Mostly without a look at the clock.
        if pauses.are_on() { pauses.until(clock::now()) } else { pauses.over() }
    }

    /// Returns when the pause that is on has ended.
    pub(super) async fn resumed(&self) {
        let this = self.pauses.get();
        while self.is_paused() && self.pauses.get() == this {
            self.resumed.notified().await;
        }
    }

    /// When a crew's time began, as if it had never stood still.
    pub(super) fn start_of(&self, crew: usize) -> Instant {
        self.run.started + self.plan.crews[crew].start_after + self.pauses.get().over()
    }

    /// Where a crew's time is; nowhere before it has begun.
    pub(super) fn elapsed(&self, crew: usize, now: Instant) -> Option<Duration> {
        self.pauses.get().elapsed(self.run.started, now).checked_sub(self.plan.crews[crew].start_after)
    }

    /// The number of a crew's user: those of all crews are numbered through, up to the most that the plan has. Who comes on top
    /// of these has a number beyond them.
    pub(super) fn number(&self, crew: usize, slot: u32) -> u32 {
        let (plan, peak) = (&self.plan, self.plan.crews[crew].profile.peak());
        match slot.checked_sub(peak) {
            None => plan.crews[crew].first_slot + slot,
            Some(beyond) => {
                let all: u32 = plan.crews.iter().map(|crew| crew.profile.peak()).sum();
                all.wrapping_add(beyond.wrapping_mul(plan.crews.len() as u32)).wrapping_add(crew as u32)
            }
        }
    }

    /// The index of a user's next task.
    pub(super) fn next_task(&self, user: &UserType, position: &mut Position, random: &mut Random) -> usize {
        let chooser = &self.choosers[user.id.index()];
        // Tasks are looked at only where they matter: of many, the last one is in no cache any more.
        let next = match position.last.filter(|_| chooser.walks).map(|last| &user.tasks[last].next) {
            Some(next) if !next.is_empty() => weighted(next, random),
            _ => match user.order {
                Order::Weighted => chooser.weighted(random),
                Order::Sequential => position.last.map_or(0, |last| (last + 1) % user.tasks.len()),
                Order::Shuffle => {
                    if position.deck.is_empty() {
                        let all = user.deck().into_iter().enumerate();
                        position.deck.extend(all.flat_map(|(task, cards)| std::iter::repeat_n(task as u32, cards as usize)));
                        random.shuffle(&mut position.deck);
                    }
                    position.deck.pop().unwrap_or(0) as usize
                }
            },
        };
        position.last = Some(next);
        next
    }

    /// Moves a user from one state to another, or in and out of being.
    pub(super) fn user_state(&self, user: UserId, from: Option<UserState>, to: Option<UserState>) {
        lock(&self.shard).user(user, from, to);
    }

    pub(super) fn task_done(&self, task: TaskId, ok: bool, duration: Duration) {
        lock(&self.shard).task(task, ok, duration);
    }
}

fn part_of(part: Part, crew: usize) -> Part {
    Part { index: ((u64::from(part.index) + crew as u64) % u64::from(part.of)) as u32, of: part.of }
}

fn weighted(choices: &[(usize, u32)], random: &mut Random) -> usize {
    let total = choices.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>().max(1);
    let mut at = random.below(total);
    for (choice, weight) in choices {
        match at.checked_sub(u64::from(*weight)) {
            Some(rest) => at = rest,
            None => return *choice,
        }
    }
    choices.last().map_or(0, |(choice, _)| *choice)
}

// === impl CrewState ===

impl CrewState {
    /// Takes one of the tasks that may be started; `false` when there are none left.
    pub(super) fn take_iteration(&self) -> bool {
        match self.iterations.get() {
            None => true,
            Some(0) => false,
            Some(left) => {
                self.iterations.set(Some(left - 1));
                true
            }
        }
    }

    pub(super) async fn wait_for_the_last(&self) {
        while self.alive.get() > 0 {
            self.ended.notified().await;
        }
    }
}

// === impl Chooser ===

impl Chooser {
    fn new(user: &UserType) -> Self {
        let mut sum = 0;
        let cumulative = user
            .tasks
            .iter()
            .map(|task| {
                sum += u64::from(task.weight);
                sum
            })
            .collect();
        Self { cumulative, walks: user.tasks.iter().any(|task| !task.next.is_empty()) }
    }

    fn weighted(&self, random: &mut Random) -> usize {
        match *self.cumulative {
            [] | [_] => 0,
            [.., total] => {
                let at = random.below(total.max(1));
                self.cumulative.partition_point(|sum| *sum <= at).min(self.cumulative.len() - 1)
            }
        }
    }
}
