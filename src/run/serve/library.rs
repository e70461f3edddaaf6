//! The scenarios of a daemon: files of one folder, by name. A name never leads out of the folder, not by a link either.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::config;
use crate::clock::{self, Instant};
use crate::control::Refusal;
use crate::control::command::Overrides as Asked;
use crate::diagnostic::{Diagnostic, nearest};
use crate::run::without_secrets;
use crate::scenario::plan::Plan;
use crate::scenario::{self, Overrides};
use crate::units::{format_duration, parse_duration};

pub(super) struct Library {
    folder: PathBuf,
    env: HashMap<String, String>,
    access: Access,
    /// The last list, and when it was made.
    list: Mutex<Option<(Instant, Value)>>,
}

/// What those may do who start runs through the API.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// They have a token, so that they may use the daemon's secrets.
    pub(super) has_token: bool,
    /// Where else they may send a run.
    pub(super) hosts: Vec<Url>,
}

/// Who wants a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Api,
    /// `serve.yaml`, which is as trustworthy as the scenarios beside it.
    Schedule,
}

/// Several who ask for the list at the same time are given the same.
const LIST_IS_NEW: Duration = Duration::from_secs(1);

/// As many files are listed.
const MOST_FILES: usize = 500;

impl Library {
    /// # Errors
    /// When there is no such folder.
    pub(super) fn open(folder: &Path, env: HashMap<String, String>, access: Access) -> Result<Self, Diagnostic> {
        match folder.canonicalize() {
            Ok(whole) if whole.is_dir() => Ok(Self { folder: whole, env, access, list: Mutex::default() }),
            Ok(_) => Err(Diagnostic::error(format!("{} is no folder", folder.display())).hint("name a folder of scenarios")),
            Err(error) => {
                Err(Diagnostic::error(format!("cannot read {}: {error}", folder.display())).hint("name a folder of scenarios"))
            }
        }
    }

    /// All of them, with what is wrong with them. One list is made at a time; whoever waits for it is given it too.
    pub(super) fn list(&self) -> Value {
        let asked = clock::now();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |made: Instant| asked.saturating_duration_since(made) < LIST_IS_NEW;
        if let Some((_, value)) = list.as_ref().filter(|(made, _)| is_new(*made)) {
            return value.clone();
        }
        let all: Vec<_> = self.names().into_iter().take(MOST_FILES).map(|name| self.look(&name)).collect();
        let value = json!({ "scenarios": all });
        *list = Some((clock::now(), value.clone()));
        value
    }

    fn look(&self, name: &str) -> Value {
        match self.load(name, &Asked::default(), Caller::Schedule) {
            Ok((plan, _)) => json!({ "scenario": name, "name": plan.name, "valid": true, "problems": [] }),
            Err(Wrong { problems, .. }) => json!({ "scenario": name, "name": null, "valid": false, "problems": problems }),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| {
                (name.ends_with(".yaml") || name.ends_with(".yml")) && name != config::FILE && self.find(name).is_some()
            })
            .collect();
        names.sort();
        names
    }

