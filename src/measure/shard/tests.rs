use super::*;

fn sample(millis: u64) -> Sample<'static> {
    let response = Duration::from_millis(millis);
    Sample {
        response,
        service: response,
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 10,
        received_bytes: 100,
        redirects: 1,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &PHASES,
        exemplar: None,
    }
}

fn shard() -> Shard {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("U");
    catalog.add_task(user, "t");
    let request = catalog.add_request("U", "t", "GET /a", "GET");
    catalog.add_group("U", "t", "g");
    catalog.add_check(request, "status");
    Shard::new(&Arc::new(catalog))
}

#[test]
fn a_request_is_counted_everywhere_once() {
    let mut shard = shard();
    shard.request(RequestId(0), &sample(10));
    let failed =
        Sample { service: Duration::from_millis(5), failure: Some((Reason::Status, "503")), status: Some(503), ..sample(20) };
    shard.request(RequestId(0), &failed);
    shard.request(RequestId(7), &failed);
    shard.settle();
    let totals = &shard.totals.requests[0];
    assert_eq!(totals.counters.requests_and_failures(), (2, 1));
    assert_eq!(totals.counters.reasons[Reason::Status as usize], 1);
    assert_eq!((totals.counters.sent_bytes, totals.counters.received_bytes, totals.counters.redirects), (20, 200, 2));
    assert_eq!(totals.response.each_ref().map(Histogram::count), [1, 1]);
    assert_eq!(totals.response.each_ref().map(Histogram::sum_nanos), [10_000_000, 20_000_000]);
    assert_eq!(totals.service.each_ref().map(Histogram::sum_nanos), [10_000_000, 5_000_000]);
    let summary = &shard.summary.requests[0];
    assert_eq!((summary.response.count(), summary.service.count()), (2, 2));
    assert_eq!(summary.service.times().map(|times| (times.min, times.max)), Some((0.005, 0.01)));
    assert_eq!(summary.examples, [(Reason::Status, "503".into())]);
}

/// Noted, or counted at once: the same.
#[test]
fn phases_are_those_of_the_answered() {
    let mut shard = shard();
    let plain = Sample { redirects: 0, ..sample(10) };
    let micros = |micros| Some(Duration::from_micros(micros));
    let opened = Phases { connect: micros(70), first_event: micros(20), ..PHASES };
    // One that a note has no room for, and one of a transport that cannot see when the request was written.
    let (slow, blind) = (Phases { wait: micros(5_000_000), ..PHASES }, Phases { send: None, ..PHASES });
    for (phases, noted) in [(&PHASES, true), (&opened, false), (&slow, false), (&blind, true)] {
        let before = shard.pending.requests.len();
        shard.request(RequestId(0), &Sample { phases, ..plain });
        assert_eq!(shard.pending.requests.len() > before, noted, "{phases:?}");
    }
    let failed = Sample { failure: Some((Reason::Status, "503")), status: Some(503), ..plain };
    shard.request(RequestId(0), &failed);
    shard.request(RequestId(0), &Sample { status: None, failure: Some((Reason::Timeout, "")), ..plain });
    shard.settle();
    let sums: Vec<_> = shard.totals.requests[0].phases.sums().iter().collect();
    let micros = |part, count, micros: u128| (part, count, micros * 1000);
    let wanted = [
        micros(Part::Connect, 1, 70),
        micros(Part::Send, 4, 400),
        micros(Part::Wait, 5, 4 * 9000 + 5_000_000),
        micros(Part::Receive, 5, 0),
        micros(Part::FirstEvent, 1, 20),
    ];
    assert_eq!(sums, wanted);
    assert_eq!(shard.totals.counters().phases[0], shard.totals.requests[0].phases.sums());
}

#[test]
fn examples_are_the_first_of_each_reason_and_short() {
    let mut shard = shard();
    let long = "ü".repeat(1000);
    for (reason, message) in [(Reason::Tls, long.as_str()), (Reason::Tls, "second"), (Reason::Status, "500")] {
        shard.request(RequestId(0), &Sample { failure: Some((reason, message)), ..sample(1) });
    }
    let examples = &shard.summary.requests[0].examples;
    assert_eq!(examples.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [Reason::Status, Reason::Tls]);
    assert_eq!(examples[1].1.chars().count(), LONGEST_EXAMPLE);
    let mut merged = vec![(Reason::Tls, "a".into())];
    add_examples(&mut merged, examples);
    assert_eq!(merged, [(Reason::Status, "500".into()), (Reason::Tls, "a".into())]);
}

