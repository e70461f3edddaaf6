//! The scenarios of a daemon: files of one folder, by name. A name never leads out of the folder, not by a link either.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::config;
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
}

/// As many files are listed.
const MOST_FILES: usize = 500;

impl Library {
    /// # Errors
    /// When there is no such folder.
    pub(super) fn open(folder: &Path, env: HashMap<String, String>) -> Result<Self, Diagnostic> {
        match folder.canonicalize() {
            Ok(whole) if whole.is_dir() => Ok(Self { folder: whole, env }),
            Ok(_) => Err(Diagnostic::error(format!("{} is no folder", folder.display())).hint("name a folder of scenarios")),
            Err(error) => {
                Err(Diagnostic::error(format!("cannot read {}: {error}", folder.display())).hint("name a folder of scenarios"))
            }
        }
    }

    /// All of them, with what is wrong with them.
    pub(super) fn list(&self) -> Value {
        let all: Vec<_> = self.names().into_iter().take(MOST_FILES).map(|name| self.look(&name)).collect();
        json!({ "scenarios": all })
    }

    fn look(&self, name: &str) -> Value {
        match self.load(name, &Asked::default()) {
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
    pub(super) fn load(&self, name: &str, asked: &Asked) -> Result<(Plan, Vec<String>), Wrong> {
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
        };
        let given = [
            asked.host.as_ref().map(|host| format!("--host {host}")),
            asked.users.map(|users| format!("--users {users}")),
            asked.spawn_rate.map(|rate| format!("--spawn-rate {rate}")),
            run_time.map(|time| format!("--run-time {}", format_duration(time))),
            asked.seed.map(|seed| format!("--seed {seed}")),
        ];
        let set = set.iter().map(|(name, value)| format!("--set {name}={value}"));
        let tags = asked.tags.iter().map(|tag| format!("--tags {tag}"));
        let excluded = asked.exclude_tags.iter().map(|tag| format!("--exclude-tags {tag}"));
        let given = given.into_iter().flatten().chain(set).chain(tags).chain(excluded);
        match scenario::load(&path, &overrides) {
            Ok((plan, _)) => {
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
        let library = Library::open(&folder, HashMap::new()).unwrap();
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
            assert_eq!(library.load(name, &Asked::default()).unwrap().0.name, "good", "{name}");
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
            assert!(library.load(name, &Asked::default()).is_err(), "{name}");
        }
        assert!(
            library
                .load("lnk.yaml", &Asked::default())
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
        let library = Library::open(place.path(), HashMap::new()).unwrap();
        let asked: Asked =
            serde_json::from_str(r#"{"users": 3, "run_time": "90s", "host": "http://127.0.0.1:2", "seed": 5}"#).unwrap();
        let (plan, given) = library.load("a", &asked).unwrap();
        assert_eq!(given, ["--host http://127.0.0.1:2", "--users 3", "--run-time 1m30s", "--seed 5"]);
        assert_eq!((plan.crews[0].profile.peak(), plan.host.unwrap().port()), (3, Some(2)));
        let wrong: Asked = serde_json::from_str(r#"{"run_time": "soon"}"#).unwrap();
        assert!(library.load("a", &wrong).unwrap_err().problems[0].contains("run_time"));
    }
}
