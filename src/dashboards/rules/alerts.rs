//! Alerts. Each is of one run, or of one request of it, and silent where it could only guess: outside of the steady phase, after
//! the end, and while its windows look back at anything but the load that is held now.

use std::time::Duration;

use super::promql::RUN;
use super::recording::{BASELINE_QUANTILE, Names, seconds};
use super::windows::promql as text;
use super::{Group, Kind, Options, Rule, Windows};
use crate::measure::daemon;
use crate::measure::name;

/// What an alert is, in the order in which the runbook has them.
struct Alert<'a> {
    name: &'static str,
    severity: Severity,
    expression: String,
    patience: Duration,
    summary: &'a str,
    description: String,
    /// Where it can be seen.
    dashboard: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// Somebody should look at it tomorrow, or before the run's figures are used.
    Warning,
    /// The rest of the run is for nothing: somebody should look at it now.
    Critical,
}

/// The runbook; each alert has a heading of its name.
const RUNBOOK: &str = "https://github.com/otload/otload/blob/main/docs/alerts.md";

/// How much worse than at its beginning a run may be.
const DRIFT: f64 = 0.2;

/// How much worse a run may get within the slope's window, along a line; and, so that a wave that comes round is none, from its
/// beginning to its end.
const SLOPE: (f64, f64) = (0.15, 0.075);

/// The share of its first requests a second that a run must keep.
const THROUGHPUT: f64 = 0.8;

/// How many times an earlier run's p95 is too much.
const BASELINE: f64 = 1.2;

/// The share of arrivals that may be dropped.
const DROPPED: f64 = 0.01;

pub(super) fn group(options: &Options) -> Group {
    let windows = &options.windows;
    let names = Names::of(windows);
    let alerts =
        [latency(windows, &names), failures(options, &names), load(windows, &names), verdicts(windows, &names), lost(windows)];
    let about = format!(
        "Alerts on runs of otload; they need otload-recording.yaml. Runs are compared with their own beginning, from {} of a
steady load on.",
        text(windows.settled())
    );
    let rules = alerts.into_iter().flatten().map(Rule::from).collect();
    Group { name: "otload-alerts", about, interval: windows.interval, rules }
}

/// It is held for so long that nothing else is looked at.
fn held(names: &Names, at_least: Duration) -> String {
    format!("and on ({RUN})\n{} >= {}", names.held, seconds(at_least))
}

/// Latencies are the target's: for most of the window the generator was not the bottleneck.
fn believed(window: Duration) -> String {
    let saturated = name::GENERATOR_SATURATED.name;
    format!("unless on ({RUN})\nmax by ({RUN}) (avg_over_time({saturated}[{}])) >= 0.5", text(window))
}

fn latency<'a>(windows: &Windows, names: &Names) -> Vec<Alert<'a>> {
    let Names { median, first, change, floor, .. } = names;
    let [long, slope] = [windows.long, windows.slope].map(text);
    let baseline = name::BASELINE_DURATION.name;
    let (slope_limit, least) = SLOPE;
    vec![
        Alert {
            name: "OtloadLatencyDrift",
            severity: Severity::Warning,
            expression: format!(
                "{median} / {first} - 1 > {DRIFT}\n{}\n{}",
                held(names, windows.settled()),
                believed(windows.long)
            ),
            patience: windows.patience,
            summary: "{{ $labels.test }}: {{ $labels.request }} has become {{ $value | humanizePercentage }} slower",
            description: format!(
                "In the last {long} of run {{{{ $labels.run_id }}}} the {{{{ $labels.signal }}}} response time of \
                 {{{{ $labels.request }}}} was {{{{ $value | humanizePercentage }}}} above what it was in the first {long} of the \
                 same load. Look at what the target has gathered since: memory, connections, rows, a cache that fills. The \
                 dashboard compares the quarters of the run; exemplars lead to slow traces."
            ),
            dashboard: "otload-soak",
        },
        Alert {
            name: "OtloadLatencySlope",
            severity: Severity::Warning,
            expression: format!(
                "{change} > {slope_limit}\nand\n{median} / {median} offset {slope} - 1 > {least}\n{}\n{}",
                held(names, windows.settled() + windows.slope),
                believed(windows.long)
            ),
            patience: windows.patience,
            summary: "{{ $labels.test }}: {{ $labels.request }} gets slower, by {{ $value | humanizePercentage }} lately",
            description: format!(
                "Along a line, the {{{{ $labels.signal }}}} response time of {{{{ $labels.request }}}} in run \
                 {{{{ $labels.run_id }}}} has risen by {{{{ $value | humanizePercentage }}}} within the last {slope}. If it goes on \
                 like that, see on the dashboard when it will pass your limits; look for what grows in the target at the same pace."
            ),
            dashboard: "otload-soak",
        },
        Alert {
            name: "OtloadBaselineRegression",
            severity: Severity::Warning,
            expression: format!(
                "{floor}\n/\nmax by ({RUN}, request) (last_over_time({baseline}{{quantile=\"{BASELINE_QUANTILE}\"}}[{}]))\n> {BASELINE}\n{}\n{}",
                text(windows.gap),
                held(names, windows.settled()),
                believed(windows.long)
            ),
            patience: windows.patience,
            summary: "{{ $labels.test }}: {{ $labels.request }} is slower than in the baseline",
            description: format!(
                "In the last {long} of run {{{{ $labels.run_id }}}} the p95 of {{{{ $labels.request }}}} was at least \
                 {{{{ $value | humanize }}}} times that of the run given by --baseline. Compare both runs on the dashboard, and what \
                 was deployed in between; `otload compare` says at the end what of it is beyond chance."
            ),
            dashboard: "otload-compare",
        },
    ]
}

