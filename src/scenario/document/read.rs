//! From the tree to typed values: everything that is wrong is collected, and reading goes on.
//!
//! [`record!`] defines a map of the file once. From that definition come the struct, its reader (unknown, repeated and
//! missing keys) and its part of the JSON Schema, so that the three cannot diverge.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::later;
use super::node::{Key, Node, Value};
use super::place::error_at;
use super::reported::Reported;
use crate::diagnostic::{Diagnostic, Source, nearest};

/// What a value of the file is read into.
pub trait Read: Sized {
    /// For "expected …, found …"; with an article.
    fn expected() -> String;

    /// `None` when the value cannot be had; the reason is then among the problems.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// Whether `null` is a value like others.
    fn takes_null() -> bool {
        false
    }

    /// The JSON Schema of such a value; maps are defined once, in `definitions`.
    fn schema(definitions: &mut Map<String, Json>) -> Json;
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    pub value: T,
    pub range: Range<usize>,
}

/// A key of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Field<T> {
    #[default]
    Absent,
    /// There, but not what it should be: that has been reported, and nothing follows from it.
    Wrong {
        key: Range<usize>,
    },
    Given {
        key: Range<usize>,
        value: Placed<T>,
    },
}

/// Reads one file.
#[derive(Debug)]
pub struct Reader {
    pub source: Arc<Source>,
    pub problems: Reported,
    /// The key whose value is being read, for messages.
    pub key: String,
}

/// One key of a record, as the macro describes it.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    pub name: &'static str,
    pub doc: &'static str,
    pub required: bool,
}

// === impl Field ===

impl<T> Field<T> {
    pub fn given(&self) -> Option<&Placed<T>> {
        match self {
            Self::Given { value, .. } => Some(value),
            Self::Absent | Self::Wrong { .. } => None,
        }
    }

    pub fn value(&self) -> Option<&T> {
        self.given().map(|placed| &placed.value)
    }

