use std::time::Duration;

use super::simulated::{Course, run};
use super::*;
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::Detail;
use crate::measure::snapshot::tests::{catalog, facts};
use crate::measure::soak::Signal;

fn judged(windows: &Windows) -> Soak {
    judge(windows, ["GET /a"].into_iter(), 0.1, &mut Workspace::default())
}

/// How many of 100 simulated runs have regressed.
fn alarms(course: Course) -> usize {
    (0..100).filter(|seed| judged(&run(course, 1, *seed)).regressed().next().is_some()).count()
}

#[test]
fn half_a_day_without_drift_raises_no_alarm() {
    assert!(alarms(Course::USUAL) <= 1);
    assert!(alarms(Course { noise: 0.2, ..Course::USUAL }) <= 2);
}

#[test]
fn a_fifth_is_seen_as_a_line_and_15_per_cent_as_a_step() {
    for (drift, least) in [
        (Course { line: 0.2, ..Course::USUAL }, 93),
        (Course { step: 0.2, ..Course::USUAL }, 98),
        (Course { step: 0.15, ..Course::USUAL }, 95),
    ] {
        assert!(alarms(drift) >= least, "{}: {drift:?}", alarms(drift));
    }
    // The other way round it is an improvement.
    assert_eq!(alarms(Course { line: -0.2, ..Course::USUAL }), 0);
}

#[test]
fn less_than_is_accepted_does_not_regress() {
    for (change, most) in [(0.02, 1), (0.05, 2), (0.08, 9)] {
        for drift in [Course { line: change, ..Course::USUAL }, Course { step: change, ..Course::USUAL }] {
            assert!(alarms(drift) <= most, "{}: {drift:?}", alarms(drift));
        }
    }
}

#[test]
fn what_is_found_is_about_what_was_put_in() {
    let found = judged(&run(Course { line: 0.3, noise: 0.02, ..Course::USUAL }, 1, 7));
    let p99 = found.drifts.iter().find(|drift| drift.signal == Signal::P99).unwrap();
    assert!(
        (p99.change - 0.3 * 0.75 / (1.0 + 0.3 / 8.0)).abs() < 0.03 && (p99.slope_per_hour - 0.3 / 12.0).abs() < 0.005,
        "{p99:?}"
    );
    assert!(p99.last > p99.first * 1.18 && p99.regressed);
    assert_eq!((found.windows, found.window_seconds), (180, 240.0));
    let signals: Vec<_> = found.drifts.iter().map(|drift| (drift.request.as_str(), drift.signal.name())).collect();
    assert_eq!(
        signals,
        [("GET /a", "p50"), ("GET /a", "p99"), ("GET /a", "failure_ratio"), ("GET /a", "throughput"), ("", "resident_bytes")]
    );
    assert!(!found.drifts[4].regressed);
}

#[test]
fn a_small_change_is_accepted_however_certain() {
    let windows = run(Course { line: 0.06, noise: 0.005, wave: 0.0, bursts: 0.0, ..Course::USUAL }, 1, 3);
    let found = judged(&windows);
    assert!(found.drifts[0].p_value < 1e-6 && found.regressed().next().is_none(), "{:?}", found.drifts[0]);
    assert!(judge(&windows, ["a"].into_iter(), 0.03, &mut Workspace::default()).regressed().count() > 0);
}

/// The change that is found in p50 when latencies go as this says, from 0 at the beginning to 1 at the end.
fn change_of(shape: impl Fn(f64) -> f64) -> f64 {
    let mut windows = Windows::new(1, 60.0);
    for minute in 0..240 {
        // A little that is no drift, or there would be nothing to choose between.
        let jitter = 1.0 + 0.002 * f64::from(minute * 7 % 5 - 2);
        push(&mut windows, 1000.0, 0.0, 0.01 * jitter * (1.0 + shape(f64::from(minute) / 239.0)));
    }
    judged(&windows).drifts[0].change
}

#[test]
fn a_change_is_never_found_larger_than_it_is() {
    let near = |found: f64, least: f64, most: f64| assert!((least..most).contains(&found), "{found}");
    near(change_of(|x| 0.08 * x), 0.058, 0.062);
    for place in [0.3, 0.4, 0.5, 0.6, 0.7] {
        near(change_of(|x| if x < place { 0.0 } else { 0.08 }), 0.078, 0.082);
        near(change_of(|x| if x < place { 0.0 } else { -0.08 }), -0.082, -0.078);
    }
    // In the middle only, and as a stair.
    near(change_of(|x| 0.08 * (2.0 * x - 0.5).clamp(0.0, 1.0)), 0.068, 0.0825);
    near(change_of(|x| 0.08 * (x * 2.99).floor() / 2.0), 0.068, 0.0825);
    near(change_of(|x| 0.08 * (x * 3.99).floor() / 3.0), 0.076, 0.0825);
}

fn push(windows: &mut Windows, requests: f64, failures: f64, p50: f64) {
    windows.push([Cell { seconds: 60.0, requests, failures, p50, p99: 2.0 * p50 }], None);
}

#[test]
fn fewer_requests_and_more_failures_are_worse() {
    let mut windows = Windows::new(1, 60.0);
    for minute in 0..200 {
        let minute = f64::from(minute);
        push(&mut windows, 1000.0 - minute, (minute / 10.0).floor(), 0.01);
    }
    let found = judged(&windows);
    let regressed: Vec<_> = found.regressed().map(|drift| drift.signal).collect();
    assert_eq!(regressed, [Signal::FailureRatio, Signal::Throughput]);
    assert_eq!(found.drifts.len(), 4, "nobody told of memory");
}

