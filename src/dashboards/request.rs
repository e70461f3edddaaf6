//! Why is this request slow? From the whole to its parts: the generator's, the network's, the server's.

use super::dashboard::{Dashboard, Row, Variable};
use super::look::{Colour, Unit};
use super::overview::{failures, heatmap, reasons, requests_a_second};
use super::panel::{Kind, Panel, Target};
use super::table::Column;

use super::query::{
    Window, count, counted_share, mean, mean_part, named, of, or_idle, or_idle_as, or_idle_without, or_none, or_zero, quantile,
    rate, sum,
};
use super::spans;
use crate::measure::name;
use crate::phases::Part;

pub(super) fn dashboard() -> Dashboard {
    let top = vec![
        most(),
        p95("p95 response time", &name::REQUEST_DURATION, Colour::P95, RESPONSE),
        p95("p95 service time", &name::REQUEST_SERVICE, Colour::Service, SERVICE),
        failures(),
        requests_a_second(),
        response_and_service(),
        spent(),
        each(),
        heatmap(&name::REQUEST_DURATION),
    ];
    Dashboard {
        uid: "otload-request",
        title: "otload: request",
        description: "Why is this request slow?",
        variables: Variable::usual(),
        rows: vec![
            Row::top(top),
            Row::open("Phases", vec![phases(), opening()]),
            Row::open("What came back", vec![statuses(), reasons().size(12, 8), checks(), checked()]),
            Row::closed("The server's part, where its spans are counted", vec![servers(), beyond()]),
            Row::closed("Bytes, redirects and connections", vec![sizes(), bytes(), again(), opened()]),
            Row::closed("Tasks and groups", vec![tasks(), groups(), iterations()]),
        ],
    }
}

const RESPONSE: &str = "95% of the requests took no longer, from the moment they should have started to their last byte: what a user \
                        would feel.";
const SERVICE: &str = "95% of the requests took no longer, from the moment they really started. Much less than the response time: they \
                       waited in the generator, for a user that was still waiting for the answer before.";

fn p95(title: &'static str, metric: &'static name::Metric, colour: Colour, description: &'static str) -> Panel {
    Panel::new(Kind::Stat, title, Unit::Seconds, description)
        .ask(Target::now("p95", or_zero(&quantile("0.95", &of(metric), &[], Window::Range))))
        .colour(colour)
}

fn response_and_service() -> Panel {
    let curve = |share, metric| quantile(share, &of(metric), &[], Window::Rate);
    Panel::new(
        Kind::Curves,
        "Response and service time",
        Unit::Seconds,
        "Where both lie on each other, the time is the target's or the network's. Where response times are longer, requests started \
         late, because the target kept users busy or the generator was. Dots lead to traces.",
    )
    .ask(Target::curve("response p50", curve("0.5", &name::REQUEST_DURATION)))
    .ask(Target::curve("response p95", curve("0.95", &name::REQUEST_DURATION)).with_exemplars())
    .ask(Target::curve("response p99", curve("0.99", &name::REQUEST_DURATION)))
    .ask(Target::curve("service p95", curve("0.95", &name::REQUEST_SERVICE)))
    .series("response p50", Colour::Median)
    .series("response p95", Colour::P95)
    .series("response p99", Colour::P99)
    .series("service p95", Colour::Service)
    .see("Slow traces of this run", &explore("duration > 500ms"))
    .see("Failed traces of this run", &explore("status = error"))
}

/// A search in the trace store, in Grafana's Explore.
fn explore(condition: &str) -> String {
    let query = format!("{{ span.otload.run_id = \\\"${{run_id}}\\\" && {condition} }}");
    let pane = format!(
        "{{\"otload\":{{\"datasource\":\"${{traces}}\",\"queries\":[{{\"refId\":\"A\",\"queryType\":\"traceql\",\"query\":\"{query}\"}}],\
         \"range\":{{\"from\":\"${{__from}}\",\"to\":\"${{__to}}\"}}}}}}"
    );
    // Grafana fills in variables after this is written, so their braces stay.
    let encoded: String = url::form_urlencoded::byte_serialize(pane.as_bytes()).collect::<String>().replace('+', "%20");
    let variables = ["run_id", "traces", "__from", "__to"];
    let encoded = variables.iter().fold(encoded, |text, name| text.replace(&format!("%24%7B{name}%7D"), &format!("${{{name}}}")));
    format!("/explore?schemaVersion=1&panes={encoded}")
}

fn each() -> Panel {
    Panel::new(Kind::Curves, "p95 of each request", Unit::Seconds, "Which of the chosen requests is slow, and since when.")
        .ask(Target::curve("{{request}}", quantile("0.95", &of(&name::REQUEST_DURATION), &["request"], Window::Rate)))
}

/// How late an average request started.
fn late(window: Window) -> String {
    let mean_of = |metric| mean(&of(metric), &[], window);
    format!("clamp_min({} - {}, 0)", mean_of(&name::REQUEST_DURATION), mean_of(&name::REQUEST_SERVICE))
}

