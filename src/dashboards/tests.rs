//! What all dashboards have to be, and what all their queries may ask.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::look::{Colour, Unit};
use super::panel::{Kind, Panel, Target};
use super::*;
use crate::measure::name::{self, Metric};

/// How many of the grid's lines are seen at once on a screen of 1080.
const SCREEN: u64 = 22;

/// The file, kept; `UPDATE_GOLDEN=1` writes it.
pub(super) fn is_fresh(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, wanted).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == wanted, "{} is old; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn what_is_committed_is_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    for file in all() {
        is_fresh(&folder.join(&file.path), &file.contents);
    }
}

/// The tables of panels in the documentation.
#[test]
fn the_documentation_has_every_panel() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dashboards.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for dashboard in dashboards() {
        let short = dashboard.uid.trim_start_matches("otload-");
        let (begin, end) = (format!("<!-- panels: {short} -->\n"), "<!-- end -->");
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("docs/dashboards.md has no place for {short}"));
        let (_, behind) = rest.split_once(end).unwrap();
        let mut table = "\n| panel | what it answers |\n|---|---|\n".to_owned();
        for row in &dashboard.rows {
            if let Some(title) = row.title {
                table.push_str(&format!(
                    "| **{title}** | {} |\n",
                    if row.collapsed { "closed until it is clicked on" } else { "" }
                ));
            }
            for panel in &row.panels {
                table.push_str(&format!("| {} | {} |\n", panel.title, panel.description.replace('|', "\\|")));
            }
        }
        text = format!("{before}{begin}{table}\n{end}{behind}");
    }
    is_fresh(&path, &text);
}

/// Each panel with its dashboard's name, and each of its queries with the unit that it is shown in.
fn queries() -> Vec<(String, Unit, Target)> {
    let mut all = Vec::new();
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {}", dashboard.uid, panel.title);
            all.extend(panel.targets.iter().map(|target| (place.clone(), target.unit.unwrap_or(panel.unit), target.clone())));
        }
    }
    all
}

// === the look ===

#[test]
fn every_panel_says_what_it_answers() {
    for dashboard in dashboards() {
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let Panel { title, description, targets, kind, .. } = panel;
            assert!(titles.insert(*title), "two panels of {} are called {title}", dashboard.uid);
            assert!(description.len() > 30 && description.ends_with('.'), "{title}: {description}");
            assert!(!title.is_empty() && !title.ends_with('.'), "{title}");
            assert!((1..=12).contains(&targets.len()), "{title} has {} queries", targets.len());
            for target in targets {
                // A series without a name is shown as its whole query.
                let named = *kind == Kind::Table || !target.legend.is_empty() || targets.len() == 1 && *kind == Kind::Stat;
                assert!(named, "{title}: a series has no name");
                assert_eq!(
                    target.instant,
                    !matches!(kind, Kind::Curves | Kind::Heatmap | Kind::Timeline | Kind::Trend),
                    "{title}"
                );
            }
        }
    }
}

#[test]
fn the_first_screen_tells_the_story() {
    for dashboard in dashboards() {
        let json = dashboard.json();
        let panels = json["panels"].as_array().unwrap();
        assert!(panels[0]["gridPos"]["y"] == 0 && panels[0]["type"] != "row", "{}", dashboard.uid);
        let mut places = Vec::new();
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_u64().unwrap()));
            for inner in panel["panels"].as_array().into_iter().flatten() {
                assert!(ids.insert(inner["id"].as_u64().unwrap()));
            }
            places.push(place(panel));
            no_overlap(&panel["panels"]);
        }
        no_overlap(&json["panels"]);
        let last = places.iter().map(|(_, y, _, height, _)| y + height).max().unwrap();
        for top in 0..last {
            let seen: Vec<_> =
                places.iter().filter(|(_, y, _, height, row)| !row && *y < top + SCREEN && y + height > top).collect();
            assert!(seen.len() <= 12, "{}: {} panels are seen at once from line {top} on", dashboard.uid, seen.len());
        }
    }
}