    /// The file of this name, with or without its ending.
    fn find(&self, name: &str) -> Option<PathBuf> {
        // No way up, down or to somewhere else; what is left is one name.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0', ':']) {
            return None;
        }
        [String::new(), ".yaml".to_owned(), ".yml".to_owned()]
            .iter()
            .map(|ending| format!("{name}{ending}"))
            .filter(|file| (file.ends_with(".yaml") || file.ends_with(".yml")) && file != config::FILE)
            .filter_map(|file| self.folder.join(file).canonicalize().ok())
            // A link may lead deeper into the folder: that is how Kubernetes mounts a ConfigMap.
            .find(|path| path.is_file() && path.starts_with(&self.folder))
    }

    /// The plan of a scenario, and what of it was overridden, as on the command line.
    pub(super) fn load(&self, name: &str, asked: &Asked, caller: Caller) -> Result<(Plan, Vec<String>), Wrong> {
        let Some(path) = self.find(name) else {
            let names = self.names();
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "/api/v1/scenarios lists what there is; only files of the daemon's folder can be run".to_owned(),
            };
            return Err(Wrong::one(format!("there is no scenario `{name}`"), hint));
        };
        let run_time = match asked.run_time.as_deref().map(parse_duration).transpose() {
            Ok(run_time) => run_time,
            Err(error) => return Err(Wrong::one(format!("`run_time`: {error}"), "write it like 10m".to_owned())),
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let set: Vec<_> = asked.set.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let overrides = Overrides {
            host: asked.host.clone(),
            users: asked.users,
            spawn_rate: asked.spawn_rate,
            run_time,
            set: set.clone(),
            tags: asked.tags.clone(),
            exclude_tags: asked.exclude_tags.clone(),
            env: self.env.clone(),
            hosts: (caller == Caller::Api).then(|| self.access.hosts.clone()),
        };
        let given = [
            asked.host.as_ref().map(|host| format!("--host {host}")),
            asked.users.map(|users| format!("--users {users}")),
            asked.spawn_rate.map(|rate| format!("--spawn-rate {rate}")),
            run_time.map(|time| format!("--run-time {}", format_duration(time))),
            asked.seed.map(|seed| format!("--seed {seed}")),
        ];
        let sets = set.iter().map(|(name, value)| format!("--set {name}={value}"));
        let tags = asked.tags.iter().map(|tag| format!("--tags {tag}"));
        let excluded = asked.exclude_tags.iter().map(|tag| format!("--exclude-tags {tag}"));
        let given = given.into_iter().flatten().chain(sets).chain(tags).chain(excluded);
        match scenario::load(&path, &overrides) {
            // Everybody on this machine can reach a daemon without a token.
            Ok((plan, _)) if caller == Caller::Api && !self.access.has_token && !plan.secrets.is_empty() => Err(Wrong::one(
                format!("`{name}` uses secrets, and this daemon has no token: anybody on this machine could start it"),
                "start the daemon with OTLOAD_CONTROL_TOKEN or --control-token-file; runs of its schedule need none".to_owned(),
            )),
            Ok((plan, _)) => {
                let leads = |(name, _): &&(String, String)| overrides.hosts.is_some() && plan.leads_to(name);
                if let Some((name, _)) = set.iter().find(leads) {
                    return Err(Wrong::one(
                        format!("`set` may not change `{name}`: it decides where requests go"),
                        "choose among the `hosts` of serve.yaml by `host`; a variable may stand in a path, behind its first letter".to_owned(),
                    ));
                }
                let given = given.map(|text| without_secrets(&plan, &text.replace(['\n', '\r'], " "))).collect();
                Ok((plan, given))
            }
            Err(problems) => {
                let sorted = problems.sorted();
                let hint = sorted.first().and_then(|problem| problem.hint.clone());
                let problems: Vec<_> = sorted.iter().map(|problem| problem.message.clone()).collect();
                Err(Wrong { problems, hint })
            }
        }
    }
}

/// What is wrong with a scenario, or with what was asked of it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) problems: Vec<String>,
    hint: Option<String>,
}

impl Wrong {
    fn one(problem: String, hint: String) -> Self {
        Self { problems: vec![problem], hint: Some(hint) }
    }