/// What of an average request's time belongs to each phase.
fn parts(window: Window) -> String {
    let phase = of(&name::REQUEST_PHASE);
    mean_part(&phase.clone().but("phase", Part::FirstEvent.name()), &["phase"], &phase.only("phase", Part::Wait.name()), window)
}

fn most() -> Panel {
    let all = format!("{} or {}", parts(Window::Range), named(&late(Window::Range), "phase", "late start"));
    let panel = Panel::new(
        Kind::Named,
        "Most of the time goes into",
        Unit::Seconds,
        "The phase that takes the largest part of an average request in the time shown, and how much it takes. `wait`: the target. `receive`: a \
         large or slow body. `connect`, `tls`: connections are not kept. `late start`: users were still busy, or the generator was.",
    )
    .ask(Target::now("{{phase}}", or_none(&format!("topk(1, {all})"), "phase", "no requests")))
    .size(8, 4);
    coloured(panel.series("late start", Colour::Warning))
}

fn spent() -> Panel {
    let panel = Panel::new(
        Kind::Curves,
        "Mean time, phase by phase",
        Unit::Seconds,
        "Where the time of an average request goes, on each other: how late it started, then `connect` and what else a new connection costs, \
         shared out over all requests, `send`, `wait` until the answer begins, `receive` until its last byte. A target that thinks shows \
         in `wait`, one that sends slowly in `receive`.",
    )
    .ask(Target::curve("late start", late(Window::Rate)))
    .ask(Target::curve("{{phase}}", parts(Window::Rate)))
    .stacked()
    .series("late start", Colour::Warning);
    coloured(panel)
}

/// Each phase in its own colour.
fn coloured(panel: Panel) -> Panel {
    Part::ALL.into_iter().fold(panel, |panel, part| panel.series(part.name(), Colour::Phase(part)))
}

// === phases ===

fn phases() -> Panel {
    let panel = Panel::new(
        Kind::Curves,
        "p95 of each phase of a request",
        Unit::Seconds,
        "95% of those that had the phase took no longer in it. Of requests whose answer began; over HTTP/2 and proxies `send` is part of \
         `wait`. `first_event` is of streams, and counts from the start.",
    )
    .ask(Target::curve("{{phase}}", quantile("0.95", &of(&name::REQUEST_PHASE), &["phase"], Window::Rate)));
    coloured(panel)
}

/// A histogram's own count: how many requests had to wait for a connection.
fn opening() -> Panel {
    let phase = |part: Part| of(&name::REQUEST_PHASE).only("phase", part.name());
    Panel::new(
        Kind::Curves,
        "Requests that opened a connection",
        Unit::Ratio,
        "The share of answered requests that had to connect first. Near 0 where connections are kept; 100% means that each request pays for \
         a new one, and shows what `connect` and `tls` cost above.",
    )
    .ask(Target::curve("connected", counted_share(&phase(Part::Connect), &phase(Part::Wait))))
    .up_to(1.0)
    .series("connected", Colour::Phase(Part::Connect))
}

fn servers() -> Panel {
    Panel::new(
        Kind::Curves,
        "Mean of the servers' spans",
        Unit::Seconds,
        "How long each service took by its own account: its spans of kind server whose names are those of the chosen requests. Needs metrics \
         of spans, from the collector's `spanmetrics` or Tempo's metrics generator; docs/correlating.md says how.",
    )
    .ask(Target::curve("{{service_name}}", spans::mean()))
    .or_say("no metrics of spans: see docs/correlating.md")
}

fn beyond() -> Panel {
    let beyond = format!("{} - on() group_right() {}", mean(&of(&name::REQUEST_SERVICE), &[], Window::Rate), spans::mean());
    Panel::new(
        Kind::Curves,
        "Client time minus server's span time",
        Unit::Seconds,
        "What of the mean service time lies outside of the service that answers: network, queues before it, connecting. For services behind it \
         read the panel beside. Below 0 the spans are of other clients too. Needs metrics of spans.",
    )
    .ask(Target::curve("{{service_name}}", beyond))
    .signed()
    .or_say("no metrics of spans: see docs/correlating.md")
}

// === what came back ===

fn statuses() -> Panel {
    Panel::new(
        Kind::Curves,
        "Responses a second, by status",
        Unit::Requests,
        "Which codes the target answers with; `none` is a request without a response.",
    )
    .ask(Target::curve("{{status}}", or_idle_as(&rate(&of(&name::REQUESTS), &["status"]), "status", "no requests")))
    .stacked()
    .series("200", Colour::Good)
    .series("none", Colour::Bad)
    .over(regexp("/^4../"), vec![("color", fixed("dark-orange"))])
    .over(regexp("/^5../"), vec![("color", fixed("dark-red"))])
}

fn regexp(pattern: &str) -> serde_json::Value {
    serde_json::json!({"id": "byRegexp", "options": pattern})
}

