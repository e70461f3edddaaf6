//! What a run says: on standard error or in the live view, and in `otload.log`, which has more of it than is printed.

use super::live::Live;
use super::watch::show;
use super::{Conductor, Ended, Failed, Job, without_secrets};
use crate::diagnostic::Diagnostic;
use crate::journal::{Journal, Topic};
use crate::measure::snapshot::Phase;
use crate::report::{self, Outcome};
use crate::view::screen;

/// Beside the other results.
pub(super) const LOG: &str = "otload.log";

/// Prints a problem, and keeps it.
pub(super) fn warn(job: &Job, problem: &Diagnostic) {
    job.journal.say(Topic::Warning, &problem.on_one_line());
    screen::say(&problem.render(false), &problem.render(job.colour));
}

/// Prints a line, and keeps it.
pub(super) fn tell(journal: &Journal, line: &str) {
    journal.say(Topic::Info, line);
    show(line);
}

/// Opens the log with what is run.
///
/// # Errors
/// When it cannot be written.
pub(super) fn open(job: &Job) -> Result<(), Diagnostic> {
    let host = job.plan.host.as_ref().map_or_else(|| "the URLs of the scenario".into(), without_password);
    let with = if job.overrides.is_empty() { String::new() } else { format!(" · with {}", job.overrides.join(" ")) };
    let (version, name, run, seed) = (env!("CARGO_PKG_VERSION"), &job.plan.name, &job.run_id, job.seed);
    job.journal.say(Topic::Info, &format!("otload {version} · {name} → {host} · run {run} · seed {seed}{with}"));
    let failed = |error| Diagnostic::error(error).hint("choose another folder with --out, or make this one writable");
    job.journal.open(&job.out.join(LOG)).map_err(failed)
}

/// The verdict, and why.
pub(super) fn conclude(job: &Job, live: &Live, outcome: &Outcome) {
    let journal = &job.journal;
    outcome.invalid_reasons.iter().for_each(|reason| journal.say(Topic::Warning, &format!("invalid: {reason}")));
    outcome.notes.iter().for_each(|note| journal.say(Topic::Info, &format!("note: {note}")));
    outcome.failure_causes.iter().for_each(|cause| journal.say(Topic::Warning, &format!("failed: {}", cause.message)));
    let verdict = outcome.words();
    let (requests, failures) = live.totals().totals.requests.iter().fold((0, 0), |(requests, failures), request| {
        let (more, failed) = request.counters.requests_and_failures();
        (requests + more, failures + failed)
    });
    journal.say(Topic::Event, &format!("ended: {verdict}; {requests} requests with the warm-up, {failures} of them failed"));
}

/// Ends the log with how the run did.
pub(super) fn close(job: &Job, ended: Result<Ended, Failed>) -> Result<Ended, Failed> {
    if let Err(Failed::Refused(problem) | Failed::Broken(problem)) = &ended {
        job.journal.say(Topic::Error, &problem.on_one_line());
    }
    match (job.journal.finish(), ended) {
        (Err(error), Ok(ended)) => {
            warn(job, &Diagnostic::warning(error).hint("the other results are there"));
            Ok(Ended { recorded: false, ..ended })
        }
        (_, ended) => ended,
    }
}

/// The file, with what overrides it in a comment; without secrets.
pub(super) fn scenario_as_run(job: &Job) -> String {
    let source = &job.plan.source;
    let with = if job.overrides.is_empty() { String::new() } else { format!(", with {}", job.overrides.join(" ")) };
    let text = format!("# {}, run as {}{with}\n{}", source.name, job.run_id, source.text);
    without_secrets(&job.plan, &text)
}

/// The URL as labels and files may show it.
pub(super) fn without_password(url: &url::Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Only fails for URLs that have no host, and those have no password.
        let _ = url.set_password(Some("***"));
    }
    url.to_string()
}

impl Conductor<'_> {
    pub(super) fn entered(&mut self, phase: Phase) {
        if self.phase.replace(phase) != Some(phase) {
            self.job.journal.say(Topic::Event, &format!("phase {}", phase.name()));
        }
    }

    pub(super) fn progress(&mut self) {
        let now = self.live.snapshot();
        let line = report::progress::line(&self.last, &now);
        self.job.journal.say(Topic::Progress, &line);
        if !self.job.quiet && !screen::is_on() {
            (self.print)(&(line + "\n"));
        }
        self.last = now;
    }
}
