//! Can the figures be believed? Whether the generator kept up with its own schedule, and what it had left.

use super::dashboard::{Dashboard, Row, Variable};
use super::look::{Colour, Unit};
use super::overview::quantiles;
use super::panel::{Kind, Panel, Target};
use super::table::Column;

use super::query::{aggregate, count, last, of, of_run, or_idle, or_idle_as, or_none, or_zero, rate};
use crate::measure::name;

pub(super) fn dashboard() -> Dashboard {
    let top = vec![
        valid(),
        saturated(),
        part_now(),
        processor_now(),
        loop_lag_now(),
        dropped_now(),
        lag(),
        processor(),
        connections(),
        dropped(),
        spans(),
        budget(),
    ];
    Dashboard {
        uid: "otload-generator",
        title: "otload: generator",
        description: "Can the figures be believed?",
        variables: Variable::usual(),
        rows: vec![
            Row::top(top),
            Row::closed("Process", vec![loop_lag(), read_lag(), late_reads(), memory(), files(), opened()]),
            Row::closed("Which otload, and what it could not record", vec![info(), lost()]),
        ],
    }
}

fn run(metric: &'static name::Metric) -> super::query::Selector {
    of_run(metric, "$run_id")
}

// === the verdict ===

fn valid() -> Panel {
    let expr = format!("{} or on() vector(-1)", aggregate("min", &[], &last(&run(&name::RUN_VALID))));
    Panel::new(
        Kind::Stat,
        "Figures",
        Unit::State,
        "Whether they are the target's. Invalid: the generator was late, or dropped arrivals, so that it measured \
         itself. Use more workers, more machines or less load.",
    )
    .ask(Target::now("", expr))
    .words(&[(-1, "no such run", Colour::Muted), (0, "INVALID", Colour::Invalid), (1, "can be believed", Colour::Good)])
}

fn saturated() -> Panel {
    let expr = or_zero(&aggregate("max", &[], &format!("max_over_time({}[$__range])", run(&name::GENERATOR_SATURATED))));
    Panel::new(
        Kind::Stat,
        "Saturated",
        Unit::State,
        "Whether a worker was too busy, or things started too late, at any moment of the time shown.",
    )
    .ask(Target::now("", expr))
    .words(&[(0, "never", Colour::Good), (1, "at times", Colour::Invalid)])
}

fn part_now() -> Panel {
    let expr = or_zero(&aggregate("max", &[], &last(&run(&name::GENERATOR_RESPONSE))));
    Panel::new(
        Kind::Stat,
        "Generator's part",
        Unit::Ratio,
        "The share of p50, p95 or p99 of all response times, whichever has most, that is the generator's own lateness. A run is invalid \
         if it is more than 10% of what the time would be without it, plus 100 µs.",
    )
    .ask(Target::now("part", expr))
    .from(0.05, Colour::Warning)
    .from(0.1, Colour::Invalid)
}

fn most(metric: &'static name::Metric) -> String {
    or_zero(&aggregate("max", &[], &format!("max_over_time({}[$__range])", run(metric))))
}

fn processor_now() -> Panel {
    Panel::new(
        Kind::Stat,
        "Processor, at most",
        Unit::Ratio,
        "The largest share of the cores of its workers that the generator used in the time shown.",
    )
    .ask(Target::now("processor", most(&name::GENERATOR_CPU)))
    .from(0.7, Colour::Warning)
    .from(0.9, Colour::Invalid)
}

fn loop_lag_now() -> Panel {
    Panel::new(
        Kind::Stat,
        "Loop lag, at most",
        Unit::Seconds,
        "The longest time by which a worker's loop came round later than asked, in a second. More than a few milliseconds: the machine is \
         shared, or too small.",
    )
    .ask(Target::now("loop lag", most(&name::GENERATOR_LOOP_LAG)))
    .from(0.005, Colour::Warning)
}

fn dropped_now() -> Panel {
    Panel::new(
        Kind::Stat,
        "Arrivals dropped",
        Unit::Count,
        "Arrivals of an open load in the time shown that found no free user and were not started, and iterations of \
         `constant_throughput` that were due and had not begun at the end. Raise `max_users`, or find out why the target holds users \
         for so long.",
    )
    .ask(Target::now("dropped", or_zero(&count(&of(&name::ARRIVALS_DROPPED), &[]))))
    .ask(Target::now("overdue", or_zero(&count(&of(&name::ITERATIONS_OVERDUE), &[]))))
    .from(1.0, Colour::Invalid)
}

// === how it went ===

fn lag() -> Panel {
    let panel = Panel::new(
        Kind::Curves,
        "Schedule lag",
        Unit::Seconds,
        "How late things started by the generator's fault. Compare it with the response times: what is a hundredth of them does not \
         matter.",
    );
    quantiles(panel, &name::SCHEDULE_LAG)
}

fn read_lag() -> Panel {
    let panel = Panel::new(
        Kind::Curves,
        "Read lag",
        Unit::Seconds,
        "How much later than their arrival responses were read. Response times end with the arrival, so this is not in them; if it \
         goes up, the generator is kept from running.",
    );
    quantiles(panel, &name::READ_LAG)
}

/// By whether the kernel tells when they arrived.
fn late_reads() -> Panel {
    Panel::new(
        Kind::Curves,
        "Late reads",
        Unit::PerSecond,
        "Responses whose end is the kernel's time of their arrival, and those that may have been read late and have none. Times of \
         the latter may be too long.",
    )
    .ask(Target::curve("corrected", or_idle(&rate(&run(&name::READS_CORRECTED), &[]))))
    .ask(Target::curve("not corrected", or_idle(&rate(&run(&name::READS_UNCORRECTED), &[]))))
    .series("corrected", Colour::Load)
    .series("not corrected", Colour::Invalid)
}

