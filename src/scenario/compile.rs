//! From the scenario as written to the [`Plan`]: every template parsed, every name interned, and everything that is wrong
//! found and reported together.
//!
//! | file | compiles |
//! |---|---|
//! | `text.rs` | templates and expressions, and what they refer to |
//! | `constants.rs` | `variables`, `env`, `secrets` |
//! | `data.rs` | files with rows, and who uses them |
//! | `auth.rs`, `body.rs`, `stream.rs` | who sends a request, what it carries, and how long its response is listened to |
//! | `settings.rs` | `http` |
//! | `users.rs` | user types, their tasks, and which of them are reached |
//! | `steps.rs`, `flow.rs` | flows, groups, pauses; and the steps that steer a flow |
//! | `request.rs`, `expect.rs`, `capture.rs` | requests, what their responses must be, and what is taken out of them |
//! | `impossible.rs` | what no response can be, and what no comparison can find |
//! | `defined.rs`, `known.rs` | the names that steps define, and whether they are there where they are used |
//! | `naming.rs` | what metrics call tests, tasks and requests |
//! | `tags.rs` | `--tags` and `--exclude-tags` |
//! | `load.rs` | the loads, warm-up and graceful stop |
//! | `observe.rs` | where telemetry goes |
//! | `soak.rs` | what counts as getting worse |
//! | `thresholds.rs` | what the run has to keep, and the names in it |
//! | `validity.rs` | when the generator was the bottleneck |

mod auth;
mod body;
mod capture;
mod constants;
mod data;
mod defined;
mod expect;
mod flow;
mod impossible;
mod known;
mod load;
mod naming;
mod observe;
mod request;
mod settings;
mod soak;
mod steps;
mod stream;
mod tags;
mod text;
mod thresholds;
mod users;
mod validity;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use super::document::place::error_at;
use super::document::read::Field;
use super::document::reported::Reported;
use super::document::{self, Scenario};
use super::plan::{OnFailure, Plan, Rendezvous};
use crate::diagnostic::{Diagnostic, Problems, Source};
use crate::measure::catalog::Catalog;
use crate::template::{Names, Template};
use crate::units::Rate;

/// What the command line and the environment say; it goes before what the file says.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub host: Option<String>,
    pub users: Option<u32>,
    pub spawn_rate: Option<Rate>,
    pub run_time: Option<Duration>,
    /// Variables, by name.
    pub set: Vec<(String, String)>,
    /// Only tasks that have one of these, themselves or by their user type.
    pub tags: Vec<String>,
    /// No tasks that have one of these.
    pub exclude_tags: Vec<String>,
    /// The environment, as templates may see it.
    pub env: HashMap<String, String>,
    /// Of somebody who may not send the scenario's secrets, data and files anywhere else: where `host` and `set` may lead, besides
    /// the file's own host.
    pub hosts: Option<Vec<Url>>,
}

/// Reads and compiles the file at `path`; with the plan, warnings.
///
/// # Errors
/// All that is wrong with the file, errors before warnings.
pub fn load(path: &Path, overrides: &Overrides) -> Result<(Plan, Problems), Problems> {
    compile(document::open(path)?, overrides)
}

/// Compiles a scenario; with the plan, warnings. Files that it names are looked up beside `source.name`.
///
/// # Errors
/// All that is wrong with it, errors before warnings.
pub fn compile(source: Arc<Source>, overrides: &Overrides) -> Result<(Plan, Problems), Problems> {
    let (scenario, problems) = document::parse(&source)?;
    let mut compiler = Compiler::new(source, overrides, problems);
    let plan = compiler.plan(&scenario);
    match plan {
        Some(plan) if !compiler.problems.has_errors() => Ok((plan, compiler.problems.finish())),
        _ => Err(compiler.problems.finish()),
    }
}

