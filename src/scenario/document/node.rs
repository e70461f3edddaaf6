//! The file as a tree in which every value knows its place: what the YAML library reads, and all of ours that knows of it.
//!
//! The library resolves aliases and `<<`, counts what they cost, and hands us scalars by their YAML 1.2 type. Numbers and
//! booleans keep their spelling beside the value, so that `x-retry: 5` can still be the text `5`.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned};

use super::place::closed;
use super::reported::Reported;
use super::syntax;
use crate::diagnostic::{Diagnostic, Problems, Source};
use crate::threads;

/// A value and where it is written, in bytes of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub range: Range<usize>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// With its spelling, like the number.
    Bool(bool, String),
    Number(serde_json::Number, String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key that is written twice is here twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub range: Range<usize>,
}

/// Nesting beyond this is refused; a scenario needs about ten.
pub(super) const DEEPEST: usize = 50;

/// The library recurses, and an unoptimised build takes some 60 KiB for each level: more in all than a thread usually has.
const STACK_BYTES: usize = 16 << 20;

/// Values that aliases may add at most; a scenario of 4 MiB has fewer.
const MOST_REPLAYED: usize = 200_000;

// === impl Node ===

impl Node {
    /// Reads a whole file.
    ///
    /// # Errors
    /// The one mistake at which the text stops being YAML, or all keys that are no texts.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Problems> {
        std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || Self::parse_here(source));
            match parser.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(parsed)) => parsed,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => {
                    let error = threads::refused(&error);
                    Err(Diagnostic::error(format!("cannot read `{}`: {error}", source.name)).into())
                }
            }
        })
    }

    fn parse_here(source: &Arc<Source>) -> Result<Self, Problems> {
        if let Some(problem) = syntax::screen(source) {
            return Err(problem.into());
        }
        let options = serde_yaml::options! {
            budget: serde_yaml::budget! {
                max_depth: DEEPEST,
                max_documents: 1,
                enforce_alias_anchor_ratio: false,
            },
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MOST_REPLAYED },
            // Duplicates are ours to report, all of them and together with everything else.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
            with_snippet: false,
        };
        let raw: Spanned<Raw> =
            serde_yaml::from_str_with_options(&source.text, options).map_err(|error| syntax::translate(source, &error))?;
        let mut problems = Reported::default();
        let node = Self::new(raw, source, &mut problems);
        if problems.has_errors() { Err(problems.finish()) } else { Ok(node) }
    }

    fn new(raw: Spanned<Raw>, source: &Arc<Source>, problems: &mut Reported) -> Self {
        // What stands behind an alias is wrong where it is written, not where it is used.
        let mut range = bytes(&raw.defined).unwrap_or(0..0);
        let spelling = || source.text.get(range.clone()).unwrap_or_default().to_owned();
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value, spelling()),
            Raw::Number(number) => Value::Number(number, spelling()),
            Raw::Text(text) => Value::Text(text),
            Raw::List(items) => {
                let items: Vec<_> = items.into_iter().map(|item| Self::new(item, source, problems)).collect();
                if let Some(last) = items.last() {
                    range = range.start..last.range.end.max(range.end);
                }
                range = closed(source, range);
                Value::List(items)
            }
            Raw::Map(entries) => {
                let mut map: Vec<(Key, Self)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let Some(key) = Key::new(&key, source, problems) else { continue };
                    map.push((key, Self::new(value, source, problems)));
                }
                // The library gives a block its first byte only.
                if let (Some((first, _)), Some((_, last))) = (map.first(), map.last()) {
                    range = range.start.min(first.range.start)..last.range.end.max(range.end);
                }
                range = closed(source, range);
                Value::Map(map)
            }
        };
        Self { range, value }
    }

    /// A scalar as it is spelled, quotes and escapes undone; nothing for null, lists and maps.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Bool(_, spelling) | Value::Number(_, spelling) => Some(spelling),
            Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What this is, for "expected …, found …".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_, spelling) => format!("`{spelling}`"),
            Value::Number(_, spelling) => format!("the number `{spelling}`"),
            Value::Text(text) if text.is_empty() => "an empty text".to_owned(),
            Value::Text(text) => format!("the text `{}`", shorten(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Enough of a text to recognise it by, on one line.
pub fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(41).collect();
    if line.chars().count() > 40 { format!("{}…", line.chars().take(39).collect::<String>()) } else { line }
}

// === impl Key ===

impl Key {
    fn new(raw: &Spanned<Raw>, source: &Arc<Source>, problems: &mut Reported) -> Option<Self> {
        let range = bytes(&raw.defined).unwrap_or(0..0);
        let spelling = source.text.get(range.clone()).unwrap_or_default();
        let name = match &raw.value {
            Raw::Text(text) => text.clone(),
            Raw::Null | Raw::Bool(_) | Raw::Number(_) => spelling.to_owned(),
            Raw::List(_) | Raw::Map(_) => {
                problems.push(syntax::odd_key(source, range));
                return None;
            }
        };
        Some(Self { name, range })
    }
}

/// The bytes that a location covers.
pub(super) fn bytes(location: &Location) -> Option<Range<usize>> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    Some(start..start + usize::try_from(span.byte_len()?).ok()?)
}

