//! The command line as data: what each command takes, in one place that help and completions are made of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::control::client::DEFAULT_ADDRESS;
use crate::control::guard::TOKEN_FILE_VARIABLE;
use crate::units::{Rate, Ratio, format_duration, parse_duration};

/// Load generator whose interface is Prometheus, Grafana and OpenTelemetry.
#[derive(Debug, Parser)]
#[command(name = "otload", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a scenario; serves metrics while it runs
    Run(Box<RunArgs>),
    /// Validate a scenario and print what it would do
    Check(Box<CheckArgs>),
    /// Rebuild the reports of a run from its results folder; or say where its time went, with a trace store
    Report(Box<ReportArgs>),
    /// Compare two runs by their results: exit code 1 if the second one is worse, 5 if that cannot be told
    Compare(CompareArgs),
    /// Wait for runs: scenarios of a folder are started through the control API or by a schedule
    Serve(ServeArgs),
    /// Say how a running otload is doing
    Status(StatusArgs),
    /// Change the number of users, or the rate of arrivals, of a running otload
    Scale(ScaleArgs),
    /// Let a running otload begin no more tasks until it is resumed; the time of its load stands still
    Pause(ToArgs),
    /// Go on after a pause
    Resume(ToArgs),
    /// Let a running otload end as by a first Ctrl-C: users end their tasks, then it reports
    Stop(ToArgs),
    /// Leave a remark in the summary of a running otload
    Annotate(AnnotateArgs),
    /// List the dashboards, rules and alerts that are built in, write them to a folder, or bring them into Grafana
    Dashboards(DashboardsArgs),
    /// Print the JSON Schema of scenarios, for editors
    Schema {
        /// Print the reference of the language instead, for people: docs/language.md
        #[arg(long)]
        markdown: bool,
    },
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Address of /metrics and control; port 0 picks a free one and prints it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    pub listen: SocketAddr,
    /// A file with the token that whoever controls the run has to send [default: OTLOAD_CONTROL_TOKEN]
    #[arg(long, value_name = "FILE", env = TOKEN_FILE_VARIABLE)]
    pub control_token_file: Option<PathBuf>,
    /// Engine threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: Option<u32>,
    /// Where results go [default: results/<run id>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Serve the built-in cars API on the scenario's host while the run lasts
    #[arg(long)]
    pub demo: bool,
    /// Results folder of an earlier run, for thresholds like `baseline.p95 < 1.1x` and for dashboards
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,
    /// Fail, with exit code 1, if any request or iteration fails
    #[arg(long)]
    pub fail_on_errors: bool,
    /// No live view and no progress, only warnings and the summary
    #[arg(long)]
    pub quiet: bool,
    /// Keep serving /metrics after the end until one more scrape has come, at most this long
    /// [default: 15s, 0 when nobody has scraped this run]
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub linger: Option<Duration>,
    /// Name of the run in metrics and results [default: <scenario>-<date>-<time>]
    #[arg(long, value_name = "ID", value_parser = parse_run_id)]
    pub run_id: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Also run every task once and print each request and response
    #[arg(long)]
    pub once: bool,
    /// With --once: serve the built-in cars API on the scenario's host meanwhile
    #[arg(long, requires = "once")]
    pub demo: bool,
}

