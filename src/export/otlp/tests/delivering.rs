//! What is queued and what became of it: each item once, whatever the collector does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tonic::Code;

use super::super::deliver::{Batches, batches, pushes};
use super::super::delivery::{Delivery, start};
use super::super::settings::Protocol;
use super::collector::{Act, Collector};
use super::{BOTH, message, names, sender};
use crate::clock;
use crate::trace::queue::{Counts, Dropped, Queue, queue};

const SOON: Duration = Duration::from_secs(5);

fn settings() -> Batches {
    Batches { linger: Duration::from_millis(50), ..Batches::default() }
}

fn delivery(protocol: Protocol, base: &str, capacity: usize, settings: Batches) -> (Queue<u32>, Delivery) {
    let (queue, items) = queue(capacity);
    let encode = |items: &[u32]| message(items.iter().copied());
    (queue, start(vec![batches(items, sender(protocol, base), encode, settings)]).unwrap())
}

fn all(counts: &Counts) -> (u64, u64, u64) {
    (counts.offered(), counts.exported(), Dropped::ALL.iter().map(|reason| counts.dropped(*reason)).sum())
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to this");
}

#[tokio::test]
async fn all_arrive_once_in_batches() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Ok]).await;
        let (queue, delivery) = delivery(protocol, &collector.base(), 5000, Batches::default());
        assert_eq!((0..1300).filter(|number| queue.offer(*number)).count(), 1300);
        delivery.finish(SOON).await;
        assert_eq!((all(queue.counts()), queue.counts().pending()), ((1300, 1300, 0), 0));
        let mut found: Vec<_> = collector.seen().iter().flat_map(|seen| names(&seen.message)).collect();
        let sizes = collector.seen().iter().map(|seen| names(&seen.message).len()).max();
        found.sort();
        let mut expected: Vec<_> = (0..1300).map(|number| format!("span {number}")).collect();
        expected.sort();
        assert!(found == expected && sizes == Some(512), "{sizes:?}");
        assert!(!queue.offer(1), "nothing is taken in any more");
        assert_eq!(queue.counts().dropped(Dropped::Shutdown), 1);
    }
}

#[tokio::test]
async fn a_lonely_one_does_not_wait_for_ever() {
    let collector = Collector::new(Protocol::Http, [Act::Ok]).await;
    let (queue, delivery) = delivery(Protocol::Http, &collector.base(), 10, settings());
    queue.offer(7);
    until(|| queue.counts().exported() == 1).await;
    assert_eq!(names(&collector.seen()[0].message), ["span 7"]);
    delivery.finish(SOON).await;
}

#[tokio::test]
async fn two_are_on_their_way_at_once_and_no_more() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Slow(Duration::from_millis(100))]).await;
        let (queue, delivery) = delivery(protocol, &collector.base(), 100, Batches { most: 10, ..settings() });
        (0..60).for_each(|number| assert!(queue.offer(number)));
        delivery.finish(SOON).await;
        assert_eq!((all(queue.counts()), collector.busiest()), ((60, 60, 0), 2));
    }
}

#[tokio::test]
async fn a_dead_collector_costs_spans_and_no_time() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Silence]).await;
        let (queue, delivery) = delivery(protocol, &collector.base(), 100, Batches { most: 10, ..settings() });
        for number in 0..2000 {
            queue.offer(number);
            if number % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Queued, two on their way, one that waits for them.
            assert!(queue.counts().pending() <= 100 + 30, "{}", queue.counts().pending());
        }
        let started = clock::now();
        delivery.finish(Duration::from_millis(200)).await;
        assert!(clock::now() - started < Duration::from_millis(600));
        let counts = queue.counts();
        assert_eq!((all(counts), counts.pending()), ((2000, 0, 2000), 0));
        assert!(counts.dropped(Dropped::QueueFull) > 1500 && counts.dropped(Dropped::Shutdown) >= 100, "{counts:?}");
    }
}