    pub(super) fn refusal(self) -> Refusal {
        Refusal { hint: self.hint, ..Refusal::wrong(self.problems.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: good\nhost: http://127.0.0.1:1\nusers: [{name: U, tasks: [{get: /}]}]\nload: {users: 1}\n";

    #[test]
    fn only_files_of_the_folder_are_scenarios() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("scenarios");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        for file in [
            "scenarios/a.yaml",
            "scenarios/b.yml",
            "scenarios/c.txt",
            "scenarios/serve.yaml",
            "scenarios/inner/d.yaml",
            "secret.yaml",
            "scenarios/.e.yaml",
        ] {
            std::fs::write(place.path().join(file), GOOD).unwrap();
        }
        std::fs::write(folder.join("bad.yaml"), "users: 5\n").unwrap();
        std::os::unix::fs::symlink("../secret.yaml", folder.join("out.yaml")).unwrap();
        std::os::unix::fs::symlink("a.yaml", folder.join("link.yaml")).unwrap();
        // As Kubernetes mounts a ConfigMap: files by a link to a folder that is replaced as a whole.
        std::fs::create_dir(folder.join("..2026")).unwrap();
        std::fs::write(folder.join("..2026/deep.yaml"), GOOD).unwrap();
        std::os::unix::fs::symlink("..2026", folder.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/deep.yaml", folder.join("deep.yaml")).unwrap();
        let library = Library::open(&folder, HashMap::new(), Access::default()).unwrap();
        let list = library.list();
        let names: Vec<_> = list["scenarios"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["scenario"].as_str().unwrap(), one["valid"] == true))
            .collect();
        assert_eq!(names, [("a.yaml", true), ("b.yml", true), ("bad.yaml", false), ("deep.yaml", true), ("link.yaml", true)]);
        assert!(list["scenarios"][2]["problems"][0].as_str().is_some_and(|problem| !problem.is_empty()));
        for name in ["a", "a.yaml", "b", "link", "deep"] {
            assert_eq!(library.load(name, &Asked::default(), Caller::Api).unwrap().0.name, "good", "{name}");
        }
        let secret = place.path().join("secret.yaml").display().to_string();
        for name in [
            "../secret",
            "../secret.yaml",
            "inner/d",
            "./a",
            "out",
            "..data/deep",
            ".e",
            "serve",
            "c.txt",
            "",
            "..",
            &secret,
            "a\0",
        ] {
            assert!(library.load(name, &Asked::default(), Caller::Api).is_err(), "{name}");
        }
        assert!(
            library
                .load("lnk.yaml", &Asked::default(), Caller::Api)
                .unwrap_err()
                .refusal()
                .hint
                .unwrap()
                .contains("did you mean `link.yaml`?")
        );
    }

    #[test]
    fn overrides_are_those_of_the_command_line() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.yaml"), GOOD).unwrap();
        let access = Access { hosts: vec![Url::parse("http://127.0.0.1:2").unwrap()], ..Access::default() };
        let library = Library::open(place.path(), HashMap::new(), access).unwrap();
        let asked: Asked =
            serde_json::from_str(r#"{"users": 3, "run_time": "90s", "host": "http://127.0.0.1:2", "seed": 5}"#).unwrap();
        let (plan, given) = library.load("a", &asked, Caller::Api).unwrap();
        assert_eq!(given, ["--host http://127.0.0.1:2", "--users 3", "--run-time 1m30s", "--seed 5"]);
        assert_eq!((plan.crews[0].profile.peak(), plan.host.unwrap().port()), (3, Some(2)));
        let wrong: Asked = serde_json::from_str(r#"{"run_time": "soon"}"#).unwrap();
        assert!(library.load("a", &wrong, Caller::Api).unwrap_err().problems[0].contains("run_time"));
    }

    fn refused(library: &Library, name: &str, overrides: Value, caller: Caller) -> Option<String> {
        let asked: Asked = serde_json::from_value(overrides).unwrap();
        library.load(name, &asked, caller).err().map(|wrong| {
            assert!(wrong.hint.is_some(), "{wrong:?}");
            wrong.problems.join("; ")
        })
    }

    #[test]
    fn a_run_goes_to_the_hosts_that_are_allowed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.yaml"), GOOD).unwrap();
        std::fs::write(place.path().join("none.yaml"), GOOD.replace("host: http://127.0.0.1:1\n", "")).unwrap();
        let access = Access { hosts: vec![Url::parse("http://127.0.0.1:2").unwrap()], ..Access::default() };
        let library = Library::open(place.path(), HashMap::new(), access).unwrap();
        let host = |name: &str, host: &str, caller| refused(&library, name, json!({ "host": host }), caller);
        for allowed in ["http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:2"] {
            assert_eq!(host("a", allowed, Caller::Api), None, "{allowed}");
        }
        for other in ["http://127.0.0.1:3", "https://127.0.0.1:1", "http://localhost:1", "http://127.0.0.1.evil.example:1"] {
            let error = host("a", other, Caller::Api).unwrap();
            assert!(error.starts_with("--host: runs that are started here may not be sent to http"), "{error}");
            assert_eq!(host("a", other, Caller::Schedule), None, "{other}");
        }
        assert!(
            host("none", "http://127.0.0.1:1", Caller::Api).is_some()
                && host("none", "http://127.0.0.1:2", Caller::Api).is_none()
        );
    }

    #[test]
    fn a_variable_that_decides_where_requests_go_is_no_way_around_that() {
        let place = tempfile::tempdir().unwrap();
        let scenario = |tasks: &str| {
            format!(
                "host: http://127.0.0.1:1\nvariables: {{base: 'http://127.0.0.1:1', id: '5'}}\nusers: [{{tasks: [{tasks}]}}]\nload: {{users: 1}}\n"
            )
        };
        let library = Library::open(place.path(), HashMap::new(), Access::default()).unwrap();
        for (name, tasks, set, may) in [
            ("url", "{name: r, get: '{{ base }}/cars'}", "base", false),
            ("url", "{name: r, get: '{{ base }}/cars'}", "id", true),
            ("path", "{name: r, get: '/cars/{{ id }}'}", "id", true),
            // `//host` is another host.
            ("slash", "{name: r, get: '/{{ id }}'}", "id", false),
            ("port", "{name: r, get: 'http://127.0.0.1:{{ id }}/'}", "id", false),
            ("query", "{name: r, get: 'http://127.0.0.1:1/?id={{ id }}'}", "id", true),
            (
                "by_set",
                "{name: t, flow: [{set: {a: '{{ base }}'}}, {set: {b: 'x{{ a }}'}}, {name: r, get: '{{ b }}'}]}",
                "base",
                false,
            ),
            (
                "by_set",
                "{name: t, flow: [{set: {a: '{{ base }}'}}, {set: {b: 'x{{ a }}'}}, {name: r, get: '{{ b }}'}]}",
                "id",
                true,
            ),
        ] {
            std::fs::write(place.path().join(format!("{name}.yaml")), scenario(tasks)).unwrap();
            let found = refused(&library, name, json!({ "set": { set: "http://127.0.0.1:3" } }), Caller::Api);
            assert_eq!(found.is_none(), may, "{name}: {found:?}");
            assert_eq!(
                refused(&library, name, json!({ "set": { set: "http://127.0.0.1:3" } }), Caller::Schedule),
                None,
                "{name}"
            );
        }
    }

    #[test]
    fn secrets_want_a_token() {
        let place = tempfile::tempdir().unwrap();
        let secret = GOOD.replace("get: /", "get: /, auth: {bearer: '{{ env.TOKEN }}'}");
        std::fs::write(place.path().join("a.yaml"), secret).unwrap();
        let library = |has_token| {
            let env = [("TOKEN".to_owned(), "sk-live-4711".to_owned())].into_iter().collect();
            Library::open(place.path(), env, Access { has_token, ..Access::default() }).unwrap()
        };
        let error = refused(&library(false), "a", json!({}), Caller::Api).unwrap();
        assert_eq!(error, "`a` uses secrets, and this daemon has no token: anybody on this machine could start it");
        assert_eq!(refused(&library(false), "a", json!({}), Caller::Schedule), None);
        assert_eq!(refused(&library(true), "a", json!({}), Caller::Api), None);
    }
}