/// What is known while a scenario is compiled.
struct Compiler<'a> {
    source: Arc<Source>,
    overrides: &'a Overrides,
    problems: Reported,
    /// What templates may refer to.
    names: Names,
    data: data::Data,
    senders: auth::Senders,
    /// Files that are sent, by their paths.
    files: HashMap<PathBuf, bytes::Bytes>,
    /// Variables of the environment that templates use.
    used_env: BTreeSet<String>,
    host: Host,
    defaults: Defaults,
    catalog: Catalog,
    /// Request steps so far.
    requests: usize,
    /// `setup` or `teardown`, which one user does, while they are compiled.
    single: Option<&'static str>,
    /// Of the user type that is compiled.
    paths: defined::Paths,
    /// What is known of variables where it is compiled.
    known: known::Known,
    /// What comes after a failure there.
    failing: OnFailure,
    /// Steps within steps.
    depth: usize,
    /// Meetings so far, and where their `users` are written.
    rendezvous: Vec<(Rendezvous, Range<usize>)>,
    /// Where headers are written that make a request part of another trace.
    own_traces: Vec<Range<usize>>,
}

enum Host {
    Absent,
    /// There, but wrong: reported, and no relative URL is to blame.
    Wrong,
    Known(Url),
}

/// What `http` says of every request.
struct Defaults {
    timeout: Duration,
    redirects: u32,
    headers: Vec<(http::HeaderName, Template)>,
}

impl<'a> Compiler<'a> {
    fn new(source: Arc<Source>, overrides: &'a Overrides, problems: Reported) -> Self {
        Self {
            source,
            overrides,
            problems,
            names: Names::new(),
            data: data::Data::default(),
            senders: auth::Senders::default(),
            files: HashMap::new(),
            used_env: BTreeSet::new(),
            host: Host::Absent,
            defaults: Defaults { timeout: Duration::from_secs(30), redirects: 10, headers: Vec::new() },
            catalog: Catalog::default(),
            requests: 0,
            single: None,
            paths: defined::Paths::default(),
            known: known::Known::default(),
            failing: OnFailure::default(),
            depth: 0,
            rendezvous: Vec::new(),
            own_traces: Vec::new(),
        }
    }

    fn plan(&mut self, scenario: &Scenario) -> Option<Plan> {
        let name = self.test_name(scenario);
        let variables = self.variables(scenario);
        self.senders.constants = variables.keys().cloned().collect();
        self.data(scenario);
        self.host(scenario);
        let settings = self.settings(&scenario.http);
        self.failing = flow::on_failure(&scenario.on_failure, OnFailure::Continue);
        let setup = self.setup(&scenario.setup);
        let teardown = self.once(&scenario.teardown, "teardown");
        let users = self.users(&scenario.users);
        let load = self.load(scenario, &users);
        let validity = self.validity(&scenario.validity);
        let soak = self.soak_limits(&scenario.observe);
        let observe = self.observe(&scenario.observe, &variables);
        let secrets = self.secrets(scenario);
        let thresholds = self.thresholds(&scenario.thresholds, load.as_ref());
        let load = load?;
        let data = self.feeders(&load.crews, &users);
        let plan = Plan {
            name,
            sha256: hex(&Sha256::digest(self.source.text.as_bytes())),
            source: self.source.clone(),
            host: match &self.host {
                Host::Known(url) => Some(url.clone()),
                Host::Absent | Host::Wrong => None,
            },
            constants: Arc::new(self.constants(variables)),
            data,
            oauth2: self.token_servers(),
            http: settings,
            setup,
            teardown,
            users,
            rendezvous: self.rendezvous.iter().map(|(rendezvous, _)| rendezvous.clone()).collect(),
            crews: load.crews,
            warm_up: load.warm_up,
            graceful_stop: load.graceful_stop,
            validity,
            soak,
            thresholds,
            fail_on_errors: scenario.fail_on_errors.value().copied().unwrap_or_default(),
            observe,
            catalog: Arc::new(std::mem::take(&mut self.catalog)),
            requests: self.requests,
            secrets,
        };
        if !self.problems.has_errors() {
            self.never_there(scenario, &plan);
            self.never_met(&plan);
        }
        Some(plan)
    }