#[test]
fn a_few_failures_where_there_were_none_are_no_regression() {
    // One in a hundred thousand at the end, none before.
    let mut windows = Windows::new(1, 60.0);
    (0..200).for_each(|minute| push(&mut windows, 1e5, f64::from(u8::from(minute >= 100)), 0.01));
    let found = judged(&windows);
    assert!(found.drifts[2].p_value < 0.01 && found.regressed().next().is_none(), "{:?}", found.drifts[2]);
}

#[test]
fn all_failures_no_requests_and_single_requests_are_judged_in_peace() {
    let mut windows = Windows::new(1, 60.0);
    (0..100).for_each(|_| push(&mut windows, 0.0, 0.0, 0.0));
    assert_eq!(judged(&windows).drifts, [], "a request that never came has nothing to judge");
    let mut windows = Windows::new(1, 60.0);
    (0..100).for_each(|_| push(&mut windows, 50.0, 50.0, 0.01));
    let found = judged(&windows);
    assert!(found.drifts.iter().all(|drift| drift.p_value == 1.0 && drift.change == 0.0 && !drift.regressed));
    let mut windows = Windows::new(1, 60.0);
    (0..240).for_each(|minute| push(&mut windows, f64::from(u8::from(minute % 5 == 0)), 0.0, 0.01));
    assert!(judged(&windows).drifts.iter().all(|drift| drift.p_value.is_finite() && !drift.regressed));
}

// === Watch ===

/// A run of one request a second, of which time is made up.
struct Run {
    shard: Shard,
    elapsed: u64,
    watch: Watch,
}

impl Run {
    fn new() -> Self {
        let limits = SoakLimits { window: Duration::from_secs(2), ..SoakLimits::default() };
        Self { shard: Shard::new(&catalog()), elapsed: 0, watch: Watch::new(limits, &catalog()) }
    }

    /// `seconds` in a phase with so many users, each with some answers that take `micros`. How often there was news.
    fn spend(&mut self, seconds: u64, phase: Phase, users: u32, micros: impl Fn(u64) -> u64) -> usize {
        let mut news = 0;
        for _ in 0..seconds {
            self.elapsed += 1;
            for more in 0..5 {
                let response = Duration::from_micros(micros(self.elapsed) + more);
                let sample = Sample {
                    response,
                    service: response,
                    lag: Duration::ZERO,
                    status: Some(200),
                    failure: None,
                    sent_bytes: 0,
                    received_bytes: 0,
                    redirects: 0,
                    retried: 0,
                    read_lag: Duration::ZERO,
                    unresolved_read_lag: Duration::ZERO,
                    phases: &crate::phases::Phases::NONE,
                    exemplar: None,
                };
                self.shard.request(RequestId(0), &sample);
            }
            self.shard.users_target(crate::measure::catalog::UserId(0), users);
            let mut facts = facts();
            (facts.phase, facts.elapsed) = (phase, Duration::from_secs(self.elapsed));
            let mut snapshot = Snapshot::empty(&catalog(), facts);
            snapshot.add(&mut self.shard, Detail::Full);
            news += usize::from(self.watch.look(&snapshot));
        }
        news
    }
}

#[test]
fn a_watched_run_that_gets_slower_has_regressed() {
    let mut run = Run::new();
    run.spend(50, Phase::Ramp, 10, |at| 1000 + 100 * at);
    assert_eq!(run.watch.found().drifts, []);
    let news = run.spend(200, Phase::Steady, 10, |at| 1000 + 10 * at);
    assert!((5..20).contains(&news), "{news}");
    run.watch.end();
    let found = run.watch.found();
    assert_eq!((found.windows, found.window_seconds, found.min_change), (99, 2.0, 0.1));
    let regressed: Vec<_> = found.regressed().map(|drift| (drift.request.as_str(), drift.signal)).collect();
    assert_eq!(regressed, [("GET /a", Signal::P50), ("GET /a", Signal::P99)]);
    // From 1.5 ms at 50 s to 3.5 ms at 250 s: 1.75 and 3.25 ms in the middle of the quarters.
    assert!((found.drifts[0].change / (1.5 / 1.75) - 1.0).abs() < 0.1, "{:?}", found.drifts[0]);
    assert!((found.drifts[3].first - 5.0).abs() < 1e-9, "5 requests a second: {:?}", found.drifts[3]);
}

#[test]
fn each_level_of_load_is_compared_with_itself() {
    let mut run = Run::new();
    run.spend(100, Phase::Steady, 10, |_| 1000);
    // More users, and slower with them.
    run.spend(150, Phase::Steady, 20, |_| 2000);
    run.spend(10, Phase::RampDown, 0, |_| 9000);
    run.watch.end();
    let found = run.watch.found();
    assert!(found.windows >= 74 && found.regressed().next().is_none(), "the longer stretch: {found:?}");
    assert_eq!(found.drifts[0].p_value, 1.0);
    // A ramp between two plateaus with the same users ends a stretch too.
    let mut run = Run::new();
    run.spend(80, Phase::Steady, 10, |_| 1000);
    run.spend(5, Phase::Ramp, 10, |_| 1000);
    run.spend(70, Phase::Steady, 10, |_| 2000);
    run.watch.end();
    assert!(run.watch.found().windows < 45 && run.watch.found().regressed().next().is_none());
}

#[test]
fn the_state_of_a_watch_does_not_grow() {
    let mut run = Run::new();
    run.spend(600, Phase::Steady, 10, |_| 1000);
    let capacity = run.watch.windows.capacity();
    run.spend(3000, Phase::Steady, 10, |_| 1000);
    assert_eq!(run.watch.windows.capacity(), capacity);
    assert!(run.watch.windows.len() <= series::MOST);
}
