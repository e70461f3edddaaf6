use std::time::Duration;

use super::simulated::{Course, run};
use super::*;

/// The verdicts of 100 pairs of which the second takes `factor` times as long.
fn verdicts(course: Course, factor: f64) -> [usize; 3] {
    let mut counts = [0; 3];
    for pair in 0..100 {
        let compared = compare(run(course, 1.0, 2 * pair), run(course, factor, 2 * pair + 1)).unwrap();
        counts[compared.verdict as usize] += 1;
    }
    counts
}

#[test]
fn two_runs_of_the_same_thing_are_the_same() {
    let [_, same, _] = verdicts(Course::USUAL, 1.0);
    assert!(same >= 98, "{same}");
}

#[test]
fn ten_per_cent_more_are_worse_and_ten_less_better() {
    let [_, _, worse] = verdicts(Course::USUAL, 1.1);
    assert!(worse >= 95, "{worse}");
    let [better, _, worse] = verdicts(Course::USUAL, 1.0 / 1.1);
    assert!(better >= 95 && worse == 0, "{better} better, {worse} worse");
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
    let same = compared(steady(30, 10, 0), steady(30, 10, 0));
    assert_eq!(same.verdict, Verdict::Same);
    assert!(same.rows[0].changes.iter().all(|change| change.p_value == 1.0 && change.low == change.change));
    let worse = compared(steady(30, 10, 0), steady(30, 12, 0));
    assert_eq!((worse.verdict, worse.rows[0].verdict), (Verdict::Worse, Verdict::Worse));
    let p50 = worse.rows[0].changes[0];
    assert!((p50.change - 1.2).abs() < 0.002 && (p50.before - 0.01).abs() < 1e-5, "{p50:?}");
    assert_eq!(compared(steady(30, 12, 0), steady(30, 10, 0)).verdict, Verdict::Better);
    // Sure, and too little to matter.
    assert_eq!(compared(steady(30, 100, 0), steady(30, 104, 0)).verdict, Verdict::Same);
}

#[test]
fn failures_count_by_the_share_of_all_requests() {
    let verdict = |before, after| compared(steady(60, 10, before), steady(60, 10, after)).verdict;
    assert_eq!((verdict(0, 0), verdict(100, 100)), (Verdict::Same, Verdict::Same));
    assert_eq!((verdict(0, 2), verdict(2, 0)), (Verdict::Worse, Verdict::Better));
    assert_eq!((verdict(0, 100), verdict(50, 50)), (Verdict::Worse, Verdict::Same));
    // A single failure among thousands.
    let mut after = steady(60, 10, 0);
    after.intervals[7].failures = 1;
    assert_eq!(compared(steady(60, 10, 0), after).verdict, Verdict::Same);
}

#[test]
fn fewer_requests_a_second_are_worse_under_the_same_load_only() {
    let slow = || {
        let mut request = steady(30, 10, 0);
        request.intervals.iter_mut().for_each(|interval| interval.seconds = 12.0);
        request
    };
    let worse = compared(steady(30, 10, 0), slow());
    assert_eq!((worse.verdict, worse.rows[0].changes[4].verdict), (Verdict::Worse, Verdict::Worse));
    assert!((worse.rows[0].changes[4].change - 10.0 / 12.0).abs() < 1e-9);
    let other = compare(of(vec![steady(30, 10, 0)]), Run { peak_users: 4, ..of(vec![slow()]) }).unwrap();
    assert_eq!(other.verdict, Verdict::Same);
    assert!(other.notes[0].contains("the load was not the same (5 users at most, then 4)"), "{:?}", other.notes);
}

#[test]
fn one_bad_interval_is_no_change() {
    let mut after = steady(30, 10, 0);
    after.intervals[11] = steady(1, 900, 0).intervals[0].clone();
    assert_eq!(compared(steady(30, 10, 0), after).verdict, Verdict::Same);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let none = compare(of(vec![steady(FEWEST - 1, 10, 0)]), of(vec![steady(30, 10, 0)])).unwrap_err();
    assert!(none.message.contains("too short") && none.hint.contains("some minutes"), "{none:?}");
    let mut other = steady(30, 10, 0);
    other.name.request = "GET /b".to_owned();
    let none = compare(of(vec![steady(30, 10, 0)]), of(vec![other.clone()])).unwrap_err();
    assert_eq!(none.message, "no request is in both runs");
    assert!(compare(of(Vec::new()), of(Vec::new())).is_err());
    let some = compare(of(vec![steady(30, 10, 0), other]), Run { valid: false, ..of(vec![steady(30, 10, 0)]) }).unwrap();
    assert_eq!(some.rows.len(), 1);
    assert!(some.notes[0].contains("the second run is invalid"), "{:?}", some.notes);
    assert_eq!(some.notes[1], "`GET /b` is only in the first run");
    // Empty intervals, and requests that took no time to speak of.
    let empty = Request { intervals: vec![Interval::default(); 30], ..steady(0, 0, 0) };
    assert!(compare(of(vec![empty.clone()]), of(vec![empty])).is_err());
    assert_eq!(compared(steady(30, 0, 0), steady(30, 0, 0)).verdict, Verdict::Same);
}

#[test]
fn every_form_says_the_same_and_lets_no_name_through() {
    let named = |mut request: Request| {
        request.name.request = "GET /<b>|`\u{1b}".to_owned();
        request
    };
    let comparison = compared(named(steady(30, 10, 0)), named(steady(30, 20, 1)));
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