#[tokio::test]
async fn each_reason_is_counted_as_what_it_is() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (script, reason, dropped) in [
        (vec![Act::Partial(4, "too old")], Dropped::Partial, 4),
        // More than there were.
        (vec![Act::Partial(400, "too old")], Dropped::Partial, 20),
        (vec![Act::Refuse(Code::InvalidArgument, "no", None)], Dropped::Rejected, 20),
        (vec![Act::Raw(b"what is this, and why is it so long that it cannot be a frame?\r\n\r\n")], Dropped::Protocol, 20),
        (vec![Act::Silence], Dropped::Timeout, 20),
        (vec![], Dropped::Unreachable, 20),
    ] {
        let there = if script.is_empty() { None } else { Some(Collector::new(Protocol::Grpc, script).await) };
        let base = there.as_ref().map_or_else(|| format!("http://{free}"), Collector::base);
        let (queue, delivery) = delivery(Protocol::Grpc, &base, 100, settings());
        (0..20).for_each(|number| assert!(queue.offer(number)));
        let health = delivery.finish(SOON).await.remove(0);
        let counts = queue.counts();
        assert_eq!((counts.dropped(reason), all(counts)), (dropped, (20, 20 - dropped, dropped)), "{reason:?}");
        assert!(health.status().failing && health.news().is_some(), "{reason:?}");
    }
}

#[tokio::test]
async fn the_user_hears_of_it_once_and_when_it_is_over() {
    let collector = Collector::new(Protocol::Http, [Act::Answer("400 Bad Request", b"no".to_vec())]).await;
    let (queue, delivery) = delivery(Protocol::Http, &collector.base(), 100, Batches { most: 1, ..settings() });
    (0..5).for_each(|number| assert!(queue.offer(number)));
    until(|| queue.counts().pending() == 0).await;
    let news: Vec<_> = delivery.news().into_iter().map(|news| news.message).collect();
    assert!(news.len() == 1 && news[0].ends_with("400 Bad Request: no"), "{news:?}");
    assert!(delivery.news().is_empty());
    let status = delivery.healths()[0].status();
    assert_eq!((status.failing, status.sent, status.failed), (true, 0, 5));
    collector.now_does([Act::Ok]);
    queue.offer(5);
    until(|| queue.counts().pending() == 0).await;
    let news: Vec<_> = delivery.news().into_iter().map(|news| news.message).collect();
    assert_eq!(news, ["spans are exported again"]);
    delivery.finish(SOON).await;
    assert_eq!(all(queue.counts()), (6, 1, 5));
}

#[tokio::test]
async fn dropped_without_a_word_it_ends_and_counts() {
    let collector = Collector::new(Protocol::Grpc, [Act::Silence]).await;
    let (queue, delivery) = delivery(Protocol::Grpc, &collector.base(), 100, Batches { most: 10, ..settings() });
    (0..50).for_each(|number| assert!(queue.offer(number)));
    until(|| !collector.seen().is_empty()).await;
    drop(delivery);
    until(|| queue.counts().pending() == 0).await;
    assert_eq!(all(queue.counts()), (50, 0, 50));
}

#[tokio::test]
async fn when_nobody_is_left_to_fill_the_queue_the_rest_is_sent() {
    let collector = Collector::new(Protocol::Grpc, [Act::Ok]).await;
    let (queue, delivery) = delivery(Protocol::Grpc, &collector.base(), 100, Batches::default());
    (0..50).for_each(|number| assert!(queue.offer(number)));
    let counts = Arc::clone(queue.counts());
    drop(queue);
    until(|| counts.exported() == 50).await;
    delivery.finish(SOON).await;
}

#[tokio::test]
async fn metrics_are_pushed_and_a_last_time_at_the_end() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Ok]).await;
        let collected = Arc::new(AtomicU64::new(0));
        let number = Arc::clone(&collected);
        // Spans stand for metrics here: the collector knows them.
        let collect = move || message([number.fetch_add(1, Ordering::SeqCst) as u32]);
        let delivery = start(vec![pushes(sender(protocol, &collector.base()), Duration::from_millis(50), collect)]).unwrap();
        until(|| collector.seen().len() >= 3).await;
        let health = delivery.finish(SOON).await.remove(0);
        let last = collected.load(Ordering::SeqCst) - 1;
        assert_eq!(names(&collector.seen().last().unwrap().message), [format!("span {last}")]);
        assert_eq!((health.status().failing, health.status().failed), (false, 0));
    }
    let collector = Collector::new(Protocol::Http, [Act::Silence]).await;
    let push = pushes(sender(Protocol::Http, &collector.base()), Duration::from_millis(50), || message([1]));
    let delivery = start(vec![push]).unwrap();
    until(|| !collector.seen().is_empty()).await;
    let started = clock::now();
    let health = delivery.finish(Duration::from_millis(100)).await.remove(0);
    assert!(clock::now() - started < Duration::from_millis(500));
    assert_eq!(health.status().last_error.as_deref(), Some("the last metrics could not be exported before the end"));
}
