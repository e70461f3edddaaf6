//! What a daemon counts of its runs. These series have no labels of a run: they go on from one to the next.

use super::name::{Kind, Metric, Unit};

/// How a run of a daemon came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It did not do what was asked of it.
    Failed,
    /// Nothing was asked of it.
    NotJudged,
    /// The generator was the bottleneck.
    Invalid,
    Interrupted,
    /// It would have passed, but not all of its results could be written.
    Unrecorded,
    /// It could not begin.
    NotRun,
    Crashed,
}

/// The figures of a daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaemonCounts {
    pub running: bool,
    runs: [u64; Verdict::ALL.len()],
    /// Scheduled runs that would have overlapped another one.
    pub skipped: u64,
}

pub const RUNS: Metric = Metric {
    name: "otload_serve_runs_total",
    kind: Kind::Counter,
    help: "Runs of this daemon that have ended, by verdict.",
    unit: Unit::None,
    labels: &["verdict"],
};
pub const SKIPPED: Metric = Metric {
    name: "otload_serve_runs_skipped_total",
    kind: Kind::Counter,
    help: "Scheduled runs that were not started because another one was under way.",
    unit: Unit::None,
    labels: &[],
};
pub const RUNNING: Metric = Metric {
    name: "otload_serve_running",
    kind: Kind::Gauge,
    help: "1 while a run is under way, 0 between runs.",
    unit: Unit::None,
    labels: &[],
};

/// All of them, in the order in which they are exported.
pub const ALL: &[&Metric] = &[&RUNS, &SKIPPED, &RUNNING];

impl Verdict {
    pub const ALL: [Self; 8] = [
        Self::Passed,
        Self::Failed,
        Self::NotJudged,
        Self::Invalid,
        Self::Interrupted,
        Self::Unrecorded,
        Self::NotRun,
        Self::Crashed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotJudged => "not_judged",
            Self::Invalid => "invalid",
            Self::Interrupted => "interrupted",
            Self::Unrecorded => "unrecorded",
            Self::NotRun => "not_run",
            Self::Crashed => "crashed",
        }
    }
}

impl DaemonCounts {
    pub fn ended(&mut self, verdict: Verdict) {
        self.runs[verdict as usize] += 1;
    }

    pub fn of(&self, verdict: Verdict) -> u64 {
        self.runs[verdict as usize]
    }
}
