//! A dashboard as a whole: what all of them share (variables, links, annotations), and the places of panels, which are counted
//! and not written by hand.

use serde_json::{Value, json};

use super::File;
use super::look::Colour;
use super::panel::{Panel, datasource, link};
use super::query::{of_run, of_test};
use crate::measure::name;

#[derive(Clone, Debug)]
pub(super) struct Dashboard {
    /// Links lead here, so it never changes: `otload-overview`.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    /// The question that it answers.
    pub(super) description: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) rows: Vec<Row>,
}

/// Panels under a headline, from left to right and top to bottom.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Those at the top have none.
    pub(super) title: Option<&'static str>,
    /// Closed until somebody clicks on it; its queries do not run before.
    pub(super) collapsed: bool,
    pub(super) panels: Vec<Panel>,
}

/// What is chosen above the panels, beside the data sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    label: &'static str,
    /// `label_values(…)`
    query: String,
    /// Several may be chosen, and all of them.
    several: bool,
    /// The last in the alphabet first: run ids carry their date.
    newest_first: bool,
}

/// All of them, for the links between.
const OTHERS: [(&str, &str); 5] = [
    ("otload-overview", "Overview"),
    ("otload-request", "Request"),
    ("otload-soak", "Soak"),
    ("otload-generator", "Generator"),
    ("otload-compare", "Compare"),
];

/// How many columns Grafana's grid has.
const COLUMNS: u32 = 24;

// === Row, Variable ===

impl Row {
    pub(super) fn top(panels: Vec<Panel>) -> Self {
        Self { title: None, collapsed: false, panels }
    }

    pub(super) fn open(title: &'static str, panels: Vec<Panel>) -> Self {
        Self { title: Some(title), collapsed: false, panels }
    }

    pub(super) fn closed(title: &'static str, panels: Vec<Panel>) -> Self {
        Self { title: Some(title), collapsed: true, panels }
    }
}

impl Variable {
    pub(super) fn test() -> Self {
        let query = format!("label_values({}, test)", name::RUN_INFO.name);
        Self { name: "test", label: "Test", query, several: false, newest_first: false }
    }

    /// A run of the test.
    pub(super) fn run(name: &'static str, label: &'static str) -> Self {
        let query = format!("label_values({}, run_id)", of_test(&name::RUN_INFO));
        Self { name, label, query, several: false, newest_first: true }
    }

    /// The run that one is compared with: the first of those that are shown.
    pub(super) fn earlier_run() -> Self {
        Self { newest_first: false, ..Self::run("before", "Earlier run") }
    }

    pub(super) fn user() -> Self {
        let query = format!("label_values({}, user)", of_run(&name::REQUESTS, "$run_id"));
        Self { name: "user", label: "User", query, several: true, newest_first: false }
    }

    pub(super) fn request() -> Self {
        let query = format!("label_values({}, request)", of_run(&name::REQUESTS, "$run_id"));
        Self { name: "request", label: "Request", query, several: true, newest_first: false }
    }

    /// Those that every dashboard has.
    pub(super) fn usual() -> Vec<Self> {
        vec![Self::test(), Self::run("run_id", "Run"), Self::user(), Self::request()]
    }

    fn json(&self) -> Value {
        let mut variable = json!({
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": datasource(),
            "query": {"qryType": 1, "query": self.query, "refId": format!("variable-{}", self.name)},
            // When the time that is shown changes: there may be other runs in it.
            "refresh": 2,
            "sort": if self.newest_first { 2 } else { 1 },
            "regex": "",
            "hide": 0,
            "skipUrlSync": false,
            "multi": self.several,
            "includeAll": self.several,
            "options": [],
        });
        if self.several {
            variable["allValue"] = json!(".*");
            variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
        }
        variable
    }
}

// === Dashboard ===

impl Dashboard {
    /// The file that is shipped.
    pub(super) fn file(&self) -> File {
        let short = self.uid.trim_start_matches("otload-");
        let contents = format!("{:#}\n", self.json());
        File { path: format!("{short}.json"), about: format!("{}: {}", self.title, self.description), contents }
    }