/// A scalar as the library types it.
enum Raw {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

thread_local! {
    /// How deep the value that is being read is. The library's budget counts what is written, aliases nest what they repeat.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The error of a value that aliases have nested too deeply.
pub(super) const TOO_DEEP: &str = "nested too deeply";

/// Reads the parts of a list or map, one level down.
fn deeper<T, E: serde::de::Error>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let depth = DEPTH.get();
    if depth >= DEEPEST {
        return Err(E::custom(TOO_DEEP));
    }
    DEPTH.set(depth + 1);
    let result = read();
    DEPTH.set(depth);
    result
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Raw::Null, Raw::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        deeper(|| {
            let mut items = Vec::new();
            while let Some(item) = access.next_element()? {
                items.push(item);
            }
            Ok(Raw::List(items))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        deeper(|| {
            let mut entries = Vec::new();
            while let Some(entry) = access.next_entry()? {
                entries.push(entry);
            }
            Ok(Raw::Map(entries))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::inside;
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "x.yaml".into(), text: text.into() })
    }

    fn parse(text: &str) -> Node {
        Node::parse(&source(text)).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }

    fn entries(node: &Node) -> Vec<(String, String)> {
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        entries.iter().map(|(key, node)| (key.name.clone(), node.text().unwrap_or("-").to_owned())).collect()
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let found = entries(&parse("a: 0x10\nb: 1.50\nc: 'it''s'\nd: 012\ne: true\nf: ~\n5: g\n"));
        let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, [("a", "0x10"), ("b", "1.50"), ("c", "it's"), ("d", "012"), ("e", "true"), ("f", "-"), ("5", "g")]);
    }

    #[test]
    fn duplicates_are_kept_but_what_a_merge_overrides_is_not() {
        let node = parse("base: &b {a: 1, b: 2}\nx:\n  <<: *b\n  b: 3\n  b: 4\n");
        let Value::Map(map) = &node.value else { panic!("{node:?}") };
        let found = entries(&map[1].1);
        assert_eq!(found, [("b", "3"), ("b", "4"), ("a", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_place_inside_a_scalar_is_found_for_every_style() {
        for text in ["a: x {{ y }}\n", "a: 'x {{ y }}'\n", "a: \"x {{ y }}\"\n", "a: |\n  first\n   x {{ y }}\n"] {
            let source = source(text);
            let Value::Map(map) = Node::parse(&source).unwrap().value else { panic!() };
            let value = map[0].1.text().unwrap();
            let at = value.find('y').unwrap();
            let found = inside(&source, &map[0].1.range, value, at..at + 1);
            assert_eq!(found, text.find('y').unwrap()..text.find('y').unwrap() + 1, "{text}");
        }
        let escaped = source("a: \"\\t{{ y }}\"\n");
        let Value::Map(map) = Node::parse(&escaped).unwrap().value else { panic!() };
        assert_eq!(inside(&escaped, &map[0].1.range, "\t{{ y }}", 4..5), map[0].1.range, "the whole scalar");
    }
}
