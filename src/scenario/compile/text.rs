//! Templates and expressions: parsed, their mistakes shown at the very characters, and their references checked.

use std::ops::Range;

use super::Compiler;
use crate::scenario::document::node::{Node, Value};
use crate::scenario::document::place::inside;
use crate::scenario::document::read::Placed;
use crate::template::{Assigned, Expression, JsonTemplate, ParseError, Reference, Template};

/// Whether there is a response that a template may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Request,
}

impl Compiler<'_> {
    pub(super) fn template(&mut self, text: &Placed<String>, after: After) -> Option<Template> {
        self.template_at(&text.value, &text.range, after)
    }

    pub(super) fn template_at(&mut self, text: &str, range: &Range<usize>, after: After) -> Option<Template> {
        let template = Template::parse(text, &self.names).map_err(|errors| self.wrong(text, range, errors)).ok()?;
        self.check_references(template.references(), text, range, after).then_some(template)
    }

    /// `when` and `that`: an expression without braces.
    pub(super) fn expression(&mut self, text: &Placed<String>, after: After) -> Option<Expression> {
        if let Some(bare) = text.value.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            self.push(&text.range, "this is an expression, and needs no braces", format!("write `{}`", bare.trim()));
            return None;
        }
        let expression =
            Expression::parse(&text.value, &self.names).map_err(|errors| self.wrong(&text.value, &text.range, errors)).ok()?;
        self.check_references(expression.references(), &text.value, &text.range, after).then_some(expression)
    }

    /// Any YAML as JSON; its texts and keys are templates.
    pub(super) fn json(&mut self, node: &Node, after: After) -> Option<JsonTemplate> {
        match &node.value {
            Value::Null => Some(JsonTemplate::constant(&serde_json::Value::Null)),
            Value::Bool(value, _) => Some(JsonTemplate::constant(&serde_json::Value::Bool(*value))),
            Value::Number(number, _) => Some(JsonTemplate::constant(&serde_json::Value::Number(number.clone()))),
            Value::Text(text) => self.template_at(text, &node.range, after).map(JsonTemplate::text),
            Value::List(items) => {
                // All of them, so that all problems are found.
                let items: Vec<_> = items.iter().map(|item| self.json(item, after)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(JsonTemplate::list)
            }
            Value::Map(entries) => {
                let members: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| {
                        let name = self.template_at(&key.name, &key.range, after);
                        let value = self.json(value, after);
                        Some((name?, value?))
                    })
                    .collect();
                members.into_iter().collect::<Option<Vec<_>>>().map(JsonTemplate::map)
            }
        }
    }

    /// A value that keeps its YAML type; its texts are templates.
    pub(super) fn assigned(&mut self, node: &Node, after: After) -> Option<Assigned> {
        match &node.value {
            Value::Text(text) => self.template_at(text, &node.range, after).map(Assigned::text),
            _ => self.json(node, after).map(Assigned::document),
        }
    }

    fn wrong(&mut self, text: &str, range: &Range<usize>, errors: Vec<ParseError>) {
        for error in errors {
            let place = inside(&self.source, range, text, error.range);
            let mut problem = self.error(&place, error.message);
            problem.hint = error.hint;
            self.problems.push(problem);
        }
    }

    /// `env`, `setup` and `response` are there for some templates and not for others.
    fn check_references(&mut self, references: &[Reference], text: &str, range: &Range<usize>, after: After) -> bool {
        let mut good = true;
        for reference in references {
            let (message, hint) = match (&*reference.root, reference.field.as_deref()) {
                ("env", Some(name)) if self.overrides.env.contains_key(name) => {
                    self.used_env.insert(name.to_owned());
                    good &= self.can_be_compared(reference, text, range);
                    continue;
                }
                ("env", Some(name)) => {
                    self.used_env.insert(name.to_owned());
                    (format!("the environment variable `{name}` is not set"), format!("set it before the run: `export {name}=…`"))
                }
                ("env", None) => {
                    ("`env` alone is nothing".to_owned(), "write `env.NAME`, so that it can be checked before the run".to_owned())
                }
                ("setup", field) if self.single == Some("setup") => (
                    "`setup` is what others see of it; here its values have their own names".to_owned(),
                    format!("write `{}`", field.unwrap_or("the name alone")),
                ),
                ("response", _) if after == After::Nothing => (
                    "there is no response here: no request of this task comes before".to_owned(),
                    "`response` may be used in `expect.that`, and in the steps after a request".to_owned(),
                ),
                _ => {
                    self.is_known(reference, text, range);
                    good &= self.refers_to_row(reference, text, range) && self.can_be_compared(reference, text, range);
                    continue;
                }
            };
            let place = inside(&self.source, range, text, reference.range.clone());
            self.push(&place, message, hint);
            good = false;
        }
        good
    }
}

/// The first bracket that lies within more than `most` others, outside of quoted texts.
pub(super) fn nested_deeper(text: &str, most: usize) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[' | '{') if depth == most => return Some(at),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_within_brackets_are_counted_outside_of_texts() {
        for (text, most, deeper) in [
            ("$.a[0].b[1]", 1, None),
            ("$[?(@.a)]", 1, Some(3)),
            ("$[?(@.a)]", 2, None),
            ("$[?(@.a == '((')]", 2, None),
            (r"$[?(@.a == 'it\'s ((')]", 2, None),
            ("$['[[[']", 1, None),
            (":not(:is(:not(a)))", 2, Some(13)),
            ("a)))(((", 2, Some(6)),
            ("", 0, None),
        ] {
            assert_eq!(nested_deeper(text, most), deeper, "{text}");
        }
        assert_eq!(nested_deeper(&"(".repeat(20_000), 8), Some(8));
    }
}