    pub(super) fn panels_mut(&mut self) -> impl Iterator<Item = &mut Panel> {
        self.rows.iter_mut().flat_map(|row| &mut row.panels)
    }

    /// All panels, those of closed rows too.
    #[cfg(test)]
    pub(super) fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    pub(super) fn json(&self) -> Value {
        let variables: Vec<_> = [source("datasource", "Metrics", "prometheus"), source("traces", "Traces", "tempo")]
            .into_iter()
            .chain(self.variables.iter().map(Variable::json))
            .collect();
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["otload"],
            // Of Grafana 10.3; newer ones read it too.
            "schemaVersion": 39,
            "version": 1,
            "editable": false,
            "timezone": "browser",
            "time": {"from": "now-15m", "to": "now"},
            "refresh": "10s",
            "timepicker": {},
            // One crosshair for all panels.
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "weekStart": "",
            "links": self.links(),
            "annotations": {"list": annotations()},
            "templating": {"list": variables},
            "panels": self.placed(),
        })
    }

    fn links(&self) -> Vec<Value> {
        let others = OTHERS.iter().filter(|(uid, _)| *uid != self.uid);
        others.map(|(uid, title)| link(title, &format!("/d/{uid}"), "dashboard")).collect()
    }

    fn placed(&self) -> Vec<Value> {
        let (mut out, mut id, mut y) = (Vec::new(), 0, 0);
        let mut next = || {
            id += 1;
            id
        };
        for row in &self.rows {
            let headline = row.title.map(|title| (title, next(), y));
            y += u32::from(headline.is_some());
            let (mut panels, mut x, mut tallest, mut below) = (Vec::new(), 0, 0, y);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, below, tallest) = (0, below + tallest, 0);
                }
                panels.push(panel.json(next(), x, below));
                x += panel.width;
                tallest = tallest.max(panel.height);
            }
            let mut inside = Vec::new();
            if row.collapsed {
                std::mem::swap(&mut inside, &mut panels);
            } else {
                y = below + tallest;
            }
            if let Some((title, id, y)) = headline {
                let place = json!({"h": 1, "w": COLUMNS, "x": 0, "y": y});
                out.push(json!({
                    "id": id, "type": "row", "title": title, "collapsed": row.collapsed, "gridPos": place, "panels": inside,
                }));
            }
            out.extend(panels);
        }
        out
    }
}

/// A variable that names a data source.
fn source(name: &str, label: &str, plugin: &str) -> Value {
    json!({
        "type": "datasource",
        "name": name,
        "label": label,
        "query": plugin,
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": false,
        "multi": false,
        "includeAll": false,
        "options": [],
    })
}

/// What happened, as lines over all panels.
fn annotations() -> Vec<Value> {
    let phase = of_run(&name::RUN_PHASE, "$run_id");
    let remarks = of_run(&name::ANNOTATIONS, "$run_id");
    let one = |name: &str, colour: Colour, expr: String, title: &str, text: &str| {
        json!({
            "name": name,
            "datasource": datasource(),
            "enable": true,
            "hide": false,
            "iconColor": colour.name(),
            "expr": expr,
            "step": "5s",
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": "",
            "useValueForTime": false,
        })
    };
    vec![
        // Once for each: true now, and not a step ago. `changes()` is so for as long as its window.
        one(
            "Phases",
            Colour::Load,
            format!("{phase} == 1 unless {phase} offset $__interval == 1"),
            "{{phase}}",
            "the run is in this phase from here on",
        ),
        one(
            "Remarks",
            Colour::Target,
            format!("{remarks} - {remarks} offset $__interval > 0"),
            "remark",
            "`otload annotate`, or a change by hand; the summary has the text",
        ),
        one(
            "Alerts",
            Colour::Bad,
            "ALERTS{alertname=~\"Otload.*\",alertstate=\"firing\",run_id=~\"|$run_id\"}".to_owned(),
            "{{alertname}}",
            "{{request}} {{threshold}}",
        ),
    ]
}