    /// Where the key is written, readable or not.
    pub fn key(&self) -> Option<&Range<usize>> {
        match self {
            Self::Given { key, .. } | Self::Wrong { key } => Some(key),
            Self::Absent => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

// === impl Reader ===

impl Reader {
    pub fn error(&mut self, range: &Range<usize>, message: impl Into<String>) {
        self.problems.push(error_at(&self.source, range, message));
    }

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// "expected …, found …".
    pub fn unexpected(&mut self, node: &Node, expected: &str) {
        self.error(&node.range, format!("expected {expected}, found {}", node.describe()));
    }

    pub fn read<T: Read>(&mut self, node: &Node) -> Option<Placed<T>> {
        T::read(node, self).map(|value| Placed { value, range: node.range.clone() })
    }

    pub fn field<T: Read>(&mut self, key: &Key, node: &Node) -> Field<T> {
        if node.value == Value::Null && !T::takes_null() {
            let problem = error_at(&self.source, &key.range, format!("`{}` has no value", key.name))
                .hint(format!("expected {}; or remove the key", T::expected()));
            self.push(problem);
            return Field::Wrong { key: key.range.clone() };
        }
        self.key.clone_from(&key.name);
        match self.read(node) {
            Some(value) => Field::Given { key: key.range.clone(), value },
            None => Field::Wrong { key: key.range.clone() },
        }
    }

    /// The entries of a record whose keys are known and there for the first time; all others are reported. And whether
    /// there were others.
    pub fn entries<'a>(&mut self, record: &str, keys: &[KeySpec], node: &'a Node) -> Option<(Vec<(&'a Key, &'a Node)>, bool)> {
        let Value::Map(map) = &node.value else {
            let names: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).take(3).collect();
            self.unexpected(node, &format!("a map with keys such as {}", names.join(", ")));
            return None;
        };
        let (mut known, mut odd): (Vec<(&Key, &Node)>, _) = (Vec::new(), false);
        for (key, value) in self.once(map) {
            if keys.iter().any(|spec| spec.name == key.name) {
                known.push((key, value));
                continue;
            }
            if record == TOP && key.name.starts_with("x-") {
                continue;
            }
            odd = true;
            if let Some(what) = later::find(record, &key.name) {
                let problem = error_at(&self.source, &key.range, format!("`{}` is not supported by this version", key.name))
                    .hint(format!("{what} will come with a later version; until then remove it"));
                self.push(problem);
            } else if let Some(hint) = later::elsewhere(record, &key.name) {
                let message = format!(
                    "`{}` does not belong {}",
                    key.name,
                    place_name(record).replacen("in this", "to this", 1).replacen("in the", "to the", 1)
                );
                self.push(error_at(&self.source, &key.range, message).hint(hint));
            } else if let (Some(hint), false) = (later::foreign(record, &key.name), self.problems.is_full()) {
                self.push(error_at(&self.source, &key.range, format!("unknown key `{}`", key.name)).hint(hint));
            } else {
                self.unknown(key, keys.iter().map(|spec| spec.name));
            }
        }
        for spec in keys.iter().filter(|spec| spec.required && !map.iter().any(|(key, _)| key.name == spec.name)) {
            let range = map.first().map_or_else(|| node.range.clone(), |(key, _)| key.range.clone());
            let problem = error_at(&self.source, &range, format!("`{}` is missing {}", spec.name, place_name(record)));
            self.push(problem.hint(format!("add `{}:` {}", spec.name, as_clause(spec.doc))));
        }
        Some((known, odd))
    }

    /// The entries whose key has not been there before; the others are reported.
    pub fn once<'a>(&mut self, map: &'a [(Key, Node)]) -> Vec<(&'a Key, &'a Node)> {
        let mut first: Vec<(&Key, &Node)> = Vec::new();
        let mut seen: std::collections::HashMap<&str, &Key> = std::collections::HashMap::new();
        for (key, value) in map {
            if let Some(before) = seen.get(key.name.as_str()) {
                if self.problems.is_full() {
                    self.error(&key.range, "the key is here twice");
                    continue;
                }
                let line = self.source.text[..before.range.start].matches('\n').count() + 1;
                let problem = error_at(&self.source, &key.range, format!("the key `{}` is here twice", key.name))
                    .hint(format!("it is first in line {line}; keep one of the two"));
                self.push(problem);
            } else {
                seen.insert(&key.name, key);
                first.push((key, value));
            }
        }
        first
    }

    fn unknown<'a>(&mut self, key: &Key, known: impl Iterator<Item = &'a str>) {
        if self.problems.is_full() {
            return self.error(&key.range, "unknown key");
        }
        let known: Vec<_> = known.collect();
        let problem = error_at(&self.source, &key.range, format!("unknown key `{}`", key.name));
        let hint = match nearest(&key.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.push(problem.hint(hint));
    }
}

/// Where a record stands, for "`x` is missing …".
fn place_name(record: &str) -> String {
    match record {
        "Scenario" => "in the scenario".to_owned(),
        "CustomRequest" => "in this request".to_owned(),
        "Arm" => "in this branch".to_owned(),
        "Observe" => "in this `observe`".to_owned(),
        "ObserveMetrics" => "in this `metrics`".to_owned(),
        "AwsSigV4" => "in this `aws_sigv4`".to_owned(),
        "OAuth2" => "in this `oauth2`".to_owned(),
        "GraphQl" => "in this `graphql`".to_owned(),
        "StreamForm" => "in this `stream`".to_owned(),
        "Basic" => "in this `basic`".to_owned(),
        "Normal" => "in this distribution".to_owned(),
        other => format!("in this {}", split_words(other)),
    }
}

/// A description as the rest of a sentence.
fn as_clause(doc: &str) -> String {
    let first = doc.split(". ").next().unwrap_or(doc).trim_end_matches('.');
    let mut characters = first.chars();
    characters.next().map_or_else(String::new, |c| c.to_lowercase().chain(characters).collect())
}

