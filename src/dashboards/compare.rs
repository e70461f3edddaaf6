//! Better or worse than that run? Two runs of a test side by side, each by its own figures, and their ratios.

use super::dashboard::{Dashboard, Row, Variable};
use super::look::{Colour, Unit};
use super::overview::{VERDICT, elapsed, mean_rate, verdict_of};
use super::panel::{Kind, Panel, Target};
use super::table::Column;

use super::query::{
    Window, aggregate, count, each_and_all, last, of, of_chosen, of_run, or_idle_as, or_none, or_zero, quantile, share,
};
use crate::measure::name;

const THIS: &str = "$run_id";
const BEFORE: &str = "$before";

/// What is hardly a difference.
const BETTER: f64 = 0.95;
const WORSE: f64 = 1.05;

pub(super) fn dashboard() -> Dashboard {
    let top = vec![
        verdict("This run", THIS),
        verdict("Earlier run", BEFORE),
        ratio("Requests a second", RATE, rates(THIS), rates(BEFORE))
            .below(Colour::Bad)
            .from(BETTER, Colour::Muted)
            .from(WORSE, Colour::Good),
        worse("p50", "0.5"),
        worse("p95", "0.95"),
        failures(),
        table(),
        bars(),
        curves(),
    ];
    let variables = vec![
        Variable::test(),
        Variable::run("run_id", "This run"),
        Variable::earlier_run(),
        Variable::user(),
        Variable::request(),
    ];
    Dashboard {
        uid: "otload-compare",
        title: "otload: compare",
        description: "Better or worse than that run?",
        variables,
        rows: vec![Row::top(top), Row::open("Against the run that --baseline named", vec![baseline(), baseline_curves()])],
    }
}

// === the whole ===

fn verdict(title: &'static str, variable: &'static str) -> Panel {
    let expr = format!("{} or on() vector(-1)", verdict_of(|metric| of_run(metric, variable), &[]));
    Panel::new(
        Kind::Stat,
        title,
        Unit::State,
        "Whether it kept its thresholds, and can be believed: two runs are only compared if both can.",
    )
    .ask(Target::now("", expr))
    .words(&VERDICT)
}

const RATE: &str =
    "This run's requests a second for each one of the earlier run. Closed users ask less when the target is slower.";
const TIME: &str = "This run's response time as a multiple of the earlier run's: below 1 it is faster. In colour from 5% on. \
                    `otload compare` tells change from chance.";

fn ratio(title: &'static str, description: &'static str, this: String, before: String) -> Panel {
    Panel::new(Kind::Stat, title, Unit::Factor, description)
        .ask(Target::now(title, or_zero(&format!("({this}) / (({before}) > 0)"))))
        .decimals(2)
}

fn rates(variable: &str) -> String {
    mean_rate(&count(&of_chosen(&name::REQUESTS, variable), &[]), &elapsed(variable))
}

fn time(share: &str, variable: &str, by: &[&str], window: Window) -> String {
    quantile(share, &of_chosen(&name::REQUEST_DURATION, variable), by, window)
}

fn worse(title: &'static str, share: &str) -> Panel {
    let of_run = |variable| time(share, variable, &[], Window::Range);
    ratio(title, TIME, of_run(THIS), of_run(BEFORE)).below(Colour::Good).from(BETTER, Colour::Muted).from(WORSE, Colour::Bad)
}

fn failed(variable: &str, by: &[&str]) -> String {
    let counted = |metric| count(&of_chosen(metric, variable), by);
    share(&counted(&name::REQUEST_FAILURES), &counted(&name::REQUESTS))
}

fn failures() -> Panel {
    let expr = or_zero(&format!("{} - {}", failed(THIS, &[]), failed(BEFORE, &[])));
    Panel::new(
        Kind::Stat,
        "Failures, more",
        Unit::Ratio,
        "The share of failed requests of this run less that of the earlier one: 1% is one more of a hundred.",
    )
    .ask(Target::now("failures", expr))
    .from(1e-9, Colour::Bad)
}

// === each request ===

