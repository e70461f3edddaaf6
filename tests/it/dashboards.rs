//! Every query of every panel, asked as Grafana asks it, of real servers that scraped real runs, in three forms: classic buckets
//! alone, native histograms alone, and both.
//!
//! ```text
//!  earlier run ─▶ run with all there is: failures, checks, drops, groups, spans, thresholds, a soak, a baseline ─▶ a quiet one
//!        └──────────────── scraped at the same address by three servers, at the same time ────────────────┘
//! ```

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use otload::clock::{Instant, now, timestamp};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::kit::{CountingTarget, Delays, Finished, Form, Otelite, Otload, Prometheus, free_address, newer};

/// What is shown: variables, and the time.
struct View<'a> {
    variables: Vec<(&'a str, String)>,
    start: f64,
    end: f64,
}

/// One query of a panel.
#[derive(Debug)]
struct Query {
    dashboard: String,
    panel: String,
    kind: String,
    /// The least time from point to point, of panels that have one.
    step: Option<f64>,
    instant: bool,
    exemplar: bool,
    expr: String,
}

/// How often is scraped, which Grafana knows from the data source's settings.
const SCRAPE: f64 = 1.0;

// === what Grafana does ===

/// The dashboards as the binary writes them.
fn written() -> BTreeMap<String, Value> {
    let dir = tempfile::tempdir().unwrap();
    Otload::command(&["dashboards", "--write", dir.path().to_str().unwrap()]).expect_code(0);
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let dashboards = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: &std::path::PathBuf| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    dashboards.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

fn queries(dashboards: &BTreeMap<String, Value>) -> Vec<Query> {
    let mut queries = Vec::new();
    for (name, dashboard) in dashboards {
        let top = dashboard["panels"].as_array().unwrap();
        let inner = top.iter().flat_map(|panel| panel["panels"].as_array().into_iter().flatten());
        for panel in top.iter().chain(inner).filter(|panel| panel["type"] != "row") {
            for target in panel["targets"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                queries.push(Query {
                    dashboard: name.clone(),
                    panel: text(&panel["title"]),
                    kind: text(&panel["type"]),
                    step: panel["interval"].as_str().map(|step| if step == "15s" { 15.0 } else { panic!("{step}") }),
                    instant: target["instant"] == true,
                    exemplar: target["exemplar"] == true,
                    expr: text(&target["expr"]),
                });
            }
        }
    }
    queries
}

impl View<'_> {
    /// From point to point, for a panel of some 800 pixels.
    fn step(&self, least: Option<f64>) -> f64 {
        ((self.end - self.start) / 800.0).max(least.unwrap_or(SCRAPE)).ceil()
    }

    /// The query with all variables filled in.
    fn filled(&self, expr: &str, least: Option<f64>) -> String {
        let (step, range) = (self.step(least), (self.end - self.start).round());
        let least = least.unwrap_or(SCRAPE);
        let rate = (step + least).max(4.0 * least);
        let mut expr = expr.to_owned();
        for (name, value) in [
            ("__interval", format!("{step}s")),
            ("__range", format!("{range}s")),
            ("__rate_interval_ms", format!("{}", rate * 1000.0)),
            ("__rate_interval", format!("{rate}s")),
        ]
        .into_iter()
        .chain(self.variables.iter().map(|(name, value)| (*name, value.clone())))
        {
            // The longer name comes first; none of ours begins with another one's.
            expr = expr.replace(&format!("${name}"), &value);
        }
        assert!(!expr.contains('$'), "{expr}");
        expr
    }

    /// The series of the answer.
    fn ask(&self, prometheus: &Prometheus, query: &Query) -> Result<Vec<Value>, String> {
        let expr = self.filled(&query.expr, query.step);
        let mut form = Serializer::new(String::new());
        form.append_pair("query", &expr);
        let path = if query.instant {
            form.append_pair("time", &self.end.to_string());
            "query"
        } else {
            let step = self.step(query.step);
            let aligned = |time: f64| ((time / step).floor() * step).to_string();
            form.append_pair("start", &aligned(self.start)).append_pair("end", &aligned(self.end));
            form.append_pair("step", &step.to_string());
            "query_range"
        };
        let answer = prometheus.api(&format!("/api/v1/{path}?{}", form.finish()));
        if answer["status"] != "success" {
            return Err(format!("{answer}"));
        }
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// The only number of a query for one.
    fn number(&self, prometheus: &Prometheus, query: &Query) -> f64 {
        let series = self.ask(prometheus, query).unwrap();
        assert_eq!(series.len(), 1, "{query:?}: {series:?}");
        series[0]["value"][1].as_str().unwrap().parse().unwrap()
    }
}

/// Whether there is anything to see in a series: a number, or a histogram.
fn shows(series: &Value) -> bool {
    let number = |point: &Value| point[1].as_str().is_some_and(|number| number != "NaN");
    number(&series["value"])
        || series["values"].as_array().is_some_and(|points| points.iter().any(number))
        || series["histogram"].is_array()
        || series["histograms"].as_array().is_some_and(|points| !points.is_empty())
}

// === the runs ===

fn scenario(seconds: u32, more: &str) -> String {
    format!(
        "name: boards\nusers:\n  - name: Browser\n    wait_time: 50ms\n    tasks:\n      - name: look\n        flow:\n\
         \x20         - group: at a car\n            flow:\n\
         \x20             - {{get: /cars, expect: {{that: iteration % 5 != 1}}}}\n\
         \x20             - {{get: '/cars/{{{{ random_int(1, 9) }}}}', name: 'GET /cars/{{id}}'}}\n\
         \x20 - name: Buyer\n    load: {{arrival_rate: 30/s, max_users: 3, run_time: {seconds}s}}\n\
         \x20   tasks: [{{post: /orders, json: {{car: 7}}, expect: {{status: 200}}}}]\n\
         load: {{users: 6, spawn_rate: 6/s, run_time: {seconds}s}}\nvalidity: {{max_generator_time: 1h, busy: 100%, dropped: 100%}}\n{more}"
    )
}

const QUIET: &str =
    "name: boards\nusers: [{name: Q, wait_time: 100ms, tasks: [{get: /quiet}]}]\nload: {users: 1, run_time: 6s}\n";

/// From 100 to 250 ms, evenly, so that quantiles may be interpolated.
fn target() -> CountingTarget {
    let delays: Vec<_> = (0..150).map(|nth| Duration::from_millis(100 + nth * 67 % 150)).collect();
    CountingTarget::start(Delays::cycle(&delays))
}

fn run_id(finished: &Finished) -> String {
    finished.summary()["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn every_query_of_every_panel_has_an_answer_and_the_right_one() {
    let (target, store, address) = (target(), Otelite::start(), free_address());
    let both = if newer().is_some() {
        Form::Both
    } else {
        println!("Prometheus 3 could not be fetched (tests/forky.sh): 2.42 is asked twice");
        Form::Protobuf
    };
    let began = timestamp().unix_seconds();
    // Spans are counted by the collector's connector, or by Tempo.
    let spans =
        [Spans::of("traces_span_metrics_duration_seconds", "service_name"), Spans::of("traces_spanmetrics_latency", "service")];
    let servers = [(Form::OpenMetrics, 0), (Form::Protobuf, 1), (both, 0)]
        .map(|(form, by)| (form, Prometheus::start_beside(address, form, Some(spans[by].address))));
    // It lets 5 s pass before its first scrape.
    std::thread::sleep(Duration::from_secs(5));
    let run = |scenario: &str, args: &[&str], seconds| {
        let (address, url) = (address.to_string(), target.url());
        let args = [&["--host", &url, "--listen", &address, "--quiet"], args].concat();
        Otload::run_bare(scenario, &args).wait(Duration::from_secs(seconds))
    };
    let earlier = run(&scenario(6, ""), &[], 60).expect_code(0);
    let more = format!(
        "thresholds: [p95 < 236ms, p95 < 246ms, {{that: failure_ratio < 50%, name: few failures}}, baseline.p95 < 2x]\n\
         observe: {{soak: {{window: 1s}}, traces: {{endpoint: 'http://{}', protocol: grpc, sample: 50%}}}}\n",
        store.grpc()
    );
    let without_spans = timestamp().unix_seconds();
    spans.iter().for_each(Spans::begin);
    let baseline = earlier.results();
    let busy = run(&scenario(40, &more), &["--baseline", baseline.to_str().unwrap()], 120).expect_code(1);
    let ended = timestamp().unix_seconds();
    let quiet = run(QUIET, &[], 60).expect_code(0);

    let dashboards = written();
    assert_eq!(dashboards.keys().collect::<Vec<_>>(), ["compare", "generator", "overview", "request", "soak"]);
    let queries = queries(&dashboards);
    assert!(queries.len() > 120, "{}", queries.len());
    let view = |run_id: &str, before: &str, user: &str, request: &str, end: f64| {
        let pairs = [("test", "boards"), ("run_id", run_id), ("before", before), ("user", user), ("request", request)];
        View { variables: pairs.map(|(name, value)| (name, value.to_owned())).to_vec(), start: began, end }
    };
    let all = ".*";
    let (earlier, quiet, summary) = (run_id(&earlier), run_id(&quiet), busy.summary());
    let busy = run_id(&busy);
    // A point of the coarsest curves lies behind the short run, and sees it.
    let now = timestamp().unix_seconds() + 15.0;
    let views = [
        ("a run with all there is", view(&busy, &earlier, all, all, ended)),
        // As Grafana writes what is chosen: several, and with what regular expressions would take for signs.
        ("a part of it", view(&busy, &earlier, "(Browser|Buyer)", "GET /cars/\\\\{id\\\\}", ended)),
        ("a run in which nothing happened", view(&quiet, &busy, all, all, now)),
    ];
    let early = view(&earlier, &busy, all, all, without_spans);
    let mut bad = Vec::new();
    for (form, prometheus) in &servers {
        assert_eq!(prometheus.warnings(), Vec::<String>::new(), "{form:?}");
        for (what, view) in &views {
            for query in &queries {
                let place = format!("{form:?}, {what}, {}: {}", query.dashboard, query.panel);
                match view.ask(prometheus, query) {
                    Err(error) => bad.push(format!("{place}: {error}\n  {}", query.expr)),
                    Ok(series) if !series.iter().any(shows) => bad.push(format!("{place}: nothing\n  {}", query.expr)),
                    Ok(series) if query.kind == "stat" && !query.expr.contains("by (phase)") && series.len() != 1 => {
                        bad.push(format!("{place}: {} figures", series.len()));
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} queries are without an answer:\n{}", bad.len(), bad.join("\n"));

    for (form, prometheus) in &servers {
        let figures = Figures { form: *form, prometheus, queries: &queries };
        figures.are_those_of(&views[0].1, &summary);
        figures.are_zero(&views[2].1);
        figures.say_where_the_time_went(&views[0].1);
        for panel in ["Mean of the servers' spans", "Client time minus server's span time"] {
            let query = figures.of("request", panel).next().unwrap();
            assert_eq!(early.ask(prometheus, query), Ok(Vec::new()), "{form:?}: {panel}, without metrics of spans");
        }
        figures.have_exemplars(&views[0].1);
        variables_name_the_runs(prometheus, &dashboards["compare"], &views[0].1, &[&earlier, &busy, &quiet]);
        phases_are_marked(prometheus, &dashboards["overview"], &views[0].1);
    }
}

// === metrics of spans ===

/// What a program exports that counts spans: ten a second of each name, of two services, each as long as is known.
struct Spans {
    address: SocketAddr,
    began: Arc<OnceLock<Instant>>,
}

/// How long a server's span takes, in seconds.
const SPAN: f64 = 0.06;

impl Spans {
    /// With nothing to tell, until it begins.
    fn of(metric: &'static str, service: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, began) = (listener.local_addr().unwrap(), Arc::new(OnceLock::<Instant>::new()));
        let since = Arc::clone(&began);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let text =
                    since.get().map_or_else(String::new, |began| exposition(metric, service, began.elapsed().as_secs_f64()));
                let (mut request, length) = ([0; 4096], text.len());
                let _ = stream.read(&mut request);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain;version=0.0.4\r\nconnection: close\r\n";
                let _ = write!(stream, "{head}content-length: {length}\r\n\r\n{text}");
            }
        });
        Self { address, began }
    }

    fn begin(&self) {
        self.began.get_or_init(now);
    }
}

fn exposition(metric: &str, service: &str, seconds: f64) -> String {
    let mut text = format!("# TYPE {metric} histogram\n");
    for (name, kind, took) in [("cars-api", "SERVER", SPAN), ("otload", "CLIENT", 0.5)] {
        for span in ["GET /cars", "GET /cars/{id}", "POST /orders", "GET /quiet"] {
            let labels = format!(
                "{service}=\"{name}\",span_name=\"{span}\",span_kind=\"SPAN_KIND_{kind}\",status_code=\"STATUS_CODE_UNSET\""
            );
            let count = (seconds * 10.0).floor();
            text += &format!("{metric}_bucket{{{labels},le=\"+Inf\"}} {count}\n{metric}_sum{{{labels}}} {}\n", count * took);
            text += &format!("{metric}_count{{{labels}}} {count}\n");
        }
    }
    text
}

// === values ===

struct Figures<'a> {
    form: Form,
    prometheus: &'a Prometheus,
    queries: &'a [Query],
}

impl Figures<'_> {
    fn of(&self, dashboard: &str, panel: &str) -> impl Iterator<Item = &Query> {
        self.queries.iter().filter(move |query| query.dashboard == dashboard && query.panel == panel)
    }

    fn number(&self, view: &View<'_>, dashboard: &str, panel: &str) -> f64 {
        view.number(self.prometheus, self.of(dashboard, panel).next().unwrap())
    }

    /// Within 2% of the summary.
    fn are_those_of(&self, view: &View<'_>, summary: &Value) {
        let totals = &summary["totals"];
        let number = |value: &Value| value.as_f64().unwrap();
        let failures = number(&totals["failures"]) / number(&totals["requests"]);
        assert!((0.02..0.3).contains(&failures), "{failures}");
        for (panel, wanted) in [
            ("Requests a second", number(&totals["rps"])),
            ("p95 response time", number(&totals["response_time_seconds"]["p95"])),
            ("Failures", failures),
        ] {
            let shown = self.number(view, "overview", panel);
            assert!((shown / wanted - 1.0).abs() < 0.02, "{:?}: {panel} is {shown}, the summary has {wanted}", self.form);
        }
        // `FAILED`: a threshold is broken.
        assert_eq!(self.number(view, "overview", "Verdict"), 1.0);
        assert!(self.number(view, "generator", "Arrivals dropped") > 100.0);
        // The table has a row for each request and one for all, and the count of the summary.
        let rows = view.ask(self.prometheus, self.of("overview", "Requests").next().unwrap()).unwrap();
        let of = |request: &str| {
            let row =
                rows.iter().find(|row| row["metric"]["request"] == request).unwrap_or_else(|| panic!("{request}: {rows:?}"));
            row["value"][1].as_str().unwrap().parse::<f64>().unwrap()
        };
        let each = of("GET /cars") + of("GET /cars/{id}") + of("POST /orders");
        assert_eq!((rows.len(), of("All")), (4, each));
        let wanted = number(&totals["requests"]);
        assert!((each / wanted - 1.0).abs() < 0.02, "{:?}: {each} requests, the summary has {wanted}", self.form);
    }

    /// What did not happen is 0, and the verdict is that there is none.
    fn are_zero(&self, view: &View<'_>) {
        for (dashboard, panel) in [
            ("overview", "Failures"),
            ("generator", "Arrivals dropped"),
            ("generator", "Saturated"),
            ("soak", "Got worse"),
            ("soak", "Failures"),
        ] {
            assert_eq!(self.number(view, dashboard, panel), 0.0, "{:?}: {panel}", self.form);
        }
        // `done, nothing judged`: it leaves when all of the servers have seen that it is done.
        assert_eq!(self.number(view, "overview", "Verdict"), 5.0, "{:?}", self.form);
        for (panel, label, name) in
            [("Failures a second, by reason", "reason", "no failures"), ("Thresholds", "threshold", "the scenario has none")]
        {
            let series = view.ask(self.prometheus, self.of("overview", panel).next().unwrap()).unwrap();
            assert_eq!(series.len(), 1, "{series:?}");
            assert_eq!(series[0]["metric"][label], name);
        }
    }

    /// In the middle of the run: what is stacked is the mean service time, most of it is the target's, and its spans say how much.
    fn say_where_the_time_went(&self, view: &View<'_>) {
        let middle = view.end - 20.0;
        let curves = |panel: &str, nth: usize| -> BTreeMap<String, f64> {
            let query = self.of("request", panel).nth(nth).unwrap();
            let series = view.ask(self.prometheus, query).unwrap();
            let value = |series: &Value| -> Option<f64> {
                let mut points = series["values"].as_array().unwrap().iter();
                let last = points.rfind(|point| point[0].as_f64().unwrap() <= middle)?;
                last[1].as_str().map(|number| number.parse().unwrap())
            };
            let name = |series: &Value| {
                let labels = &series["metric"];
                labels["phase"].as_str().or(labels["service_name"].as_str()).unwrap_or_default().to_owned()
            };
            series.iter().filter_map(|series| Some((name(series), value(series)?))).collect()
        };
        let (late, phases) = (curves("Mean time, phase by phase", 0)[""], curves("Mean time, phase by phase", 1));
        let all: f64 = phases.values().sum();
        assert!(phases["wait"] > 0.1 && phases["receive"] < 0.05 && phases["send"] < 0.05, "{:?}: {phases:?}", self.form);
        assert!(late < all, "{:?}: {late} late, {all} from then on", self.form);
        let most = self.of("request", "Most of the time goes into").next().unwrap();
        let most = view.ask(self.prometheus, most).unwrap();
        assert_eq!((most.len(), most[0]["metric"]["phase"].as_str()), (1, Some("wait")), "{:?}: {most:?}", self.form);
        let (servers, beyond) = (curves("Mean of the servers' spans", 0), curves("Client time minus server's span time", 0));
        assert_eq!(servers.keys().collect::<Vec<_>>(), ["cars-api"], "the spans of clients do not count");
        let (server, beyond) = (servers["cars-api"], beyond["cars-api"]);
        assert!((server / SPAN - 1.0).abs() < 0.02, "{:?}: {server}", self.form);
        assert!((beyond + server - all).abs() < 0.05 * all, "{:?}: {beyond} and {server} are not {all}", self.form);
        let opened = curves("Requests that opened a connection", 0)[""];
        assert!((0.0..0.2).contains(&opened), "connections are kept: {opened}");
    }

    fn have_exemplars(&self, view: &View<'_>) {
        for query in self.queries.iter().filter(|query| query.exemplar) {
            let found = self.prometheus.exemplars(&view.filled(&query.expr, query.step));
            let traces = found.iter().flat_map(|series| series["exemplars"].as_array().unwrap());
            let lag = matches!(&*query.panel, "Schedule lag" | "Read lag");
            assert!(lag || traces.clone().count() > 3, "{:?}: {}: {}", self.form, query.dashboard, query.panel);
            assert!(traces.clone().all(|one| one["labels"]["trace_id"].as_str().is_some_and(|id| id.len() == 32)));
        }
    }
}

/// What the variables offer, asked as Grafana does.
fn variables_name_the_runs(prometheus: &Prometheus, dashboard: &Value, view: &View<'_>, runs: &[&str]) {
    let values = |name: &str| {
        let variable = dashboard["templating"]["list"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        let query = variable["query"]["query"].as_str().unwrap();
        let (selector, label) =
            query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        let form = Serializer::new(String::new())
            .append_pair("match[]", &view.filled(selector, None))
            .append_pair("start", &view.start.to_string())
            .append_pair("end", &(view.end + 60.0).to_string())
            .finish();
        let answer = prometheus.api(&format!("/api/v1/label/{label}/values?{form}"));
        let values = answer["data"].as_array().unwrap_or_else(|| panic!("{name}: {answer}")).iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values("test"), ["boards"]);
    for name in ["run_id", "before"] {
        let mut wanted: Vec<_> = runs.iter().map(|run| (*run).to_owned()).collect();
        wanted.sort();
        assert_eq!(values(name), wanted);
    }
    assert_eq!(values("user"), ["Browser", "Buyer"]);
    assert_eq!(values("request"), ["GET /cars", "GET /cars/{id}", "POST /orders"]);
}

/// Each phase is marked once, where it begins.
fn phases_are_marked(prometheus: &Prometheus, dashboard: &Value, view: &View<'_>) {
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let of = |name: &str| {
        let one = annotations.iter().find(|one| one["name"] == name).unwrap();
        let query = Query {
            dashboard: "overview".to_owned(),
            panel: name.to_owned(),
            kind: "annotation".to_owned(),
            step: None,
            instant: false,
            exemplar: false,
            expr: one["expr"].as_str().unwrap().to_owned(),
        };
        view.ask(prometheus, &query).unwrap()
    };
    let phases = of("Phases");
    let named: BTreeMap<_, _> = phases
        .iter()
        .map(|series| (series["metric"]["phase"].as_str().unwrap(), series["values"].as_array().unwrap().len()))
        .collect();
    assert_eq!(named.get("steady"), Some(&1), "{phases:?}");
    assert!(named.values().all(|times| *times == 1), "{phases:?}");
    assert_eq!((of("Remarks").len(), of("Alerts").len()), (0, 0));
}