#[derive(Debug, Args)]
#[command(after_help = REPORT_EXIT_CODES)]
pub(super) struct ReportArgs {
    /// The results folder of the run, also of one that was killed
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Which reports, with commas between them [default: all]
    #[arg(long, value_enum, value_name = "FORMAT", value_delimiter = ',', conflicts_with = "traces")]
    pub format: Vec<ReportFormat>,
    /// Another folder for them, or `-` for standard output [default: the results folder]
    #[arg(long, value_name = "DIR", conflicts_with = "traces")]
    pub out: Option<PathBuf>,
    /// Base URL of the trace store (Tempo, Jaeger, otelite): splits the time of traced requests into generator, network and
    /// server
    #[arg(long, value_name = "URL")]
    pub traces: Option<String>,
    /// Also write it as a page
    #[arg(long, value_name = "FILE", requires = "traces")]
    pub html: Option<PathBuf>,
    /// As many of the slowest and as many of the failed traces
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// report.html
    Html,
    /// summary.json
    Json,
    /// stats.csv, stats_history.csv and failures.csv, as Locust names their columns
    Csv,
    /// junit.xml
    Junit,
    /// report.md
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The results folder of the earlier run
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// That of the run which is judged
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// Changes that matter, of times, throughput and failures [default: 5%]
    #[arg(long, value_name = "SHARE", value_parser = parse_min_change)]
    pub min_change: Option<Ratio>,
    /// Changes of the failure ratio that matter, in all requests [default: 0.1%]
    #[arg(long, value_name = "SHARE", value_parser = parse_min_change)]
    pub min_failure_change: Option<Ratio>,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CompareFormat {
    Text,
    Markdown,
    Html,
    Json,
}

/// A share above 0: two runs are never the same to the last digit.
fn parse_min_change(text: &str) -> Result<Ratio, String> {
    let share = Ratio::parse(text)?;
    if share.get() > 0.0 { Ok(share) } else { Err("it has to be more than 0, like 5%".to_owned()) }
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The folder of scenarios
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// What it does by itself [default: serve.yaml in the folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of /metrics and control; port 0 picks a free one and prints it
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    pub listen: SocketAddr,
    /// A file with the token that whoever controls it has to send [default: OTLOAD_CONTROL_TOKEN]
    #[arg(long, value_name = "FILE", env = TOKEN_FILE_VARIABLE)]
    pub control_token_file: Option<PathBuf>,
    /// Engine threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: Option<u32>,
    /// Where results go, in a folder for each run
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub out: PathBuf,
}

/// Which running otload is meant.
#[derive(Debug, Args)]
pub(super) struct ToArgs {
    /// Where it listens, as it prints after `metrics:`
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    pub to: String,
    /// A file with its token [default: OTLOAD_CONTROL_TOKEN]
    #[arg(long, value_name = "FILE", env = TOKEN_FILE_VARIABLE)]
    pub control_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub to: ToArgs,
    /// The figures of each request too
    #[arg(long)]
    pub requests: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Only whether it serves, for health checks: needs no token, wherever it listens
    #[arg(long, conflicts_with_all = ["requests", "json"])]
    pub health: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("load").required(true).args(["users", "arrival_rate"]))]
