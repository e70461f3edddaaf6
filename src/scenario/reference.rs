//! The reference of the language, `docs/language.md`: prose and examples of `reference/language.md`, and tables out of the definitions
//! themselves, so that no page can say something else than the program does.
//!
//! | line | becomes |
//! |---|---|
//! | `@contents` | the headings, linked |
//! | `@keys Loop (loop)` | a table of the object's keys, below what it is, unless a colon stands before; `(loop)` is what others call it |
//! | `@keys Step (step): think group` | of these keys alone, and without what it is |
//! | `@functions` `@filters` | what templates can call, and apply |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::document;
use crate::template::{self, Callable};

/// The page without its tables.
const TEXT: &str = include_str!("reference/language.md");

/// What stands above all: who edits the page is to find the source.
const HEAD: &str = "<!-- Made by `otload schema --markdown`; the source is src/scenario/reference/language.md and the descriptions in \
                    src/scenario/document. `UPDATE_GOLDEN=1 cargo test --test it documents` renews it. -->\n\n";

/// The whole page, as Markdown.
pub fn reference() -> String {
    let schema = document::schema();
    let places = places();
    let page = Page { schema: &schema, places: &places };
    let mut out = HEAD.to_owned();
    let mut before = "";
    for line in TEXT.lines() {
        match line.strip_prefix('@').and_then(Marker::parse) {
            Some(Marker::Contents) => out.push_str(&contents()),
            Some(Marker::Keys { record, keys, .. }) => out.push_str(&page.table(record, keys.as_deref(), !before.ends_with(':'))),
            Some(Marker::Functions) => out.push_str(&callables("function", template::functions())),
            Some(Marker::Filters) => out.push_str(&callables("filter", template::filters())),
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
        before = if line.is_empty() { before } else { line };
    }
    out
}

enum Marker<'a> {
    Contents,
    Keys { record: &'a str, label: &'a str, keys: Option<Vec<&'a str>> },
    Functions,
    Filters,
}

impl<'a> Marker<'a> {
    /// A line without its `@`.
    fn parse(line: &'a str) -> Option<Self> {
        match line {
            "contents" => Some(Self::Contents),
            "functions" => Some(Self::Functions),
            "filters" => Some(Self::Filters),
            _ => {
                let (record, rest) = line.strip_prefix("keys ")?.split_once(" (")?;
                let (label, keys) = rest.split_once(')')?;
                let keys = keys.strip_prefix(':').map(|keys| keys.split_whitespace().collect());
                Some(Self::Keys { record, label, keys })
            }
        }
    }
}

// === where things stand ===

/// What a record is called, and the heading above its table.
struct Place {
    label: String,
    anchor: String,
}

/// Of each record that has a table, by its name in the schema.
fn places() -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    let mut anchor = String::new();
    for line in TEXT.lines() {
        if let Some(heading) = line.strip_prefix("##") {
            anchor = slug(heading.trim_start_matches('#').trim());
        } else if let Some(Marker::Keys { record, label, .. }) = line.strip_prefix('@').and_then(Marker::parse) {
            places.entry(record.to_owned()).or_insert_with(|| Place { label: label.to_owned(), anchor: anchor.clone() });
        }
    }
    for (name, label) in [("Duration", "duration"), ("Rate", "rate"), ("Ratio", "ratio"), ("Size", "size"), ("Status", "status")]
    {
        places.insert(name.to_owned(), Place { label: label.to_owned(), anchor: "values".to_owned() });
    }
    places
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

/// A line for each chapter, with its sections behind it.
fn contents() -> String {
    let mut out = String::new();
    for line in TEXT.lines() {
        let link = |heading: &str| format!("[{heading}](#{})", slug(heading));
        if let Some(section) = line.strip_prefix("### ") {
            let _ = write!(out, "{} {}", if out.ends_with(')') && !out.ends_with(" )") { " ·" } else { "" }, link(section));
        } else if let Some(chapter) = line.strip_prefix("## ") {
            let _ = write!(out, "{}- {}", if out.is_empty() { "" } else { "\n" }, link(chapter));
        }
    }
    out.push('\n');
    out
}

// === tables ===

struct Page<'a> {
    schema: &'a Json,
    places: &'a BTreeMap<String, Place>,
}