#[test]
fn the_rest_is_counted_too() {
    let mut shard = shard();
    shard.task(TaskId(0), true, Duration::from_millis(3));
    shard.task(TaskId(0), false, Duration::from_millis(4));
    shard.group(GroupId(0), false, Duration::from_millis(5));
    shard.check(CheckId(0), true);
    shard.check(CheckId(0), false);
    shard.check(CheckId(0), false);
    shard.user(UserId(0), None, Some(UserState::Running));
    shard.user(UserId(0), None, Some(UserState::Running));
    shard.user(UserId(0), Some(UserState::Running), Some(UserState::Waiting));
    shard.users_target(UserId(0), 5);
    shard.drop_arrivals(UserId(0), 1);
    shard.drop_arrivals(UserId(7), 1);
    shard.lag(Duration::from_micros(50));
    shard.lag(Duration::from_secs(5000));
    shard.shortage(Shortage::Ports);
    shard.connections(3, 2);
    shard.connections(0, -1);
    shard.watched(Duration::from_secs(1), Duration::from_secs(4));
    shard.loop_lag(Duration::from_millis(2));
    shard.settle();
    let totals = &shard.totals;
    assert_eq!(totals.tasks[0].each_ref().map(Histogram::sum_nanos), [3_000_000, 4_000_000]);
    assert_eq!(totals.groups[0].each_ref().map(Histogram::count), [0, 1]);
    assert_eq!((totals.checks[0], totals.users[0], totals.users_target[0]), ([1, 2], [1, 1, 0], 5));
    assert_eq!((totals.arrivals_dropped.as_slice(), shard.arrivals_dropped()), (&[1][..], 1));
    assert_eq!((totals.lag.count(), totals.connections, totals.connections_opened, totals.clamped), (2, 1, 3, 1));
    assert_eq!(totals.shortages, [0, 1]);
    let load = Load { busy_nanos: 1_000_000_000, watched_nanos: 4_000_000_000, longest_gap_nanos: 2_000_000 };
    assert_eq!(shard.take_load(), load);
    assert_eq!(shard.take_load().longest_gap_nanos, 0, "each gap is told once");
}

/// One path or the other: the figures are the same, and only what has a span is counted at once.
#[test]
fn each_histogram_has_the_exemplar_of_its_own_time() {
    let mut shard = shard();
    let slow = Sample { service: Duration::from_millis(5), redirects: 0, ..sample(300) };
    shard.request(RequestId(0), &slow);
    assert_eq!((shard.pending.requests.len(), shard.totals.requests[0].response[0].count()), (1, 0));
    shard.request(RequestId(0), &Sample { exemplar: Some(traced(1, 2, 10)), ..slow });
    assert_eq!((shard.pending.requests.len(), shard.totals.requests[0].response[0].count()), (1, 1));
    shard.request(RequestId(0), &Sample { failure: Some((Reason::Tls, "")), exemplar: Some(traced(3, 4, 9)), ..slow });
    shard.end_warm_up();
    let totals = &shard.totals.requests[0];
    let of = |histogram: &Histogram| histogram.exemplars().map(|e| (e.span.bits(), e.nanos())).collect::<Vec<_>>();
    assert_eq!(totals.response.each_ref().map(of), [vec![(2, 300_000_000)], vec![(4, 300_000_000)]]);
    assert_eq!(totals.service.each_ref().map(of), [vec![(2, 5_000_000)], vec![(4, 5_000_000)]]);
    // Up to 0.5 s, and up to 5 ms.
    assert!(totals.response[0].exemplar(9).is_some() && totals.service[0].exemplar(2).is_some());
    assert_eq!(totals.response[0].count(), 2);
}

#[test]
fn the_warm_up_stays_in_the_totals_only() {
    let mut shard = shard();
    shard.request(RequestId(0), &Sample { failure: Some((Reason::Tls, "cold")), ..sample(900) });
    shard.check(CheckId(0), true);
    shard.end_warm_up();
    shard.request(RequestId(0), &sample(10));
    shard.settle();
    assert_eq!(shard.totals.requests[0].counters.requests_and_failures(), (2, 1));
    let measured = shard.totals.counters().since(shard.baseline.as_ref().unwrap());
    assert_eq!(measured.requests[0].requests_and_failures(), (1, 0));
    assert_eq!(measured.requests[0].sent_bytes, 10);
    assert_eq!(measured.checks, [[0, 0]]);
    assert_eq!(shard.summary.requests[0].response.times().map(|times| (times.min, times.max)), Some((0.01, 0.01)));
    assert_eq!((shard.summary.requests[0].examples.len(), shard.summary.epoch), (0, 1));
}

use super::super::exemplar::traced;
use super::super::histogram::Histogram;
use super::super::snapshot::tests::PHASES;
