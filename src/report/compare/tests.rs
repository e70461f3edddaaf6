use std::time::Duration;

use super::simulated::{Course, run};
use super::*;

fn compare(before: Run, after: Run) -> Result<Comparison, NotComparable> {
    super::compare(before, after, Limits::default())
}

/// Of 40 pairs, of which the second takes `factor` times as long: how many are better, same, worse, and cannot be told.
fn verdicts(course: Course, factor: f64) -> [usize; 4] {
    let mut counts = [0; 4];
    for pair in 0..40 {
        let compared = compare(run(course, 1.0, 2 * pair), run(course, factor, 2 * pair + 1)).unwrap();
        counts[compared.verdict as usize] += 1;
    }
    counts
}

#[test]
fn two_runs_of_the_same_thing_are_never_told_apart() {
    for course in
        [Course::USUAL, Course { intervals: 6, ..Course::USUAL }, Course { intervals: 6, requests: 400, ..Course::CALM }]
    {
        let [better, _, worse, _] = verdicts(course, 1.0);
        assert!(better + worse <= 2, "{better} better, {worse} worse: {course:?}");
    }
    // Long enough, they are called the same.
    let [_, same, ..] = verdicts(Course { intervals: 60, requests: 1000, ..Course::CALM }, 1.0);
    assert!(same >= 33, "{same}");
}

#[test]
fn ten_per_cent_more_are_worse_and_ten_less_better() {
    let [_, _, worse, _] = verdicts(Course::USUAL, 1.1);
    assert!(worse >= 36, "{worse}");
    let [_, same, worse, _] = verdicts(Course::USUAL, 1.0 / 1.1);
    assert!(same == 0 && worse == 0, "{same} same, {worse} worse");
}

#[test]
fn a_run_of_a_minute_is_not_called_the_same_when_it_is_not() {
    for factor in [1.1, 1.3] {
        let [better, same, worse, _] = verdicts(Course { intervals: 6, requests: 400, ..Course::CALM }, factor);
        assert!(better + same == 0, "{factor}: {better} better, {same} same");
        assert!(factor < 1.2 || worse >= 38, "{factor}: {worse} worse");
    }
}

/// Each verdict of a comparison, with the bounds of what it is about.
fn bounds(comparison: &Comparison) -> Vec<(Measure, Verdict, [f64; 3])> {
    let all = comparison.rows.iter().flat_map(|row| &row.changes);
    let with = |change: &Change| Some((change.measure, change.verdict, change.effect.map(|of| [of.change, of.low, of.high])?));
    all.filter_map(with).collect()
}

fn courses() -> impl Iterator<Item = (Course, f64, u64)> {
    let lengths = [6, 9, 14, 30, 90];
    (0..40u64).map(move |seed| {
        let requests = [30, 120, 400][seed as usize % 3];
        let failure_ratio = [0.0, 0.004, 0.03, 0.3][seed as usize % 4];
        let noise = [0.0, 0.03, 0.1][seed as usize / 3 % 3];
        let intervals = lengths[seed as usize % 5];
        let factor = [1.0, 1.02, 1.07, 0.8, 1.5][seed as usize / 2 % 5];
        (Course { intervals, requests, failure_ratio, noise, ..Course::USUAL }, factor, seed)
    })
}

#[test]
fn swapping_the_runs_mirrors_the_result() {
    for (course, factor, seed) in courses() {
        let (one, other) = (run(course, 1.0, 2 * seed), run(course, factor, 2 * seed + 1));
        let there = bounds(&compare(one.clone(), other.clone()).unwrap());
        let back = bounds(&compare(other, one).unwrap());
        for ((measure, verdict, [change, low, high]), (_, mirrored, [inverse, lowest, highest])) in there.into_iter().zip(back) {
            let wanted = match verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                same => same,
            };
            assert_eq!(mirrored, wanted, "{measure:?} {course:?}");
            let turned = |value: f64| if measure.is_ratio() { 1.0 / value } else { -value };
            for (value, mirror) in [(change, inverse), (low, highest), (high, lowest)] {
                let near = (turned(value) - mirror).abs() <= 1e-9 * mirror.abs().max(1e-3);
                assert!(near, "{measure:?}: {value} {mirror} {course:?}");
            }
        }
    }
}

