//! Two runs side by side: which of the differences are more than chance, and large enough to matter. Pure functions; the
//! runs are given as their intervals.
//!
//! ```text
//!  intervals of 10 s ─▶ blocks        so long that one hardly depends on the next      compare/sample.rs
//!                    ─▶ resampled     how much would the figure differ, had chance been another
//!  both runs         ─▶ ratio, its interval, p                                          compare/change.rs
//!  failures          ─▶ two proportions                                                 compare/proportion.rs
//!  all of them       ─▶ p pays for the number of tests ─▶ better | same | worse | cannot tell
//! ```

mod change;
mod proportion;
mod recorded;
mod sample;

pub mod html;
pub mod json;
pub mod markdown;
pub mod text;

use std::fmt;

use change::Difference;
pub use change::{Change, Effect, Enough, Measure, Reason, Undecided};
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
    pub limits: Limits,
    pub rows: Vec<Row>,
    /// The worst of the rows; `cannot tell` if none is worse and one of them cannot be told; the best otherwise.
    pub verdict: Verdict,
    /// What cannot be told, in the order of the rows.
    pub undecided: Vec<(RequestName, Option<Measure>, Undecided)>,
    /// Why the runs may not be comparable, a sentence each.
    pub warnings: Vec<String>,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// Smaller changes do not matter, however sure they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Of times, throughput and failures: a part of what was before.
    pub min_change: f64,
    /// Of failures: a share of all requests, if that is more.
    pub min_failure_change: f64,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: RequestName,
    pub requests: [u64; 2],
    /// In the order of [`Measure::ALL`]; empty if the request came in too few intervals.
    pub changes: Vec<Change>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Same,
    Worse,
    /// It may be any of them.
    CannotTell,
    /// It is shown, but says nothing of the target.
    NotJudged,
}

/// Why there is no comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotComparable {
    pub message: String,
    pub hint: &'static str,
}

/// Fewer intervals than this tell nothing of what is chance.
pub const FEWEST: usize = 6;

// === Comparison ===