/// Failures use up a budget that is for the whole run. Two windows: the longer one says that it matters, the shorter one that it
/// goes on.
fn failures<'a>(options: &Options, names: &Names) -> Vec<Alert<'a>> {
    let Options { windows, budget } = options;
    let Names { planned, failures_short, failures_long, failures_slope, .. } = names;
    let burn = |(long, length): (&str, Duration), short: &str, share: f64, young: Duration| {
        // So fast that this share of the budget is gone within the window; but what the run can go on with is no alert.
        let fast = format!("clamp_min({share} * {planned} / {}, 1)", seconds(length));
        format!("{long} / {budget} > {fast}\nand\n{short} / {budget} > {fast}\n{}", held(names, young))
    };
    let alert = |severity, expression, within: Duration, patience| Alert {
        name: "OtloadFailureBurnRate",
        severity,
        expression,
        patience,
        summary: "{{ $labels.test }}: failures use up their budget {{ $value | humanize }} times as fast as planned",
        description: format!(
            "In the last {} of run {{{{ $labels.run_id }}}} requests failed {{{{ $value | humanize }}}} times as often as a budget \
             of {}% for the whole run allows, and they still do. The dashboard has the failures by reason: `status` and `check` \
             are the target's, `timeout` and `connect_*` are its capacity's or the network's. If the rest of the run is for \
             nothing, `otload stop` ends it.",
            text(within),
            budget * 100.0
        ),
        dashboard: "otload-overview",
    };
    let fast = burn((failures_long, windows.long), failures_short, 0.15, windows.short);
    let slow = burn((failures_slope, windows.slope), failures_long, 0.2, windows.slope);
    vec![
        alert(Severity::Critical, fast, windows.long, windows.brief),
        alert(Severity::Warning, slow, windows.slope, windows.brief),
    ]
}

