//! An earlier run that this one is measured by: its `summary.json`, for thresholds like `baseline.p95 < 1.1x` and for dashboards.
//!
//! A summary has the quantiles of each request and of all together, and quantiles cannot be added: what is asked of several
//! requests together, and not of all, the baseline does not know.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::traces;
use crate::diagnostic::Diagnostic;
use crate::measure::catalog::Catalog;
use crate::measure::snapshot::BaselineTime;
use crate::scenario::plan::Threshold;
use crate::scenario::threshold::{Requests, Signal, Times};

/// The figures of an earlier run.
#[derive(Debug, Deserialize)]
pub struct Baseline {
    pub run_id: String,
    /// Whether they can be believed; of a run that was cut off nobody knows.
    pub valid: Option<bool>,
    totals: Figures,
    requests: Vec<Request>,
}

#[derive(Debug, Deserialize)]
struct Request {
    user: String,
    task: String,
    request: String,
    method: String,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Deserialize)]
struct Figures {
    rps: f64,
    response_time_seconds: Option<Known>,
    service_time_seconds: Option<Known>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Known {
    min: f64,
    mean: f64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

// === Baseline ===

impl Baseline {
    /// Reads the results folder of a run.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn read(folder: &Path) -> Result<Self, Diagnostic> {
        traces::read(folder)
    }

    /// What the figure of a threshold was in that run; 0 for requests that it did not make.
    pub(super) fn figure(&self, threshold: &Threshold, catalog: &Catalog) -> Option<f64> {
        let of: Vec<&Figures> = match &threshold.requests {
            Requests::All => vec![&self.totals],
            Requests::Some(ids) => {
                let names = ids.iter().filter_map(|id| catalog.requests.get(id.index()));
                let same = |name: &crate::measure::catalog::RequestName, request: &Request| {
                    (&name.user, &name.task, &name.request, &name.method)
                        == (&request.user, &request.task, &request.request, &request.method)
                };
                let rows = names.map(|name| self.requests.iter().find(|request| same(name, request)).map(|row| &row.figures));
                rows.collect::<Option<_>>()?
            }
        };
        let figure = threshold.written.condition.figure;
        if figure.signal == Signal::Rps {
            return Some(of.iter().map(|figures| figures.rps).sum());
        }
        let [figures] = of[..] else { return None };
        let times = match figure.times {
            Times::Response => figures.response_time_seconds,
            Times::Service => figures.service_time_seconds,
            Times::ScheduleLag => None,
        };
        times?.of(figure.signal)
    }

    /// Response times of the requests that this run has too. A name that several tasks share has no quantile of its own.
    pub(super) fn times(&self, catalog: &Catalog) -> Arc<[BaselineTime]> {
        let alone = |name: &str| self.requests.iter().filter(|request| request.request == name).count() == 1;
        let known = |name: &str| catalog.requests.iter().any(|request| request.request == name);
        let requests = self.requests.iter().filter(|request| known(&request.request) && alone(&request.request));
        let times = requests.filter_map(|request| Some((request.request.clone(), request.figures.response_time_seconds?)));
        let series = times.flat_map(|(request, times)| {
            let quantiles = [("0.5", times.p50), ("0.9", times.p90), ("0.95", times.p95), ("0.99", times.p99)];
            quantiles.map(|(quantile, seconds)| BaselineTime { request: request.clone(), quantile, seconds })
        });
        series.collect()
    }
}

impl Known {
    fn of(self, signal: Signal) -> Option<f64> {
        match signal {
            Signal::Min => Some(self.min),
            Signal::Mean => Some(self.mean),
            Signal::Max => Some(self.max),
            Signal::Quantile(quantile) => {
                let known = [(0.5, self.p50), (0.9, self.p90), (0.95, self.p95), (0.99, self.p99), (0.999, self.p999)];
                known.into_iter().find(|(share, _)| *share == quantile.share()).map(|(_, seconds)| seconds)
            }
            _ => None,
        }
    }
}
