//! Is it getting worse? What the generator found by statistics first, then the curves over hours, which anybody can judge.

use super::dashboard::{Dashboard, Row, Variable};
use super::look::{Colour, Unit};
use super::panel::{Kind, Panel, Target};
use super::table::Column;

use super::query::{
    Selector, Window, aggregate, count, last, of, of_chosen, of_run, or_idle, or_idle_as, or_none, or_zero, quantile, rate, share,
};
use crate::measure::name;

pub(super) fn dashboard() -> Dashboard {
    let top = vec![
        regressed(),
        worst("p99, at most", "p99", "max", UP),
        worst("p50, at most", "p50", "max", UP),
        worst("Requests a second, at least", "throughput", "min", DOWN),
        failed_more(),
        memory_change(),
        verdicts(),
        p99(),
        throughput(),
        burn(),
        memory(),
        table(),
    ];
    Dashboard {
        uid: "otload-soak",
        title: "otload: soak",
        description: "Is it getting worse?",
        variables: Variable::usual(),
        rows: vec![
            Row::top(top),
            Row::closed("How the judgement went", vec![changes(), slopes(), chances(), median(), times()]),
            Row::closed("Alerts", vec![alerts()]),
        ],
    }
}

const UP: &str = "The largest change of any request from the beginning of the steady phase to now: 10% is a tenth slower. In colour from \
                  what a scenario accepts unless it says otherwise.";
const DOWN: &str = "The largest loss of any request from the beginning of the steady phase to now: -10% is a tenth less. In colour from \
                    what a scenario accepts unless it says otherwise.";

/// What a scenario accepts unless it says otherwise.
const ACCEPTED: f64 = 0.1;

// === what was found ===

fn regressed() -> Panel {
    let expr = or_zero(&format!("sum({})", last(&of(&name::SOAK_REGRESSED))));
    Panel::new(
        Kind::Stat,
        "Got worse",
        Unit::Count,
        "How many signals of how many requests got worse, beyond chance and by more than is accepted. 0 also while the run is too short \
         to judge: see the table.",
    )
    .ask(Target::now("signals", expr))
    .from(1.0, Colour::Bad)
}

fn change(signal: &str, function: &str) -> String {
    or_zero(&aggregate(function, &[], &last(&of(&name::SOAK_CHANGE).only("signal", signal))))
}

fn worst(title: &'static str, signal: &str, function: &str, description: &'static str) -> Panel {
    let panel = Panel::new(Kind::Stat, title, Unit::Ratio, description).ask(Target::now(title, change(signal, function)));
    if function == "min" { panel.below(Colour::Bad).from(-ACCEPTED, Colour::Good) } else { panel.from(ACCEPTED, Colour::Bad) }
}

fn failed_more() -> Panel {
    let expr = or_zero(&share(&count(&of(&name::REQUEST_FAILURES), &[]), &count(&of(&name::REQUESTS), &[])));
    Panel::new(Kind::Stat, "Failures", Unit::Ratio, "The share of requests in the time shown that failed.")
        .ask(Target::now("failures", expr))
        .from(1e-9, Colour::Bad)
}

fn memory_change() -> Panel {
    Panel::new(
        Kind::Stat,
        "Memory of the generator",
        Unit::Ratio,
        "How much its memory has changed since the beginning of the steady phase. Growth here is a fault of otload or of the \
         scenario, not of the target.",
    )
    .ask(Target::now(
        "memory",
        or_zero(&aggregate("max", &[], &last(&of_run(&name::SOAK_CHANGE, "$run_id").only("signal", "resident_bytes")))),
    ))
    .from(ACCEPTED, Colour::Warning)
}

fn verdicts() -> Panel {
    let expr = aggregate("max", &["request", "signal"], &of(&name::SOAK_REGRESSED).to_string());
    Panel::new(
        Kind::Timeline,
        "What got worse, and when it was found",
        Unit::State,
        "Each signal of each request over time, and memory, which has no request. It is judged in the steady phase alone, once there are \
         enough windows.",
    )
    .size(24, 6)
    .ask(Target::curve("{{request}} {{signal}}", or_idle_as(&expr, "signal", "not judged yet")))
    .words(&[(0, "as before", Colour::Good), (1, "worse", Colour::Bad)])
}

fn table() -> Panel {
    let of_signal =
        |metric, function| or_none(&aggregate(function, &["request", "signal"], &last(&of(metric))), "signal", "not judged yet");
    Panel::table(
        "Signals",
        "What the judgement stands on. The change is relative to the beginning of the steady phase; the chance is how likely such a trend \
         would be if nothing changed, given how many signals are looked at. docs/soak.md says how it judges.",
        &[("request", "Request"), ("signal", "Signal")],
        vec![
            Column::new("Verdict", Unit::State, of_signal(&name::SOAK_REGRESSED, "max"))
                .words(&[(0, "as before", Colour::Good), (1, "worse", Colour::Bad)]),
            Column::new("Change", Unit::Ratio, of_signal(&name::SOAK_CHANGE, "max")),
            Column::new("Change an hour", Unit::PerHour, of_signal(&name::SOAK_SLOPE, "max")),
            Column::new("By chance", Unit::Ratio, of_signal(&name::SOAK_P_VALUE, "min")),
        ],
    )
    .order("Verdict")
}

// === the curves ===