fn fixed(colour: &str) -> serde_json::Value {
    serde_json::json!({"mode": "fixed", "fixedColor": colour})
}

fn checks() -> Panel {
    let failed = rate(&of(&name::CHECKS).only("result", "failure"), &["request", "check"]);
    Panel::new(
        Kind::Curves,
        "Checks that did not hold, a second",
        Unit::PerSecond,
        "Which expectation of the scenario fails, and since when. A flat 0 for each that always held.",
    )
    .ask(Target::curve("{{request}}: {{check}}", or_idle_as(&failed, "check", "no checks")))
    .stacked()
    .shades(Colour::Bad)
    .series("no checks", Colour::Muted)
}

fn checked() -> Panel {
    let held = count(&of(&name::CHECKS).only("result", "success"), &["request", "check"]);
    let failed = count(&of(&name::CHECKS).only("result", "failure"), &["request", "check"]);
    let none = |what: &str| or_none(what, "check", "the scenario has none");
    let columns = vec![
        Column::new("Held", Unit::Count, none(&held)),
        Column::new("Failed", Unit::Count, none(&failed)).from(1.0, Colour::Bad),
    ];
    Panel::table(
        "Checks",
        "How often each expectation held in the time shown.",
        &[("request", "Request"), ("check", "Check")],
        columns,
    )
    .size(12, 8)
    .order("Failed")
}

// === bytes, redirects and connections ===

fn sizes() -> Panel {
    let requests = rate(&of(&name::REQUESTS), &["request"]);
    let size = format!("{} / ({requests} > 0)", rate(&of(&name::RECEIVED_BYTES), &["request"]));
    Panel::new(
        Kind::Curves,
        "Bytes of a response, on average",
        Unit::Bytes,
        "An answer that grows takes longer; one that shrinks may be an error page. Head and body, as they came over the wire.",
    )
    .ask(Target::curve("{{request}}", size))
}

fn bytes() -> Panel {
    Panel::new(
        Kind::Curves,
        "Bytes a second",
        Unit::BytesPerSecond,
        "What went over the wire. A flat top that is a round number of bits is a network that is full.",
    )
    .ask(Target::curve("received", or_idle(&rate(&of(&name::RECEIVED_BYTES), &[]))))
    .ask(Target::curve("sent", or_idle(&rate(&of(&name::SENT_BYTES), &[]))))
    .series("received", Colour::Load)
    .series("sent", Colour::Median)
}

fn again() -> Panel {
    Panel::new(
        Kind::Curves,
        "Redirects and retries a second",
        Unit::PerSecond,
        "Redirects that were followed are part of the response time. A retry is a request that was sent again because a kept \
         connection turned out closed.",
    )
    .ask(Target::curve("redirects", or_idle(&rate(&of(&name::REDIRECTS), &[]))))
    .ask(Target::curve("retries", or_idle(&rate(&of(&name::RETRIED), &[]))))
    .series("redirects", Colour::Load)
    .series("retries", Colour::Warning)
}

fn opened() -> Panel {
    Panel::new(
        Kind::Curves,
        "Connections opened a second",
        Unit::PerSecond,
        "Of the whole run. Many, while requests go on as before: the target closes connections, and each new one costs a round trip \
         or, with TLS, several.",
    )
    .ask(Target::curve("opened", or_idle(&rate(&of(&name::CONNECTIONS_OPENED), &[]))))
    .series("opened", Colour::Load)
}

// === tasks and groups ===

fn tasks() -> Panel {
    let p95 = quantile("0.95", &of(&name::TASK_DURATION), &["user", "task"], Window::Rate);
    Panel::new(Kind::Curves, "p95 of each task", Unit::Seconds, "How long a task takes as a whole, without think time.")
        .ask(Target::curve("{{user}}: {{task}}", or_idle_without(&of(&name::TASK_DURATION), &p95, "task", "no tasks")))
        .size(8, 8)
}

fn groups() -> Panel {
    let p95 = quantile("0.95", &of(&name::GROUP_DURATION), &["user", "task", "group"], Window::Rate);
    Panel::new(
        Kind::Curves,
        "p95 of each group",
        Unit::Seconds,
        "How long the steps of a `group` take together, without think time.",
    )
    .ask(Target::curve("{{task}}: {{group}}", or_idle_without(&of(&name::GROUP_DURATION), &p95, "group", "no groups")))
    .size(8, 8)
}

fn iterations() -> Panel {
    let ended =
        |result: &str| or_idle(&sum(&[], &format!("rate({}[$__rate_interval])", of(&name::ITERATIONS).only("result", result))));
    Panel::new(
        Kind::Curves,
        "Tasks that ended, a second",
        Unit::PerSecond,
        "Tasks by result; one is a failure when any of its requests was.",
    )
    .ask(Target::curve("failed", ended("failure")))
    .ask(Target::curve("succeeded", ended("success")))
    .stacked()
    .series("failed", Colour::Bad)
    .series("succeeded", Colour::Good)
    .size(8, 8)
}
