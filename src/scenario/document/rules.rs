//! What `expect` holds: a plain value, or a map of operators.

use std::ops::Range;

use serde_json::{Map, Value as Json, json};

use super::model::{HttpTransport, HttpVersion, Order, Spacing};
use super::node::{Node, Value};
use super::place::{error_at, inside};
use super::read::{KeySpec, Read, Reader, record};
use super::values::{Any, Choice};

/// Statuses from the first to the second, both included, and as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRange {
    pub range: (u16, u16),
    pub written: String,
}

/// A regular expression that compiles.
#[derive(Clone, Debug)]
pub struct Pattern(pub regex::Regex);

#[derive(Clone, Debug, PartialEq)]
pub enum HeaderRule {
    Equals(String),
    Operators(Box<HeaderOperators>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum BodyRule {
    Contains(String),
    Operators(BodyOperators),
}

#[derive(Clone, Debug, PartialEq)]
pub enum JsonRule {
    Equals(Any),
    Operators(Box<JsonOperators>),
}

record! {
    /// What a header must be; all of these hold.
    struct HeaderOperators {
        /// Whether it is there at all.
        exists: bool,
        /// The whole value.
        equals: String,
        /// A part of the value.
        contains: String,
        /// A regular expression that is found in the value.
        matches: Pattern,
    }
}

record! {
    /// What the body must be; all of these hold.
    struct BodyOperators {
        /// A part of it.
        contains: String,
        /// A regular expression that is found in it.
        matches: Pattern,
        /// All of it.
        equals: String,
    }
}

record! {
    /// What the first value at a JSONPath must be; all of these hold.
    struct JsonOperators {
        /// Whether there is one at all.
        exists: bool,
        /// The whole value.
        equals: Any,
        /// Of a text: a part. Of a list: an element. Of a map: a key.
        contains: Any,
        /// A regular expression that is found in the text.
        matches: Pattern,
        /// Greater than.
        gt: f64,
        /// Greater than or equal.
        gte: f64,
        /// Less than.
        lt: f64,
        /// Less than or equal.
        lte: f64,
        /// Characters of a text, elements of a list or map.
        length: u64,
    }
}

// === choices ===

impl Choice for Order {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("weighted", Self::Weighted, "At random, by weight."),
        ("sequential", Self::Sequential, "As written, then from the start again."),
        ("shuffle", Self::Shuffle, "All of them in random order, then shuffled anew."),
    ];
}

impl Choice for Spacing {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("even", Self::Even, "As the rate says, each time."),
        ("poisson", Self::Poisson, "As the rate says on average, at random and independent of each other."),
    ];
}

impl Choice for HttpVersion {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("auto", Self::Auto, "HTTP/1.1; over TLS HTTP/2 if the server offers it."),
        ("1.1", Self::Http1, "HTTP/1.1."),
        ("2", Self::Http2, "HTTP/2 only."),
    ];
}

impl Choice for HttpTransport {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("auto", Self::Auto, "`wire` for HTTP/1.1, `reqwest` for HTTP/2 and proxies."),
        ("wire", Self::Wire, "otload's own: HTTP/1.1, without a proxy."),
        ("reqwest", Self::Reqwest, "The Rust library of that name; slower, and what `wire` is compared with."),
    ];
}

// === status ===

impl Read for StatusRange {
    fn expected() -> String {
        "a status such as `200` or `2xx`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(written) = node.text() else {
            reader.unexpected(node, &Self::expected());
            return None;
        };
        let class = written.strip_suffix("xx").or_else(|| written.strip_suffix("XX"));
        let range = match class {
            Some(digit) => {
                digit.parse::<u16>().ok().filter(|digit| (1..=5).contains(digit)).map(|digit| (digit * 100, digit * 100 + 99))
            }
            None => written.parse::<u16>().ok().filter(|status| (100..=599).contains(status)).map(|status| (status, status)),
        };
        match range {
            Some(range) => Some(Self { range, written: written.to_owned() }),
            None => {
                let problem = error_at(&reader.source, &node.range, format!("`{written}` is not an HTTP status"));
                reader.push(problem.hint("a status is a number from 100 to 599, or a class from `1xx` to `5xx`"));
                None
            }
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        definitions.entry("Status").or_insert_with(|| {
            json!({
                "description": "`200`, or a class such as `2xx`.",
                "oneOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^([1-5](xx|XX)|[1-5]\\d\\d)$"}]
            })
        });
        json!({"$ref": "#/definitions/Status"})
    }
}

