//! The command line. Each command has a file; here is how they start and how they end.

mod args;
mod check;
mod compare;
mod control;
mod dashboards;
mod report;
mod run;
mod serve;

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::{self, Stream};
use crate::control::guard::{TOKEN_VARIABLE, Token};
use crate::diagnostic::{Diagnostic, Problems};
use crate::file;
use crate::run::Failed;
use crate::scenario::plan::Plan;
use crate::scenario::{self, Overrides};

/// A file that holds a token and nothing else is never as large.
const LARGEST_TOKEN: u64 = 64 << 10;

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The run passed, or was not judged.
    Passed = 0,
    /// The run failed; or a request of `check --once` did.
    RunFailed = 1,
    /// The scenario or the command line is wrong; nothing was run.
    Wrong = 2,
    /// The generator was the bottleneck.
    Invalid = 3,
    /// It could not run here: a port is taken, a folder cannot be written, there are too few descriptors.
    Failed = 4,
    /// `compare` cannot tell whether the second run is worse.
    CannotTell = 5,
    /// A second Ctrl-C.
    Interrupted = 130,
}

/// The whole program.
pub fn main() -> ExitCode {
    console::begin();
    make_file_size_limits_errors();
    let command = match args::Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(answer) => return ExitCode::from(explain(&answer) as u8),
    };
    // Its message has been printed. A panic would be exit code 101, which no table has.
    let exit = catch_unwind(AssertUnwindSafe(|| perform(command))).unwrap_or_else(|_| {
        let defect = Diagnostic::error("otload itself broke down; its message is above");
        refuse(&Failed::Broken(defect.hint("this is a defect of otload: please report it with the scenario")))
    });
    ExitCode::from(exit as u8)
}

/// Prints the help that was asked for, or what is wrong with the arguments.
fn explain(answer: &clap::Error) -> Exit {
    let stream = if answer.use_stderr() { Stream::Error } else { Stream::Output };
    let text = answer.render();
    let styled = console::is_terminal(stream) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = if styled { text.ansi().to_string() } else { text.to_string() };
    match stream {
        Stream::Error => {
            console::error(&text);
            Exit::Wrong
        }
        Stream::Output => printed(console::document(&text)),
    }
}

/// The signal that a limit of file sizes (`RLIMIT_FSIZE`) sends would end the process. With a handler, the write fails as it does on
/// a full disk.
fn make_file_size_limits_errors() {
    // tokio keeps the handler when the runtime that registered it has gone. Without a runtime nothing could be run anyway.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _context = runtime.enter();
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    }
}

fn perform(command: args::Command) -> Exit {
    match command {
        args::Command::Run(args) => run::run(&args),
        args::Command::Check(args) => check::check(&args),
        args::Command::Report(args) => report::report(&args),
        args::Command::Compare(args) => compare::compare(&args),
        args::Command::Serve(args) => serve::serve(args),
        args::Command::Status(args) => control::status(&args),
        args::Command::Scale(args) => control::scale(&args),
        args::Command::Pause(to) => control::pause(&to),
        args::Command::Resume(to) => control::resume(&to),
        args::Command::Stop(to) => control::stop(&to),
        args::Command::Annotate(args) => control::annotate(&args),
        args::Command::Dashboards(args) => dashboards::dashboards(&args),
        args::Command::Schema { markdown: true } => document(&scenario::reference()),
        args::Command::Schema { markdown: false } => document(&format!("{:#}\n", scenario::schema())),
        args::Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::Cli::command(), "otload", &mut script);
            document(&String::from_utf8_lossy(&script))
        }
        args::Command::Version => print(&format!("otload {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// Prints text for people to standard output.
fn print(text: &str) -> Exit {
    printed(console::out(text))
}

/// Prints a document to standard output, which has made foreign text harmless in its own way.
fn document(text: &str) -> Exit {
    printed(console::document(text))
}

/// What printing came to. A reader that has gone (`otload schema | head`) is no failure.
fn printed(result: io::Result<()>) -> Exit {
    match result {
        Err(error) if !console::is_gone(&error) => {
            let problem = Diagnostic::error(format!("cannot write to standard output: {error}"));
            console::problem(&problem.hint("look at where it goes to: a full disk, or a program that does not read"), colour());
            Exit::Failed
        }
        _ => Exit::Passed,
    }
}

/// Whether messages are coloured: on a terminal, unless `NO_COLOR` is set.
fn colour() -> bool {
    console::is_terminal(Stream::Error) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints problems to standard error.
fn complain(problems: &Problems) {
    if !problems.is_empty() {
        console::error(&problems.render(colour()));
    }
}

/// The plan of a scenario and its warnings, which are printed; `None` when it is wrong, and its problems are.
fn plan(args: &args::ScenarioArgs) -> Option<(Arc<Plan>, Problems)> {
    let (plan, problems) = match scenario::load(&args.file, &overrides(args)) {
        Ok((plan, warnings)) => (Some(Arc::new(plan)), warnings),
        Err(problems) => (None, problems),
    };
    complain(&problems);
    plan.map(|plan| (plan, problems))
}

/// The token that guards control: of the file, else of the environment; `None` if there is neither.
fn token(file: Option<&Path>) -> Result<Option<Token>, Diagnostic> {
    let (text, place) = match file {
        Some(file) => match file::read_text(file, LARGEST_TOKEN) {
            Ok(text) => (text, format!("--control-token-file {}", file.display())),
            Err(error) => {
                return Err(Diagnostic::error(format!("cannot read --control-token-file {}: {error}", file.display()))
                    .hint("name a file that holds the token, and nothing else"));
            }
        },
        None => match std::env::var_os(TOKEN_VARIABLE) {
            Some(text) => (text.to_string_lossy().into_owned(), TOKEN_VARIABLE.to_owned()),
            None => return Ok(None),
        },
    };
    Token::try_new(&text)
        .map(Some)
        .map_err(|error| Diagnostic::error(format!("{place}: {error}")).hint("`openssl rand -hex 32` makes a good one"))
}

/// Says why nothing was run.
fn refuse(failed: &Failed) -> Exit {
    let (problem, exit) = match failed {
        Failed::Refused(problem) => (problem, Exit::Wrong),
        Failed::Broken(problem) => (problem, Exit::Failed),
    };
    console::problem(problem, colour());
    exit
}

/// The environment, as templates may see it.
fn environment() -> HashMap<String, String> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// What the arguments override.
fn overrides(args: &args::ScenarioArgs) -> Overrides {
    let env = environment();
    Overrides {
        host: args.host.clone(),
        users: args.users,
        spawn_rate: args.spawn_rate,
        run_time: args.run_time,
        set: args.set.clone(),
        tags: args.tags.clone(),
        exclude_tags: args.exclude_tags.clone(),
        env,
        hosts: None,
    }
}