#[test]
fn a_run_compared_with_itself_is_never_worse_or_better() {
    for (course, factor, seed) in courses() {
        let itself = run(course, factor, seed);
        for (measure, verdict, [change, low, high]) in bounds(&compare(itself.clone(), itself).unwrap()) {
            assert!(matches!(verdict, Verdict::Same | Verdict::CannotTell), "{measure:?} {course:?}");
            assert!(low <= change && change <= high, "{measure:?}: {low} {change} {high}");
        }
    }
}

#[test]
fn the_same_is_said_only_of_what_lies_within_the_margin() {
    for (course, factor, seed) in courses() {
        let found = compare(run(course, 1.0, 2 * seed), run(course, factor, 2 * seed + 1)).unwrap();
        for (measure, verdict, [change, low, high]) in bounds(&found) {
            let within = match measure {
                Measure::FailureRatio => low > -0.02 && high < 0.02,
                _ => low > 1.0 / 1.05 && high < 1.05,
            };
            assert!(verdict != Verdict::Same || within, "{measure:?} {low} {high} {course:?}");
            let none = if measure.is_ratio() { 1.0 } else { 0.0 };
            let decided = matches!(verdict, Verdict::Worse | Verdict::Better);
            assert!(!decided || low > none || high < none, "{measure:?} {low} {change} {high} {course:?}");
        }
        // Each that cannot be told has a reason, and no other has.
        let open = found.rows.iter().flat_map(|row| &row.changes).filter(|change| change.verdict == Verdict::CannotTell);
        assert_eq!(open.count(), found.undecided.len());
    }
}

#[test]
fn more_of_the_same_never_turns_same_into_worse() {
    for seed in 0..6 {
        let long = |seed| run(Course { intervals: 240, requests: 300, ..Course::CALM }, 1.0, seed);
        let (before, after) = (long(2 * seed), long(2 * seed + 1));
        let first = |run: &Run, count: usize| {
            let mut part = run.clone();
            part.requests.iter_mut().for_each(|request| request.intervals.truncate(count));
            part
        };
        let mut widths = Vec::new();
        for count in [15, 30, 60, 120, 240] {
            let found = compare(first(&before, count), first(&after, count)).unwrap();
            assert!(matches!(found.verdict, Verdict::Same | Verdict::CannotTell), "{seed}, {count}: {}", found.verdict);
            let p50 = found.rows[0].changes[0].effect.unwrap();
            widths.push(p50.high / p50.low - 1.0);
        }
        assert!(widths[4] < widths[0] / 2.0, "{widths:?}");
    }
}

#[test]
fn what_is_said_to_be_enough_is_enough() {
    let course = Course { intervals: 30, requests: 150, ..Course::CALM };
    let mut same = 0;
    for seed in 0..12 {
        let short = compare(run(course, 1.0, 2 * seed), run(course, 1.0, 2 * seed + 1)).unwrap();
        assert_eq!(short.verdict, Verdict::CannotTell);
        let seconds = short.undecided.iter().filter_map(|(.., why)| why.enough).map(|enough| enough.seconds).fold(0.0, f64::max);
        assert!((900.0..20_000.0).contains(&seconds), "{seconds}");
        let long = Course { intervals: (seconds / 10.0) as usize, ..course };
        let found = compare(run(long, 1.0, 1000 + seed), run(long, 1.0, 2000 + seed)).unwrap();
        same += usize::from(found.verdict == Verdict::Same);
    }
    assert!(same >= 7, "{same} of 12");
}

/// Intervals in which each request takes so many ms, and so many of 100 fail.
fn steady(intervals: usize, millis: u64, failures: u64) -> Request {
    let interval = || {
        let mut interval = Interval { seconds: 10.0, requests: 100, failures, times: Quantiles::default() };
        (0..100).for_each(|_| {
            interval.times.record(&Point::new(Duration::from_millis(millis), &[]));
        });
        interval
    };
    let [user, task, request, method] = ["U", "t", "GET /a", "GET"].map(str::to_owned);
    Request { name: RequestName { user, task, request, method }, intervals: (0..intervals).map(|_| interval()).collect() }
}

