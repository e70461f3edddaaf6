//! The values that keys take: each reads itself, says what it expected, and gives its JSON Schema.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::node::{Key, Node, Value};
use super::place::error_at;
use super::read::{Placed, Read, Reader};
use crate::diagnostic::nearest;
use crate::units::{Rate, Ratio, parse_duration, parse_size};

/// A list; a single value also counts as one where `ONE` is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List<T, const ONE: bool = false> {
    pub items: Vec<Placed<T>>,
    /// False when some could not be read.
    pub whole: bool,
}

/// A map whose keys are the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs<T>(pub Vec<(Key, Placed<T>)>);

/// Any YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct Any(pub Node);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// Words of which one is chosen, for the schema and for suggestions.
pub trait Choice: Copy + Sized + 'static {
    const WORDS: &'static [(&'static str, Self, &'static str)];
}

// === texts and switches ===

impl Read for String {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Some(text) = node.text() {
            return Some(text.to_owned());
        }
        reader.unexpected(node, "a text");
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": ["string", "number", "boolean"]})
    }
}

impl Read for bool {
    fn expected() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Bool(value, _) => Some(*value),
            Value::Text(text) => {
                let problem =
                    error_at(&reader.source, &node.range, format!("expected `true` or `false`, found {}", node.describe()));
                let meant = match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" => Some("true"),
                    "no" | "off" | "n" | "false" => Some("false"),
                    _ => None,
                };
                reader.push(match meant {
                    Some(word) => problem.hint(format!("write `{word}`, without quotes")),
                    None => problem,
                });
                None
            }
            _ => {
                reader.unexpected(node, &Self::expected());
                None
            }
        }
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "boolean"})
    }
}

// === numbers ===

impl Read for u32 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = whole(node, reader, u64::from(Self::MAX))?;
        Self::try_from(number).ok()
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "integer", "minimum": 0, "maximum": Self::MAX})
    }
}

impl Read for u64 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        whole(node, reader, Self::MAX)
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "integer", "minimum": 0})
    }
}

impl Read for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Value::Number(number, _) = &node.value {
            return number.as_f64();
        }
        reader.unexpected(node, "a number");
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "number"})
    }
}

fn whole(node: &Node, reader: &mut Reader, most: u64) -> Option<u64> {
    let Value::Number(number, spelling) = &node.value else {
        reader.unexpected(node, "a whole number");
        return None;
    };
    // 1e3 and 5.0 are whole too.
    let value =
        number.as_u64().or_else(|| number.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0 && *n < 1e15).map(|n| n as u64));
    if let Some(value) = value.filter(|value| *value <= most) {
        return Some(value);
    }
    let why = if number.as_f64().is_some_and(|number| number < 0.0) {
        format!("`{}` cannot be negative, but it is `{spelling}`", reader.key)
    } else if number.as_f64().is_some_and(|number| number.fract() != 0.0) {
        format!("expected a whole number, found `{spelling}`")
    } else {
        format!("`{spelling}` is too large; at most {most}")
    };
    reader.error(&node.range, why);
    None
}

// === quantities with units ===

/// Scalars with a unit: read by `parse`, which explains itself.
fn quantity<T>(node: &Node, reader: &mut Reader, expected: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    if let (Some(text), false) = (node.text(), matches!(node.value, Value::Bool(..))) {
        return parse(text).map_err(|message| reader.error(&node.range, message)).ok();
    }
    reader.unexpected(node, expected);
    None
}

impl Read for Duration {
    fn expected() -> String {
        "a duration such as `250ms`, `5s` or `1m30s`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        quantity(node, reader, &Self::expected(), parse_duration)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let pattern = r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?\s*(ns|us|µs|ms|s|min|m|h|d)\s*)+)\s*$";
        shared(definitions, "Duration", "`250ms`, `5s`, `1m30s`, `12h`; a bare number is seconds.", pattern, Some(0))
    }
}

impl Read for Rate {
    fn expected() -> String {
        "a rate such as `200/s` or `600/m`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        quantity(node, reader, &Self::expected(), Rate::parse)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let pattern = r"^\s*\d+(\.\d+)?\s*(/\s*(s|sec|second|m|min|minute|h|hour))?\s*$";
        shared(definitions, "Rate", "`200/s`, `600/m`; a bare number is per second.", pattern, Some(0))
    }
}

