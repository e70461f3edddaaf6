//! Conditions in files: `thresholds`, and `until` of a stress.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::node::{Node, Value};
use super::place::{error_at, inside};
use super::read::{Placed, Read, Reader, record};
use crate::scenario::threshold::{Condition, Written, Wrong};

/// A threshold: its text alone, or a map.
#[derive(Clone, Debug, PartialEq)]
pub enum ThresholdForm {
    /// With the text it was read from: names in it have places.
    Short(Placed<Text>),
    Long(Box<Threshold>),
}

/// The text of a threshold, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub text: String,
    pub written: Written,
}

record! {
    /// A condition that the run has to keep.
    struct Threshold {
        /// Such as `p95 < 300ms`, `p99 of "GET /cars" < 1s` or `failure_ratio < 1% over 30s`.
        [required] that: Text,
        /// The run stops when it is broken. Default: false.
        abort: bool,
        /// It is not judged before, counted from the end of the warm-up. Default: at once.
        after: Duration,
        /// What metrics and reports call it. Default: its text.
        name: String,
    }
}

/// Reads a text by `parse`, whose error has a place in it.
fn read<T>(node: &Node, reader: &mut Reader, expected: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
    let (Some(text), false) = (node.text(), matches!(node.value, Value::Bool(..))) else {
        reader.unexpected(node, expected);
        return None;
    };
    match parse(text) {
        Ok(value) => Some(value),
        Err(wrong) => {
            let place = inside(&reader.source, &node.range, text, wrong.at);
            let problem = error_at(&reader.source, &place, wrong.message);
            reader.push(problem.hint(wrong.hint));
            None
        }
    }
}

/// What a figure looks like, for editors; the parser knows better.
const TIME: &str = r"p\d+(\.\d+)?|mean|min|max";
const LIMIT: &str = r"[<>]=?\s*\d[^<>]*";

impl Read for Condition {
    fn expected() -> String {
        "a condition such as `failure_ratio > 5%`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read(node, reader, &Self::expected(), Self::parse)
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "string", "pattern": format!(r"^\s*({TIME}|failure_ratio|rps|requests|failures)\s*{LIMIT}$")})
    }
}

impl Read for Text {
    fn expected() -> String {
        "a threshold such as `p95 < 300ms`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let written = read(node, reader, &Self::expected(), Written::parse)?;
        Some(Self { text: node.text().unwrap_or_default().to_owned(), written })
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        let figure = format!(r"(baseline\.)?(service\.)?({TIME})|baseline\.rps|failure_ratio|checks|rps|requests|failures");
        let scope = r#"(\s+of\s+([a-z]+\s*)?("[^"]*"|'[^']*'|schedule_lag))*"#;
        json!({"type": "string", "pattern": format!(r"^\s*({figure}){scope}\s*{LIMIT}$")})
    }
}

impl Read for ThresholdForm {
    fn expected() -> String {
        Text::expected()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            // A name with a colon in it.
            Value::Map(map) if map.len() == 1 && map[0].0.name.contains(' ') => {
                let problem = error_at(&reader.source, &map[0].0.range, "the colon makes this a map");
                reader.push(problem.hint("write the whole threshold in single quotes"));
                None
            }
            Value::Map(_) => Threshold::read(node, reader).map(Box::new).map(Self::Long),
            _ => reader.read(node).map(Self::Short),
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"oneOf": [Text::schema(definitions), Threshold::schema(definitions)]})
    }
}
