//! Wakes users when they are due, to some tens of microseconds.
//!
//! Tokio's own timers have steps of a millisecond: a user that waits for 250 µs comes back after up to 2 ms, and what it
//! measures then includes that. Here one `timerfd` for each worker is set to the earliest deadline of all its users. When it
//! rings, all that is due is woken, and it is set to the next one:
//!
//! ```text
//!   user ── Sleep ──▶ heap of deadlines ── the earliest ──▶ timerfd ──▶ the worker's event loop ──▶ drive(): wake, set anew
//! ```
//!
//! Where there is no `timerfd`, and in virtual time, tokio's timers serve.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::clock::{self, Instant};

/// A worker's alarm clock.
pub(super) struct Timer {
    queue: RefCell<Queue>,
    device: Option<device::Device>,
}

#[derive(Default)]
struct Queue {
    /// Also has those that were cancelled; they are skipped when their time comes.
    heap: BinaryHeap<Reverse<Due>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// What the device is set to.
    set_to: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    slot: u32,
    turn: u32,
}

/// A place for one sleeper. Whoever has another turn than the slot has been woken, or has gone.
struct Slot {
    turn: u32,
    waker: Option<Waker>,
}

/// Ends at its deadline.
struct Sleep<'a> {
    timer: &'a Timer,
    at: Instant,
    place: Option<(u32, u32)>,
}

// === Timer ===

impl Timer {
    /// Of the current runtime. Falls back to tokio's timers when the system gives no `timerfd`.
    pub(super) fn new() -> Self {
        Self { queue: RefCell::default(), device: device::Device::new() }
    }

    /// Of a runtime whose time is paused.
    #[cfg(test)]
    pub(super) fn coarse() -> Self {
        Self { queue: RefCell::default(), device: None }
    }

    /// Sleeps until `at`; not at all if that has passed.
    pub(super) async fn sleep_until(&self, at: Instant) {
        if self.device.is_some() {
            Sleep { timer: self, at, place: None }.await;
        } else {
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// Wakes sleepers for ever. Nobody is woken unless this is polled.
    pub(super) async fn drive(&self) {
        let Some(device) = &self.device else { return std::future::pending().await };
        loop {
            device.rings().await;
            self.wake_due(clock::now());
            // Who has just been woken mostly sleeps again until a moment before all others, and then sets the device itself.
            after_those_awake().await;
            self.set(device);
        }
    }

    fn wake_due(&self, now: Instant) {
        let mut queue = self.queue.borrow_mut();
        queue.set_to = None;
        while let Some(due) = queue.first() {
            if due.at > now {
                return;
            }
            queue.heap.pop();
            queue.release(due.slot).into_iter().for_each(Waker::wake);
        }
    }

    /// Sets the device to the first who sleeps, unless it is.
    fn set(&self, device: &device::Device) {
        let mut queue = self.queue.borrow_mut();
        if let Some(due) = queue.first()
            && queue.set_to.is_none_or(|set_to| due.at < set_to)
        {
            queue.set_to = Some(due.at);
            device.set(due.at.saturating_duration_since(clock::now()));
        }
    }
}

/// Goes to the end of the queue of those that are awake, without a look at the event loop in between.
pub(super) async fn after_those_awake() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// === Queue ===

impl Queue {
    fn enter(&mut self, at: Instant, waker: &Waker) -> (u32, u32) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, waker: None });
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.waker = Some(waker.clone());
        self.heap.push(Reverse(Due { at, slot, turn: place.turn }));
        (slot, place.turn)
    }

    /// Who wakes first, of those who still sleep.
    fn first(&mut self) -> Option<Due> {
        while let Some(Reverse(due)) = self.heap.peek().copied() {
            if self.slots[due.slot as usize].turn == due.turn {
                return Some(due);
            }
            self.heap.pop();
        }
        None
    }

    fn release(&mut self, slot: u32) -> Option<Waker> {
        let place = &mut self.slots[slot as usize];
        place.turn = place.turn.wrapping_add(1);
        self.free.push(slot);
        place.waker.take()
    }
}

