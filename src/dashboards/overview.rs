//! How is the run? The verdict first, then what was asked, what came back, and how fast; then each request, and the other runs.

use serde_json::json;

use super::dashboard::{Dashboard, Row, Variable};
use super::look::{Colour, Unit};
use super::panel::{Kind, Panel, Target, by_name};
use super::table::Column;

use super::query::{
    Selector, Window, aggregate, buckets, count, difference, each_and_all, last, mean, of, of_run, of_test, or_idle, or_idle_as,
    or_none, or_zero, quantile, rate, share,
};
use crate::measure::name;

pub(super) fn dashboard() -> Dashboard {
    let first = vec![verdict(), phase(), users_now(), requests_a_second(), failures(), p95()];
    let curves = vec![users(), requests(), response_times(), heatmap(&name::REQUEST_DURATION)];
    Dashboard {
        uid: "otload-overview",
        title: "otload: overview",
        description: "How is the run?",
        variables: Variable::usual(),
        rows: vec![
            Row::top(first.into_iter().chain(curves).chain([table(), reasons(), thresholds()]).collect()),
            Row::open("Runs of this test in the time shown", vec![runs()]),
        ],
    }
}

// === the verdict ===

pub(super) const VERDICT: [(i32, &str, Colour); 8] = [
    (-1, "no such run", Colour::Muted),
    (0, "INVALID", Colour::Invalid),
    (1, "FAILED", Colour::Bad),
    (2, "passing so far", Colour::Load),
    (3, "PASSED", Colour::Good),
    (4, "running", Colour::Load),
    (5, "NOT JUDGED", Colour::Muted),
    (6, "FAILED, INVALID", Colour::Bad),
];

