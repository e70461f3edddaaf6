//! `expect`: what a response must be, each with the name that the label `check` carries.

use std::ops::Range;

use super::Compiler;
use super::text::{After, nested_deeper};
use crate::measure::catalog::RequestId;
use crate::scenario::document::model::Expect;
use crate::scenario::document::node::shorten;
use crate::scenario::document::place::inside;
use crate::scenario::document::read::{Field, Placed};
use crate::scenario::document::rules::{BodyRule, HeaderOperators, HeaderRule, JsonOperators, JsonRule, Pattern, StatusRange};
use crate::scenario::document::values::{Any, List};
use crate::scenario::plan::{Expectation, Rule, TextRule, ValueRule};
use crate::template::path;
use crate::template::{JsonTemplate, Template};
use crate::units::format_duration;

impl Compiler<'_> {
    pub(super) fn expect(&mut self, expect: &Expect, request: RequestId) -> Vec<Expectation> {
        let mut rules: Vec<(String, Rule)> = Vec::new();
        rules.extend(expect.status.given().and_then(|status| self.status(status)));
        for (name, rule) in expect.headers.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            let text = self.header_rule(rule);
            let header = self.header_name(&name.name, &name.range);
            rules.extend(header.zip(text).map(|(header, text)| (format!("header {header}"), Rule::Header(header, text))));
        }
        for (path, rule) in expect.json.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            let value = self.value_rule(rule);
            let parsed = self.json_path(&path.name, &path.range);
            let text = path.name.clone();
            rules.extend(
                parsed.zip(value).map(|(path, rule)| (format!("json {}", label(&text)), Rule::Json { text, path, rule })),
            );
        }
        if let Some(body) = expect.body.given() {
            let what = match &body.value {
                BodyRule::Contains(_) => "contains",
                BodyRule::Operators(operators) if operators.equals.key().is_some() => "equals",
                BodyRule::Operators(operators) if operators.matches.key().is_some() && operators.contains.is_absent() => {
                    "matches"
                }
                BodyRule::Operators(_) => "contains",
            };
            rules.extend(self.body_rule(body).map(|rule| (format!("body {what}"), Rule::Body(rule))));
        }
        if let Some(limit) = self.more_than_zero(&expect.max_time, "max_time") {
            rules.push((format!("max_time {}", format_duration(limit)), Rule::MaxTime(limit)));
        }
        for that in expect.that.value().map(|list| list.items.as_slice()).unwrap_or_default() {
            let rule = self.expression(that, After::Request);
            if rule.as_ref().is_some_and(|rule| rule.constant().is_some()) {
                self.warn(
                    &that.range,
                    "this looks at nothing, so it is the same for every response",
                    "write it of `response`, or of a capture",
                );
            }
            rules.extend(rule.map(|rule| (format!("that {}", label(&that.value)), Rule::That(rule))));
        }
        rules.into_iter().map(|(name, rule)| Expectation { id: self.catalog.add_check(request, &name), rule }).collect()
    }

    fn status(&mut self, status: &Placed<List<StatusRange, true>>) -> Option<(String, Rule)> {
        let ranges = &status.value.items;
        if ranges.is_empty() {
            if status.value.whole {
                self.push(
                    &status.range,
                    "no status is in this list, so every response would fail",
                    "write `[200, 201]`, or remove the key",
                );
            }
            return None;
        }
        let written: Vec<_> = ranges.iter().map(|range| range.value.written.to_lowercase()).collect();
        Some((
            format!("status {}", label(&written.join(","))),
            Rule::Status(ranges.iter().map(|range| range.value.range).collect()),
        ))
    }

    pub(super) fn json_path(&mut self, path: &str, range: &Range<usize>) -> Option<path::Path> {
        if let Some(at) = nested_deeper(path, DEEPEST_PATH) {
            let place = inside(&self.source, range, path, at..at + 1);
            let message = format!("this JSONPath nests brackets more than {DEEPEST_PATH} deep");
            self.push(&place, message, "write it with fewer brackets within each other");
            return None;
        }
        let error = match path::Path::parse(path) {
            Ok(parsed) => {
                let descents = descents(path);
                if let Some(at) = descents.get(MOST_DESCENTS) {
                    let place = inside(&self.source, range, path, *at..at + 2);
                    let message = format!("more than {MOST_DESCENTS} `..` multiply what is found without bound");
                    self.push(&place, message, "write out a part of the path");
                    return None;
                }
                return Some(parsed);
            }
            Err(error) => error,
        };
        if !path.starts_with('$') {
            let hint = format!("write `{}`", quoted(&format!("$.{}", path.trim_start_matches('.'))));
            self.push(range, "a JSONPath begins with `$`", hint);
            return None;
        }
        let at = (0..=error.position().min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        let place = inside(&self.source, range, path, at..path.len().max(at + 1));
        let message = match error.message() {
            "parser error" => "this JSONPath is wrong from here on".to_owned(),
            message => format!("this JSONPath is wrong: {message}"),
        };
        self.push(&place, message, "write it like `$.cars[0].brand` or `$.cars[*].id`");
        None
    }

    fn text(&mut self, field: &Field<String>) -> Option<Template> {
        field.given().and_then(|text| self.template(text, After::Request))
    }

    fn any(&mut self, field: &Field<Any>) -> Option<JsonTemplate> {
        field.given().and_then(|node| self.json(&node.value.0, After::Request))
    }

    fn header_rule(&mut self, rule: &Placed<HeaderRule>) -> Option<TextRule> {
        match &rule.value {
            HeaderRule::Equals(text) => {
                let equals = self.template_at(text, &rule.range, After::Request)?;
                Some(TextRule { equals: Some(equals), ..TextRule::default() })
            }
            HeaderRule::Operators(operators) => {
                let HeaderOperators { exists, equals, contains, matches, .. } = &**operators;
                let others = [equals.key(), contains.key(), matches.key()];
                let exists = self.exists(exists, &others);
                let (equals, contains) = (self.text(equals), self.text(contains));
                Some(TextRule { exists, equals, contains, matches: regex(matches) })
            }
        }
    }

    fn body_rule(&mut self, rule: &Placed<BodyRule>) -> Option<TextRule> {
        match &rule.value {
            BodyRule::Contains(text) => {
                let contains = self.template_at(text, &rule.range, After::Request)?;
                Some(TextRule { contains: Some(contains), ..TextRule::default() })
            }
            BodyRule::Operators(operators) => {
                let (equals, contains) = (self.text(&operators.equals), self.text(&operators.contains));
                Some(TextRule { exists: None, equals, contains, matches: regex(&operators.matches) })
            }
        }
    }

    fn value_rule(&mut self, rule: &Placed<JsonRule>) -> Option<ValueRule> {
        match &rule.value {
            JsonRule::Equals(node) => {
                let equals = self.json(&node.0, After::Request)?;
                Some(ValueRule { equals: Some(equals), ..ValueRule::default() })
            }
            JsonRule::Operators(operators) => {
                let JsonOperators { exists, equals, contains, matches, gt, gte, lt, lte, length, .. } = &**operators;
                let others =
                    [equals.key(), contains.key(), matches.key(), gt.key(), gte.key(), lt.key(), lte.key(), length.key()];
                let exists = self.exists(exists, &others);
                let (equals, contains) = (self.any(equals), self.any(contains));
                Some(ValueRule {
                    exists,
                    equals,
                    contains,
                    matches: regex(matches),
                    gt: gt.value().copied(),
                    gte: gte.value().copied(),
                    lt: lt.value().copied(),
                    lte: lte.value().copied(),
                    length: length.value().copied(),
                })
            }
        }
    }

    /// `exists: false` beside something that the value must be.
    fn exists(&mut self, exists: &Field<bool>, others: &[Option<&Range<usize>>]) -> Option<bool> {
        if let (Some(false), Some(other)) = (exists.value(), others.iter().flatten().next()) {
            self.push(other, "what does not exist can be nothing else", "keep `exists: false`, or the other");
        }
        exists.value().copied()
    }
}