    fn test_name(&mut self, scenario: &Scenario) -> String {
        if let Some(name) = scenario.name.given() {
            self.check_name(name, "a test's name");
            return name.value.clone();
        }
        let stem = Path::new(&self.source.name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.unwrap_or_else(|| "scenario".to_owned())
    }

    fn host(&mut self, scenario: &Scenario) {
        let (text, range) = match (&self.overrides.host, scenario.host.given()) {
            (Some(text), _) => (text.clone(), None),
            (None, Some(placed)) => (placed.value.clone(), Some(placed.range.clone())),
            (None, None) => {
                self.host = if scenario.host.is_absent() { Host::Absent } else { Host::Wrong };
                return;
            }
        };
        self.host = match parse_host(&text) {
            Ok(url) if range.is_none() && !self.may_lead_to(scenario, &url) => {
                let message =
                    format!("--host: runs that are started here may not be sent to {}", url.origin().ascii_serialization());
                let hint = "`hosts` in serve.yaml lists where they may go, besides the scenario's own `host`";
                self.problems.push(Diagnostic::error(message).hint(hint));
                Host::Wrong
            }
            Ok(url) => Host::Known(url),
            Err((message, hint)) => {
                let problem = match range {
                    Some(range) => self.error(&range, message),
                    None => Diagnostic::error(format!("--host: {message}")),
                };
                self.problems.push(problem.hint(hint));
                Host::Wrong
            }
        };
    }

    /// Whether whoever overrides the host may choose this one.
    fn may_lead_to(&self, scenario: &Scenario, url: &Url) -> bool {
        let Some(hosts) = &self.overrides.hosts else { return true };
        let own = scenario.host.value().and_then(|text| parse_host(text).ok());
        hosts.iter().chain(&own).any(|host| host.origin() == url.origin())
    }

    /// An error with a place, not yet among the problems, so that a hint can be added.
    fn error(&self, range: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        error_at(&self.source, range, message)
    }

    fn push(&mut self, range: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let problem = self.error(range, message).hint(hint);
        self.problems.push(problem);
    }

    fn warn(&mut self, range: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let mut problem = self.error(range, message).hint(hint);
        problem.severity = crate::diagnostic::Severity::Warning;
        self.problems.push(problem);
    }

    /// A duration that must not be zero.
    fn more_than_zero(&mut self, field: &Field<Duration>, key: &str) -> Option<Duration> {
        let placed = field.given()?;
        if placed.value.is_zero() {
            let hint = if key.contains("timeout") {
                "remove the key for the default"
            } else {
                "give a duration such as `10s`, or remove the key"
            };
            self.push(&placed.range, format!("`{key}` cannot be zero"), hint);
        }
        Some(placed.value)
    }
}

/// A base for relative URLs.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn parse_host(text: &str) -> Result<Url, (String, String)> {
    let example = || "write it like `http://127.0.0.1:5000`".to_owned();
    if text.contains("{{") {
        return Err((
            "`host` cannot hold a template".to_owned(),
            "write a URL, and override it with --host or the environment variable OTLOAD_HOST".to_owned(),
        ));
    }
    let with_scheme = format!("http://{text}");
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        // `localhost:5000` parses, as scheme `localhost`.
        Ok(url) if text.contains("://") => {
            return Err((format!("`{}` is not a scheme that otload speaks", url.scheme()), "use http or https".to_owned()));
        }
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) if !text.starts_with('/') && Url::parse(&with_scheme).is_ok() => {
            return Err((format!("`{text}` has no scheme"), format!("write `{with_scheme}`")));
        }
        Ok(_) => return Err((format!("`{text}` is not a URL"), example())),
        Err(error) => return Err((format!("`{text}` is not a URL: {error}"), example())),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        let origin = url.origin().ascii_serialization();
        return Err((
            "`host` is scheme, name and port only; the rest would be left out of requests".to_owned(),
            format!("write `{origin}`, and the path in front of the requests' own"),
        ));
    }
    Ok(url)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