pub(super) struct ScaleArgs {
    #[command(flatten)]
    pub to: ToArgs,
    /// Number of users from now on
    #[arg(short, long, value_name = "N")]
    pub users: Option<u32>,
    /// Users that come or go per second [default: all at once]
    #[arg(short = 'r', long, value_name = "RATE", value_parser = Rate::parse, requires = "users")]
    pub spawn_rate: Option<Rate>,
    /// Arrivals of an open load from now on
    #[arg(long, value_name = "RATE", value_parser = Rate::parse, conflicts_with = "users")]
    pub arrival_rate: Option<Rate>,
    /// A user type with a load of its own [default: the load at the top of the scenario]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct AnnotateArgs {
    #[command(flatten)]
    pub to: ToArgs,
    /// What to remember
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct DashboardsArgs {
    /// Write them into this folder
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Rules that look back and wait so many times as short, for runs of minutes: 60 makes 30s of 30m
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub shorten: Option<u32>,
    /// Bring the dashboards into the Grafana at this address, into a folder `otload`
    #[arg(long, value_name = "URL")]
    pub push: Option<String>,
    /// A file with the token of a service account of that Grafana [default: GRAFANA_TOKEN]
    #[arg(long, value_name = "FILE", requires = "push")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of authorities that are trusted besides the system's, for that Grafana
    #[arg(long, value_name = "FILE", requires = "push")]
    pub ca: Option<PathBuf>,
    /// Draw the thresholds of this scenario as lines, and alert on them
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

/// Which scenario, and what of it is overridden.
#[derive(Debug, Args)]
pub(super) struct ScenarioArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Number of users
    #[arg(short, long, value_name = "N")]
    pub users: Option<u32>,
    /// Users started per second
    #[arg(short = 'r', long, value_name = "RATE", value_parser = Rate::parse)]
    pub spawn_rate: Option<Rate>,
    /// How long to run, like 10m
    #[arg(short = 't', long, value_name = "D", value_parser = parse_duration)]
    pub run_time: Option<Duration>,
    /// Base of relative URLs
    #[arg(short = 'H', long, value_name = "URL", env = "OTLOAD_HOST")]
    pub host: Option<String>,
    /// Set a variable of the scenario; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
    /// Only users and tasks with one of these tags
    #[arg(long, value_name = "T", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// No users and tasks with one of these tags
    #[arg(long, value_name = "T", value_delimiter = ',')]
    pub exclude_tags: Vec<String>,
    /// Makes everything random repeat
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl ScenarioArgs {
    /// What was overridden, as it would be written on the command line.
    pub(super) fn given(&self) -> Vec<String> {
        let text = |name: &str, value: Option<String>| value.map(|value| format!("--{name} {value}"));
        let list = |name: &'static str, values: &[String]| {
            values.iter().map(move |value| format!("--{name} {value}")).collect::<Vec<_>>()
        };
        let set = self.set.iter().map(|(name, value)| format!("--set {name}={value}"));
        [
            text("host", self.host.clone()),
            text("users", self.users.map(|users| users.to_string())),
            text("spawn-rate", self.spawn_rate.map(|rate| rate.to_string())),
            text("run-time", self.run_time.map(format_duration)),
            text("seed", self.seed.map(|seed| seed.to_string())),
        ]
        .into_iter()
        .flatten()
        .chain(set)
        .chain(list("tags", &self.tags))
        .chain(list("exclude-tags", &self.exclude_tags))
        .map(|text| text.replace(['\n', '\r'], " "))
        .collect()
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 passed, or not judged · 1 failed: by a threshold, because nothing succeeded, or by --fail-on-errors ·
2 the scenario or the command line is wrong · 3 the run is invalid: the generator was the bottleneck · 4 it could not
run · 130 interrupted by a second Ctrl-C. The first Ctrl-C, SIGTERM or SIGHUP stops gracefully.";

const REPORT_EXIT_CODES: &str = "\
Exit codes: 0 done · 2 the folder or the command line is wrong · 4 a report cannot be written, or the
trace store does not answer or has none of the traces.";

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() {
        Err("the name is empty; write it as NAME=VALUE".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}

/// A run id becomes a folder's name and a label's value.
fn parse_run_id(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match text {
        "" => Err("it is empty".to_owned()),
        _ if text.len() > 128 => Err("it is longer than 128 characters".to_owned()),
        _ if text.starts_with('.') || !text.chars().all(good) => Err("use letters, digits, `-`, `_`, `.` and `:`".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn overrides_are_read_with_their_units() {
        let cli = Cli::try_parse_from([
            "otload", "run", "x.yaml", "-u", "10", "-r", "30/m", "-t", "1m30s", "--set", "a=b=c", "--tags", "x,y",
        ])
        .unwrap();
        let Command::Run(args) = cli.command else { panic!() };
        assert_eq!(args.scenario.users, Some(10));
        assert_eq!(args.scenario.spawn_rate.unwrap().per_second(), 0.5);
        assert_eq!(args.scenario.run_time, Some(Duration::from_secs(90)));
        assert_eq!(args.scenario.set, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(args.scenario.tags, ["x", "y"]);
    }

    #[test]
    fn run_ids_are_file_names() {
        for bad in ["", "../x", "a b", "a/b", ".hidden", &"x".repeat(200)] {
            assert!(parse_run_id(bad).is_err(), "{bad}");
        }
        assert!(parse_run_id("nightly-2026.11:1_a").is_ok());
    }
}