fn of(requests: Vec<Request>) -> Run {
    Run { run_id: "r".to_owned(), peak_users: 5, valid: true, requests, ..Run::default() }
}

fn compared(before: Request, after: Request) -> Comparison {
    compare(of(vec![before]), of(vec![after])).unwrap()
}

#[test]
fn what_never_varies_is_compared_exactly() {
    let same = compared(steady(60, 10, 0), steady(60, 10, 0));
    assert_eq!(same.verdict, Verdict::Same);
    assert!(same.rows[0].changes.iter().all(|change| {
        let effect = change.effect.unwrap();
        change.p_value == 1.0 && (change.measure == Measure::FailureRatio || effect.low == effect.change)
    }));
    let worse = compared(steady(60, 10, 0), steady(60, 12, 0));
    assert_eq!((worse.verdict, worse.rows[0].verdict), (Verdict::Worse, Verdict::Worse));
    let p50 = worse.rows[0].changes[0];
    assert!((p50.effect.unwrap().change - 1.2).abs() < 0.002 && (p50.before.unwrap() - 0.01).abs() < 1e-5, "{p50:?}");
    assert_eq!(compared(steady(60, 12, 0), steady(60, 10, 0)).verdict, Verdict::Better);
    // Sure, and too little to matter.
    assert_eq!(compared(steady(60, 100, 0), steady(60, 104, 0)).verdict, Verdict::Same);
}

#[test]
fn failures_count_by_the_share_of_all_requests() {
    let verdict = |before, after| compared(steady(60, 10, before), steady(60, 10, after)).verdict;
    assert_eq!((verdict(0, 0), verdict(0, 2), verdict(2, 0)), (Verdict::Same, Verdict::Worse, Verdict::Better));
    // Half of 6,000 requests say no more of the ratio than 47% to 53%, and 5% of a half are 2.5 points.
    assert_eq!((verdict(0, 100), verdict(50, 50)), (Verdict::Worse, Verdict::Same));
    // A single failure among thousands: there may be a thousandth more, or not.
    let mut after = steady(60, 10, 0);
    after.intervals[7].failures = 1;
    assert_eq!(compared(steady(60, 10, 0), after).rows[0].changes[3].verdict, Verdict::CannotTell);
    // Too few requests to rule a thousandth out, and what would be enough: 1.96² of a thousandth.
    let few = compared(steady(20, 10, 0), steady(20, 10, 0));
    assert_eq!((few.verdict, few.rows[0].changes[3].verdict), (Verdict::CannotTell, Verdict::CannotTell));
    let (_, Some(Measure::FailureRatio), Undecided { reason: Reason::TooWide { .. }, enough: Some(enough) }) = &few.undecided[0]
    else {
        panic!("{:?}", few.undecided)
    };
    assert!((enough.requests - 3841.5).abs() < 1.0 && (enough.seconds - 384.15).abs() < 0.1, "{enough:?}");
}

#[test]
fn two_minutes_with_half_a_per_cent_and_with_two_and_a_half_differ() {
    let with = |failures: [u64; 12]| {
        let mut request = steady(12, 10, 0);
        request.intervals.iter_mut().zip(failures).for_each(|(interval, failures)| {
            (interval.requests, interval.failures) = (1000, failures);
        });
        request
    };
    let before = || with([5, 7, 4, 6, 3, 8, 5, 6, 7, 4, 5, 5]);
    let after = || with([22, 27, 20, 31, 24, 19, 26, 25, 23, 28, 21, 27]);
    let found = compared(before(), after());
    assert_eq!(found.rows[0].changes[3].verdict, Verdict::Worse, "{:?}", found.rows[0].changes[3]);
    assert_eq!((found.verdict, compared(after(), before()).rows[0].changes[3].verdict), (Verdict::Worse, Verdict::Better));
    // As many failures, all of them in one burst: that may happen to any run.
    let burst = compared(before(), with([5, 7, 4, 6, 233, 8, 5, 6, 7, 4, 5, 5]));
    assert_eq!(burst.rows[0].changes[3].verdict, Verdict::CannotTell, "{:?}", burst.rows[0].changes[3]);
}