/// What a newcomer sees first, at the top left, is the answer to the dashboard's question, in words or in a colour.
#[test]
fn the_verdict_comes_first() {
    let firsts = dashboards().into_iter().map(|dashboard| {
        let first = dashboard.rows[0].panels[0].clone();
        let says = !first.mappings.is_empty()
            || first.steps.iter().any(|(_, colour)| *colour != Colour::Good)
            || first.kind == Kind::Named;
        assert!(says && dashboard.rows[0].title.is_none(), "{}: {}", dashboard.uid, first.title);
        (dashboard.uid, first.title)
    });
    let wanted = [
        ("otload-overview", "Verdict"),
        ("otload-request", "Most of the time goes into"),
        ("otload-soak", "Got worse"),
        ("otload-generator", "Figures"),
        ("otload-compare", "This run"),
    ];
    assert_eq!(firsts.collect::<Vec<_>>(), wanted);
}

/// Wherever failures are shown there is red, and where curves are of nothing else, nothing else.
#[test]
fn failures_are_red_everywhere() {
    let mut seen = 0;
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let fails = |target: &Target| {
                let expr = &target.expr;
                expr.contains(name::REQUEST_FAILURES.name)
                    || expr.contains("result=\"failure\"")
                    || target.legend.contains("lost")
            };
            let failing: Vec<_> = panel.targets.iter().filter(|target| fails(target)).collect();
            if failing.is_empty() {
                continue;
            }
            seen += 1;
            let red = |what: &Value| what.to_string().contains(&format!("\"{}\"", Colour::Bad.name()));
            let json = panel.json(1, 0, 0);
            let place = format!("{}: {}", dashboard.uid, panel.title);
            if panel.kind == Kind::Curves && failing.len() == panel.targets.len() {
                assert_eq!((panel.colour, panel.shades), (Some(Colour::Bad), true), "{place}");
            } else {
                assert!(red(&json["fieldConfig"]), "{place}");
            }
        }
    }
    assert!(seen >= 12, "{seen}");
}

fn place(panel: &Value) -> (u64, u64, u64, u64, bool) {
    let number = |key: &str| panel["gridPos"][key].as_u64().unwrap();
    (number("x"), number("y"), number("w"), number("h"), panel["type"] == "row")
}

fn no_overlap(panels: &Value) {
    let places: Vec<_> = panels.as_array().into_iter().flatten().map(place).collect();
    for (nth, (x, y, w, h, _)) in places.iter().enumerate() {
        assert!(x + w <= 24 && *w > 0 && *h > 0);
        for (x2, y2, w2, h2, _) in &places[nth + 1..] {
            assert!(x + w <= *x2 || x2 + w2 <= *x || y + h <= *y2 || y2 + h2 <= *y, "two panels at {x},{y} overlap");
        }
    }
    // And there are no holes: what is on a line fills it or is as high as its neighbours.
    for (x, y, w, h, _) in &places {
        let right = places.iter().find(|(x2, y2, ..)| *x2 == x + w && y2 == y);
        assert!(right.is_none_or(|(_, _, _, h2, _)| h2 == h), "the panels at {x},{y} and beside it have other heights");
    }
}

#[test]
fn dashboards_are_as_grafana_and_links_want_them() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards() {
        let json = dashboard.json();
        assert!(uids.insert(dashboard.uid));
        assert_eq!((&json["editable"], &json["schemaVersion"]), (&false.into(), &39.into()));
        let variables: Vec<_> =
            json["templating"]["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        for wanted in ["datasource", "traces", "test", "run_id", "user", "request"] {
            assert!(variables.contains(&wanted), "{}: {variables:?}", dashboard.uid);
        }
        let links = json["links"].as_array().unwrap();
        assert_eq!(links.len(), 4);
        for link in links {
            assert_eq!((&link["keepTime"], &link["includeVars"]), (&true.into(), &true.into()));
        }
        // What a query names has to be chosen somewhere.
        let text = json.to_string();
        for (at, _) in text.match_indices("=\\\"$").chain(text.match_indices("=~\\\"$")) {
            let name: String =
                text[at..].chars().skip_while(|c| *c != '$').skip(1).take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(variables.contains(&name.as_str()), "{} has no variable {name}", dashboard.uid);
        }
    }
    let linked: BTreeSet<_> = dashboards()
        .iter()
        .flat_map(|one| one.json()["links"].as_array().unwrap().clone())
        .map(|link| link["url"].as_str().unwrap().replace("/d/", ""))
        .collect();
    assert_eq!(linked, uids.into_iter().map(str::to_owned).collect());
}