// === Sleep ===

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer;
        let mut queue = timer.queue.borrow_mut();
        let Some((slot, turn)) = self.place else {
            let now = clock::now();
            if self.at <= now {
                return Poll::Ready(());
            }
            self.place = Some(queue.enter(self.at, cx.waker()));
            if let Some(device) = &timer.device
                && queue.set_to.is_none_or(|set_to| self.at < set_to)
            {
                queue.set_to = Some(self.at);
                device.set(self.at - now);
            }
            return Poll::Pending;
        };
        let place = &mut queue.slots[slot as usize];
        if place.turn != turn {
            drop(queue);
            self.place = None;
            return Poll::Ready(());
        }
        if !place.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            place.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some((slot, turn)) = self.place {
            let mut queue = self.timer.queue.borrow_mut();
            if queue.slots[slot as usize].turn == turn {
                queue.release(slot);
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod device {
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A `timerfd` in the event loop.
    pub(super) struct Device(AsyncFd<OwnedFd>);

    impl Device {
        pub(super) fn new() -> Option<Self> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC).ok()?;
            // SAFETY: the descriptor is owned by the `AsyncFd`, stays open as long as it, and is the same on each call.
            #[expect(
                unsafe_code,
                reason = "there is no safe way to register a timer; tokio's own timers are late by 1 ms, this one by 50 µs"
            )]
            unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.ok().map(Self)
        }

        /// Rings once, `after` from now.
        pub(super) fn set(&self, after: Duration) {
            // All zero would switch it off.
            let after = after.max(Duration::from_nanos(1));
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: after.as_secs().try_into().unwrap_or(i64::MAX),
                    tv_nsec: after.subsec_nanos().into(),
                },
            };
            // Only fails for a descriptor that is no timer or a time that is no time.
            let set = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once);
            debug_assert!(set.is_ok(), "{set:?}");
        }

        /// Returns when it has rung. The event loop is told of each ring (it is edge-triggered), so nothing is read.
        pub(super) async fn rings(&self) {
            match self.0.readable().await {
                Ok(mut guard) => guard.clear_ready(),
                // The runtime is shutting down.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod device {
    use std::convert::Infallible;
    use std::time::Duration;

    /// There is none.
    pub(super) struct Device(Infallible);

    impl Device {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn set(&self, _: Duration) {
            match self.0 {}
        }

        pub(super) async fn rings(&self) {
            match self.0 {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::time::Duration;

    /// Runs `test` with a timer that is driven, in real time.
    fn with_timer<F: Future<Output = ()>>(test: impl FnOnce(Rc<Timer>) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let timer = Rc::new(Timer::new());
            assert!(timer.device.is_some(), "this system has no timerfd");
            let driven = timer.clone();
            let driver = tokio::task::spawn_local(async move { driven.drive().await });
            test(timer).await;
            driver.abort();
        });
    }

    #[test]
    fn sleepers_wake_in_order_and_never_early() {
        with_timer(|timer| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            let start = clock::now();
            let tasks: Vec<_> = [7u64, 2, 9, 2, 5, 0, 30]
                .into_iter()
                .map(|millis| {
                    let (timer, order) = (timer.clone(), order.clone());
                    tokio::task::spawn_local(async move {
                        let at = start + Duration::from_millis(millis);
                        timer.sleep_until(at).await;
                        assert!(clock::now() >= at, "woken early");
                        order.borrow_mut().push(millis);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.borrow(), [0, 2, 2, 5, 7, 9, 30]);
            assert!(timer.queue.borrow().heap.is_empty());
        });
    }

    #[test]
    fn an_earlier_deadline_is_not_kept_waiting_by_a_later_one() {
        with_timer(|timer| async move {
            let start = clock::now();
            let late = timer.clone();
            let late = tokio::task::spawn_local(async move { late.sleep_until(start + Duration::from_secs(3600)).await });
            tokio::task::yield_now().await;
            // Long enough not to be over already, on a busy machine.
            timer.sleep_until(start + Duration::from_millis(100)).await;
            late.abort();
            let _ = late.await;
            assert_eq!(timer.queue.borrow().free.len(), 2, "the one that was cancelled gave its place back");
            // What is cancelled does not wake those who take its place.
            timer.sleep_until(clock::now() + Duration::from_millis(1)).await;
            assert_eq!(timer.queue.borrow().slots.len(), 2);
        });
    }

    #[test]
    fn many_sleepers_at_one_moment_all_wake() {
        with_timer(|timer| async move {
            let at = clock::now() + Duration::from_millis(20);
            let tasks: Vec<_> = (0..5000)
                .map(|_| {
                    let timer = timer.clone();
                    tokio::task::spawn_local(async move { timer.sleep_until(at).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}
