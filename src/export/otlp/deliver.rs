//! Takes what is queued to the collector, so that a slow or dead one costs spans and never time.
//!
//! ```text
//!  queue ─▶ batch: full, or 1 s old ─▶ at most 2 on their way ─▶ exported
//!                                            └─────────────────▶ dropped, with the reason
//!  finish ─▶ no more is taken in ─▶ the rest is sent, for some seconds ─▶ what is left then: dropped, `shutdown`
//! ```
//!
//! Each item is counted once, whatever happens: who holds items counts them when it is dropped.
//!
//! offered = exported + dropped, for all reasons, + queued, in a batch, or on their way

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, timeout_at};

use super::delivery::{Job, Stop};
use super::health::Health;
use super::message::Message;
use super::sender::{Accepted, Failed, Sender};
use crate::clock;
use crate::trace::queue::{Counts, Dropped, Spans};

/// How items become messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    /// Items of one message.
    pub most: usize,
    /// How long an item waits for others, at most.
    pub linger: Duration,
    /// Messages on their way at once: one that is slow does not hold up the next.
    pub in_flight: usize,
}

/// Items that are neither exported nor dropped yet.
struct Batch<T> {
    items: Vec<T>,
    counts: Arc<Counts>,
}

/// Items that have become a message.
struct Flight {
    items: u64,
    counts: Arc<Counts>,
}

// === jobs ===

/// Sends what is queued, in batches, as the messages that `encode` makes of them.
pub fn batches<T, M>(items: Spans<T>, sender: Sender, encode: impl FnMut(&[T]) -> M + Send + 'static, batches: Batches) -> Job
where
    T: Send + 'static,
    M: Message,
{
    let signal = sender.exporter().signal;
    Job::new(signal, |stop, health| Box::pin(deliver(items, sender, encode, batches, stop, health)))
}

/// Sends what `collect` gives: each `interval`, and a last time at the end. One that is still being sent when the next is due
/// delays it; one that is still being sent at the end is given up for the last.
pub fn pushes<M: Message>(sender: Sender, interval: Duration, collect: impl FnMut() -> M + Send + 'static) -> Job {
    let signal = sender.exporter().signal;
    Job::new(signal, move |stop, health| Box::pin(push(sender, interval, collect, stop, health)))
}

async fn deliver<T: Send + 'static, M: Message>(
    mut items: Spans<T>,
    sender: Sender,
    mut encode: impl FnMut(&[T]) -> M + Send,
    batches: Batches,
    mut stop: Stop,
    health: Health,
) {
    let mut batch = Batch { items: Vec::new(), counts: Arc::clone(items.counts()) };
    let mut flights = JoinSet::new();
    let mut depart = move |flights: &mut JoinSet<()>, batch: &mut Batch<T>| {
        let message = encode(&batch.items);
        flights.spawn(fly(batch.take_off(), message, sender.clone(), health.clone()));
    };
    loop {
        let more = tokio::select! {
            biased;
            () = stop.asked() => break,
            more = batch.fill(&mut items, &batches) => more,
        };
        while flights.len() >= batches.in_flight.max(1) {
            tokio::select! {
                biased;
                () = stop.asked() => break,
                _ = flights.join_next() => {}
            }
        }
        if stop.is_asked() {
            break;
        }
        if !batch.items.is_empty() {
            depart(&mut flights, &mut batch);
        }
        if !more {
            break;
        }
    }
    // Nobody fills the queue any more, or nobody may.
    items.close();
    let rest = async {
        loop {
            while flights.len() >= batches.in_flight.max(1) {
                flights.join_next().await;
            }
            let room = batches.most.max(1).saturating_sub(batch.items.len());
            if room > 0 {
                batch.items.append(&mut items.take(room).await);
            }
            if batch.items.is_empty() {
                break;
            }
            depart(&mut flights, &mut batch);
        }
        while flights.join_next().await.is_some() {}
    };
    // Without a deadline the queue has ended by itself, and what is on its way may take its time, until there is one.
    tokio::select! {
        biased;
        () = rest => {}
        () = stop.over() => {}
    }
    flights.shutdown().await;
}

async fn fly<M: Message>(flight: Flight, message: M, sender: Sender, health: Health) {
    let result = sender.send(&message).await;
    health.note(&result);
    flight.land(&result);
}

async fn push<M: Message>(
    sender: Sender,
    interval: Duration,
    mut collect: impl FnMut() -> M + Send,
    mut stop: Stop,
    health: Health,
) {
    let mut ticks = interval_at((clock::now() + interval).into(), interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            _ = ticks.tick() => {}
        }
        let message = collect();
        tokio::select! {
            biased;
            () = stop.asked() => break,
            result = sender.send(&message) => health.note(&result),
        }
    }
    let message = collect();
    let result = match timeout_at(stop.deadline().into(), sender.send(&message)).await {
        Ok(result) => result,
        Err(_) => {
            let message = "the last metrics could not be exported before the end".to_owned();
            Err(Failed { reason: Dropped::Shutdown, message })
        }
    };
    health.note(&result);
}

impl Default for Batches {
    fn default() -> Self {
        Self { most: 512, linger: Duration::from_secs(1), in_flight: 2 }
    }
}

// === items on their way ===

impl<T> Batch<T> {
    /// Takes items in, unless it has some. Whether there can be more. Cancelled, it keeps what it has.
    async fn fill(&mut self, items: &mut Spans<T>, batches: &Batches) -> bool {
        if !self.items.is_empty() {
            return true;
        }
        match items.gather(batches.most.max(1), batches.linger).await {
            Some(some) => self.items = some,
            None => return false,
        }
        true
    }

    /// The items have become a message.
    fn take_off(&mut self) -> Flight {
        let items = std::mem::take(&mut self.items);
        Flight { items: items.len() as u64, counts: Arc::clone(&self.counts) }
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        self.counts.note_dropped(Dropped::Shutdown, self.items.len() as u64);
    }
}

impl Flight {
    fn land(mut self, result: &Result<Accepted, Failed>) {
        let items = std::mem::take(&mut self.items);
        match result {
            Ok(accepted) => {
                // A collector that refuses more than it was sent has refused all.
                let rejected = accepted.rejected.min(items);
                self.counts.note_dropped(Dropped::Partial, rejected);
                self.counts.note_exported(items - rejected);
            }
            Err(failed) => self.counts.note_dropped(failed.reason, items),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.counts.note_dropped(Dropped::Shutdown, self.items);
    }
}