// === patterns ===

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Read for Pattern {
    fn expected() -> String {
        "a regular expression".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            reader.unexpected(node, "a regular expression");
            return None;
        };
        match regex::Regex::new(text) {
            Ok(regex) => Some(Self(regex)),
            Err(error) => {
                let (message, at) = explain(&error, text);
                let place = at.map_or_else(|| node.range.clone(), |at| inside(&reader.source, &node.range, text, at));
                let problem = error_at(&reader.source, &place, format!("the regular expression is wrong: {message}"));
                reader.push(problem.hint(match error {
                    regex::Error::CompiledTooBig(_) => "repetitions within repetitions multiply; write smaller ones",
                    _ => "in double quotes a backslash is written twice; single quotes leave it alone",
                }));
                None
            }
        }
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({"type": "string", "format": "regex"})
    }
}

/// The library draws its errors: the pattern, carets below it, and a line that begins with `error:`.
fn explain(error: &regex::Error, pattern: &str) -> (String, Option<Range<usize>>) {
    let drawn = error.to_string();
    let message = drawn.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned);
    let Some(message) = message else {
        let too_big = matches!(error, regex::Error::CompiledTooBig(_));
        return (
            if too_big { "it is too large".to_owned() } else { drawn.lines().next_back().unwrap_or_default().to_owned() },
            None,
        );
    };
    let carets = drawn.lines().find(|line| line.contains('^') && line.trim_matches([' ', '^']).is_empty());
    let at = carets.filter(|_| !pattern.contains('\n')).and_then(|line| {
        let byte = |column: usize| pattern.char_indices().nth(column).map_or(pattern.len(), |(at, _)| at);
        let column = line.find('^')?.checked_sub(4)?;
        Some(byte(column)..byte(column + line.matches('^').count()))
    });
    (message, at)
}

// === a value or operators ===

/// Whether a map holds operators: true when all its keys are, an error when only some are.
fn operators(node: &Node, keys: &[KeySpec], reader: &mut Reader) -> Option<bool> {
    let Value::Map(map) = &node.value else { return Some(false) };
    let is_operator = |name: &str| keys.iter().any(|spec| spec.name == name);
    let (known, other): (Vec<_>, Vec<_>) = map.iter().map(|(key, _)| key).partition(|key| is_operator(&key.name));
    match (known.first(), other.first()) {
        (Some(_), None) => Some(true),
        (None, _) => Some(false),
        (Some(known), Some(other)) => {
            let near = crate::diagnostic::nearest(&other.name, keys.iter().map(|key| key.name));
            let problem =
                error_at(&reader.source, &other.range, format!("`{}` is an operator, but `{}` is none", known.name, other.name));
            reader.push(problem.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "to compare with a whole map, write `{equals: {…}}`".to_owned(),
            }));
            None
        }
    }
}

fn nothing_expected<T>(node: &Node, reader: &mut Reader) -> Option<T> {
    let problem = error_at(&reader.source, &node.range, "nothing is expected here");
    reader.push(problem.hint("write the value, or an operator such as `contains`"));
    None
}

impl Read for HeaderRule {
    fn expected() -> String {
        "the header's value, or a map of `exists`, `equals`, `contains`, `matches`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(map) if map.is_empty() => nothing_expected(node, reader),
            Value::Map(_) => HeaderOperators::read(node, reader).map(Box::new).map(Self::Operators),
            Value::List(_) | Value::Null => {
                reader.unexpected(node, &Self::expected());
                None
            }
            _ => String::read(node, reader).map(Self::Equals),
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"oneOf": [String::schema(definitions), HeaderOperators::schema(definitions)]})
    }
}

impl Read for BodyRule {
    fn expected() -> String {
        "a part of the body, or a map of `contains`, `matches`, `equals`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(map) if map.is_empty() => nothing_expected(node, reader),
            Value::Map(_) => BodyOperators::read(node, reader).map(Self::Operators),
            Value::List(_) | Value::Null => {
                reader.unexpected(node, &Self::expected());
                None
            }
            _ => String::read(node, reader).map(Self::Contains),
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        json!({"oneOf": [String::schema(definitions), BodyOperators::schema(definitions)]})
    }
}

impl Read for JsonRule {
    fn expected() -> String {
        "a value, or a map of operators such as `exists` or `gt`".to_owned()
    }

    fn takes_null() -> bool {
        true
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if operators(node, JsonOperators::KEYS, reader)? {
            JsonOperators::read(node, reader).map(Box::new).map(Self::Operators)
        } else {
            Any::read(node, reader).map(Self::Equals)
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        // Any value is right here, so the operators are offered, not required.
        json!({"anyOf": [JsonOperators::schema(definitions), {"type": ["string", "number", "boolean", "null", "array", "object"]}]})
    }
}