#[test]
fn the_same_thing_has_the_same_colour_everywhere() {
    let mut seen: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for one in &panel.overrides {
                let (name, properties) = (one["matcher"]["options"].as_str().unwrap(), one["properties"].as_array().unwrap());
                for colour in properties.iter().filter(|property| property["id"] == "color") {
                    let Some(colour) = colour["value"]["fixedColor"].as_str() else { continue };
                    let before = seen.entry(name.to_owned()).or_insert_with(|| colour.to_owned());
                    assert_eq!(before, colour, "{name} in {}: {}", dashboard.uid, panel.title);
                }
            }
        }
    }
    for (name, colour) in &seen {
        let bad = ["failed", "none", "/^lost/"].contains(&name.as_str());
        assert_eq!(bad, colour == "red", "{name} is {colour}");
    }
}

// === the queries ===

#[test]
fn queries_ask_for_metrics_and_labels_that_exist() {
    let mut asked = BTreeSet::new();
    for (place, _, target) in queries() {
        let (metrics, problems) = read(&target.expr);
        assert_eq!(problems, [""; 0], "{place}: {}", target.expr);
        assert!(!metrics.is_empty() || target.expr.contains("ALERTS"), "{place}: {}", target.expr);
        asked.extend(metrics.iter().map(|metric| metric.name));
    }
    // Every metric is shown somewhere.
    let unseen: Vec<_> = name::ALL.iter().map(|metric| metric.name).filter(|name| !asked.contains(name)).collect();
    assert_eq!(unseen, ["otload_annotations_total"], "the remarks are lines over all panels");
}

#[test]
fn a_wrong_query_is_seen() {
    let problems = |expr: &str| read(expr).1;
    assert_eq!(problems("otload_users{test=\"a\",state=\"running\"}"), [""; 0]);
    assert_eq!(problems("sum by (le) (rate(otload_schedule_lag_seconds_bucket{test=\"a\"}[1m]))"), [""; 0]);
    assert_eq!(problems("otload_user{}"), ["no metric is called otload_user"]);
    assert_eq!(problems("otload_requests_total_bucket{}"), ["no metric is called otload_requests_total_bucket"]);
    assert_eq!(problems("otload_users{status=\"a\"}"), ["otload_users has no label status"]);
    assert_eq!(problems("sum by (reason) (otload_users{})"), ["no metric in it has a label reason"]);
    assert_eq!(problems("otload_users"), ["otload_users is not of a run"]);
    assert_eq!(
        problems("traces_span_metrics_duration_seconds_sum{test=\"a\"}"),
        ["traces_span_metrics_duration_seconds_sum has no label test"]
    );
}