#[test]
fn what_has_no_figure_cannot_be_told() {
    // All of its requests failed before there was a response.
    let mut none = steady(60, 10, 100);
    none.intervals.iter_mut().for_each(|interval| interval.times = Quantiles::default());
    let found = compared(none.clone(), none);
    let no_data = found.undecided.iter().filter(|(.., why)| why.reason == Reason::NoData).map(|(_, measure, _)| *measure);
    assert_eq!(no_data.collect::<Vec<_>>(), [Some(Measure::P50), Some(Measure::P95), Some(Measure::P99)]);
    assert_eq!(found.verdict, Verdict::CannotTell);
    // A p99 of 120 requests is the largest but one.
    let mut few = steady(60, 10, 0);
    few.intervals.iter_mut().for_each(|interval| *interval = Interval { requests: 2, ..steady_interval(2) });
    let found = compared(few.clone(), few);
    let p99 = found.undecided.iter().find(|(_, measure, _)| *measure == Some(Measure::P99)).unwrap();
    assert_eq!(p99.2.reason, Reason::FewRequests);
    assert!((p99.2.enough.unwrap().requests - 500.0).abs() < 1e-6, "{p99:?}");
}

fn steady_interval(count: u64) -> Interval {
    let mut interval = Interval { seconds: 10.0, ..Interval::default() };
    (0..count).for_each(|_| {
        interval.times.record(&Point::new(Duration::from_millis(10), &[]));
    });
    interval
}

#[test]
fn what_differs_besides_the_target_is_said_first() {
    let after = Run {
        scenario_sha256: "def".to_owned(),
        host: "http://b".to_owned(),
        run_id: "s".to_owned(),
        peak_users: 7,
        ..of(vec![steady(60, 10, 0)])
    };
    let found =
        compare(Run { scenario_sha256: "abc".to_owned(), host: "http://a".to_owned(), ..of(vec![steady(60, 10, 0)]) }, after)
            .unwrap();
    let wanted = [
        "the scenarios are not the same (SHA-256 abc…, then def…)",
        "the hosts are not the same (http://a, then http://b)",
        "the load was not the same (5 users at most, then 7)",
    ];
    assert_eq!(found.warnings.len(), wanted.len());
    assert!(found.warnings.iter().zip(wanted).all(|(warning, wanted)| warning.starts_with(wanted)), "{:?}", found.warnings);
    let (text, markdown, html) = (text::write(&found), markdown::write(&found), html::write(&found));
    for warning in &found.warnings {
        assert!(text.find(warning).unwrap() < text.find("p50 ms").unwrap(), "{text}");
        let place = markdown.find("- ⚠️ the scenarios").unwrap();
        assert!(place < markdown.find("| Request").unwrap(), "{markdown}");
        assert!(html.find("class=\"warnings\"").unwrap() < html.find("<table").unwrap(), "{html}");
        assert!(json::write(&found).contains(&warning.replace('"', "\\\"")), "{warning}");
    }
}

#[test]
fn a_request_that_one_run_of_the_same_scenario_never_made_cannot_be_told() {
    let mut other = steady(60, 10, 0);
    other.name.request = "GET /b".to_owned();
    let found = compare(of(vec![steady(60, 10, 0), other]), of(vec![steady(60, 10, 0)])).unwrap();
    assert_eq!((found.verdict, found.rows.len()), (Verdict::CannotTell, 2));
    assert_eq!(found.rows[1].requests, [6000, 0]);
    assert!(text::write(&found).contains("GET /b: only the first run made it, though the scenario is the same"));
}

#[test]
fn in_an_invalid_run_failures_are_judged_and_nothing_else() {
    let invalid = |failures| Run { valid: false, ..of(vec![steady(60, 90, failures)]) };
    let found = compare(of(vec![steady(60, 10, 0)]), invalid(0)).unwrap();
    assert_eq!(found.verdict, Verdict::CannotTell);
    assert!(found.warnings[0].contains("the second run is invalid"), "{:?}", found.warnings);
    assert_eq!(found.undecided.iter().filter(|(.., why)| why.reason == Reason::Invalid).count(), 4);
    let failed = compare(of(vec![steady(60, 10, 0)]), invalid(5)).unwrap();
    assert_eq!((failed.verdict, failed.rows[0].changes[3].verdict), (Verdict::Worse, Verdict::Worse));
}