fn table() -> Panel {
    let time_of = |share: &'static str, variable: &'static str| move |by: &[&str]| time(share, variable, by, Window::Range);
    let requests = |variable: &'static str| move |by: &[&str]| count(&of_chosen(&name::REQUESTS, variable), by);
    let times = |share: &'static str| {
        move |by: &[&str]| {
            format!("({}) / ({} > 0)", time(share, THIS, by, Window::Range), time(share, BEFORE, by, Window::Range))
        }
    };
    let ratio_of = |title, share| Column::new(title, Unit::Factor, each_and_all(times(share))).better_and_worse(BETTER, WORSE);
    let columns = vec![
        Column::new("Requests", Unit::Count, each_and_all(requests(THIS))),
        Column::new("Requests before", Unit::Count, each_and_all(requests(BEFORE))),
        Column::new("p50", Unit::Seconds, each_and_all(time_of("0.5", THIS))),
        Column::new("p50 before", Unit::Seconds, each_and_all(time_of("0.5", BEFORE))),
        ratio_of("p50 ratio", "0.5"),
        Column::new("p95", Unit::Seconds, each_and_all(time_of("0.95", THIS))),
        Column::new("p95 before", Unit::Seconds, each_and_all(time_of("0.95", BEFORE))),
        ratio_of("p95 ratio", "0.95"),
        Column::new("Failed", Unit::Ratio, each_and_all(|by| failed(THIS, by))).from(1e-9, Colour::Bad),
        Column::new("Failed before", Unit::Ratio, each_and_all(|by| failed(BEFORE, by))).from(1e-9, Colour::Bad),
    ];
    Panel::table(
        "Requests",
        "Each request in both runs, as far as they are in the time shown. A ratio below 1 is faster.",
        &[("request", "Request")],
        columns,
    )
    .size(24, 8)
    .order("p95 ratio")
}

fn bars() -> Panel {
    let of_run = |variable| time("0.95", variable, &["request"], Window::Range);
    let expr = format!("({}) / ({} > 0)", of_run(THIS), of_run(BEFORE));
    Panel::new(
        Kind::Bars,
        "p95 of each request, as a multiple of before",
        Unit::Factor,
        "Which requests got slower, and which faster.",
    )
    .ask(Target::now("{{request}}", or_none(&expr, "request", "no request is in both runs")))
    .below(Colour::Good)
    .from(BETTER, Colour::Muted)
    .from(WORSE, Colour::Bad)
    .decimals(2)
}

fn curves() -> Panel {
    let curve = |variable| time("0.95", variable, &[], Window::Rate);
    Panel::new(
        Kind::Curves,
        "p95 and requests of both, at their own times",
        Unit::Seconds,
        "Both runs as they went. They overlap only if they ran at the same time.",
    )
    .ask(Target::curve("p95", curve(THIS)).with_exemplars())
    .ask(Target::curve("p95 before", curve(BEFORE)))
    .series("p95", Colour::P95)
    .series("p95 before", Colour::Before)
}

// === --baseline ===

fn baseline() -> Panel {
    let was = |quantile| aggregate("max", &["request"], &last(&of(&name::BASELINE_DURATION).only("quantile", quantile)));
    let none = |what: &str| or_none(what, "request", "the run had no --baseline");
    let is = |share| quantile(share, &of(&name::REQUEST_DURATION), &["request"], Window::Range);
    let ratio = |share: &'static str| none(&format!("({}) / ({} > 0)", is(share), was(share)));
    let column = |title, share| Column::new(title, Unit::Factor, ratio(share)).better_and_worse(BETTER, WORSE);
    Panel::table(
        "Response times as multiples of the baseline's",
        "The baseline was given by its results folder, so it need not be in Prometheus any more. Only requests that both runs have.",
        &[("request", "Request")],
        vec![
            Column::new("Baseline p95", Unit::Seconds, none(&was("0.95"))),
            column("p50", "0.5"),
            column("p95", "0.95"),
            column("p99", "0.99"),
        ],
    )
    .size(12, 8)
}

fn baseline_curves() -> Panel {
    let was = format!("max by (request) ({})", of(&name::BASELINE_DURATION).only("quantile", "0.95"));
    let is = quantile("0.95", &of(&name::REQUEST_DURATION), &["request"], Window::Rate);
    Panel::new(
        Kind::Curves,
        "p95 and the baseline's",
        Unit::Seconds,
        "Each request now, and dashed where it was in the baseline.",
    )
    .ask(Target::curve("{{request}}", is))
    .ask(Target::curve("{{request}} baseline", or_idle_as(&was, "request", "no")))
    .over(
        serde_json::json!({"id": "byRegexp", "options": "/ baseline$/"}),
        vec![
            ("custom.lineStyle", serde_json::json!({"fill": "dash", "dash": [8, 6]})),
            ("custom.fillOpacity", serde_json::json!(0)),
        ],
    )
}
