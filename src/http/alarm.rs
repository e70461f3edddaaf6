//! A timeout for each exchange at the price of one timer for many.
//!
//! ```text
//!  exchanges   |--1--|  |--2--|   |---3---| …              each may take `timeout`
//!  the timer   |- armed by 1 ------------>| looks up: 3 has until later; armed anew
//! ```
//!
//! The timer is armed for the first deadline and then left alone: it is a later exchange's job to be over before it rings,
//! and only if one is underway when it does is there anything to look at. So setting a timer is not part of a request.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;
use tokio::time::Sleep;

use crate::clock::{self, Instant};

/// A session's timer.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    waker: Option<Waker>,
}

// === Alarm ===

impl Alarm {
    /// Ready once `deadline` has passed; until then the task is woken no later than that.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => {
                let rings = Instant::from(sleep.deadline());
                let is_mine = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
                if !sleep.is_elapsed() {
                    if rings <= deadline && is_mine {
                        return Poll::Pending;
                    }
                } else if clock::now() >= deadline {
                    return Poll::Ready(());
                }
                if rings > deadline || sleep.is_elapsed() {
                    sleep.as_mut().reset(deadline.into());
                }
            }
            none => *none = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
        // Unconstrained: a poll that the budget refuses would arm nothing. An earlier time to look at it again is as good as the deadline.
        let rung = self.sleep.as_mut().is_some_and(|sleep| Pin::new(&mut unconstrained(sleep.as_mut())).poll(context).is_ready());
        if rung && clock::now() >= deadline {
            return Poll::Ready(());
        }
        if rung {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_whatever_was_armed_before() {
        let mut alarm = Alarm::default();
        let start = clock::now();
        let seconds = |count: u64| Duration::from_secs(count);
        // The second is armed while the first still runs, the third is earlier than what is armed, the last long after.
        for (pause, timeout, cut) in [(1, 10, true), (0, 10, false), (5, 10, true), (0, 10, false), (0, 3, true), (60, 10, true)]
        {
            tokio::time::sleep(seconds(pause)).await;
            let began = clock::now();
            let deadline = began + seconds(timeout);
            if cut {
                poll_fn(|context| alarm.poll(context, deadline)).await;
                assert_eq!((clock::now() - began).as_secs(), timeout, "{:?}", clock::now() - start);
            } else {
                let mut over = std::pin::pin!(tokio::time::sleep(seconds(2)));
                let first = poll_fn(|context| match over.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready("over"),
                    Poll::Pending => alarm.poll(context, deadline).map(|()| "alarm"),
                });
                assert_eq!(first.await, "over");
            }
        }
    }
}