#[test]
fn fewer_requests_a_second_are_worse_under_the_same_load_only() {
    let slow = || {
        let mut request = steady(60, 10, 0);
        request.intervals.iter_mut().for_each(|interval| interval.seconds = 12.0);
        request
    };
    let worse = compared(steady(60, 10, 0), slow());
    assert_eq!((worse.verdict, worse.rows[0].changes[4].verdict), (Verdict::Worse, Verdict::Worse));
    assert!((worse.rows[0].changes[4].effect.unwrap().change - 10.0 / 12.0).abs() < 1e-9);
    let other = compare(of(vec![steady(60, 10, 0)]), Run { peak_users: 4, ..of(vec![slow()]) }).unwrap();
    assert_eq!((other.verdict, other.rows[0].changes[4].verdict), (Verdict::Same, Verdict::NotJudged));
    assert!(other.warnings[0].contains("the load was not the same (5 users at most, then 4)"), "{:?}", other.warnings);
}

#[test]
fn one_bad_interval_is_no_change() {
    let mut after = steady(60, 10, 0);
    after.intervals[11] = steady(1, 900, 0).intervals[0].clone();
    let found = compared(steady(60, 10, 0), after);
    assert_eq!((found.rows[0].changes[0].verdict, found.verdict), (Verdict::Same, Verdict::CannotTell));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let none = compare(of(vec![steady(FEWEST - 1, 10, 0)]), of(vec![steady(60, 10, 0)])).unwrap_err();
    assert!(none.message.contains("too short") && none.hint.contains("some minutes"), "{none:?}");
    let mut other = steady(60, 10, 0);
    other.name.request = "GET /b".to_owned();
    let none = compare(of(vec![steady(60, 10, 0)]), of(vec![other.clone()])).unwrap_err();
    assert_eq!(none.message, "no request is in both runs");
    assert!(compare(of(Vec::new()), of(Vec::new())).is_err());
    let newer = Run { scenario_sha256: "b".to_owned(), ..of(vec![steady(60, 10, 0)]) };
    let some = compare(of(vec![steady(60, 10, 0), other]), newer).unwrap();
    assert_eq!((some.rows.len(), some.notes), (1, vec!["`GET /b` is only in the first run".to_owned()]));
    // Empty intervals, and requests that took no time to speak of.
    let empty = Request { intervals: vec![Interval::default(); 30], ..steady(0, 0, 0) };
    assert!(compare(of(vec![empty.clone()]), of(vec![empty])).is_err());
    assert_eq!(compared(steady(30, 0, 0), steady(30, 0, 0)).verdict, Verdict::CannotTell);
}

#[test]
fn every_form_says_the_same_and_lets_no_name_through() {
    let named = |mut request: Request| {
        request.name.request = "GET /<b>|`\u{1b}".to_owned();
        request
    };
    let comparison = compared(named(steady(60, 10, 0)), named(steady(30, 20, 1)));
    let (text, markdown, html) = (text::write(&comparison), markdown::write(&comparison), html::write(&comparison));
    assert!(text.contains("worse: 1 of 1 request got worse\n"), "{text}");
    assert!(text.contains("p50 ms") && text.contains("+100.0%") && text.contains("+1.00 points"), "{text}");
    assert!(!text.contains('\u{1b}') && !html.contains('\u{1b}') && !markdown.contains('\u{1b}'));
    assert!(
        markdown.starts_with("### 🔴 worse: 1 of 1 request got worse\n") && markdown.contains("GET /&lt;b&gt;\\|\\`"),
        "{markdown}"
    );
    assert!(markdown.contains("**20.0 ms (+100.0%)**"), "{markdown}");
    assert!(html.contains("GET /&lt;b&gt;|`") && html.contains("class=\"worse\"") && !html.contains("<script"), "{html}");
    assert_eq!(html.matches("<svg").count(), 4);
}