fn p99() -> Panel {
    let expr = quantile("0.99", &of(&name::REQUEST_DURATION), &["request"], Window::Rate);
    Panel::new(
        Kind::Curves,
        "p99 of each request",
        Unit::Seconds,
        "Over a minute or more, so that single slow requests do not hide a slow rise. Dots lead to traces.",
    )
    .ask(Target::curve("{{request}}", expr).with_exemplars())
    .step("15s")
}

fn median() -> Panel {
    let expr = quantile("0.5", &of(&name::REQUEST_DURATION), &["request"], Window::Rate);
    Panel::new(Kind::Curves, "p50 of each request", Unit::Seconds, "A median that rises is a target that gets slower for all.")
        .ask(Target::curve("{{request}}", expr))
        .step("15s")
}

fn throughput() -> Panel {
    Panel::new(
        Kind::Curves,
        "Requests a second of each request",
        Unit::Requests,
        "Closed users ask less when the target gets slower: a fall here is a rise there.",
    )
    .ask(Target::curve("{{request}}", or_idle_as(&rate(&of(&name::REQUESTS), &["request"]), "request", "no requests")))
    .step("15s")
}

fn burn() -> Panel {
    let ratio = |window: &str| {
        let rate = |of: Selector| format!("sum(rate({of}[{window}]))");
        // A status that comes for the first time begins with all of it; reasons do not.
        let failed = rate(of(&name::REQUEST_FAILURES));
        let all = format!("({} + {failed})", rate(of(&name::REQUESTS).only("result", "success")));
        or_idle(&share(&failed, &all))
    };
    Panel::new(
        Kind::Curves,
        "Failures, over 5 minutes, 1 hour and 6 hours",
        Unit::Ratio,
        "The share of requests that failed. The short window above the long one: it is getting worse; below: it is over. The alert \
         on burn rates looks at two of them at once.",
    )
    .ask(Target::curve("5 minutes", ratio("5m")))
    .ask(Target::curve("1 hour", ratio("1h")))
    .ask(Target::curve("6 hours", ratio("6h")))
    .shades(Colour::Bad)
}

fn memory() -> Panel {
    Panel::new(
        Kind::Curves,
        "Memory and open files of the generator",
        Unit::Bytes,
        "Flat in a soak. If not, the scenario keeps something for each user, or otload has a leak.",
    )
    .ask(Target::curve("memory", or_idle(&format!("sum({})", of(&name::GENERATOR_RESIDENT)))))
    .ask(Target::curve("open files", or_idle(&format!("sum({})", of(&name::GENERATOR_FDS)))))
    .series("memory", Colour::Load)
    .over(
        super::panel::by_name("open files"),
        vec![
            ("unit", serde_json::json!(Unit::Count.name())),
            ("custom.axisPlacement", serde_json::json!("right")),
            ("color", serde_json::json!({"mode": "fixed", "fixedColor": Colour::Muted.name()})),
        ],
    )
}

// === how the judgement went ===

fn changes() -> Panel {
    signals("Change since the beginning", Unit::Ratio, &name::SOAK_CHANGE, "How far each signal is from where it began.")
}

fn slopes() -> Panel {
    signals("Change an hour", Unit::PerHour, &name::SOAK_SLOPE, "The slope of a straight line through each signal's windows.")
}

fn chances() -> Panel {
    signals(
        "How likely by chance",
        Unit::Ratio,
        &name::SOAK_P_VALUE,
        "Below 1% a trend is taken for one; `Got worse` wants a change that is large enough besides.",
    )
}

fn signals(title: &'static str, unit: Unit, metric: &'static name::Metric, description: &'static str) -> Panel {
    let expr = aggregate("max", &["request", "signal"], &of_chosen(metric, "$run_id").to_string());
    Panel::new(Kind::Curves, title, unit, description)
        .ask(Target::curve("{{request}} {{signal}}", or_idle_as(&expr, "signal", "not judged yet")))
        .signed()
}

fn times() -> Panel {
    let of_run = |metric| or_idle(&format!("max({})", of_run(metric, "$run_id")));
    Panel::new(
        Kind::Curves,
        "How long it has gone on",
        Unit::Seconds,
        "The load so far, without pauses; how long it has been held as it is, which is what is judged; and how long it is planned to last, \
         0 when that is until it is stopped.",
    )
    .ask(Target::curve("so far", of_run(&name::RUN_ELAPSED)))
    .ask(Target::curve("held", of_run(&name::RUN_STEADY)))
    .ask(Target::curve("planned", of_run(&name::RUN_PLANNED)))
    .size(24, 6)
    .series("so far", Colour::Load)
    .series("held", Colour::Good)
    .dashed("planned", Colour::Target)
}

fn alerts() -> Panel {
    let firing =
        "max by (alertname, request, threshold) (ALERTS{alertname=~\"Otload.*\",alertstate=\"firing\",run_id=~\"|$run_id\"})";
    Panel::new(
        Kind::Timeline,
        "Alerts of this run",
        Unit::State,
        "Those that the shipped rules raised, while they fired. Without the rules in Prometheus it stays empty.",
    )
    .size(24, 7)
    .ask(Target::curve("{{alertname}} {{request}} {{threshold}}", or_idle_as(firing, "alertname", "none")))
    .words(&[(0, "quiet", Colour::Good), (1, "firing", Colour::Bad)])
}
