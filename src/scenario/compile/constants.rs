//! What is the same for all users: `variables`, the environment, and which of it is secret.

use std::collections::BTreeMap;

use super::{Compiler, Host};
use crate::diagnostic::{Diagnostic, nearest};
use crate::scenario::document::Scenario;
use crate::scenario::document::node::{Node, Value as Yaml};
use crate::secrets;
use crate::template::{Shared, from_json};

/// Names that templates know already, or that are words of their language.
const TAKEN: &[&str] = &[
    "env",
    "setup",
    "response",
    "user_id",
    "iteration",
    "run_id",
    "loop_index",
    "loop",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
];

impl Compiler<'_> {
    /// The variables' values, with those of the command line; and all names that templates may use.
    pub(super) fn variables(&mut self, scenario: &Scenario) -> BTreeMap<String, serde_json::Value> {
        // Their fields are checked against what they are referred to, with better messages.
        self.names.open("env");
        let mut values = BTreeMap::new();
        for (key, value) in scenario.variables.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            let name = key.name.as_str();
            if !self.variable_name(name, &key.range) {
                continue;
            }
            self.constant_texts(&value.value.0);
            self.names.open(name);
            values.insert(name.to_owned(), to_json(&value.value.0));
        }
        // When the map itself could not be read, nothing can be said about single names.
        let readable = scenario.variables.is_absent() || scenario.variables.given().is_some();
        for (name, text) in &self.overrides.set {
            match values.get_mut(name) {
                Some(value) => *value = like(value, text),
                None if readable => {
                    let problem = Diagnostic::error(format!("--set: the scenario has no variable `{name}`"));
                    let hint = match nearest(name, values.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if values.is_empty() => "it has no `variables` at all".to_owned(),
                        None => format!("it has {}", values.keys().cloned().collect::<Vec<_>>().join(", ")),
                    };
                    self.problems.push(problem.hint(hint));
                }
                None => {}
            }
        }
        values
    }

    /// Variables are constants: a template in one would be a text with braces.
    fn constant_texts(&mut self, node: &Node) {
        match &node.value {
            Yaml::Text(text) if text.contains("{{") => self.push(
                &node.range,
                "`variables` are constants, and templates in them are not rendered",
                "write the template where the value is used",
            ),
            Yaml::List(items) => items.iter().for_each(|item| self.constant_texts(item)),
            Yaml::Map(entries) => entries.iter().for_each(|(_, value)| self.constant_texts(value)),
            _ => {}
        }
    }

    /// As templates see them. Of the environment only what they use.
    pub(super) fn constants(&self, variables: BTreeMap<String, serde_json::Value>) -> Shared {
        let mut constants = Shared::default();
        for (name, value) in variables {
            constants.set(&name, from_json(&value));
        }
        let env = self.used_env.iter().filter_map(|name| Some((name.clone(), self.overrides.env.get(name)?.as_str().into())));
        constants.set("env", from_json(&serde_json::Value::Object(env.collect())));
        constants
    }

    /// The values that must not be printed. Called last: it knows what has been used.
    pub(super) fn secrets(&mut self, scenario: &Scenario) -> Vec<String> {
        let mut values = Vec::new();
        for name in scenario.secrets.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            if !self.used_env.contains(&name.value) {
                let near = nearest(&name.value, self.used_env.iter().map(String::as_str)).map(str::to_owned);
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("`secrets` holds names of environment variables, used as `{{{{ env.{} }}}}`", name.value),
                };
                self.warn(&name.range, format!("nothing uses the secret `{}`", name.value), hint);
            }
            if let Some(value) = self.overrides.env.get(&name.value).filter(|value| !value.is_empty()) {
                values.extend(secrets::forms(value));
            }
        }
        if let Host::Known(url) = &self.host {
            values.extend(url.password().into_iter().flat_map(secrets::forms));
        }
        values.extend(self.senders_secrets());
        // The longest first: a shorter one may be a part of it.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        values
    }
}

pub(super) fn is_taken(name: &str) -> bool {
    TAKEN.contains(&name)
}

pub(super) fn is_identifier(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
}

fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Yaml::Null => serde_json::Value::Null,
        Yaml::Bool(value, _) => (*value).into(),
        Yaml::Number(number, _) => number.clone().into(),
        Yaml::Text(text) => text.clone().into(),
        Yaml::List(items) => items.iter().map(to_json).collect(),
        Yaml::Map(entries) => {
            serde_json::Value::Object(entries.iter().map(|(key, value)| (key.name.clone(), to_json(value))).collect())
        }
    }
}

/// `text` of the command line as the type that the variable has in the file, if it can be that.
fn like(before: &serde_json::Value, text: &str) -> serde_json::Value {
    let typed = || serde_json::from_str::<serde_json::Value>(text).ok();
    let same = |value: &serde_json::Value| std::mem::discriminant(value) == std::mem::discriminant(before);
    match before {
        serde_json::Value::String(_) => text.into(),
        serde_json::Value::Null => typed().unwrap_or_else(|| text.into()),
        _ => typed().filter(same).unwrap_or_else(|| text.into()),
    }
}