impl Page<'_> {
    fn record(&self, name: &str) -> Option<&Map<String, Json>> {
        let record = if name == "Scenario" { self.schema } else { &self.schema["definitions"][name] };
        record.as_object()
    }

    fn table(&self, record: &str, keys: Option<&[&str]>, with_description: bool) -> String {
        let Some(definition) = self.record(record) else { return format!("**there is no `{record}`**\n") };
        let mut out = String::new();
        let description = definition.get("description").and_then(Json::as_str);
        if let (true, None, Some(description)) = (with_description, keys, description) {
            let _ = writeln!(out, "{description}\n");
        }
        let required = definition.get("required").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let all = definition.get("properties").and_then(Json::as_object).into_iter().flatten();
        let rows: Vec<Row> = match keys {
            // What is refused is a key of the schema, for the sake of the message.
            None => all.filter(|(_, schema)| is_supported(schema)).map(|(key, schema)| self.row(key, schema, required)).collect(),
            // In the order of the page.
            Some(keys) => {
                let all: Vec<_> = all.collect();
                let found = keys.iter().filter_map(|key| all.iter().find(|(name, _)| name == key));
                found.map(|(key, schema)| self.row(key, schema, required)).collect()
            }
        };
        let defaults = rows.iter().any(|row| !row.default.is_empty());
        out.push_str(if defaults {
            "| key | takes | default | |\n|---|---|---|---|\n"
        } else {
            "| key | takes | |\n|---|---|---|\n"
        });
        for row in rows {
            let default = if defaults { format!(" {} |", row.default) } else { String::new() };
            let _ = writeln!(out, "| `{}` | {} |{default} {} |", row.key, row.takes, row.meaning);
        }
        out
    }

    fn row<'a>(&self, key: &'a str, schema: &Json, required: &[Json]) -> Row<'a> {
        let description = schema["description"].as_str().unwrap_or_default();
        let (mut meaning, default) = split_default(description);
        let words = words(schema);
        for (word, doc) in &words {
            let _ = write!(meaning, "<br>`{word}`: {}", lower_first(doc.trim_end_matches('.')));
        }
        let default = match default {
            _ if required.iter().any(|name| name == key) => "**needed**".to_owned(),
            Some(default) if is_value(default) || words.iter().any(|(word, _)| word == default) => format!("`{default}`"),
            Some(default) => default.to_owned(),
            None => String::new(),
        };
        let takes = match self.takes(schema) {
            text if text.starts_with("text")
                && (meaning.starts_with("An expression;") || meaning.starts_with("An expression,")) =>
            {
                text.replacen("text", EXPRESSION, 1)
            }
            text if text.starts_with("text") && meaning.starts_with("Expressions") => text.replacen("text", EXPRESSION, 1),
            text if text == "text" && meaning.starts_with("A JSONPath") => "[JSONPath](#values)".to_owned(),
            text => text,
        };
        Row { key, takes: cell(&takes), default: cell(&default), meaning: cell(&meaning) }
    }

    /// What a value may be, in a few words.
    fn takes(&self, schema: &Json) -> String {
        let alternatives = |schemas: &[Json]| {
            let mut all: Vec<_> = schemas.iter().map(|schema| self.takes(schema)).collect();
            all.dedup();
            all.join(" or ")
        };
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/")) {
            return match self.places.get(name) {
                Some(place) => format!("[{}](#{})", place.label, place.anchor),
                None => format!("**there is no `{name}`**"),
            };
        }
        if let Some(all) = schema["allOf"].as_array() {
            return alternatives(all);
        }
        if let Some(word) = schema.get("const") {
            return format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned));
        }
        let found = words(schema);
        if let Some((last, rest)) = found.split_last() {
            let rest: Vec<_> = rest.iter().map(|(word, _)| format!("`{word}`")).collect();
            let last = format!("`{}`", last.0);
            return if rest.is_empty() { last } else { format!("{} or {last}", rest.join(", ")) };
        }
        if let Some([one, list]) = schema["anyOf"].as_array().map(Vec::as_slice)
            && list["type"] == "array"
        {
            return format!("{}, or a list", self.takes(one));
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(schemas) = schema[key].as_array() {
                return alternatives(schemas);
            }
        }
        match (&schema["type"], schema["format"].as_str()) {
            (_, Some("regex")) => "[regular expression](#values)".to_owned(),
            (Json::String(kind), _) => match kind.as_str() {
                "boolean" => "`true` or `false`".to_owned(),
                "integer" => "whole number".to_owned(),
                "number" => "number".to_owned(),
                "array" => format!("list: {}", self.takes(&schema["items"])),
                "object" => format!("map: {}", self.takes(&schema["additionalProperties"])),
                _ if schema.get("pattern").is_some() => "[condition](#thresholds)".to_owned(),
                _ => "text".to_owned(),
            },
            (Json::Array(kinds), _) if kinds.len() == 3 => "text".to_owned(),
            _ => "any value".to_owned(),
        }
    }
}

/// The schema knows an expression as a text.
const EXPRESSION: &str = "[expression](#values)";

struct Row<'a> {
    key: &'a str,
    takes: String,
    default: String,
    meaning: String,
}

fn is_supported(schema: &Json) -> bool {
    !schema["description"].as_str().unwrap_or_default().starts_with("Not supported")
}

/// The words of a choice, and what each means.
fn words(schema: &Json) -> Vec<(String, String)> {
    let Some(all) = schema["oneOf"].as_array() else { return Vec::new() };
    let word = |schema: &Json| {
        let word = schema.get("const")?;
        let word = word.as_str().map_or_else(|| word.to_string(), str::to_owned);
        Some((word, schema["description"].as_str().unwrap_or_default().to_owned()))
    };
    all.iter().map(word).collect::<Option<_>>().unwrap_or_default()
}

/// A description, and what it says behind `Default:`.
fn split_default(description: &str) -> (String, Option<&str>) {
    let Some((before, rest)) = description.split_once("Default: ") else { return (description.to_owned(), None) };
    let (default, after) = rest.split_once(". ").unwrap_or((rest.trim_end_matches('.'), ""));
    (format!("{}{after}", if after.is_empty() { before.trim_end() } else { before }), Some(default))
}

/// Whether a default is a value as it is written.
fn is_value(text: &str) -> bool {
    text == "true" || text == "false" || (text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(' '))
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let (first, rest) = (characters.next(), characters.as_str());
    // `HTTP/1.1` and `OTLP` stay.
    if rest.starts_with(|c: char| c.is_uppercase()) {
        return text.to_owned();
    }
    first.map_or_else(String::new, |first| first.to_lowercase().chain(rest.chars()).collect())
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn callables(what: &str, all: impl Iterator<Item = Callable>) -> String {
    let mut out = format!("| {what} | gives |\n|---|---|\n");
    for Callable { usage, gives } in all {
        let _ = writeln!(out, "| {usage} | {} |", cell(&gives));
    }
    out
}

#[cfg(test)]
mod tests;
