use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn p(percent: f64) -> Signal {
    Signal::Quantile(Quantile((percent * 10_000.0).round() as u32))
}

#[test]
fn conditions_are_read_with_their_units() {
    for (text, signal, comparison, limit) in [
        ("failure_ratio > 5%", Signal::FailureRatio, Comparison::Greater, 0.05),
        ("failure_ratio>=0.5", Signal::FailureRatio, Comparison::GreaterOrEqual, 0.5),
        ("  p95 < 300ms ", p(95.0), Comparison::Less, 0.3),
        ("p5 < 300ms", p(5.0), Comparison::Less, 0.3),
        ("p999 <= 1m30s", p(99.9), Comparison::LessOrEqual, 90.0),
        ("p99.99 <= 1m 30s", p(99.99), Comparison::LessOrEqual, 90.0),
        ("p12.5 < 1s", p(12.5), Comparison::Less, 1.0),
        ("mean > 2", Signal::Mean, Comparison::Greater, 2.0),
        ("min > 2us", Signal::Min, Comparison::Greater, 2e-6),
        ("max < 2h", Signal::Max, Comparison::Less, 7200.0),
        ("rps < 600/m", Signal::Rps, Comparison::Less, 10.0),
        ("requests >= 1000", Signal::Requests, Comparison::GreaterOrEqual, 1000.0),
        ("failures<1", Signal::Failures, Comparison::Less, 1.0),
        ("checks > 99%", Signal::Checks, Comparison::Greater, 0.99),
    ] {
        let Written { condition, scopes, over, .. } = Written::parse(text).unwrap();
        assert_eq!((condition.figure.signal, condition.comparison), (signal, comparison), "{text}");
        assert_eq!((condition.figure.times, condition.figure.baseline, over), (Times::Response, false, None), "{text}");
        assert!((condition.limit - limit).abs() < 1e-12 && scopes.is_empty(), "{text}");
    }
    assert_eq!(Condition::parse("  p95<300ms").unwrap().to_string(), "p95 < 300ms");
    assert_eq!(Written::parse("p70 < 300ms").unwrap().condition.limit, 0.3, "the very boundary of the bucket");
    assert_eq!(Written::parse("p999 < 1s").unwrap().to_string(), "p99.9 < 1s");
    assert_eq!(Quantile(999_000).share(), 0.999);
}

