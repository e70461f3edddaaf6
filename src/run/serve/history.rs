//! The runs of a daemon: the latest are remembered, all are counted.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::measure::daemon::{DaemonCounts, Verdict};
use crate::measure::outcome::RunVerdict;
use crate::run::{Ended, Failed};

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) scenario: String,
    pub(super) overrides: Vec<String>,
    pub(super) scheduled: bool,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    /// `None` while it is under way.
    pub(super) verdict: Option<Verdict>,
    pub(super) reason: Option<String>,
    pub(super) results: PathBuf,
}

/// The latest last.
#[derive(Default)]
pub(super) struct History {
    runs: VecDeque<Run>,
    pub(super) counts: DaemonCounts,
}

/// So many are remembered.
const MOST: usize = 100;

impl History {
    pub(super) fn begin(&mut self, run: Run) {
        if self.runs.len() == MOST {
            self.runs.pop_front();
        }
        self.counts.running = run.verdict.is_none();
        self.runs.push_back(run);
    }

    /// The latest run has ended.
    pub(super) fn end(&mut self, now: Timestamp, verdict: Verdict, reason: Option<String>) {
        self.counts.running = false;
        self.counts.ended(verdict);
        if let Some(run) = self.runs.back_mut() {
            (run.ended, run.verdict, run.reason) = (Some(now), Some(verdict), reason);
        }
    }

    /// The one that is under way.
    pub(super) fn running(&self) -> Option<&Run> {
        self.runs.back().filter(|run| run.verdict.is_none())
    }

    pub(super) fn find(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    pub(super) fn list(&self) -> Vec<Value> {
        self.runs.iter().rev().map(Run::json).collect()
    }
}

impl Run {
    pub(super) fn json(&self) -> Value {
        json!({
            "run_id": self.id,
            "scenario": self.scenario,
            "overrides": self.overrides,
            "scheduled": self.scheduled,
            "started_at": self.started.rfc3339(),
            "ended_at": self.ended.map(Timestamp::rfc3339),
            "verdict": self.verdict.map_or("running", Verdict::name),
            "reason": self.reason,
            "results": self.results.display().to_string(),
        })
    }
}

/// How a run came out, given whether it has left a summary; `None` if it panicked.
pub(super) fn verdict(outcome: Option<Result<Ended, Failed>>, summary: bool) -> (Verdict, Option<String>) {
    match outcome {
        // In the order of `otload run`'s exit codes.
        Some(Ok(ended)) => {
            let (verdict, why) = match ended {
                Ended { interrupted: true, .. } => (Verdict::Interrupted, None),
                Ended { verdict: RunVerdict::Failed, .. } => (Verdict::Failed, Some("the run failed; its summary says why")),
                Ended { valid: false, .. } => (Verdict::Invalid, Some("its figures cannot be believed")),
                Ended { recorded: false, .. } => (Verdict::Unrecorded, None),
                Ended { verdict: RunVerdict::NotJudged, .. } => (Verdict::NotJudged, None),
                Ended { verdict: RunVerdict::Passed, .. } => (Verdict::Passed, None),
            };
            let lost = (!ended.recorded).then_some("not all of its results could be written");
            let reasons: Vec<_> = why.into_iter().chain(lost).collect();
            (verdict, (!reasons.is_empty()).then(|| reasons.join("; ")))
        }
        // Something of it broke down, and the rest has reported.
        Some(Err(Failed::Broken(problem))) if summary => (Verdict::Crashed, Some(problem.message)),
        Some(Err(Failed::Refused(problem) | Failed::Broken(problem))) => (Verdict::NotRun, Some(problem.message)),
        None => (
            Verdict::Crashed,
            Some("otload itself broke down in this run; its message is on the daemon's standard error".to_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;
    use std::time::Duration;

    fn run(number: usize) -> Run {
        Run {
            id: format!("r{number}"),
            scenario: "a.yaml".into(),
            overrides: Vec::new(),
            scheduled: false,
            started: Timestamp::from_unix(Duration::from_secs(5)),
            ended: None,
            verdict: None,
            reason: None,
            results: "results/r".into(),
        }
    }

    #[test]
    fn the_latest_hundred_are_remembered_and_all_are_counted() {
        let mut history = History::default();
        for number in 0..250 {
            assert!(history.running().is_none());
            history.begin(run(number));
            assert_eq!((history.running().unwrap().id.as_str(), history.counts.running), (format!("r{number}").as_str(), true));
            history.end(Timestamp::from_unix(Duration::from_secs(9)), Verdict::Passed, None);
        }
        let list = history.list();
        assert_eq!((list.len(), &list[0]["run_id"], &list[99]["run_id"]), (100, &"r249".into(), &"r150".into()));
        assert_eq!((history.counts.of(Verdict::Passed), history.counts.running), (250, false));
        assert!(history.find("r149").is_none() && history.find("r150").is_some());
    }

    #[test]
    fn verdicts() {
        let of = |passed| if passed { RunVerdict::Passed } else { RunVerdict::Failed };
        let ended = |valid, passed, interrupted| Some(Ok(Ended { valid, verdict: of(passed), interrupted, recorded: true }));
        let torn = |valid, passed, interrupted| Some(Ok(Ended { valid, verdict: of(passed), interrupted, recorded: false }));
        let unjudged = |valid| Some(Ok(Ended { valid, verdict: RunVerdict::NotJudged, interrupted: false, recorded: true }));
        let broken = || Some(Err(Failed::Broken(Diagnostic::error("worker 1 broke down"))));
        for (outcome, summary, expected) in [
            (ended(true, true, false), true, Verdict::Passed),
            (ended(true, false, false), true, Verdict::Failed),
            (unjudged(false), true, Verdict::Invalid),
            (unjudged(true), true, Verdict::NotJudged),
            (ended(false, false, false), true, Verdict::Failed),
            (ended(true, true, true), true, Verdict::Interrupted),
            (torn(true, true, false), true, Verdict::Unrecorded),
            (torn(true, false, false), true, Verdict::Failed),
            (torn(true, true, true), true, Verdict::Interrupted),
            (broken(), true, Verdict::Crashed),
            (broken(), false, Verdict::NotRun),
            (None, false, Verdict::Crashed),
        ] {
            let torn = matches!(outcome, Some(Ok(Ended { recorded: false, .. })));
            let (verdict, reason) = verdict(outcome, summary);
            assert_eq!(verdict, expected);
            assert_eq!(reason.is_some_and(|why| why.contains("could be written")), torn, "{expected:?}");
        }
    }
}