/// Whether the target gets the load, and answers as much of it as before.
fn load<'a>(windows: &Windows, names: &Names) -> Vec<Alert<'a>> {
    let Names { rate, rate_first, .. } = names;
    let [short, long] = [windows.short, windows.long].map(text);
    let (dropped, tasks, saturated) = (name::ARRIVALS_DROPPED.name, name::ITERATIONS.name, name::GENERATOR_SATURATED.name);
    let share = |window: &str| {
        let dropped = format!("sum by ({RUN}) (rate({dropped}[{window}]))");
        format!("{dropped}\n/\n({dropped} + sum by ({RUN}) (rate({tasks}[{window}])))\n> {DROPPED}")
    };
    vec![
        Alert {
            name: "OtloadThroughputDrop",
            severity: Severity::Warning,
            // Four standard deviations of a count are more than chance.
            expression: format!(
                "1 - {rate} / {rate_first} > {:.1}\nand\n{rate_first} - {rate} > 4 * sqrt({rate_first} / {})\n{}",
                1.0 - THROUGHPUT,
                seconds(windows.short),
                held(names, windows.settled())
            ),
            patience: windows.patience,
            summary: "{{ $labels.test }}: {{ $value | humanizePercentage }} fewer requests a second than at first",
            description: format!(
                "For {} run {{{{ $labels.run_id }}}} has had {{{{ $value | humanizePercentage }}}} fewer requests a second over \
                 {short} than in the first {long} of the same load. Users wait for answers: see whether response times rose, or \
                 whether users are stuck in timeouts. If the generator is saturated too, look at it first.",
                text(windows.patience)
            ),
            dashboard: "otload-soak",
        },
        Alert {
            name: "OtloadArrivalsDropped",
            severity: Severity::Warning,
            expression: format!("{}\nand\n{}\n{}", share(&short), share(&long), held(names, windows.short)),
            patience: windows.brief,
            summary: "{{ $labels.test }}: {{ $value | humanizePercentage }} of arrivals find no free user",
            description: format!(
                "In the last {short} of run {{{{ $labels.run_id }}}}, and of the last {long} too, so many arrivals were dropped \
                 because all users were busy: the target does not get the load that was asked for. It answers more slowly than \
                 `max_users` allows for; find out why, or raise `max_users` if that many users are realistic."
            ),
            dashboard: "otload-generator",
        },
        Alert {
            name: "OtloadGeneratorSaturated",
            severity: Severity::Warning,
            expression: format!("max by ({RUN}) (avg_over_time({saturated}[{short}])) >= 0.5\n{}", held(names, windows.short)),
            patience: windows.brief,
            summary: "{{ $labels.test }}: the generator is saturated, its latencies are its own",
            description: format!(
                "For most of the last {short} of run {{{{ $labels.run_id }}}} a worker of the generator was too busy, or requests \
                 started late. What is measured now says little of the target, and the run may end as invalid. Give the \
                 generator more cores or fewer neighbours, or less to do: fewer users, cheaper checks, or more machines."
            ),
            dashboard: "otload-generator",
        },
    ]
}

/// What the generator itself has found.
fn verdicts<'a>(windows: &Windows, names: &Names) -> Vec<Alert<'a>> {
    let gap = text(windows.gap);
    let (ok, valid, regressed) = (name::THRESHOLD_OK.name, name::RUN_VALID.name, name::SOAK_REGRESSED.name);
    vec![
        Alert {
            name: "OtloadThresholdBroken",
            severity: Severity::Warning,
            // In an invalid run no threshold is ok, whatever its value: there the generator is to blame, which has an alert of its own.
            expression: format!(
                "min by ({RUN}, threshold) (last_over_time({ok}[{gap}])) == 0\nunless on ({RUN})\n\
                 min by ({RUN}) (last_over_time({valid}[{gap}])) == 0\n{}",
                held(names, windows.brief)
            ),
            patience: windows.brief,
            summary: "{{ $labels.test }}: the threshold {{ $labels.threshold }} is broken",
            description:
                "Run {{ $labels.run_id }} does not keep it. One with `over` stays broken, and the run will end with exit \
                          code 1; one of the whole run may still recover. The dashboard has its value beside its limit."
                    .to_owned(),
            dashboard: "otload-overview",
        },
        Alert {
            name: "OtloadRunInvalid",
            severity: Severity::Critical,
            expression: format!("min by ({RUN}) (last_over_time({valid}[{gap}])) == 0\n{}", held(names, windows.brief)),
            patience: windows.brief,
            summary: "{{ $labels.test }}: the run is not valid, its figures cannot be believed",
            description: "In run {{ $labels.run_id }} the generator is the bottleneck: too much of a response time is its own lateness, or \
                          arrivals are dropped. No threshold passes, and the run will end with exit code 3, or with 1 if something failed \
                          that a late generator cannot cause. The dashboard shows what is short, otload.log says it in words. Give the \
                          generator more cores or fewer neighbours, or less to do, and start again; `otload stop` ends this run."
                .to_owned(),
            dashboard: "otload-generator",
        },
        Alert {
            name: "OtloadSoakRegressed",
            severity: Severity::Warning,
            expression: format!(
                "max by ({RUN}, request, signal) (last_over_time({regressed}[{gap}])) == 1\n{}",
                held(names, windows.soak)
            ),
            patience: windows.patience,
            summary: "{{ $labels.test }}: {{ $labels.signal }} of {{ or $labels.request \"the generator\" }} gets worse, beyond chance",
            description: "In run {{ $labels.run_id }} there is a trend that is not chance, and the change is larger than \
                          `observe.soak.min_change`. The dashboard has slope, change and p value of each signal; where memory of \
                          the generator grows, tell us. With `fail_on_regression` the run will not pass."
                .to_owned(),
            dashboard: "otload-soak",
        },
    ]
}

