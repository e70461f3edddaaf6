//! Recording rules and alerts: what tells somebody who sleeps that a run goes wrong.
//!
//! ```text
//!  metrics ─▶ rules/recording.rs: floats over 5 min, of a run and of each of its requests, classic or native
//!                 │  median of 30 min                    a burst does not move it
//!                 │  the first median of this load       what the run is compared with
//!                 ▼
//!             rules/alerts.rs: run against its own beginning, budget, thresholds, generator
//!                 │  only while the load is held, and for as long as the windows look back
//!                 ▼
//!             Alertmanager
//! ```
//!
//! All of them are made from one set of [`Windows`]. The shipped ones suit runs of an hour and more; the same rules with windows
//! that are sixty times as short judge a run of two minutes, as the tests do.
//!
//! | file | |
//! |---|---|
//! | `windows.rs` | how far rules look back |
//! | `promql.rs` | pieces of PromQL that several rules share |
//! | `recording.rs`, `alerts.rs` | the rules themselves |
//! | `thresholds.rs` | alerts on the thresholds of a scenario |
//! | `yaml.rs` | how Prometheus reads them |

mod alerts;
mod promql;
mod recording;
mod thresholds;
mod windows;
mod yaml;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::File;
use crate::scenario::plan::Plan;
pub use windows::Windows;

/// What the rules are made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub windows: Windows,
    /// The share of requests that may fail: what is spent of it is what burns.
    pub budget: f64,
}

/// Rules that are evaluated together, one after the other.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    name: &'static str,
    /// What a reader of the file should know.
    about: String,
    interval: Duration,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    kind: Kind,
    expression: String,
    labels: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// The name of what is recorded.
    Record(String),
    Alert {
        name: &'static str,
        /// So long it has to be true.
        patience: Duration,
        annotations: Vec<(&'static str, String)>,
    },
}

// === Options ===

impl Default for Options {
    fn default() -> Self {
        Self { windows: Windows::default(), budget: 0.01 }
    }
}

/// The files of rules; with a scenario, those on its thresholds too.
pub(super) fn files(options: &Options, plan: Option<&Plan>) -> Vec<File> {
    let file = |path: &str, about: &str, group: &Group| File {
        path: format!("rules/{path}"),
        about: about.to_owned(),
        contents: yaml::render(std::slice::from_ref(group)),
    };
    let mut files = vec![
        file("otload-recording.yaml", "recording rules: quantiles, rates and medians of runs", &recording::group(options)),
        file("otload-alerts.yaml", "alerts, which need the recording rules", &alerts::group(options)),
    ];
    if let Some(plan) = plan.filter(|plan| !plan.thresholds.is_empty()) {
        let name: String = plan.name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let path = format!("otload-thresholds-{name}.yaml");
        files.push(file(&path, "alerts on the thresholds of the scenario", &thresholds::group(plan, options)));
    }
    files
}

// === Rule ===

impl Rule {
    fn record(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self { kind: Kind::Record(name.into()), expression: expression.into(), labels: Vec::new() }
    }

    fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}