impl Read for Ratio {
    fn expected() -> String {
        "a ratio such as `80%` or `0.8`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        quantity(node, reader, &Self::expected(), Self::parse)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let pattern = r"^\s*\d+(\.\d+)?\s*%?\s*$";
        shared(definitions, "Ratio", "`80%` or `0.8`.", pattern, Some(0))
    }
}

impl Read for Size {
    fn expected() -> String {
        "a size such as `64KiB` or `10MiB`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        quantity(node, reader, &Self::expected(), parse_size).map(Self)
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let pattern = r"^\s*\d+(\.\d+)?\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?\s*$";
        shared(definitions, "Size", "`64KiB`, `10MiB`; a bare number is bytes.", pattern, Some(0))
    }
}

/// A number or a text of this pattern, defined once.
fn shared(definitions: &mut Map<String, Json>, name: &str, doc: &str, pattern: &str, minimum: Option<u64>) -> Json {
    definitions.entry(name).or_insert_with(
        || json!({"description": doc, "oneOf": [{"type": "number", "minimum": minimum}, {"type": "string", "pattern": pattern}]}),
    );
    json!({"$ref": format!("#/definitions/{name}")})
}

// === collections ===

impl<T: Read, const ONE: bool> Read for List<T, ONE> {
    fn expected() -> String {
        if ONE { format!("{}, or a list", T::expected()) } else { "a list".to_owned() }
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if let Value::List(nodes) = &node.value {
            let items: Vec<_> = nodes.iter().filter_map(|node| reader.read(node)).collect();
            return Some(Self { whole: items.len() == nodes.len(), items });
        }
        if ONE {
            return Some(Self { items: vec![reader.read(node)?], whole: true });
        }
        let problem = error_at(&reader.source, &node.range, format!("expected a list, found {}", node.describe()));
        reader.push(problem.hint("begin each entry with `- `, or write `[a, b]`"));
        None
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let item = T::schema(definitions);
        let list = json!({"type": "array", "items": item});
        if ONE { json!({"anyOf": [item, list]}) } else { list }
    }
}

impl<T: Read> Read for Pairs<T> {
    fn expected() -> String {
        "a map".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            reader.unexpected(node, "a map");
            return None;
        };
        let mut pairs = Vec::new();
        for (key, value) in reader.once(map) {
            if value.value == Value::Null && !T::takes_null() {
                reader.push(
                    error_at(&reader.source, &key.range, format!("`{}` has no value", key.name))
                        .hint(format!("expected {}; an empty text is `\"\"`", T::expected())),
                );
                continue;
            }
            reader.key.clone_from(&key.name);
            if let Some(value) = reader.read(value) {
                pairs.push((key.clone(), value));
            }
        }
        Some(Self(pairs))
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"type": "object", "additionalProperties": T::schema(definitions)})
    }
}

impl Read for Any {
    fn expected() -> String {
        "a value".to_owned()
    }

    fn takes_null() -> bool {
        true
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        // Maps of the user's may not repeat their keys either, however deep.
        fn check(node: &Node, reader: &mut Reader) {
            match &node.value {
                Value::List(items) => items.iter().for_each(|item| check(item, reader)),
                Value::Map(map) => reader.once(map).into_iter().for_each(|(_, value)| check(value, reader)),
                _ => {}
            }
        }
        check(node, reader);
        Some(Self(node.clone()))
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({})
    }
}

// === choices ===

impl<T: Choice> Read for T {
    fn expected() -> String {
        one_of(&words::<T>())
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            reader.unexpected(node, &Self::expected());
            return None;
        };
        if let Some((_, value, _)) = T::WORDS.iter().find(|(word, ..)| *word == text) {
            return Some(*value);
        }
        let problem = error_at(&reader.source, &node.range, format!("expected {}, found {}", Self::expected(), node.describe()));
        reader.push(match nearest(text, words::<T>()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        });
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        // A word that looks like a number is one for editors.
        let as_yaml = |word: &str| serde_json::from_str::<serde_json::Number>(word).map_or_else(|_| json!(word), Json::Number);
        let words: Vec<_> = T::WORDS.iter().map(|(word, _, doc)| json!({"const": as_yaml(word), "description": doc})).collect();
        json!({"oneOf": words})
    }
}

fn words<T: Choice>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, ..)| *word).collect()
}

/// `a`, `b` or `c`.
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
