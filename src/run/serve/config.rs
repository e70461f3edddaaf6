//! `serve.yaml`: what a daemon does by itself.
//!
//! ```yaml
//! schedule:
//!   - {cron: "*/5 * * * *", scenario: smoke, overrides: {users: 2, run_time: 30s}}
//! # Where runs may be sent that are started through the API, besides the scenario's own host.
//! hosts: ["http://staging.example:8080"]
//! ```

use std::path::Path;

use serde::Deserialize;

use url::Url;

use super::cron::Cron;
use crate::control::Start;
use crate::control::command::Overrides;
use crate::diagnostic::Diagnostic;
use crate::file;
use crate::scenario::parse_host;

pub(super) const FILE: &str = "serve.yaml";

/// A schedule of a thousand lines has a tenth of it.
const LARGEST: u64 = 1 << 20;
/// The deepest value that is no mistake is one of `set`.
const DEEPEST: usize = 16;

/// One line of the schedule.
pub(super) struct Due {
    pub(super) cron: Cron,
    pub(super) start: Start,
}

impl Due {
    /// Whether it is due at the same times and starts the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.cron.to_string() == other.cron.to_string() && self.start == other.start
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    schedule: Vec<Line>,
    hosts: Vec<String>,
}

/// What a daemon is told by its file.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) schedule: Vec<Due>,
    /// Where a run that is started through the API may be sent, besides the scenario's own host.
    pub(super) hosts: Vec<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    cron: String,
    scenario: String,
    #[serde(default)]
    overrides: Overrides,
}

/// What the file at `path` says; nothing if there is no file, and it need not be there.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(super) fn read(path: &Path, needed: bool) -> Result<Settings, Diagnostic> {
    let text = match file::read_text(path, LARGEST) {
        Ok(text) => text,
        Err(error) if error.is_not_found() && !needed => return Ok(Settings::default()),
        Err(error) => return Err(Diagnostic::error(format!("cannot read {}: {error}", path.display()))),
    };
    parse(&text).map_err(|error| {
        Diagnostic::error(format!("{}: {error}", path.display()))
            .hint("write `schedule: [{cron: \"*/5 * * * *\", scenario: smoke, overrides: {users: 2}}]`")
    })
}

fn parse(text: &str) -> Result<Settings, String> {
    // The library recurses into what is nested.
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: DEEPEST, max_documents: 1 },
        with_snippet: false,
    };
    let config: Option<Config> = serde_yaml::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let config = config.unwrap_or_default();
    let due = |line: Line| -> Result<Due, String> {
        Ok(Due { cron: Cron::parse(&line.cron)?, start: Start { scenario: line.scenario, overrides: line.overrides } })
    };
    let host = |text: String| parse_host(&text).map_err(|(message, hint)| format!("hosts: {message}; {hint}"));
    Ok(Settings {
        schedule: config.schedule.into_iter().map(due).collect::<Result<_, _>>()?,
        hosts: config.hosts.into_iter().map(host).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_and_mistakes_are_named() {
        let Settings { schedule: due, hosts } = parse("hosts: ['https://a.example']\nschedule:\n  - {cron: '@daily', scenario: a, overrides: {users: 2, spawn_rate: 30/m, set: {n: 5}}}\n  - {cron: '5 * * * *', scenario: b.yaml}\n").unwrap();
        assert_eq!((due.len(), due[0].cron.to_string(), due[1].start.scenario.as_str()), (2, "@daily".to_owned(), "b.yaml"));
        assert_eq!((due[0].start.overrides.users, due[0].start.overrides.spawn_rate.unwrap().per_second()), (Some(2), 0.5));
        assert_eq!(hosts.iter().map(Url::as_str).collect::<Vec<_>>(), ["https://a.example/"]);
        assert!(["", "# nothing\n"].iter().all(|text| parse(text).unwrap().schedule.is_empty()));
        for (text, error) in [
            ("schedule: [{cron: '* * *', scenario: a}]", "3 fields"),
            ("schedule: [{cron: '* * * * *'}]", "scenario"),
            ("schedul: []", "schedul"),
            ("hosts: [a.example]", "hosts: `a.example` has no scheme; write `http://a.example`"),
            (
                &format!(
                    "schedule: [{{cron: '@daily', scenario: a, overrides: {{set: {{x: {}1{}}}}}}}]",
                    "[".repeat(5000),
                    "]".repeat(5000)
                ),
                "",
            ),
            (&format!("schedule: {}1{}", "[".repeat(200_000), "]".repeat(200_000)), ""),
            ("schedule: [{cron: '@daily', scenario: a, overrides: {user: 1}}]", "user"),
        ] {
            assert!(parse(text).err().unwrap().contains(error), "{}", &text[..text.len().min(200)]);
        }
    }
}
