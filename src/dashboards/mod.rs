//! The dashboards, recording rules and alerts that belong to the metrics: made here, kept in `dashboards/` for who looks there,
//! and embedded in the binary.
//!
//! | file | what it makes |
//! |---|---|
//! | `overview.rs` `request.rs` `soak.rs` `generator.rs` `compare.rs` | a dashboard each, as a list of rows of panels |
//! | `panel.rs` `table.rs` `look.rs` | one panel: what is asked, and how it is shown; units and colours by what they mean |
//! | `shape.rs` | a panel as Grafana's JSON |
//! | `dashboard.rs` | the whole: variables, links, annotations, places of panels; its JSON |
//! | `lines.rs` | the thresholds of a scenario as lines in panels |
//! | `query.rs` | PromQL, from the metrics of `measure::name` |
//! | `spans.rs` | and from those that others make of servers' spans |
//! | `rules.rs` | recording and alert rules |
//! | `push.rs` | the way into Grafana |
//!
//! They are generated because nobody can see in JSON that a label is misspelt, a bucket is asked for that a server does not store,
//! or a panel has no unit; here the first does not compile, and the others have a test each.

mod compare;
mod dashboard;
mod generator;
mod lines;
mod look;
mod overview;
mod panel;
pub mod push;
mod query;
mod request;
pub mod rules;
mod shape;
mod soak;
mod spans;
mod table;

#[cfg(test)]
mod tests;

use crate::scenario::plan::Plan;
use dashboard::Dashboard;

/// A file to be written, pushed or loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies in the folder that is asked for: `overview.json`.
    pub path: String,
    /// What it is for, in a line.
    pub about: String,
    pub contents: String,
}

/// All of them, as shipped.
pub fn all() -> Vec<File> {
    made_for(&rules::Options::default(), None)
}

/// The dashboards and the rules that are asked for; with a scenario, also lines and alerts for its thresholds.
pub fn made_for(options: &rules::Options, scenario: Option<&Plan>) -> Vec<File> {
    let mut dashboards = dashboards();
    if let Some(plan) = scenario {
        lines::draw(&mut dashboards, plan);
    }
    dashboards.iter().map(Dashboard::file).chain(rules::files(options, scenario)).collect()
}

/// In the order in which a newcomer reads them.
fn dashboards() -> Vec<Dashboard> {
    vec![overview::dashboard(), request::dashboard(), soak::dashboard(), generator::dashboard(), compare::dashboard()]
}
