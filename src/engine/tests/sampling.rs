//! Which tasks are sampled: chance alone decides, not what the task is, who does it, or what came before.

use super::*;
use crate::trace::Kind;

const SAMPLE: f64 = 0.1;

/// By task: how often it was done, and how often it was sampled.
fn done_and_sampled(users: &str, load: &str) -> BTreeMap<String, (u64, u64)> {
    let plan = plan(&format!("users: {users}\nload: {load}\nobserve: {{traces: {{sample: {SAMPLE}, queue: 100000}}}}"));
    let bench = virtually(&plan, SECOND / 100, Part::WHOLE, |_| async {});
    // Each task is one request, which has its name.
    let mut counts: BTreeMap<_, _> = bench.requests().into_iter().map(|(name, done)| (name, (done, 0))).collect();
    let mut spans = bench.spans.take().unwrap();
    let offered = spans.counts().offered();
    assert_eq!(spans.len() as u64, offered, "the queue holds all");
    spans.close();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let taken = runtime.block_on(spans.take(100_000));
    assert_eq!(taken.len() as u64, offered);
    let mut tasks = BTreeMap::<String, u64>::new();
    for span in taken {
        match span.kind {
            Kind::Task { task, .. } => *tasks.entry(plan.catalog.tasks[task as usize].name.clone()).or_default() += 1,
            Kind::Request(hop) => counts.get_mut(&plan.catalog.requests[hop.request as usize].request).unwrap().1 += 1,
        }
    }
    assert!(counts.iter().all(|(name, (_, sampled))| tasks[name] == *sampled), "a request is sampled as its task: {tasks:?}");
    counts
}

/// Each share is within four standard deviations; ids come from a fixed seed, so it is the same each time.
fn assert_shares(counts: &BTreeMap<String, (u64, u64)>) {
    for (task, &(done, sampled)) in counts {
        let (done, sampled) = (done as f64, sampled as f64);
        let deviation = (done * SAMPLE * (1.0 - SAMPLE)).sqrt();
        assert!((sampled - done * SAMPLE).abs() < 4.0 * deviation, "{task}: {sampled} of {done}");
    }
}

#[test]
fn tasks_at_random_are_sampled_alike() {
    let users = "[{name: u, tasks: [{get: /rare}, {get: /some, weight: 3}, {get: /often, weight: 6}]}]";
    let counts = done_and_sampled(users, "{users: 50, iterations: 60000}");
    assert_eq!(counts.values().map(|(done, _)| done).sum::<u64>(), 60_000);
    assert!(counts.values().all(|(done, _)| *done > 5500), "{counts:?}");
    assert_shares(&counts);
}

#[test]
fn tasks_in_turn_and_users_who_do_one_alone_are_sampled_alike() {
    // A stream of ids that moved by as many as there are tasks would always choose the same one.
    let tasks = "[{get: /a}, {get: /b}, {get: /c}, {get: /d}]";
    let counts = done_and_sampled(&format!("[{{name: u, order: sequential, tasks: {tasks}}}]"), "{users: 1, iterations: 40000}");
    assert!(counts.values().all(|(done, _)| *done == 10_000), "{counts:?}");
    assert_shares(&counts);
    // Users who come for one task each: often the first draw decides.
    let once = "[{name: x, tasks: [{get: /x}]}, {name: y, tasks: [{get: /y}]}]";
    let counts = done_and_sampled(once, "{arrival_rate: 10000/s, max_users: 20000, run_time: 4s}");
    assert!(counts.values().all(|(done, _)| *done > 15_000), "{counts:?}");
    assert_shares(&counts);
}