/// Compares `after` with `before`.
///
/// # Errors
/// When no request is in both, or none of them is in enough intervals.
pub fn compare(before: Run, after: Run, limits: Limits) -> Result<Comparison, NotComparable> {
    let (warnings, mut notes) = (warnings(&before, &after), Vec::new());
    let (mut rows, mut samples, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
    let mut absent = |rows: &mut Vec<Row>, name: &RequestName, requests: [u64; 2], reason: Reason| {
        undecided.push((name.clone(), None, Undecided { reason, enough: None }));
        rows.push(Row { name: name.clone(), requests, changes: Vec::new(), verdict: Verdict::CannotTell });
    };
    let same_scenario = before.scenario_sha256 == after.scenario_sha256;
    for request in &before.requests {
        let Some(other) = after.requests.iter().find(|other| other.name == request.name) else { continue };
        match (Sample::new(&request.intervals), Sample::new(&other.intervals)) {
            (Some(a), Some(b)) => {
                let requests = [a.requests(), b.requests()];
                samples.push([a, b]);
                rows.push(Row { name: request.name.clone(), requests, changes: Vec::new(), verdict: Verdict::Same });
            }
            _ => absent(&mut rows, &request.name, [request.count(), other.count()], Reason::FewIntervals),
        }
    }
    if samples.is_empty() {
        // Of a run of a second there is no interval that counts.
        return Err(NotComparable::of(before.requests.is_empty() || after.requests.is_empty() || !rows.is_empty()));
    }
    for (one, other, which) in [(&before, &after, "first"), (&after, &before, "second")] {
        let alone = one.requests.iter().filter(|request| other.requests.iter().all(|them| them.name != request.name));
        for request in alone {
            if same_scenario {
                let count = request.count();
                let requests = if which == "first" { [count, 0] } else { [0, count] };
                absent(&mut rows, &request.name, requests, Reason::OnlyIn(which));
            } else {
                notes.push(format!("`{}` is only in the {which} run", request.name.request));
            }
        }
    }
    let differences: Vec<Difference> = samples.iter().flat_map(|[a, b]| Difference::all(a, b)).collect();
    let mut p_values: Vec<f64> = differences.iter().map(|difference| difference.p_value).collect();
    pay_for_number(&mut p_values);
    let same_load = before.peak_users == after.peak_users;
    let invalid = !before.valid || !after.valid;
    let mut judged = differences.iter().zip(p_values);
    let compared = rows.iter_mut().filter(|row| row.verdict != Verdict::CannotTell);
    for (row, [a, b]) in compared.zip(&samples) {
        for (difference, p_value) in judged.by_ref().take(Measure::ALL.len()) {
            let (mut change, why) = difference.judge(p_value, &limits, [a, b], invalid);
            if change.measure == Measure::Throughput && !same_load {
                change.verdict = Verdict::NotJudged;
            } else {
                undecided.extend(why.map(|why| (row.name.clone(), Some(change.measure), why)));
            }
            row.changes.push(change);
        }
        row.verdict = Verdict::of(row.changes.iter().map(|change| change.verdict));
    }
    let verdict = Verdict::of(rows.iter().map(|row| row.verdict));
    let runs = [before, after].map(|run| Run { requests: Vec::new(), ..run });
    Ok(Comparison { runs, limits, rows, verdict, undecided, warnings, notes })
}

/// What differs between the runs besides the target, and what spoils one of them.
fn warnings(before: &Run, after: &Run) -> Vec<String> {
    let mut warnings = Vec::new();
    let short = |sha256: &str| sha256.chars().take(12).collect::<String>();
    if before.scenario_sha256 != after.scenario_sha256 {
        warnings.push(format!(
            "the scenarios are not the same (SHA-256 {}…, then {}…): a change may be that of the scenario",
            short(&before.scenario_sha256),
            short(&after.scenario_sha256)
        ));
    }
    if before.host != after.host {
        warnings.push(format!("the hosts are not the same ({}, then {}): two targets are compared", before.host, after.host));
    }
    if before.peak_users != after.peak_users {
        warnings.push(format!(
            "the load was not the same ({} users at most, then {}): throughput is shown and not judged",
            before.peak_users, after.peak_users
        ));
    }
    for (run, what) in [(before, "first"), (after, "second")] {
        if !run.valid {
            warnings.push(format!(
                "the {what} run is invalid: the generator was its bottleneck, so its times and its throughput are the generator's own"
            ));
        }
    }
    if before.run_id == after.run_id && !before.run_id.is_empty() {
        warnings.push("both are the same run".to_owned());
    }
    warnings
}

impl Request {
    fn count(&self) -> u64 {
        self.intervals.iter().map(|interval| interval.requests).sum()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_change: 0.05, min_failure_change: 0.001 }
    }
}

impl NotComparable {
    fn of(short: bool) -> Self {
        if short {
            let message = format!("the runs are too short: no request was made in {FEWEST} intervals of both");
            Self { message, hint: "an interval is 10 s; let both run for some minutes" }
        } else {
            Self {
                message: "no request is in both runs".to_owned(),
                hint: "compare runs of the same scenario; requests are told apart by user, task, name and method",
            }
        }
    }
}

// === Verdict ===

impl Verdict {
    fn of(verdicts: impl Iterator<Item = Self>) -> Self {
        let mut seen = [false; 3];
        for verdict in verdicts {
            match verdict {
                Self::Worse => seen[0] = true,
                Self::CannotTell => seen[1] = true,
                Self::Better => seen[2] = true,
                Self::Same | Self::NotJudged => {}
            }
        }
        match seen {
            [true, ..] => Self::Worse,
            [_, true, _] => Self::CannotTell,
            [.., true] => Self::Better,
            _ => Self::Same,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::CannotTell => "cannot tell",
            Self::NotJudged => "not judged",
        }
    }

    /// One word, for scripts and style sheets.
    pub fn key(self) -> &'static str {
        match self {
            Self::CannotTell => "cannot_tell",
            Self::NotJudged => "not_judged",
            _ => self.name(),
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
    fn shown(&self, name: &RequestName) -> String {
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
