//! What a run can be told, and what it answers.

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::units::Rate;

/// Something that a run is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Scale(Scale),
    Pause,
    Resume,
    Stop,
    Annotate(String),
}

/// Another load from now on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Of a closed load.
    #[serde(default)]
    pub users: Option<u32>,
    /// How fast they come or go; all at once without one.
    #[serde(default, deserialize_with = "rate")]
    pub spawn_rate: Option<Rate>,
    /// Of an open load.
    #[serde(default, deserialize_with = "rate")]
    pub arrival_rate: Option<Rate>,
    /// A user type with a load of its own; else it is the load at the top of the scenario.
    #[serde(default)]
    pub user: Option<String>,
}

/// A run that is to begin, of a daemon.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// A file's name, with or without its ending.
    pub scenario: String,
    #[serde(default)]
    pub overrides: Overrides,
}

/// What of a scenario is overridden, named as on the command line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    pub users: Option<u32>,
    #[serde(deserialize_with = "rate")]
    pub spawn_rate: Option<Rate>,
    /// As `10m`.
    pub run_time: Option<String>,
    pub host: Option<String>,
    /// Variables.
    pub set: std::collections::BTreeMap<String, Value>,
    pub tags: Vec<String>,
    pub exclude_tags: Vec<String>,
    pub seed: Option<u64>,
}

/// A command on its way to the run.
#[derive(Debug)]
pub struct Order {
    pub command: Command,
    pub answer: oneshot::Sender<Result<Effect, Refusal>>,
}

/// What came of a command, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect(pub Value);

/// Why something is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: StatusCode,
    pub error: String,
    pub hint: Option<String>,
}

/// Numbers are per second; texts have a unit, like `30/m`.
fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rate>, D::Error> {
    use serde::de::Error as _;
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            number.as_f64().and_then(Rate::try_new).map(Some).ok_or_else(|| {
                D::Error::custom(format!("a rate of {number} is not possible; write a number that is not negative"))
            })
        }
        Some(Value::String(text)) => Rate::parse(&text).map(Some).map_err(D::Error::custom),
        Some(other) => {
            Err(D::Error::custom(format!("{other} is no rate; write a number of things a second, or a text like \"30/m\"")))
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// What was asked for makes no sense.
    pub fn wrong(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// It cannot be done now.
    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Of a run that is over.
    pub fn over() -> Self {
        Self::conflict("there is no run under way that could be told anything").hint("`otload status` says what there is")
    }

    pub fn json(&self) -> Value {
        json!({ "error": self.error, "hint": self.hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_texts() {
        let scale = |text: &str| serde_json::from_str::<Scale>(text).map_err(|error| error.to_string());
        let rate = |per_second| Rate::try_new(per_second);
        for (text, expected) in [("5", rate(5.0)), ("0.5", rate(0.5)), ("\"30/m\"", rate(0.5)), ("null", None)] {
            assert_eq!(scale(&format!(r#"{{"users": 1, "spawn_rate": {text}}}"#)).unwrap().spawn_rate, expected, "{text}");
        }
        for text in ["-1", "\"fast\"", "[]", "1e999"] {
            assert!(scale(&format!(r#"{{"users": 1, "spawn_rate": {text}}}"#)).is_err(), "{text}");
        }
        assert!(scale(r#"{"user_count": 5}"#).unwrap_err().contains("unknown field `user_count`, expected one of `users`"));
        assert!(
            scale(r#"{"users": -5}"#).is_err()
                && scale(r#"{"users": 1.5}"#).is_err()
                && scale(r#"{"users": 5000000000}"#).is_err()
        );
    }
}