fn processor() -> Panel {
    Panel::new(
        Kind::Curves,
        "Processor",
        Unit::Ratio,
        "The share of its workers' cores that the generator uses. From some 70% on it begins to delay what it measures.",
    )
    .ask(Target::curve("processor", or_idle(&aggregate("max", &[], &run(&name::GENERATOR_CPU).to_string()))))
    .ask(Target::curve("saturated", or_idle(&aggregate("max", &[], &run(&name::GENERATOR_SATURATED).to_string()))))
    .series("processor", Colour::Load)
    .series("saturated", Colour::Invalid)
    .up_to(1.0)
}

fn connections() -> Panel {
    Panel::new(
        Kind::Curves,
        "Connections and users",
        Unit::Count,
        "Open connections to the target. Far fewer than users: the target closes them. In an open load they are as many as tasks are \
         underway.",
    )
    .ask(Target::curve("connections", or_idle(&format!("sum({})", run(&name::CONNECTIONS)))))
    .ask(Target::curve("users", or_idle(&format!("sum({})", of(&name::USERS)))))
    .series("connections", Colour::Load)
    .series("users", Colour::Median)
}

fn dropped() -> Panel {
    Panel::new(
        Kind::Curves,
        "Arrivals dropped a second",
        Unit::PerSecond,
        "Arrivals of open loads without a free user. More than 0.1% of all make a run invalid.",
    )
    .ask(Target::curve("{{user}}", or_idle_as(&rate(&of(&name::ARRIVALS_DROPPED), &["user"]), "user", "none")))
    .shades(Colour::Invalid)
}

fn spans() -> Panel {
    Panel::new(
        Kind::Curves,
        "Spans a second",
        Unit::PerSecond,
        "Spans that the collector took, and those that were lost, by reason. A lost span costs no request: it is only missing in the \
         trace store.",
    )
    .ask(Target::curve("exported", or_idle(&rate(&run(&name::SPANS_EXPORTED), &[]))))
    .ask(Target::curve("lost: {{reason}}", or_idle_as(&rate(&run(&name::SPANS_DROPPED), &["reason"]), "reason", "none")))
    .series("exported", Colour::Good)
    .over(serde_json::json!({"id": "byRegexp", "options": "/^lost/"}), vec![("color", serde_json::json!({"mode": "shades", "fixedColor": "red"}))])
}

fn budget() -> Panel {
    let (series, limit) = (run(&name::SERIES), run(&name::SERIES_LIMIT));
    Panel::new(
        Kind::Bars,
        "Time series, against the limit",
        Unit::Ratio,
        "The share of the series that a run may export which this one does at most. Above 1 a run is refused before it starts.",
    )
    .ask(Target::now("series", or_zero(&format!("max({} / {})", last(&series), last(&limit)))))
    .from(0.8, Colour::Warning)
    .up_to(1.0)
}

// === process ===

fn loop_lag() -> Panel {
    Panel::new(
        Kind::Curves,
        "Loop lag",
        Unit::Seconds,
        "The longest time by which a worker's loop came round later than asked, in each second.",
    )
    .ask(Target::curve("loop lag", or_idle(&aggregate("max", &[], &run(&name::GENERATOR_LOOP_LAG).to_string()))))
    .series("loop lag", Colour::Load)
}

fn memory() -> Panel {
    Panel::new(Kind::Curves, "Memory", Unit::Bytes, "Resident memory of the generator.")
        .ask(Target::curve("resident", or_idle(&format!("sum({})", run(&name::GENERATOR_RESIDENT)))))
        .series("resident", Colour::Load)
}

fn files() -> Panel {
    Panel::new(Kind::Curves, "Open files", Unit::Count, "File descriptors that are open: one for each connection, and some more.")
        .ask(Target::curve("open files", or_idle(&format!("sum({})", run(&name::GENERATOR_FDS)))))
        .series("open files", Colour::Muted)
}

fn opened() -> Panel {
    Panel::new(
        Kind::Curves,
        "Connections opened a second",
        Unit::PerSecond,
        "Each leaves a local port unusable for a minute when the generator closes it first: thousands a second run out of ports.",
    )
    .ask(Target::curve("opened", or_idle(&rate(&run(&name::CONNECTIONS_OPENED), &[]))))
    .series("opened", Colour::Load)
}

// === what else ===

fn info() -> Panel {
    let labels = ["run_id", "version", "host", "scenario_sha256"];
    let titles = [("run_id", "Run"), ("version", "otload"), ("host", "Target"), ("scenario_sha256", "Scenario (SHA-256)")];
    let expr = aggregate("max", &labels, &last(&run(&name::RUN_INFO)));
    Panel::table(
        "The run",
        "Which otload ran which scenario against what.",
        &titles,
        vec![Column::new("Parts", Unit::Count, or_none(&expr, "run_id", "no such run"))],
    )
    .size(16, 6)
}

fn lost() -> Panel {
    let counted = |metric| or_zero(&count(&run(metric), &[]));
    Panel::new(
        Kind::Stat,
        "Not recorded",
        Unit::Count,
        "Durations above an hour, which the summary counts as the longest; and failures to write intervals to the results folder, such \
         as a full disk.",
    )
    .ask(Target::now("clamped", counted(&name::CLAMPED)))
    .ask(Target::now("write errors", counted(&name::RESULTS_WRITE_ERRORS)))
    .from(1.0, Colour::Bad)
    .size(8, 6)
}
