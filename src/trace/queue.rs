//! Spans between those who make them and those who export them. It never waits and never grows: a span that finds it full is
//! refused and counted. Records of logs go through one like it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::Span;

/// The end that the engine has. A clone is the same queue.
#[derive(Debug)]
pub struct Queue<T = Span> {
    sender: mpsc::Sender<T>,
    counts: Arc<Counts>,
}

/// The end that the exporter has. What is left in it when it is dropped is counted as [`Dropped::Shutdown`].
#[derive(Debug)]
pub struct Spans<T = Span> {
    receiver: mpsc::Receiver<T>,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    offered: AtomicU64,
    exported: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// The collector has taken them.
    pub exported: u64,
    /// By the number of their [`Dropped`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Neither yet: in the queue, or on their way to the collector.
    pub queued: u64,
}

/// Why a span was not exported: the label `reason` of `otload_spans_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// The queue was full: the collector is slower than the run, or away.
    QueueFull,
    /// No connection to the collector, or it was cut.
    Unreachable,
    /// The collector did not answer in time.
    Timeout,
    /// The collector answered with an error that is not worth repeating, or too often with one that is.
    Rejected,
    /// The collector took the message, and refused these spans of it (partial success).
    Partial,
    /// What the collector answered makes no sense.
    Protocol,
    /// They were still there when the time for the last export was over.
    Shutdown,
}

/// A queue for `capacity` spans, at least one.
pub fn queue<T>(capacity: usize) -> (Queue<T>, Spans<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let counts = Arc::<Counts>::default();
    (Queue { sender, counts: counts.clone() }, Spans { receiver, counts })
}

// === Queue ===

impl<T> Queue<T> {
    /// Whether the span was taken. What is refused is counted.
    pub fn offer(&self, span: T) -> bool {
        self.counts.offered.fetch_add(1, Ordering::Relaxed);
        let reason = match self.sender.try_send(span) {
            Ok(()) => return true,
            Err(TrySendError::Full(_)) => Dropped::QueueFull,
            Err(TrySendError::Closed(_)) => Dropped::Shutdown,
        };
        self.counts.note_dropped(reason, 1);
        false
    }

    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), counts: self.counts.clone() }
    }
}

// === Spans ===

impl<T> Spans<T> {
    /// Waits for at least one span, and takes what is there, at most `most`. Empty when there is no queue left to fill it.
    /// When it is cancelled, nothing has been taken.
    pub async fn take(&mut self, most: usize) -> Vec<T> {
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, most).await;
        batch
    }

    /// From now on nothing more is taken in; what is there can still be taken out.
    pub fn close(&mut self) {
        self.receiver.close();
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl<T> Drop for Spans<T> {
    fn drop(&mut self) {
        self.receiver.close();
        let mut left = 0;
        while self.receiver.try_recv().is_ok() {
            left += 1;
        }
        self.counts.note_dropped(Dropped::Shutdown, left);
    }
}

// === Counts ===

impl Counts {
    pub fn note_exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub fn note_dropped(&self, reason: Dropped, spans: u64) {
        self.dropped[reason as usize].fetch_add(spans, Ordering::Relaxed);
    }

    /// All that came, whether they were taken or not: what is exported, dropped and still queued.
    pub fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }

    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// All that came and is neither exported nor dropped: queued, or on its way.
    pub fn pending(&self) -> u64 {
        // What came is read last, so that what comes meanwhile cannot make this negative.
        let gone = self.exported() + Dropped::ALL.iter().map(|reason| self.dropped(*reason)).sum::<u64>();
        self.offered().saturating_sub(gone)
    }

    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }

    /// Everything now. What is offered while it reads is queued.
    pub fn now(&self) -> SpanCounts {
        let (exported, dropped) = (self.exported(), Dropped::ALL.map(|reason| self.dropped(reason)));
        let queued = self.offered().saturating_sub(exported + dropped.iter().sum::<u64>());
        SpanCounts { exported, dropped, queued }
    }
}

// === SpanCounts ===

impl SpanCounts {
    /// All that came.
    pub fn offered(&self) -> u64 {
        self.exported + self.all_dropped() + self.queued
    }

    pub fn all_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Each reason, with 0 too.
    pub fn by_reason(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.dropped)
    }
}

// === Dropped ===

impl Dropped {
    pub const ALL: [Self; 7] =
        [Self::QueueFull, Self::Unreachable, Self::Timeout, Self::Rejected, Self::Partial, Self::Protocol, Self::Shutdown];

    /// As the label has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Partial => "partial",
            Self::Protocol => "protocol",
            Self::Shutdown => "shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Ids, Kind};
    use super::*;
    use crate::clock::Timestamp;

    fn span(number: u32) -> Span {
        let mut ids = Ids::new(1, u64::from(number));
        let kind = Kind::Task { task: number, ok: true };
        let (started, duration) = (Timestamp::from_unix(Duration::from_secs(1)), Duration::from_millis(5));
        Span { trace: ids.trace(), id: ids.span(), parent: None, sampled: true, started, duration, kind }
    }

    #[tokio::test]
    async fn what_finds_it_full_is_counted_and_the_rest_comes_in_order() {
        let (queue, mut spans) = queue(3);
        assert_eq!((0..5).filter(|number| queue.offer(span(*number))).count(), 3);
        assert_eq!((queue.counts().offered(), queue.counts().dropped(Dropped::QueueFull), spans.len()), (5, 2, 3));
        let first = spans.take(2).await;
        assert_eq!(first, [span(0), span(1)]);
        assert!(queue.offer(span(7)));
        drop(queue);
        assert_eq!(spans.take(10).await, [span(2), span(7)]);
        assert!(spans.take(10).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_left_in_it_is_counted() {
        let (queue, mut spans) = queue(10);
        (0..5).for_each(|number| assert!(queue.offer(span(number))));
        assert_eq!(spans.take(2).await.len(), 2);
        queue.counts().note_exported(2);
        assert_eq!(queue.counts().pending(), 3);
        spans.close();
        assert!(!queue.offer(span(5)));
        assert_eq!((queue.counts().dropped(Dropped::Shutdown), queue.counts().pending()), (1, 3));
        drop(spans);
        assert!(!queue.offer(span(6)));
        assert_eq!((queue.counts().dropped(Dropped::Shutdown), queue.counts().dropped(Dropped::QueueFull)), (5, 0));
        assert_eq!((queue.counts().offered(), queue.counts().pending()), (7, 0));
    }

    #[test]
    fn what_became_of_spans_adds_up_to_what_was_offered() {
        let (queue, _spans) = queue(4);
        (0..6).for_each(|number| _ = queue.offer(span(number)));
        queue.counts().note_exported(1);
        queue.counts().note_dropped(Dropped::Timeout, 2);
        let now = queue.counts().now();
        assert_eq!(now, SpanCounts { exported: 1, dropped: [2, 0, 2, 0, 0, 0, 0], queued: 1 });
        assert_eq!((now.offered(), now.all_dropped()), (6, 4));
        assert_eq!(now.by_reason().nth(2), Some((Dropped::Timeout, 2)));
    }
}