/// One of [`VERDICT`]'s numbers, by a function that picks the metrics' series.
pub(super) fn verdict_of(pick: impl Fn(&'static name::Metric) -> Selector, by: &[&str]) -> String {
    let least = |of: Selector| aggregate("min", by, &last(&of));
    let valid = least(pick(&name::RUN_VALID));
    let done = least(pick(&name::RUN_PHASE).only("phase", "done"));
    let judged = least(pick(&name::RUN_JUDGED));
    // Absent while it is not judged; what it was before does not count then.
    let passed = format!("({} or {valid} * 0)", least(pick(&name::RUN_PASSED)));
    let judged_now = format!("{judged} * (1 + {passed} * (1 + {done}))");
    let unjudged = format!("(1 - {judged}) * (4 + {done})");
    format!("{valid} * ({judged_now} + {unjudged}) + (1 - {valid}) * {judged} * (1 - {passed}) * 6")
}

fn verdict() -> Panel {
    let expr = format!("{} or on() vector(-1)", verdict_of(|metric| of_run(metric, "$run_id"), &[]));
    Panel::new(
        Kind::Stat,
        "Verdict",
        Unit::State,
        "Whether the run did what was asked of it and the figures can be believed. INVALID: the generator was the bottleneck, see its \
         dashboard. FAILED: the table of thresholds says which, or nothing succeeded. NOT JUDGED: it has no thresholds.",
    )
    .ask(Target::now("", expr))
    .words(&VERDICT)
}

fn phase() -> Panel {
    let phase = format!("max by (phase) ({} == 1)", last(&of_run(&name::RUN_PHASE, "$run_id")));
    let elapsed = format!("max({})", last(&of_run(&name::RUN_ELAPSED, "$run_id")));
    let expr = or_none(&format!("{phase} * on() group_left() {elapsed}"), "phase", "no run");
    Panel::new(
        Kind::Named,
        "Phase",
        Unit::Seconds,
        "Which part of its load the run is in, and how long it has gone on, without pauses. `done`: it is over.",
    )
    .ask(Target::now("{{phase}}", expr))
    .colour(Colour::Load)
}

// === what was asked, and what came back ===

fn users_now() -> Panel {
    Panel::new(Kind::Trend, "Users now", Unit::Count, "How many users there are: running, waiting between tasks, or stopping.")
        .ask(Target::curve("users", or_idle(&format!("sum({})", of(&name::USERS)))))
        .colour(Colour::Load)
}

/// Requests in the time shown, for each second that the load went on in it.
pub(super) fn mean_rate(counted: &str, elapsed: &str) -> String {
    format!("{counted} / on() group_left() ({elapsed} > 0)")
}

pub(super) fn elapsed(variable: &str) -> String {
    format!("max({})", difference(&of_run(&name::RUN_ELAPSED, variable)))
}

pub(super) fn requests_a_second() -> Panel {
    let expr = or_zero(&mean_rate(&count(&of(&name::REQUESTS), &[]), &elapsed("$run_id")));
    Panel::new(
        Kind::Stat,
        "Requests a second",
        Unit::Requests,
        "Requests that ended in the time shown, for each second of the run in it; pauses do not count. The curve below says how it \
         went.",
    )
    .ask(Target::now("requests a second", expr))
    .colour(Colour::Load)
}

pub(super) fn failures() -> Panel {
    let expr = or_zero(&share(&count(&of(&name::REQUEST_FAILURES), &[]), &count(&of(&name::REQUESTS), &[])));
    Panel::new(
        Kind::Stat,
        "Failures",
        Unit::Ratio,
        "The share of requests in the time shown that failed: an error, a status of 400 or more, a check that did not hold.",
    )
    .ask(Target::now("failures", expr))
    .from(1e-9, Colour::Bad)
}

fn p95() -> Panel {
    let expr = or_zero(&quantile("0.95", &of(&name::REQUEST_DURATION), &[], Window::Range));
    Panel::new(
        Kind::Stat,
        "p95 response time",
        Unit::Seconds,
        "95% of the requests in the time shown took no longer, from the moment they should have started; failed ones too.",
    )
    .ask(Target::now("p95", expr))
    .colour(Colour::P95)
}

fn users() -> Panel {
    let users = |state: &str| or_idle(&format!("sum({})", of(&name::USERS).only("state", state)));
    Panel::new(
        Kind::Curves,
        "Users by what they do",
        Unit::Count,
        "Users by what they do, on each other, and dashed how many the load asks for; of an open load the most that there may be.",
    )
    .size(12, 7)
    .ask(Target::curve("running", users("running")))
    .ask(Target::curve("waiting", users("waiting")))
    .ask(Target::curve("stopping", users("stopping")))
    .ask(Target::curve("wanted", or_idle(&format!("sum({})", of(&name::USERS_TARGET)))))
    .stacked()
    .series("running", Colour::Load)
    .series("waiting", Colour::Median)
    .series("stopping", Colour::Muted)
    .dashed("wanted", Colour::Target)
}

fn requests() -> Panel {
    let good = rate(&of(&name::REQUESTS).only("result", "success"), &[]);
    Panel::new(
        Kind::Curves,
        "Requests a second, by result",
        Unit::Requests,
        "Requests that ended, on each other: those that succeeded and those that failed.",
    )
    .size(12, 7)
    .ask(Target::curve("failed", or_idle(&rate(&of(&name::REQUEST_FAILURES), &[]))))
    .ask(Target::curve("succeeded", or_idle(&good)))
    .stacked()
    .series("failed", Colour::Bad)
    .series("succeeded", Colour::Good)
}

// === how fast ===

pub(super) fn quantiles(panel: Panel, metric: &'static name::Metric) -> Panel {
    let curve = |share: &str| quantile(share, &of(metric), &[], Window::Rate);
    panel
        .ask(Target::curve("p50", curve("0.5")))
        .ask(Target::curve("p95", curve("0.95")).with_exemplars())
        .ask(Target::curve("p99", curve("0.99")))
        .series("p50", Colour::Median)
        .series("p95", Colour::P95)
        .series("p99", Colour::P99)
}

fn response_times() -> Panel {
    let panel = Panel::new(
        Kind::Curves,
        "Response time",
        Unit::Seconds,
        "From the moment a request should have started to its last byte. A dot is one request whose span was exported; click on it \
         for its trace.",
    );
    quantiles(panel, &name::REQUEST_DURATION)
}

pub(super) fn heatmap(metric: &'static name::Metric) -> Panel {
    Panel::new(
        Kind::Heatmap,
        "Response times, all of them",
        Unit::Seconds,
        "How many requests took how long: two bands are two kinds of answers, which no percentile shows. Dots are requests with a \
         trace.",
    )
    .ask(Target::buckets(buckets(&of(metric))).with_exemplars())
}

// === each request ===

fn table() -> Panel {
    let requests = |by: &[&str]| count(&of(&name::REQUESTS), by);
    let failures = |by: &[&str]| count(&of(&name::REQUEST_FAILURES), by);
    let time =
        |share: &'static str| each_and_all(move |by: &[&str]| quantile(share, &of(&name::REQUEST_DURATION), by, Window::Range));
    let columns = vec![
        Column::new("Requests", Unit::Count, each_and_all(requests)),
        Column::new("Failures", Unit::Count, each_and_all(|by| format!("{} or {} * 0", failures(by), requests(by)))),
        Column::new("Failed", Unit::Ratio, each_and_all(|by| share(&failures(by), &requests(by)))).from(1e-9, Colour::Bad),
        Column::new("Mean", Unit::Seconds, each_and_all(|by| mean(&of(&name::REQUEST_DURATION), by, Window::Range))),
        Column::new("p50", Unit::Seconds, time("0.5")),
        Column::new("p95", Unit::Seconds, time("0.95")),
        Column::new("p99", Unit::Seconds, time("0.99")),
        Column::new("Requests/s", Unit::Requests, each_and_all(|by| mean_rate(&requests(by), &elapsed("$run_id")))),
    ];
    let url = "/d/otload-request?${__url_time_range}&${datasource:queryparam}&${traces:queryparam}&${test:queryparam}\
               &${run_id:queryparam}&${user:queryparam}&var-request=${__value.raw}";
    Panel::table(
        "Requests",
        "The statistics of each request in the time shown, as Locust's table has them. A click on a request says why it is slow.",
        &[("request", "Request")],
        columns,
    )
    .order("Requests")
    .over(by_name("Request"), vec![("links", json!([{"title": "Why is it slow?", "url": url}])), ("custom.minWidth", json!(220))])
}

pub(super) fn reasons() -> Panel {
    // There is a series for each reason that there may be.
    let occurring = format!("{} > 0", rate(&of(&name::REQUEST_FAILURES), &["reason"]));
    Panel::new(
        Kind::Curves,
        "Failures a second, by reason",
        Unit::PerSecond,
        "What went wrong. `status`: 400 or more, or not what was expected; `check`: an expectation about the answer did not hold; the \
         others are of the connection. Examples of each are in the summary of the run.",
    )
    .size(12, 7)
    .ask(Target::curve("{{reason}}", or_idle_as(&occurring, "reason", "no failures")))
    .stacked()
    .shades(Colour::Bad)
    .series("no failures", Colour::Good)
}

fn thresholds() -> Panel {
    let of_threshold = |metric, by| aggregate(by, &["threshold"], &last(&of_run(metric, "$run_id")));
    let none = |what: &str| or_none(what, "threshold", "the scenario has none");
    let (ok, limit) = (of_threshold(&name::THRESHOLD_OK, "min"), of_threshold(&name::THRESHOLD_LIMIT, "max"));
    let words = [(0, "broken", Colour::Bad), (1, "kept", Colour::Good)];
    let state = or_none(&ok, "threshold", "the scenario has none");
    Panel::table(
        "Thresholds",
        "What the run has to keep to pass. Values and limits are in the unit that the threshold is written in: seconds, shares of one, \
         requests a second.",
        &[("threshold", "Threshold")],
        vec![
            Column::new("State", Unit::State, state).words(&words),
            Column::new("Value", Unit::Count, none(&of_threshold(&name::THRESHOLD_VALUE, "max"))),
            Column::new("Limit", Unit::Count, none(&limit)),
        ],
    )
    .size(12, 7)
}

// === the other runs ===

fn runs() -> Panel {
    let by = ["run_id"];
    let of_runs = |metric| of_test(metric);
    let requests = count(&of_runs(&name::REQUESTS), &by);
    let elapsed = aggregate("max", &by, &difference(&of_runs(&name::RUN_ELAPSED)));
    let started = aggregate("min", &by, &last(&of_runs(&name::RUN_START_TIME)));
    let columns = vec![
        Column::new("Started", Unit::Date, format!("{started} * 1000")),
        Column::new("Lasted", Unit::Seconds, elapsed.clone()),
        Column::new("Verdict", Unit::State, verdict_of(of_runs, &by)).words(&VERDICT),
        Column::new("Requests", Unit::Count, requests.clone()),
        Column::new("Requests/s", Unit::Requests, format!("{requests} / ({elapsed} > 0)")),
        Column::new("Failed", Unit::Ratio, share(&count(&of_runs(&name::REQUEST_FAILURES), &by), &requests))
            .from(1e-9, Colour::Bad),
        Column::new("p95", Unit::Seconds, quantile("0.95", &of_runs(&name::REQUEST_DURATION), &by, Window::Range)),
        Column::new("p99", Unit::Seconds, quantile("0.99", &of_runs(&name::REQUEST_DURATION), &by, Window::Range)),
    ];
    let common = "${__url_time_range}&${datasource:queryparam}&${traces:queryparam}&${test:queryparam}";
    let look = format!("/d/otload-overview?{common}&var-run_id=${{__value.raw}}");
    let compare = format!("/d/otload-compare?{common}&${{run_id:queryparam}}&var-before=${{__value.raw}}");
    let links =
        json!([{"title": "Look at this run", "url": look}, {"title": "Compare the chosen run with this one", "url": compare}]);
    Panel::table(
        "Runs",
        "All runs of the test that were underway in the time shown. A click on one shows it here, or beside the run that is chosen.",
        &[("run_id", "Run")],
        columns,
    )
    .order("Started")
    .over(by_name("Run"), vec![("links", links), ("custom.minWidth", json!(260))])
}
