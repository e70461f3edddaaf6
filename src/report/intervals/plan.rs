//! What may come in a run, as the first line of its file has it: so a summary can be rebuilt that also names what never came.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::catalog::RequestName;
use crate::measure::snapshot::Snapshot;
use crate::measure::threshold::ThresholdRule;
use crate::units::Quantity;

/// All lists are in the order of the summary's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Planned {
    pub labels: BTreeMap<String, String>,
    pub requests: Vec<RequestName>,
    pub tasks: Vec<PlannedTask>,
    pub checks: Vec<PlannedCheck>,
    pub thresholds: Vec<RulePart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTask {
    pub user: String,
    pub task: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCheck {
    /// Its place in the list of requests, from 0.
    pub request: usize,
    pub check: String,
}

/// What a threshold asks for; the fields are those of the summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulePart {
    pub name: String,
    that: String,
    scope: String,
    unit: String,
    comparison: String,
    limit: f64,
    over_seconds: Option<f64>,
    abort: bool,
    #[serde(default)]
    lag_proof: bool,
}

impl Planned {
    pub(super) fn of(begin: &Snapshot) -> Self {
        let catalog = &begin.catalog;
        let user = |index: usize| catalog.users.get(index).cloned().unwrap_or_default();
        let tasks = catalog.tasks.iter().map(|task| PlannedTask { user: user(task.user.index()), task: task.name.clone() });
        let checks =
            catalog.checks.iter().map(|check| PlannedCheck { request: check.request.index(), check: check.check.clone() });
        Self {
            labels: begin.facts.run.labels.iter().cloned().collect(),
            requests: catalog.requests.clone(),
            tasks: tasks.collect(),
            checks: checks.collect(),
            thresholds: begin.facts.thresholds.iter().map(|state| RulePart::of(&state.rule)).collect(),
        }
    }
}

impl RulePart {
    fn of(rule: &ThresholdRule) -> Self {
        Self {
            name: rule.name.clone(),
            that: rule.that.clone(),
            scope: rule.scope.clone(),
            unit: rule.quantity.name().to_owned(),
            comparison: rule.comparison.to_owned(),
            limit: rule.limit,
            over_seconds: rule.over.map(|over| over.as_secs_f64()),
            abort: rule.abort,
            lag_proof: rule.lag_proof,
        }
    }

    /// `None` for one that this version does not know.
    pub(in crate::report) fn rule(&self) -> Option<ThresholdRule> {
        Some(ThresholdRule {
            name: self.name.clone(),
            that: self.that.clone(),
            scope: self.scope.clone(),
            quantity: Quantity::ALL.into_iter().find(|quantity| quantity.name() == self.unit)?,
            comparison: ["<", "<=", ">", ">="].into_iter().find(|known| *known == self.comparison)?,
            limit: self.limit,
            over: self.over_seconds.and_then(|over| Duration::try_from_secs_f64(over).ok()),
            after: Duration::ZERO,
            abort: self.abort,
            lag_proof: self.lag_proof,
        })
    }
}
