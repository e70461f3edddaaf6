//! Spans between those who make them and those who export them. It never waits and never grows: a span that finds it full is
//! refused and counted. Records of logs go through one like it.
//!
//! The exporter sleeps until a batch is there, or for a while: to wake it for each span would be a system call each, in the
//! thread that sends requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::Span;
use crate::clock;

/// The end that the engine has. A clone is the same queue.
#[derive(Debug)]
pub struct Queue<T = Span> {
    sender: mpsc::Sender<T>,
    counts: Arc<Counts>,
    bell: Arc<Bell>,
}

/// The end that the exporter has. What is left in it when it is dropped is counted as [`Dropped::Shutdown`].
#[derive(Debug)]
pub struct Spans<T = Span> {
    receiver: mpsc::Receiver<T>,
    counts: Arc<Counts>,
    bell: Arc<Bell>,
}

/// Wakes the exporter, once for each time that it sleeps.
#[derive(Debug)]
struct Bell {
    /// It wants to be woken when so many are there; [`AWAKE`] if not at all.
    enough: AtomicUsize,
    rung: Notify,
}

const AWAKE: usize = usize::MAX;

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
    let bell = Arc::new(Bell { enough: AtomicUsize::new(AWAKE), rung: Notify::new() });
    (Queue { sender, counts: counts.clone(), bell: bell.clone() }, Spans { receiver, counts, bell })
}

// === Queue ===

impl<T> Queue<T> {
    /// Whether the span was taken. What is refused is counted.
    pub fn offer(&self, span: T) -> bool {
        self.counts.offered.fetch_add(1, Ordering::Relaxed);
        let reason = match self.sender.try_send(span) {
            Ok(()) => {
                self.bell.there_are(self.sender.max_capacity() - self.sender.capacity());
                return true;
            }
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
        Self { sender: self.sender.clone(), counts: self.counts.clone(), bell: self.bell.clone() }
    }
}

// === Bell ===

impl Bell {
    fn there_are(&self, spans: usize) {
        // Whoever comes first rings. If an order to ring is seen too late, the next span rings, or the sleep is over by itself.
        if spans >= self.enough.load(Ordering::Relaxed) && self.enough.swap(AWAKE, Ordering::Relaxed) != AWAKE {
            self.rung.notify_one();
        }
    }
}

// === Spans ===

impl<T> Spans<T> {
    /// Waits until `most` spans are there, or half of a small queue is full, but no longer than `linger`; and takes those, at most
    /// `most`. `None` when there are none, and no queue is left to fill it. When it is cancelled, nothing has been taken.
    pub async fn gather(&mut self, most: usize, linger: Duration) -> Option<Vec<T>> {
        let enough = most.min(self.receiver.max_capacity().div_ceil(2)).max(1);
        if self.len() < enough {
            let rung = self.bell.rung.notified();
            self.bell.enough.store(enough, Ordering::Relaxed);
            // Those that came before the order was given.
            if self.len() < enough {
                // Its end is one more reason to look.
                let _ = tokio::time::timeout_at((clock::now() + linger).into(), rung).await;
            }
            self.bell.enough.store(AWAKE, Ordering::Relaxed);
        }
        let is_over = self.receiver.sender_strong_count() == 0;
        match self.is_empty() {
            true if is_over => None,
            true => Some(Vec::new()),
            false => Some(self.take(most).await),
        }
    }

    /// Waits for at least one span, and takes what is there, at most `most`. Empty when there is no queue left to fill it.
    /// When it is cancelled, nothing has been taken.
    pub async fn take(&mut self, most: usize) -> Vec<T> {
        let mut batch = Vec::with_capacity(most.min(self.len()));
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

    #[tokio::test(start_paused = true)]
    async fn the_exporter_is_woken_for_a_batch_and_not_for_each_span() {
        let linger = Duration::from_secs(1);
        let (queue, mut spans) = queue(1000);
        let started = clock::now();
        let gatherer = tokio::spawn(async move {
            let mut gathered = Vec::new();
            while let Some(some) = spans.gather(10, linger).await {
                gathered.push((some.len(), clock::now() - started));
            }
            gathered
        });
        let pause = Duration::from_millis(400);
        tokio::time::sleep(pause).await;
        (0..9).for_each(|number| assert!(queue.offer(span(number))));
        tokio::time::sleep(pause).await;
        (9..25).for_each(|number| assert!(queue.offer(span(number))));
        tokio::time::sleep(pause * 6).await;
        drop(queue);
        let millis = |number| Duration::from_millis(number);
        // At once as much as makes two batches; the rest, and nothing, when its time is over.
        let expected = [(10, millis(800)), (10, millis(800)), (5, millis(1800)), (0, millis(2800))];
        assert_eq!(gatherer.await.unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_queue_is_emptied_before_it_is_full() {
        let (queue, mut spans) = queue(5);
        let gatherer = tokio::spawn(async move { spans.gather(512, Duration::from_secs(1)).await.unwrap().len() });
        tokio::task::yield_now().await;
        let started = clock::now();
        (0..3).for_each(|number| assert!(queue.offer(span(number))));
        assert_eq!((gatherer.await.unwrap(), clock::now() - started), (3, Duration::ZERO));
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