/// What was there, and is not there any more.
fn lost<'a>(windows: &Windows) -> Vec<Alert<'a>> {
    let memory = text(windows.memory);
    let (phase, running) = (name::RUN_PHASE.name, daemon::RUNNING.name);
    let (started, planned) = (name::RUN_START_TIME.name, name::RUN_PLANNED.name);
    vec![
        Alert {
            name: "OtloadDown",
            severity: Severity::Critical,
            // A run that ends is seen to be done: its last figures are kept up for one more scrape, or by a daemon until the next
            // run. But of two servers that scrape it one may be too late: so no run is missed that is to be over by now.
            expression: format!(
                "max by ({RUN}, instance) (last_over_time({phase}{{phase=~\"ramp_down|done\"}}[{memory}])) == 0
unless on (instance)
{phase}{{phase=\"done\"}}
unless on ({RUN})
max by ({RUN}) (last_over_time({started}[{memory}]) + last_over_time({planned}[{memory}])) < time()"
            ),
            patience: windows.brief,
            summary: "{{ $labels.test }}: the run {{ $labels.run_id }} on {{ $labels.instance }} has vanished",
            description:
                "It had not ended when it was last scraped, and cannot be scraped now. Either its process is gone (killed, \
                          out of memory, its machine too: see its log and exit code), or Prometheus does not reach it any more. \
                          What it had measured is in its results folder, up to the last ten seconds."
                    .to_owned(),
            dashboard: "otload-overview",
        },
        Alert {
            name: "OtloadServeDown",
            severity: Severity::Critical,
            expression: format!("max by (job) (last_over_time({running}[{memory}])) * 0\nunless on (job)\n{running}"),
            patience: windows.brief,
            summary: "The daemon of otload in job {{ $labels.job }} has vanished",
            description:
                "`otload serve` was scraped there within the last hour, and cannot be scraped now: scheduled runs do not \
                          start. See its log, and whether Prometheus reaches it."
                    .to_owned(),
            dashboard: "otload-overview",
        },
    ]
}

/// A threshold of a scenario, judged by Prometheus.
pub(super) fn of_threshold(threshold: &str, test: &str, expression: String, aborts: bool) -> Rule {
    let alert = Alert {
        name: "OtloadThreshold",
        severity: if aborts { Severity::Critical } else { Severity::Warning },
        expression,
        // Any window breaks it.
        patience: Duration::ZERO,
        summary: "{{ $labels.test }}: {{ $labels.threshold }} does not hold",
        description: format!(
            "Run {{{{ $labels.run_id }}}} of {test} does not keep a threshold of its scenario, as far as Prometheus can judge it; what              was compared was {{{{ $value | humanize }}}}, for response times the share of requests within the limit. The exit code              follows the generator's own verdict. The dashboard has its value beside its limit."
        ),
        dashboard: "otload-overview",
    };
    Rule::from(alert).label("threshold", threshold)
}

// === Alert ===

impl From<Alert<'_>> for Rule {
    fn from(alert: Alert<'_>) -> Self {
        let Alert { name, severity, expression, patience, summary, description, dashboard } = alert;
        let severity = match severity {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let seen = format!("/d/{dashboard}?var-test={{{{ $labels.test }}}}&var-run_id={{{{ $labels.run_id }}}}");
        let annotations = vec![
            ("summary", summary.to_owned()),
            ("description", description),
            ("dashboard", seen),
            ("runbook_url", format!("{RUNBOOK}#{}", name.to_lowercase())),
        ];
        Self { kind: Kind::Alert { name, patience, annotations }, expression, labels: vec![("severity", severity.to_owned())] }
    }
}
