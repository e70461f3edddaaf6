//! A scenario's thresholds as lines in the panels that show what they are about.

use std::fmt::Display;

use super::dashboard::Dashboard;
use super::look::Colour;
use super::panel::{Panel, Target};
use super::query::of_run;
use crate::measure::name;
use crate::scenario::plan::{Plan, Requests, Signal, Threshold, Times};

/// Where a threshold is seen: the dashboard's uid, and the panel's title.
fn place(threshold: &Threshold) -> Option<(&'static str, &'static str)> {
    let figure = threshold.written.condition.figure;
    // A multiple of an earlier run's figure has no place on an axis of seconds.
    if figure.baseline {
        return None;
    }
    let all = threshold.requests == Requests::All;
    match (figure.signal, figure.times) {
        (Signal::FailureRatio, _) => Some(("otload-soak", "Failures, over 5 minutes, 1 hour and 6 hours")),
        (Signal::Rps, _) if all => Some(("otload-overview", "Requests a second, by result")),
        (Signal::Rps, _) => Some(("otload-soak", "Requests a second of each request")),
        (Signal::Checks | Signal::Requests | Signal::Failures, _) => None,
        (_, Times::ScheduleLag) => Some(("otload-generator", "Schedule lag")),
        (_, Times::Service) => Some(("otload-request", "Response and service time")),
        (_, Times::Response) if all => Some(("otload-overview", "Response time")),
        (_, Times::Response) => Some(("otload-request", "p95 of each request")),
    }
}

/// Adds a line for each threshold that a panel has an axis for.
pub(super) fn draw(dashboards: &mut [Dashboard], plan: &Plan) {
    for threshold in &plan.thresholds {
        let Some((uid, title)) = place(threshold) else { continue };
        let panels = dashboards.iter_mut().filter(|dashboard| dashboard.uid == uid).flat_map(Dashboard::panels_mut);
        for panel in panels.filter(|panel| panel.title == title) {
            let limit = threshold.written.condition.limit;
            *panel = with_line(panel.clone(), &threshold.name, limit);
        }
    }
}

/// The limit of the run that is shown, which may have been another one; of a run without this threshold that of the file.
fn with_line(panel: Panel, threshold: &str, limit: impl Display) -> Panel {
    let known = of_run(&name::THRESHOLD_LIMIT, "$run_id").only("threshold", threshold);
    let legend = format!("limit: {threshold}");
    panel.ask(Target::curve(legend.clone(), format!("max({known}) or on() vector({limit})"))).dashed(&legend, Colour::Bad)
}