/// `UserType` as `user type`.
fn split_words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

// === records ===

/// The record of a whole file. Its keys that begin with `x-` are free: a place for anchors.
const TOP: &str = "Scenario";

/// The schema of a record, entered under its name; the answer refers to it.
pub fn record_schema(
    name: &str,
    doc: &str,
    keys: &[KeySpec],
    definitions: &mut Map<String, Json>,
    properties: impl FnOnce(&mut Map<String, Json>) -> Vec<Json>,
) -> Json {
    if !definitions.contains_key(name) {
        // Entered before its parts: a step holds steps.
        definitions.insert(name.to_owned(), Json::Null);
        let schemas = properties(definitions);
        let members: Map<String, Json> =
            keys.iter().zip(schemas).map(|(key, schema)| (key.name.to_owned(), described(schema, key.doc))).collect();
        let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
        let mut schema =
            json!({"type": "object", "description": doc.trim(), "properties": members, "additionalProperties": false});
        if name == TOP {
            schema["patternProperties"] = json!({"^x-": {}});
        }
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        definitions.insert(name.to_owned(), schema);
    }
    json!({"$ref": format!("#/definitions/{name}")})
}

/// In draft 7 nothing beside `$ref` counts, so a described reference is wrapped.
fn described(schema: Json, doc: &str) -> Json {
    let mut schema = if schema.get("$ref").is_some() { json!({"allOf": [schema]}) } else { schema };
    schema["description"] = json!(doc);
    schema
}

/// Doc comments come with a space in front of each line.
pub const fn trimmed(doc: &'static str) -> &'static str {
    doc.trim_ascii()
}

/// A key that is a word of Rust is written `r#loop`.
pub const fn unraw(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// ```text
/// record! {
///     /// What it is.
///     struct Name {
///         /// What the key means.
///         key: Type,
///         /// Without it there is nothing to do.
///         required other: Type,
///     }
/// }
/// ```
macro_rules! record {
    (@required required) => { true };
    (@required) => { false };
    ($(#[doc = $doc:literal])* struct $name:ident { $($(#[doc = $key_doc:literal])* $([$required:ident])? $key:ident : $type:ty),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $key_doc])* pub $key: $crate::scenario::document::read::Field<$type>,)*
            /// There were keys that are none of these: reported, and what is missing may be what they were to be.
            pub has_odd_keys: bool,
        }

        impl $name {
            pub const KEYS: &'static [$crate::scenario::document::read::KeySpec] = &[$(
                $crate::scenario::document::read::KeySpec {
                    name: $crate::scenario::document::read::unraw(stringify!($key)),
                    doc: $crate::scenario::document::read::trimmed(concat!($($key_doc),*)),
                    required: record!(@required $($required)?),
                }
            ),*];
        }

        impl $crate::scenario::document::read::Read for $name {
            fn expected() -> String {
                let names: Vec<_> = Self::KEYS.iter().take(3).map(|key| format!("`{}`", key.name)).collect();
                format!("a map with keys such as {}", names.join(", "))
            }

            fn read(node: &$crate::scenario::document::node::Node, reader: &mut $crate::scenario::document::read::Reader) -> Option<Self> {
                let (entries, has_odd_keys) = reader.entries(stringify!($name), Self::KEYS, node)?;
                let mut record = Self { has_odd_keys, ..Self::default() };
                for (key, value) in entries {
                    match key.name.as_str() {
                        $(name if name == $crate::scenario::document::read::unraw(stringify!($key)) => record.$key = reader.field(key, value),)*
                        _ => {}
                    }
                }
                Some(record)
            }

            fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                $crate::scenario::document::read::record_schema(stringify!($name), concat!($($doc),*), Self::KEYS, definitions, |definitions| {
                    vec![$(<$type as $crate::scenario::document::read::Read>::schema(definitions)),*]
                })
            }
        }
    };
}
pub(crate) use record;
