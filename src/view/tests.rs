//! Frames are drawn on a terminal that is none, and compared as a whole: `OTLOAD_BLESS=1 cargo test view` writes them anew.

use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::{Turn, View, draw};
use crate::measure::catalog::{Catalog, RequestId};
use crate::measure::outcome::RunVerdict;
use crate::measure::shard::{Sample, Shard};
use crate::measure::snapshot::tests::facts;
use crate::measure::snapshot::{Detail, Phase, Snapshot};
use crate::measure::threshold::{Judgement, ThresholdRule, ThresholdState};
use crate::reason::Reason;
use crate::units::Quantity;

fn catalog(requests: u32) -> Arc<Catalog> {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("U");
    catalog.add_task(user, "t");
    for number in 0..requests {
        catalog.add_request("U", "t", &format!("GET /r{number}"), "GET");
    }
    Arc::new(catalog)
}

/// After `seconds`, in each of which every request came ten times with 20 ms, and the first failed once.
fn snapshot(requests: u32, seconds: u64) -> Snapshot {
    let catalog = catalog(requests);
    let mut shard = Shard::new(&catalog);
    let twenty = Duration::from_millis(20);
    let ok = Sample {
        response: twenty,
        service: twenty,
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 5,
        received_bytes: 50,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &crate::phases::Phases::NONE,
        exemplar: None,
    };
    for _ in 0..seconds {
        for number in 0..requests {
            (0..9).for_each(|_| shard.request(RequestId(number), &ok));
            let failure = (number == 0).then_some((Reason::Check, "no \x1b[31mTesla"));
            shard.request(RequestId(number), &Sample { failure, ..ok });
        }
    }
    let mut facts = facts();
    (facts.elapsed, facts.measured) = (Duration::from_secs(seconds), Duration::from_secs(seconds));
    let rule = ThresholdRule {
        name: "p95 < 10ms".into(),
        that: "p95 < 10ms".into(),
        scope: "all requests".into(),
        quantity: Quantity::Seconds,
        comparison: "<",
        limit: 0.01,
        over: None,
        after: Duration::ZERO,
        abort: false,
        lag_proof: false,
    };
    let broken = Judgement::Broken;
    facts.thresholds = [ThresholdState { judgement: broken, value: Some(0.02), ..ThresholdState::new(Arc::new(rule)) }].into();
    facts.verdict = RunVerdict::Failed;
    let mut snapshot = Snapshot::empty(&catalog, facts);
    snapshot.add(&mut shard, Detail::Full);
    snapshot
}

fn view(requests: u32, seconds: u64) -> View {
    let mut view = View::new(snapshot(requests, 0), true);
    (1..=seconds).for_each(|second| view.look(snapshot(requests, second)));
    view.tell(vec!["warning: the generator is slow".into(), "hint: use another".into(), "scaled: users to 5".into()]);
    view
}

fn terminal(view: &View, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    terminal
}

fn screen(view: &View, width: u16, height: u16) -> String {
    let terminal = terminal(view, width, height);
    let cells = terminal.backend().buffer().content().chunks(usize::from(width));
    cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[test]
fn screens_are_as_they_were() {
    for (width, height) in [(80, 24), (200, 60)] {
        let file = format!("{}/src/view/golden/{width}x{height}.txt", env!("CARGO_MANIFEST_DIR"));
        let shown = screen(&view(12, 5), width, height);
        if std::env::var_os("OTLOAD_BLESS").is_some() {
            std::fs::write(&file, &shown).unwrap();
        }
        assert_eq!(shown, std::fs::read_to_string(&file).unwrap(), "{shown}");
    }
}

#[test]
fn figures_are_those_of_the_run() {
    let shown = screen(&view(3, 5), 80, 24);
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let has = |expected: &[&str]| assert!(words.iter().any(|line| line.starts_with(expected)), "{expected:?} in\n{shown}");
    has(&["requests/s", "30.0"]);
    has(&["p50", "ms", "20.0"]);
    has(&["failures/s", "1.0"]);
    has(&["GET", "/r0", "50", "5", "20.0", "20.0", "20.0", "10.0"]);
    has(&["Aggregated", "150", "5", "20.0", "20.0", "20.0", "30.0"]);
    has(&["5", "check", "no", "\\u{1b}[31mTesla"]);
    has(&["threshold", "broken:", "p95", "<", "10ms,", "now", "20ms"]);
    has(&["steady", "00:00:05", "users", "0/0", "failures", "5", "(3.33%)", "failed"]);
    assert!(!shown.contains("warning: the generator"), "there is room for the last two\n{shown}");
}

#[test]
fn a_long_table_scrolls_and_keeps_its_sum() {
    let mut view = view(40, 2);
    let first = |view: &View| screen(view, 80, 24).lines().nth(9).unwrap().to_owned();
    assert!(first(&view).contains("/r0 "));
    view.turn(Turn::Rows(3));
    assert!(first(&view).contains("/r3 "));
    view.turn(Turn::Bottom);
    let shown = screen(&view, 80, 24);
    assert!(shown.contains("of 40 ") && shown.contains("/r39 ") && shown.contains("Aggregated"), "{shown}");
    view.turn(Turn::Top);
    view.turn(Turn::Rows(-5));
    assert!(first(&view).contains("/r0 "));
}

#[test]
fn a_small_terminal_gets_a_hint_and_no_size_a_panic() {
    let mut view = view(3, 2);
    assert!(screen(&view, 79, 24).starts_with("The live view needs 80×24; this terminal has 79×24."));
    for help in [false, true] {
        for (width, height) in [(1, 1), (5, 100), (100, 5), (80, 24), (81, 25), (129, 44), (500, 200)] {
            terminal(&view, width, height);
        }
        assert_eq!(view.helps(), help);
        view.turn(Turn::Help);
    }
    view.turn(Turn::Help);
    assert!(screen(&view, 80, 24).contains("one user more"));
}

#[test]
fn failures_are_red_and_without_colours_bold() {
    let mut view = view(3, 2);
    for colour in [true, false] {
        view.colour = colour;
        let terminal = terminal(&view, 80, 24);
        let buffer = terminal.backend().buffer();
        let failing = buffer.cell((1, 9)).unwrap();
        assert_eq!(failing.fg, if colour { Color::Red } else { Color::Reset });
        assert!(failing.modifier.contains(Modifier::BOLD));
        assert_eq!(buffer.cell((1, 10)).unwrap().fg, Color::Reset);
        assert!(colour || buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}

#[test]
fn a_pause_has_no_rate_and_a_run_that_cannot_be_believed_says_so() {
    let mut view = view(3, 2);
    let mut now = snapshot(3, 2);
    (now.facts.phase, now.facts.valid) = (Phase::Paused, false);
    view.look(now);
    let shown = screen(&view, 80, 24);
    assert!(shown.contains("paused") && shown.contains("invalid so far"), "{shown}");
    assert!(shown.lines().any(|line| line.split_whitespace().take(2).eq(["requests/s", "0.0"])), "{shown}");
}