/// The metrics that an expression names, and what is wrong with it.
fn read(expr: &str) -> (Vec<&'static Metric>, Vec<String>) {
    let (mut metrics, mut problems) = (Vec::new(), Vec::new());
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in expr.match_indices("otload_").chain(expr.match_indices("traces_span")) {
        if expr[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let word: &str = &expr[at..at + expr[at..].find(|c: char| !is_word(c)).unwrap_or(expr.len() - at)];
        let Some(metric) = metric(word) else {
            problems.push(format!("no metric is called {word}"));
            continue;
        };
        metrics.push(metric);
        let Some(matchers) = expr[at + word.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            problems.push(format!("{word} is not of a run"));
            continue;
        };
        for matcher in matchers.0.split(',').filter(|matcher| !matcher.is_empty()) {
            let label = matcher.split(['=', '!']).next().unwrap();
            let of_run = name::RUN_LABELS.contains(&label) && metric.name.starts_with("otload_");
            if !metric.labels.contains(&label) && !of_run {
                problems.push(format!("{word} has no label {label}"));
            }
        }
    }
    for (at, _) in expr.match_indices(" by (") {
        for label in expr[at + 5..].split(')').next().unwrap().split(", ") {
            let known = ["le", "alertname"].contains(&label) || name::RUN_LABELS.contains(&label);
            let alerts = expr.contains("ALERTS");
            if !known && !alerts && !metrics.iter().any(|metric| metric.labels.contains(&label)) {
                problems.push(format!("no metric in it has a label {label}"));
            }
        }
    }
    (metrics, problems)
}

/// The metric whose series are called so.
fn metric(word: &str) -> Option<&'static Metric> {
    let foreign = [&spans::CONNECTOR, &spans::GENERATOR];
    let named = |name: &str| name::ALL.iter().chain(&foreign).find(|metric| metric.name == name).copied();
    named(word).or_else(|| {
        let ending = ["_bucket", "_sum", "_count"].into_iter().find_map(|ending| word.strip_suffix(ending))?;
        named(ending).filter(|metric| metric.kind == name::Kind::Histogram)
    })
}

#[test]
fn units_are_those_of_what_is_asked() {
    for (place, unit, target) in queries() {
        let expr = &target.expr;
        let metrics = read(expr).0;
        // The run's own metrics only say when.
        let of = |unit: name::Unit| metrics.iter().any(|metric| metric.unit == unit && *metric != &name::RUN_ELAPSED);
        let is = |metric: &Metric| metrics.contains(&metric);
        let (divided, rated) = (expr.contains(" / "), expr.contains("rate("));
        let requests = is(&name::REQUESTS) || is(&name::REQUEST_FAILURES);
        let fits = match unit {
            Unit::Seconds => (of(name::Unit::Seconds) || is(&name::RUN_ELAPSED)) && !of(name::Unit::Bytes),
            Unit::Bytes => of(name::Unit::Bytes) && (!rated || divided) || is(&name::GENERATOR_FDS),
            Unit::BytesPerSecond => of(name::Unit::Bytes) && rated,
            Unit::Requests => requests && (rated || is(&name::RUN_ELAPSED)),
            Unit::PerSecond => rated && !of(name::Unit::Seconds) && !of(name::Unit::Bytes),
            Unit::Ratio => {
                of(name::Unit::Ratio)
                    || requests && divided
                    || is(&name::SOAK_P_VALUE)
                    || is(&name::SERIES)
                    || is(&name::REQUEST_PHASE) && divided
                    || is(&name::GENERATOR_SATURATED)
            }
            Unit::Count => !rated && !of(name::Unit::Seconds) && !of(name::Unit::Bytes) && !of(name::Unit::Ratio),
            Unit::Factor => divided,
            Unit::Date => is(&name::RUN_START_TIME) && expr.ends_with(" * 1000"),
            Unit::PerHour => is(&name::SOAK_SLOPE),
            Unit::State => !rated,
        };
        assert!(fits, "{place} shows {unit:?}: {expr}");
        // And the other way round: times are shown as times.
        if metrics.iter().all(|metric| metric.kind == name::Kind::Histogram) && !metrics.is_empty() && !divided {
            assert!(unit == Unit::Seconds, "{place} shows {unit:?}: {expr}");
        }
    }
}

#[test]
fn counters_are_asked_for_rates_or_differences_and_histograms_in_both_forms() {
    for (place, _, target) in queries() {
        let expr = &target.expr;
        for metric in read(expr).0 {
            match metric.kind {
                name::Kind::Counter => {
                    assert!(expr.contains("rate(") || expr.contains(" offset $__range"), "{place}: {expr}");
                }
                name::Kind::Histogram => {
                    let native = expr.contains(&format!("{}{{", metric.name));
                    let classic =
                        ["bucket", "sum", "count"].iter().any(|form| expr.contains(&format!("{}_{form}{{", metric.name)));
                    assert!(native && classic && expr.contains(" or "), "{place}: {expr}");
                }
                name::Kind::Gauge => {}
            }
        }
    }
}
