//! Tables of what happened in each second, and what is thought of it; no clock.

use super::*;
use crate::diagnostic::Source as File;
use crate::measure::catalog::{CheckId, RequestId};
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::Detail;
use crate::measure::snapshot::tests::facts;
use crate::reason::Reason;
use crate::scenario::plan::Plan;
use crate::scenario::{Overrides, compile};

/// A run that is told second by second.
struct Run {
    plan: Plan,
    shard: Shard,
    verdict: Verdict,
    phase: Phase,
    seconds: u64,
    /// When, and what was said.
    said: Vec<(u64, Broken)>,
}

/// Whether nothing is wrong with any of them.
fn passed(verdict: &Verdict) -> bool {
    verdict.states(true).iter().all(|state| state.judgement.is_ok())
}

/// Two requests, the first with a check; thresholds as in a file.
fn run(thresholds: &str) -> Run {
    run_against(thresholds, |_| None)
}

fn run_against(thresholds: &str, baseline: impl Fn(&Threshold) -> Option<f64>) -> Run {
    let text = format!(
        "host: http://x\nusers:\n  - {{name: U, tasks: [{{get: /a, expect: {{status: 200}}}}]}}\n  - {{name: V, tasks: [{{get: /b}}]}}\n\
         load: {{users: 2}}\nthresholds: [{thresholds}]\n"
    );
    let source = Arc::new(File { name: "x.yaml".into(), text });
    let (plan, _) = compile(source, &Overrides::default()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let verdict = Verdict::new(&plan.thresholds, &plan.catalog, plan.has_timed_checks(), baseline);
    Run { shard: Shard::new(&plan.catalog), plan, verdict, phase: Phase::Steady, seconds: 0, said: Vec::new() }
}

impl Run {
    fn request(&mut self, id: u32, millis: u64, ok: bool) {
        self.late_request(id, millis, 0, ok);
    }

    /// Of the time, `lag` is the generator's.
    fn late_request(&mut self, id: u32, millis: u64, lag: u64, ok: bool) {
        let time = Duration::from_millis(millis);
        let sample = Sample {
            response: time,
            service: time / 2,
            lag: Duration::from_millis(lag),
            status: Some(200),
            failure: (!ok).then_some((Reason::Check, "no")),
            sent_bytes: 0,
            received_bytes: 0,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            phases: &crate::phases::Phases::NONE,
            exemplar: None,
        };
        self.shard.request(RequestId(id), &sample);
        if id == 0 {
            self.shard.check(CheckId(0), ok);
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut facts = facts();
        (facts.elapsed, facts.measured) = (Duration::from_secs(self.seconds), Duration::from_secs(self.seconds));
        facts.phase = self.phase;
        let mut snapshot = Snapshot::empty(&self.plan.catalog, facts);
        snapshot.add(&mut self.shard, Detail::Full);
        snapshot
    }

    /// So many seconds, each with these requests.
    fn seconds(&mut self, count: u64, requests: &[(u32, u64, bool)]) -> &mut Self {
        for _ in 0..count {
            requests.iter().for_each(|(id, millis, ok)| self.request(*id, *millis, *ok));
            self.seconds += 1;
            let snapshot = self.snapshot();
            let said = self.verdict.look(&snapshot);
            self.said.extend(said.into_iter().map(|broken| (self.seconds, broken)));
        }
        self
    }

    fn finish(&mut self) -> &mut Self {
        let snapshot = self.snapshot();
        self.verdict.finish(&snapshot);
        self
    }

    fn state(&self) -> ThresholdState {
        self.verdict.states(true)[0].clone()
    }

    /// How the first one stands.
    fn now(&self) -> (Judgement, Option<f64>) {
        (self.state().judgement, self.state().value)
    }
}

const FAST: (u32, u64, bool) = (0, 10, true);
const SLOW: (u32, u64, bool) = (0, 500, true);
const BAD: (u32, u64, bool) = (0, 10, false);
const OTHER: (u32, u64, bool) = (1, 40, true);

/// Ten seconds of a fast, a failed and another request, and how each threshold comes out.
#[test]
fn every_figure_of_the_whole_run() {
    for (threshold, judgement, value) in [
        ("p95 < 41ms", Judgement::Holds, Some(0.04)),
        ("p95 < 39ms", Judgement::Broken, Some(0.04)),
        ("p50 <= 10.01ms", Judgement::Holds, Some(0.01)),
        ("service.max < 20.1ms", Judgement::Holds, Some(0.02)),
        ("service.max < 20ms", Judgement::Broken, Some(0.02)),
        ("min >= 10ms", Judgement::Holds, Some(0.01)),
        ("mean < 20.1ms", Judgement::Holds, Some(0.02)),
        ("max of user \"U\" < 11ms", Judgement::Holds, Some(0.01)),
        ("max of \"GET /b\" < 11ms", Judgement::Broken, Some(0.04)),
        ("max of task \"GET /b\" of user \"V\" > 11ms", Judgement::Holds, Some(0.04)),
        ("failure_ratio < 34%", Judgement::Holds, Some(1.0 / 3.0)),
        ("failure_ratio < 33%", Judgement::Broken, Some(1.0 / 3.0)),
        ("failure_ratio of user \"V\" <= 0%", Judgement::Holds, Some(0.0)),
        ("checks >= 50%", Judgement::Holds, Some(0.5)),
        ("checks of check \"status 200\" > 50%", Judgement::Broken, Some(0.5)),
        ("rps >= 3", Judgement::Holds, Some(3.0)),
        ("rps of \"GET /b\" > 1/s", Judgement::Broken, Some(1.0)),
        ("requests >= 30", Judgement::Holds, Some(30.0)),
        ("requests > 30", Judgement::Broken, Some(30.0)),
        ("failures <= 10", Judgement::Holds, Some(10.0)),
        ("failures < 10", Judgement::Broken, Some(10.0)),
        ("p99 of schedule_lag < 5ms", Judgement::NoData, None),
    ] {
        let mut run = run(&format!("'{threshold}'"));
        run.seconds(10, &[FAST, BAD, OTHER]).finish();
        let (found, figure) = run.now();
        assert_eq!(found, judgement, "{threshold}: {figure:?}");
        match (figure, value) {
            (Some(figure), Some(value)) => {
                assert!((figure / value - 1.0).abs() < 0.001 || figure == value, "{threshold}: {figure}");
            }
            (figure, value) => assert_eq!(figure, value, "{threshold}"),
        }
        assert_eq!(passed(&run.verdict), judgement == Judgement::Holds, "{threshold}");
        assert!(run.said.is_empty(), "{threshold}: only what is final is said at once");
    }
}

#[test]
fn the_generators_part_is_known_of_each_time_that_is_judged() {
    let limits = ValidityLimits::default();
    // 1% of the requests of one user are late by 500 ms: in no p95, and not in the other's.
    let mut run =
        run("p95 < 1s, mean < 1s, max of user \"V\" < 1s, max of user \"U\" < 1s, service.p99.9 < 1s, failure_ratio < 1%");
    for _ in 0..1000 {
        (0..10).for_each(|_| run.request(0, 100, true));
        run.request(1, 100, true);
    }
    (0..110).for_each(|_| run.late_request(0, 600, 500, true));
    run.seconds(1, &[]);
    run.finish();
    let worst = run.verdict.inflated(&limits).unwrap();
    assert_eq!((worst.figure.as_str(), worst.scope.as_str(), worst.over), ("max", "user \"U\"", None));
    assert!((worst.part - 0.5).abs() < 1e-3 && (worst.limit - 0.0101).abs() < 1e-4, "{worst:?}");
    let lenient = ValidityLimits { max_generator_time: Duration::from_secs(1), ..limits };
    assert_eq!(run.verdict.inflated(&lenient), None);
}

#[test]
fn a_window_counts_if_its_verdict_hangs_on_the_generator() {
    for (limit, broken_by_it) in [("50ms", false), ("200ms", true), ("700ms", false)] {
        let mut run = run(&format!("p95 < {limit} over 10s"));
        let (second, late) = ([(0, 100, true); 10], 600);
        run.seconds(20, &second);
        (0..30).for_each(|_| run.late_request(0, late, 500, true));
        run.seconds(20, &second);
        run.finish();
        assert_eq!(run.verdict.inflated(&ValidityLimits::default()).is_some(), broken_by_it, "{limit}");
    }
}

#[test]
fn schedule_lag_is_of_the_generator() {
    let mut run = run("p99 of schedule_lag < 5ms, p50 of schedule_lag < 1ms");
    (0..100).for_each(|n| run.shard.lag(Duration::from_micros(n * 40)));
    run.seconds(1, &[]).finish();
    let states = run.verdict.states(true);
    assert_eq!([states[0].judgement, states[1].judgement], [Judgement::Holds, Judgement::Broken]);
    assert_eq!(states[0].rule.scope, "the generator");
}

#[test]
fn the_whole_run_may_recover_and_counts_can_still_come() {
    let mut slow_at_first = run("p50 < 100ms");
    slow_at_first.seconds(2, &[SLOW]);
    assert_eq!(
        (slow_at_first.state().judgement, slow_at_first.state().broken_at),
        (Judgement::Broken, Some(Duration::from_secs(1)))
    );
    assert!(!passed(&slow_at_first.verdict));
    slow_at_first.seconds(5, &[FAST]).finish();
    assert_eq!((slow_at_first.state().judgement, slow_at_first.state().broken_at), (Judgement::Holds, None));

    let mut count = run("requests > 3");
    count.seconds(3, &[FAST]);
    assert_eq!(count.now(), (Judgement::Open, Some(3.0)));
    assert!(passed(&count.verdict), "nothing is broken yet");
    count.seconds(1, &[FAST]);
    assert_eq!(count.now(), (Judgement::Holds, Some(4.0)));

    let mut too_many = run("failures < 2");
    too_many.seconds(2, &[BAD]);
    assert_eq!(too_many.now(), (Judgement::Broken, Some(2.0)), "this cannot recover, and is seen at once");
}

/// A window that broke it is enough, whatever came before and after.
///
/// ```text
///  fast ▁▁▁▁▁▁ slow ▇▇ fast ▁▁▁▁▁▁▁▁        p50 of 5 s: broken once three of five are slow
/// ```
#[test]
fn one_bad_window_breaks_it_and_the_worst_is_kept() {
    let mut run = run("p50 < 100ms over 5s");
    run.seconds(4, &[FAST]);
    assert_eq!(run.now(), (Judgement::Open, None), "no window is full");
    run.seconds(2, &[FAST]);
    assert_eq!(run.state().judgement, Judgement::Holds);
    run.seconds(2, &[SLOW]);
    assert_eq!(run.state().judgement, Judgement::Holds, "two of five");
    run.seconds(1, &[(0, 300, true)]);
    assert_eq!(run.state().judgement, Judgement::Broken);
    run.seconds(1, &[SLOW]).seconds(10, &[FAST]).finish();
    let state = run.state();
    assert_eq!((state.judgement, state.broken_at), (Judgement::Broken, Some(Duration::from_secs(9))));
    let (worst, at) = state.worst.unwrap();
    assert!((worst / 0.5 - 1.0).abs() < 0.001 && at == Duration::from_secs(10), "{worst} at {at:?}");
    assert!(state.value.unwrap() < 0.011, "the last window was fine");
    let message = "`p50 < 100ms over 5s` broke in the 5s up to 9s: it was 300.155ms".to_owned();
    assert_eq!(run.said, [(9, Broken { message, abort: false })], "said once");
    assert!(run.verdict.notes().is_empty(), "the table has it");
}

#[test]
fn windows_count_what_is_in_them() {
    let mut rate = run("rps >= 2 over 4s");
    rate.seconds(4, &[FAST, FAST]);
    assert_eq!(rate.now(), (Judgement::Holds, Some(2.0)));
    rate.seconds(1, &[FAST]);
    assert_eq!(rate.now(), (Judgement::Broken, Some(1.75)));

    let mut ratio = run("failure_ratio <= 25% over 4s");
    ratio.seconds(3, &[FAST]).seconds(1, &[BAD]).seconds(3, &[FAST]).seconds(1, &[BAD]);
    assert_eq!(ratio.now(), (Judgement::Holds, Some(0.25)));
    ratio.seconds(1, &[BAD]);
    assert_eq!((ratio.now(), ratio.state().broken_at), ((Judgement::Broken, Some(0.5)), Some(Duration::from_secs(9))));

    let mut checks = run("checks >= 75% over 4s");
    checks.seconds(4, &[FAST]).seconds(2, &[BAD]);
    assert_eq!(checks.now(), (Judgement::Broken, Some(0.5)));
}

#[test]
fn a_target_that_is_silent_breaks_the_least_and_nothing_else() {
    let mut latency = run("p95 < 100ms over 2s");
    latency.seconds(2, &[FAST]).seconds(5, &[]);
    assert_eq!(latency.now(), (Judgement::Holds, None));
    let mut rate = run("rps > 0.1 over 2s");
    rate.seconds(2, &[FAST]).seconds(2, &[]);
    assert_eq!(rate.now(), (Judgement::Broken, Some(0.0)));
    // Users that go by intention make fewer requests.
    let mut ending = run("rps > 0.1 over 2s, requests >= 1 over 2s");
    ending.seconds(2, &[FAST]);
    ending.phase = Phase::RampDown;
    ending.seconds(5, &[]).finish();
    assert!(passed(&ending.verdict));
}

#[test]
fn a_delay_hides_what_came_before() {
    let mut whole = run("{that: failure_ratio < 10%, abort: true, after: 5s}");
    whole.seconds(4, &[BAD]);
    assert_eq!(whole.now(), (Judgement::Open, Some(1.0)));
    assert!(whole.said.is_empty());
    whole.seconds(1, &[FAST]);
    assert_eq!((whole.said.len(), whole.said[0].0), (1, 5));

    let mut windows = run("{that: failure_ratio < 10% over 2s, after: 5s}");
    windows.seconds(3, &[BAD]).seconds(5, &[FAST]).finish();
    assert_eq!((windows.state().judgement, windows.said.len()), (Judgement::Holds, 0));
    // At the end the whole run is judged in any case.
    let mut short = run("{that: failure_ratio < 10%, after: 5m}");
    short.seconds(3, &[FAST]).finish();
    assert_eq!(short.now(), (Judgement::Holds, Some(0.0)));
}

#[test]
fn what_stops_the_run_stays_broken() {
    let mut run = run("{that: failure_ratio < 50%, abort: true, name: not too bad}");
    run.seconds(2, &[FAST, FAST]).seconds(3, &[BAD, BAD]);
    let message = "`failure_ratio < 50%` (not too bad) broke after 4s: it was 50%; the run stops".to_owned();
    assert_eq!(run.said, [(4, Broken { message, abort: true })]);
    run.seconds(50, &[FAST]).finish();
    let state = run.state();
    assert_eq!((state.judgement, state.value, state.aborted), (Judgement::Broken, Some(0.5), true));
    assert_eq!(run.verdict.notes(), ["the run was stopped: `failure_ratio < 50%` (not too bad) broke after 4s: it was 50%"]);
    assert!(!passed(&run.verdict));
}

#[test]
fn nothing_passes_on_no_data_and_it_says_why() {
    for (threshold, seconds, requests, missing) in [
        ("p95 < 1s", 3, &[][..], "there was nothing of all requests"),
        ("p95 of \"GET /b\" < 1s", 3, &[FAST], "there was nothing of request \"GET /b\""),
        ("failures < 5", 3, &[], "there was nothing of all requests"),
        ("checks > 1%", 3, &[OTHER], "there was nothing of all requests"),
        ("p95 < 1s over 5s", 3, &[FAST], "3s were measured, its windows are 5s long"),
        ("p95 of user \"V\" < 1s over 2s", 3, &[FAST], "no window had anything of user \"V\""),
        ("baseline.p95 < 1.1x", 3, &[FAST], "the baseline does not know this figure"),
        ("p95 < 1s", 0, &[], "nothing was measured"),
    ] {
        let mut run = run(&format!("'{threshold}'"));
        run.seconds(seconds, requests);
        assert!(passed(&run.verdict), "{threshold}: not yet");
        run.finish();
        assert!(!passed(&run.verdict), "{threshold}");
        assert_eq!(run.now(), (Judgement::NoData, None), "{threshold}");
        assert_eq!(run.state().missing.as_deref(), Some(missing), "{threshold}");
        assert_eq!(run.verdict.notes(), [format!("`{threshold}` did not pass, it was not judged: {missing}")]);
    }
    let mut late = run("{that: p95 < 1s over 5s, after: 20s}");
    late.seconds(10, &[FAST]).finish();
    assert_eq!(late.state().missing.as_deref(), Some("10s were measured, its windows are 5s long, and not before 20s"));
    // Asked for some, and there were none: that is an answer.
    let mut none = run("requests > 5");
    none.seconds(3, &[]).finish();
    assert_eq!(none.now(), (Judgement::Broken, Some(0.0)));
}

#[test]
fn nothing_holds_in_an_invalid_run() {
    let mut run = run("p95 < 1s, p95 < 1ms, requests > 9");
    run.seconds(3, &[FAST]);
    let judgements = |run: &Run, valid: bool| run.verdict.states(valid).iter().map(|state| state.judgement).collect::<Vec<_>>();
    assert_eq!(judgements(&run, true), [Judgement::Holds, Judgement::Broken, Judgement::Open]);
    assert_eq!(judgements(&run, false), [Judgement::Invalid, Judgement::Broken, Judgement::Open]);
    assert!(!Judgement::Invalid.is_ok());
}

#[test]
fn a_baseline_is_a_measure() {
    let asked = |threshold: &Threshold| (threshold.name != "service").then_some(0.02);
    let mut run =
        run_against("baseline.p95 < 0.51x, baseline.max <= 0.49x, {that: baseline.service.p95 < 1x, name: service}", asked);
    run.seconds(3, &[FAST]).finish();
    let states = run.verdict.states(true);
    let judgements: Vec<_> = states.iter().map(|state| state.judgement).collect();
    assert_eq!(judgements, [Judgement::Holds, Judgement::Broken, Judgement::NoData]);
    assert!((states[0].value.unwrap() - 0.5).abs() < 0.001);
}

#[test]
fn what_is_divided_by_nothing_is_no_data_and_does_not_pass() {
    let thresholds = ["baseline.rps > 0.5x", "baseline.rps < 2x", "baseline.p95 > 0.1x", "baseline.max > 0.1x over 2s"];
    for reference in [0.0, -0.0, f64::INFINITY, f64::NAN] {
        for threshold in thresholds {
            let mut run = run_against(threshold, |_| Some(reference));
            run.seconds(4, &[FAST]).finish();
            assert_eq!(run.now(), (Judgement::NoData, None), "{threshold} of {reference}");
            assert!(!passed(&run.verdict), "{threshold} of {reference}");
        }
    }
    let mut run = run_against("baseline.rps > 0.5x", |_| Some(0.0));
    run.seconds(4, &[FAST]).finish();
    let missing = "it was 0 in the baseline, and nothing is a multiple of 0; take a run as baseline in which there were requests";
    assert_eq!(run.state().missing.as_deref(), Some(missing));
    // No requests now are a figure, and it is too small.
    let mut none = run_against("baseline.rps > 0.5x", |_| Some(10.0));
    none.seconds(4, &[]).finish();
    assert_eq!(none.now(), (Judgement::Broken, Some(0.0)));
}

#[test]
fn the_warm_up_is_left_out_and_windows_begin_after_it() {
    let mut run = run("max < 100ms, requests <= 6, max < 100ms over 2s");
    run.seconds(5, &[SLOW]);
    run.shard.end_warm_up();
    run.seconds = 0;
    run.said.clear();
    run.verdict = Verdict::new(&run.plan.thresholds, &run.plan.catalog, false, |_| None);
    run.seconds(6, &[FAST]).finish();
    assert!(passed(&run.verdict), "{:?}", run.verdict.states(true));
    // Figures that begin anew cannot be subtracted from those before.
    run.shard.end_warm_up();
    run.seconds = 0;
    run.seconds(1, &[SLOW]);
    assert!(run.said.is_empty(), "no window is full again");
    run.seconds(1, &[FAST]);
    assert_eq!((run.said.len(), run.verdict.states(true)[2].value.map(|value| value > 0.49)), (1, Some(true)));
}

#[test]
fn thresholds_of_the_same_share_a_source() {
    let run =
        run("p95 < 1s, p99 < 2s, p50 < 1s over 5s, service.p95 < 1s, p95 of user \"U\" < 1s, p95 of \"GET /a\" < 1s, rps > 1");
    assert_eq!(run.verdict.sources.len(), 4);
    assert!(!run.verdict.is_empty());
}

/// However long a window is, so many sums are kept and no more; and it is at most a sixtieth too long.
#[test]
fn windows_are_bounded() {
    for (length, seconds) in [(5, 40), (60, 200), (61, 300), (3600, 9000), (43_200, 100_000)] {
        let mut window = Window::new(Duration::from_secs(length));
        let sum = Arc::new(Sum::default());
        let (mut most, mut longest) = (0, Duration::ZERO);
        for second in 1..=seconds {
            let now = Duration::from_secs(second);
            let found = window.since(now, &sum).map(|(_, length)| length);
            assert_eq!(found.is_some(), second >= length, "{second} of {length}");
            assert!(found.is_none_or(|found| found >= Duration::from_secs(length)));
            longest = longest.max(found.unwrap_or_default());
            window.keep(now, &sum);
            most = most.max(window.kept());
        }
        assert!(most <= 62, "{length} s keep {most}");
        let bound = if length <= 60 { length as f64 } else { length as f64 * 61.0 / 60.0 };
        assert!(longest.as_secs_f64() <= bound, "{length} s became {longest:?}");
    }
}