/// The most brackets within each other of a JSONPath. The library recurses into each, and reads a filter within a filter twice, so
/// that the time doubles with each level.
const DEEPEST_PATH: usize = 8;

/// Each `..` finds a value once for each of its ancestors: five of them would find one at a depth of 100 a hundred million times.
const MOST_DESCENTS: usize = 3;

/// Where a JSONPath has `..`, outside of its texts.
fn descents(path: &str) -> Vec<usize> {
    let (mut found, mut quote, mut before) = (Vec::new(), None, ' ');
    for (at, c) in path.char_indices() {
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '.' && before == '.' => found.push(at - 1),
            None => {}
        }
        // An escaped backslash escapes nothing.
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    found
}

fn regex(field: &Field<Pattern>) -> Option<regex::Regex> {
    field.value().map(|pattern| pattern.0.clone())
}

/// A key in quotes, which those with brackets need inside `{ }`.
fn quoted(path: &str) -> String {
    if path.contains('[') { format!("\"{path}\"") } else { path.to_owned() }
}

/// A part of a label: on one line, and not endless.
fn label(text: &str) -> String {
    shorten_to(text, 100)
}

fn shorten_to(text: &str, most: usize) -> String {
    if text.chars().count() <= 40 {
        return shorten(text);
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if text.chars().count() > most { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deepest that are let through; the time doubles with each level, and a debug build has to be quick too.
    #[test]
    fn the_deepest_json_path_is_read_at_once() {
        let filters = format!("${}@.a{}", "[?@".repeat(DEEPEST_PATH), "]".repeat(DEEPEST_PATH)).replace("@@", "@");
        let functions =
            format!("${}@.a{}", "[?count(@".repeat(DEEPEST_PATH / 2), ")>1]".repeat(DEEPEST_PATH / 2)).replace("@@", "@");
        let brackets = format!("$[?{}@.a{}]", "(".repeat(DEEPEST_PATH - 1), ")".repeat(DEEPEST_PATH - 1));
        for path in [filters, functions, brackets] {
            assert_eq!(nested_deeper(&path, DEEPEST_PATH), None, "{path}");
            let began = crate::clock::now();
            assert!(path::Path::parse(&path).is_ok(), "{path}");
            let took = began.elapsed();
            assert!(took < std::time::Duration::from_secs(2), "{path} took {took:?}");
        }
    }
}