#[test]
fn times_scopes_and_windows() {
    let all = |text: &str| {
        let written = Written::parse(text).unwrap();
        let scopes: Vec<_> = written.scopes.iter().map(|scope| (scope.kind, scope.name.clone())).collect();
        (
            written.condition.figure.times,
            written.condition.figure.baseline,
            scopes,
            written.over.map(|over| over.as_secs()),
            written,
        )
    };
    let (times, baseline, scopes, over, written) = all("p99 of\t'GET /cars'   of user \"A \\\"b\\\"\" <1s over  1m 30s");
    assert_eq!((times, baseline, over), (Times::Response, false, Some(90)));
    assert_eq!(scopes, [(ScopeKind::Request, "GET /cars".into()), (ScopeKind::User, "A \"b\"".into())]);
    assert_eq!(written.to_string(), r#"p99 of "GET /cars" of user "A \"b\"" < 1s over 1m 30s"#);
    assert_eq!(written.scope(), r#"request "GET /cars" of user "A \"b\"""#);

    let (times, baseline, scopes, over, written) = all("service.p95 of task \"buy\" < 1s");
    assert_eq!((times, baseline, over), (Times::Service, false, None));
    assert_eq!((scopes, written.to_string()), (vec![(ScopeKind::Task, "buy".into())], "service.p95 of task \"buy\" < 1s".into()));

    let (times, _, scopes, _, written) = all("p99 of schedule_lag < 5ms");
    assert_eq!((times, scopes, written.scope()), (Times::ScheduleLag, Vec::new(), "the generator".into()));
    assert_eq!(written.to_string(), "p99 of schedule_lag < 5ms");

    let (times, baseline, scopes, ..) = all("baseline.service.p95 of request \"x\" < 1.1x");
    assert_eq!((times, baseline, scopes), (Times::Service, true, vec![(ScopeKind::Request, "x".into())]));
    assert_eq!(all("baseline.rps > 0.9x").4.condition.limit, 0.9);
    let (.., scopes, _, written) = all("checks of \"GET /cars\" of check \"status 200\" >= 100%");
    assert_eq!(scopes[1], (ScopeKind::Check, "status 200".into()));
    assert_eq!(written.scope(), "request \"GET /cars\" of check \"status 200\"");
    assert_eq!(Written::parse("rps > 1").unwrap().scope(), "all requests");
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, at, message, hint) in [
        ("", "", "a condition compares a figure with a limit", "failure_ratio > 5%"),
        ("p95", "p95", "a condition compares a figure with a limit", "p95 > 1s"),
        ("failure_rate > 5%", "failure_rate", "`failure_rate` is no figure of a run", "did you mean `failure_ratio`?"),
        ("latency > 5%", "latency", "`latency` is no figure of a run", "there are `p50`, `p90`"),
        ("schedule_lag < 5ms", "schedule_lag", "is no figure of a run", "`p99 of schedule_lag < 5ms`"),
        (" > 5%", ">", "`` is no figure of a run", "there are"),
        ("\"GET /\" > 5%", "\"GET /\"", "is no figure of a run", "`p95 of \"GET /cars\" < 300ms`"),
        ("p95 == 1s", "==", "`==` is no comparison", "use `<`, `<=`, `>` or `>=`"),
        ("p95 ≤ 1s", "≤", "`≤` is no comparison", "use `<`, `<=`, `>` or `>=`"),
        ("p95 >", "p95 >", "the limit is missing", "`p95 > 300ms`"),
        ("p95 > 5%", "5%", "`%` is not a unit of time; use ms, s, m, h or d", "`p95 > 300ms`"),
        ("p95 > 5s > 3s", "5s > 3s", "is not a", "`p95 > 300ms`"),
        ("p100 < 1s", "p100", "`p100` is no quantile", "write `max`"),
        ("p0 < 1s", "p0", "`p0` is no quantile", "write `min`"),
        ("p950 < 1s", "p950", "`p950` is no quantile", "`p99.9`"),
        ("p99. < 1s", "p99.", "`p99.` is no quantile", "`p99.9`"),
        ("p95ms < 1s", "p95ms", "`p95ms` is no quantile", "`p95`"),
        ("failure_ratio > 120%", "120%", "between 0 and 1", "`failure_ratio > 5%`"),
        ("rps < fast", "fast", "is not a rate", "`rps < 100/s`"),
        ("requests > 1.5", "1.5", "`1.5` is not a number of things", "`requests < 100`"),
        ("baseline.p95 < 300ms", "300ms", "`300ms` is not a multiple of the baseline", "`baseline.p95 < 1.1x`"),
        ("baseline.p95 < -1x", "-1x", "is not a multiple", "1.1x"),
        ("baseline.failure_ratio < 2x", "baseline.failure_ratio", "is not compared with a baseline", "`baseline.p95 < 1.1x`"),
        ("service.rps < 2", "service.rps", "`rps` is none of times", "write `rps`, or a time such as `service.p95`"),
        ("p95 of GET /cars < 1s", "GET /cars", "a name is written in quotes", "write `of \"GET /cars\"`"),
        ("p95 of user Bob < 1s", "user Bob", "a name is written in quotes", "write `of user \"Bob\"`"),
        ("p95 of task < 1s", "task", "a name is written in quotes", "write `of task \"NAME\"`"),
        ("p95 of < 1s", "of", "of what is missing", "`p95 of \"GET /cars\" < 300ms`"),
        ("p95 of \"GET /cars < 1s ", "\"GET /cars < 1s", "this name has no end", "close it with `\"`"),
        ("p95 of \"a\" of \"b\" < 1s", "\"b\"", "there is a request already", "a threshold for each"),
        ("p95 \"a\" < 1s", "\"a\"", "is not expected here", "`of \"NAME\"`"),
        ("p95 of check \"a\" < 1s", "\"a\"", "a check has no `p95`", "`checks of check \"a\" > 99%`"),
        ("rps of schedule_lag < 1", "schedule_lag", "the schedule lag has no `rps`", "`p99 of schedule_lag < 5ms`"),
        ("p99 of schedule_lag of user \"a\" < 1s", "\"a\"", "that of the whole generator", "leave this out"),
        ("p95 < 1s over", "over", "the window is missing", "`over 30s`"),
        ("p95 < 1s over soon", "soon", "is not a duration", "`over 30s`"),
        ("p95 < 1s over 500ms", "500ms", "at least a second", "`over 30s`"),
    ] {
        let wrong = Written::parse(text).unwrap_err();
        assert_eq!(&text[wrong.at.clone()], at, "{text}");
        assert!(wrong.message.contains(message) && wrong.hint.contains(hint), "{text}: {wrong:?}");
    }
}

#[test]
fn the_grammar_of_the_documents_is_that_of_the_parser() {
    let grammar = include_str!("../parse.rs").split("```").nth(1).unwrap().replace("//! ", "").replace("//!", "");
    let documents = include_str!("../../../../docs/thresholds.md");
    assert!(grammar.starts_with("bnf\nthreshold  ::=") && documents.contains(&format!("```{grammar}```")), "{grammar}");
}

#[test]
fn what_ends_a_stress_is_of_all_its_requests() {
    for text in [
        "p95 of \"x\" < 1s",
        "p95 < 1s over 5s",
        "baseline.p95 < 1x",
        "service.p95 < 1s",
        "checks < 5%",
        "max of schedule_lag > 1s",
    ] {
        let wrong = Condition::parse(text).unwrap_err();
        assert!(wrong.message.starts_with("this condition is of") && wrong.at == (0..text.len()), "{text}: {wrong:?}");
    }
    assert_eq!(Condition::parse("p97.5 > 1s").unwrap().figure.signal, p(97.5));
}

#[test]
fn conditions_hold_or_not() {
    for (text, figure, holds) in [
        ("p95 < 1s", 0.9, true),
        ("p95 < 1s", 1.0, false),
        ("p95 <= 1s", 1.0, true),
        ("p95 > 1s", 1.0, false),
        ("p95 > 1s", 1.1, true),
        ("p95 >= 1s", 1.0, true),
    ] {
        assert_eq!(Condition::parse(text).unwrap().holds(figure), holds, "{text} with {figure}");
    }
    assert_eq!(Condition::parse("p95 < 1s").unwrap().worse(0.5, 0.7), 0.7);
    assert_eq!(Condition::parse("rps > 1").unwrap().worse(0.5, 0.7), 0.5);
    let bare = |text: &str| Condition::parse(text).unwrap().bare_seconds().map(str::to_owned);
    assert_eq!(
        [bare("p95 < 300"), bare("p95 < 3"), bare("p95 < 300s"), bare("rps > 300")],
        [Some("300".into()), None, None, None]
    );
}

const PIECES: &[&str] = &[
    "p95",
    "p99.9",
    "p999",
    "p100",
    "mean",
    "rps",
    "checks",
    "failure_ratio",
    "baseline.",
    "service.",
    "of",
    "user",
    "task",
    "check",
    "schedule_lag",
    "\"GET /cars\"",
    "'x'",
    "\"",
    "'",
    "\\",
    "<",
    "<=",
    ">",
    "=",
    "≤",
    "300ms",
    "5%",
    "1.1x",
    "10",
    "/s",
    "over",
    "30s",
    " ",
    "  ",
    "é",
    "\u{0}",
    "-",
    ".",
    "1e400",
    "NaN",
];

fn check(text: &str) {
    match Written::parse(text) {
        Ok(written) => {
            let again = Written::parse(&written.to_string());
            assert!(
                again.is_ok_and(|again| again.condition == written.condition && again.to_string() == written.to_string()),
                "{text}"
            );
            assert!(written.condition.limit.is_finite() && written.over != Some(Duration::ZERO), "{text}");
        }
        Err(wrong) => {
            assert!(text.get(wrong.at.clone()).is_some(), "{text:?}: {wrong:?}");
            assert!(!wrong.message.is_empty() && !wrong.hint.is_empty(), "{text:?}: {wrong:?}");
        }
    }
    let _ = Condition::parse(text);
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_a_place(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_gives_a_value_or_a_place(text in "\\PC{0,60}") {
        check(&text);
    }

    #[test]
    fn any_pieces_give_a_value_or_a_place(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12), space in any::<bool>()) {
        check(&pieces.join(if space { " " } else { "" }));
    }
}
