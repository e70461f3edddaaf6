//! `otload run`: the scenario and the arguments become a [`run::Job`]; how it ended becomes the exit code.

use std::io::IsTerminal;
use std::thread::available_parallelism;

use super::args::RunArgs;
use super::{Exit, colour, plan, print, refuse, token};
use crate::clock;
use crate::console::{self, Stream};
use crate::journal::{Journal, Topic};
use crate::run::{self, Baseline, Ended, Failed, Job, RunVerdict};

pub(super) fn run(args: &RunArgs) -> Exit {
    let Some((plan, warnings)) = plan(&args.scenario) else { return Exit::Wrong };
    let token = match token(args.control_token_file.as_deref()) {
        Ok(token) => token,
        Err(problem) => return refuse(&Failed::Refused(problem)),
    };
    let baseline = match args.baseline.as_deref().map(Baseline::read).transpose() {
        Ok(baseline) => baseline,
        Err(problem) => return refuse(&Failed::Refused(problem)),
    };
    let run_id = args.run_id.clone().unwrap_or_else(|| run::default_run_id(&plan.name, clock::timestamp()));
    let secrets = plan.clone();
    let journal = Journal::new(move |text| run::without_secrets(&secrets, text));
    warnings.sorted().iter().for_each(|warning| journal.say(Topic::Warning, &warning.on_one_line()));
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    let job = Job {
        out: args.out.clone().unwrap_or_else(|| std::path::Path::new("results").join(run_id.replace(':', "-"))),
        run_id,
        seed: args.scenario.seed.unwrap_or_else(run::random_seed),
        seeded: args.scenario.seed.is_some(),
        workers: args.workers.unwrap_or(cores as u32),
        listen: args.listen,
        token,
        overrides: args.scenario.given().into_iter().chain(args.fail_on_errors.then(|| "--fail-on-errors".to_owned())).collect(),
        demo: args.demo,
        baseline,
        fail_on_errors: args.fail_on_errors,
        quiet: args.quiet,
        linger: args.linger,
        colour: colour(),
        terminal: console::is_terminal(Stream::Output),
        view: view(args.quiet),
        journal,
        plan,
    };
    console::lose_patience();
    let mut unprinted = None;
    let ended = run::execute(&job, &mut |text| {
        // Said once; the run goes on, its summary is in the results.
        if unprinted.is_none() {
            unprinted = Some(print(text)).filter(|exit| *exit != Exit::Passed);
        }
    });
    match ended {
        Ok(Ended { interrupted: true, .. }) => Exit::Interrupted,
        Ok(Ended { verdict: RunVerdict::Failed, .. }) => Exit::RunFailed,
        Ok(Ended { valid: false, .. }) => Exit::Invalid,
        Ok(Ended { recorded: false, .. }) => Exit::Failed,
        Ok(_) => unprinted.unwrap_or(Exit::Passed),
        Err(failed) => refuse(&failed),
    }
}

/// Whether there is a live view, and whether it is coloured. It needs a terminal that can place a cursor, and its keys.
fn view(quiet: bool) -> Option<bool> {
    let terminals = console::is_terminal(Stream::Output) && std::io::stdin().is_terminal();
    let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    (terminals && able && !quiet).then(|| std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
}
