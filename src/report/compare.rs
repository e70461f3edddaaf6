//! Two runs side by side: which of the differences are more than chance, and large enough to matter. Pure functions; the
//! runs are given as their intervals.
//!
//! ```text
//!  intervals of 10 s ─▶ blocks        so long that one hardly depends on the next      compare/sample.rs
//!                    ─▶ resampled     how much would the figure differ, had chance been another
//!  both runs         ─▶ ratio, its interval, p                                          compare/change.rs
//!  all of them       ─▶ p pays for the number of tests ─▶ better | same | worse
//! ```

mod change;
mod recorded;
mod sample;

pub mod html;
pub mod markdown;
pub mod text;

use std::fmt;

use change::Difference;
pub use change::{Change, Measure};
use sample::Sample;

use crate::measure::catalog::RequestName;
use crate::measure::quantiles::Quantiles;
use crate::statistics::pay_for_number;

/// What is compared of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub run_id: String,
    pub test: String,
    pub host: String,
    pub started_at: String,
    pub scenario_sha256: String,
    pub peak_users: u64,
    /// Whether its figures can be believed.
    pub valid: bool,
    pub requests: Vec<Request>,
}

/// One request of a run, in intervals that follow each other.
#[derive(Clone, Debug)]
pub struct Request {
    pub name: RequestName,
    pub intervals: Vec<Interval>,
}

#[derive(Clone, Debug, Default)]
pub struct Interval {
    pub seconds: f64,
    pub requests: u64,
    pub failures: u64,
    /// Response times.
    pub times: Quantiles,
}

/// Two runs, compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The earlier one, which the other is compared with; without their intervals.
    pub runs: [Run; 2],
    pub rows: Vec<Row>,
    /// The worst of the rows; or the best, if none is worse.
    pub verdict: Verdict,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: RequestName,
    pub requests: [u64; 2],
    /// In the order of [`Measure::ALL`].
    pub changes: Vec<Change>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Better,
    Same,
    Worse,
}

/// Why there is no comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotComparable {
    pub message: String,
    pub hint: &'static str,
}

/// Fewer intervals than this tell nothing of what is chance.
pub const FEWEST: usize = 6;

/// A change counts when its p, after paying for the number of tests, is below this.
const SIGNIFICANT: f64 = 0.01;

// === Comparison ===

/// Compares `after` with `before`.
///
/// # Errors
/// When no request is in both, or none of them is in enough intervals.
pub fn compare(before: Run, after: Run) -> Result<Comparison, NotComparable> {
    let mut notes = notes(&before, &after);
    let (mut rows, mut differences) = (Vec::new(), Vec::new());
    // Of a run of a second there is no interval that counts.
    let mut short = before.requests.is_empty() || after.requests.is_empty();
    for request in &before.requests {
        let Some(other) = after.requests.iter().find(|other| other.name == request.name) else { continue };
        let (Some(a), Some(b)) = (Sample::new(&request.intervals), Sample::new(&other.intervals)) else {
            notes.push(format!("`{}` was not compared: it came in fewer than {FEWEST} intervals", request.name.request));
            short = true;
            continue;
        };
        differences.extend(Difference::all(&a, &b));
        rows.push(Row {
            name: request.name.clone(),
            requests: [a.requests(), b.requests()],
            changes: Vec::new(),
            verdict: Verdict::Same,
        });
    }
    if rows.is_empty() {
        return Err(if short {
            let message = format!("the runs are too short: no request was made in {FEWEST} intervals of both");
            NotComparable { message, hint: "an interval is 10 s; let both run for some minutes" }
        } else {
            let message = "no request is in both runs".to_owned();
            NotComparable {
                message,
                hint: "compare runs of the same scenario; requests are told apart by user, task, name and method",
            }
        });
    }
    let mut p_values: Vec<f64> = differences.iter().map(|difference| difference.p_value).collect();
    pay_for_number(&mut p_values);
    let same_load = before.peak_users == after.peak_users;
    let all: Vec<Change> = differences
        .iter()
        .zip(p_values)
        .map(|(difference, p_value)| {
            let judged = p_value < SIGNIFICANT && (same_load || difference.measure != Measure::Throughput);
            difference.change(p_value, judged)
        })
        .collect();
    for (row, changes) in rows.iter_mut().zip(all.chunks(Measure::ALL.len())) {
        row.changes = changes.to_vec();
        row.verdict = Verdict::of(changes.iter().map(|change| change.verdict));
    }
    let verdict = Verdict::of(rows.iter().map(|row| row.verdict));
    let runs = [before, after].map(|run| Run { requests: Vec::new(), ..run });
    Ok(Comparison { runs, rows, verdict, notes })
}

fn notes(before: &Run, after: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    for (run, what) in [(before, "first"), (after, "second")] {
        if !run.valid {
            notes.push(format!(
                "the {what} run is invalid: the generator was its bottleneck, so its latencies are the generator's own"
            ));
        }
    }
    if before.peak_users != after.peak_users {
        notes.push(format!(
            "the load was not the same ({} users at most, then {}): throughput is shown and not judged",
            before.peak_users, after.peak_users
        ));
    }
    if before.scenario_sha256 != after.scenario_sha256 {
        notes.push("the scenarios are not the same".to_owned());
    }
    for (one, other, which) in [(before, after, "first"), (after, before, "second")] {
        let alone = one.requests.iter().filter(|request| other.requests.iter().all(|them| them.name != request.name));
        notes.extend(alone.map(|request| format!("`{}` is only in the {which} run", request.name.request)));
    }
    notes
}

// === Verdict ===

impl Verdict {
    fn of(verdicts: impl Iterator<Item = Self>) -> Self {
        let (mut better, mut worse) = (false, false);
        for verdict in verdicts {
            better |= verdict == Self::Better;
            worse |= verdict == Self::Worse;
        }
        match (better, worse) {
            (_, true) => Self::Worse,
            (true, false) => Self::Better,
            _ => Self::Same,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Comparison {
    /// The request as a row shows it: with its task where another row has the same name.
    fn shown(&self, row: &Row) -> String {
        let name = &row.name;
        let alike = self.rows.iter().filter(|other| other.name.request == name.request).count();
        let shown = if alike > 1 { format!("{} ({}, {})", name.request, name.user, name.task) } else { name.request.clone() };
        super::printable(&shown)
    }
}

#[cfg(test)]
use crate::{measure::histogram::Point, random::Random};

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
