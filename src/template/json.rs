//! JSON with templates in its strings, rendered straight into a text.
//!
//! A string that is one `{{ expression }}` keeps the type of its value: with `id = 5`, `{id: "{{ id }}"}` gives
//! `{"id":5}`. All that is constant is serialised once, when the document is built:
//!
//! ```text
//! {brand: Tesla, id: "{{ id }}", tags: [a, b]}   →   {"brand":"Tesla","id": · value of id · ,"tags":["a","b"]}
//! ```

use super::{Random, Reference, Scope, Template, Value, bounded};
use minijinja::value::Serde;
use std::fmt::Write as _;
use std::io;

/// A JSON document whose strings and keys may be templates. Built from the inside out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonTemplate {
    // Neighbouring constants are always merged.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Constant(String),
    /// Renders as a value of any type.
    Value(Template),
    /// Renders as a string, whatever it gives.
    Key(Template),
}

impl JsonTemplate {
    /// A value without templates.
    pub fn constant(value: &serde_json::Value) -> Self {
        Self { pieces: vec![Piece::Constant(value.to_string())] }
    }

    /// A string.
    pub fn text(template: Template) -> Self {
        let mut document = Self { pieces: Vec::new() };
        match template.as_literal() {
            Some(text) => document.push_constant(|out| push_string(out, text)),
            None => document.pieces.push(Piece::Value(template)),
        }
        document
    }

    /// An array.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let mut document = Self { pieces: Vec::new() };
        document.push_constant(|out| out.push('['));
        for (index, item) in items.into_iter().enumerate() {
            document.push_constant(|out| out.push_str(if index == 0 { "" } else { "," }));
            document.append(item);
        }
        document.push_constant(|out| out.push(']'));
        document
    }

    /// An object, its members in the given order.
    pub fn map(members: impl IntoIterator<Item = (Template, Self)>) -> Self {
        let mut document = Self { pieces: Vec::new() };
        document.push_constant(|out| out.push('{'));
        for (index, (key, value)) in members.into_iter().enumerate() {
            document.push_constant(|out| out.push_str(if index == 0 { "" } else { "," }));
            match key.as_literal() {
                Some(text) => document.push_constant(|out| push_string(out, text)),
                None => document.pieces.push(Piece::Key(key)),
            }
            document.push_constant(|out| out.push(':'));
            document.append(value);
        }
        document.push_constant(|out| out.push('}'));
        document
    }

    /// The whole text, when nothing in it is to be rendered.
    pub fn as_constant(&self) -> Option<&str> {
        match &self.pieces[..] {
            [Piece::Constant(text)] => Some(text),
            _ => None,
        }
    }

    /// The names that its templates use; ranges are within each template's own text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().flat_map(|piece| match piece {
            Piece::Constant(_) => &[],
            Piece::Value(template) | Piece::Key(template) => template.references(),
        })
    }

    /// Appends the document to `out`.
    ///
    /// # Errors
    /// What could not be rendered; `out` is then as it was before.
    pub fn render(&self, scope: &Scope, random: &mut Random, out: &mut String) -> Result<(), String> {
        let start = out.len();
        let done = self.pieces.iter().try_for_each(|piece| match piece {
            _ if out.len() - start > super::LONGEST => super::fits(out.len() - start),
            Piece::Constant(text) => {
                out.push_str(text);
                Ok(())
            }
            Piece::Value(template) if template.is_one_value() => push_value(out, &template.value(scope, random)?),
            Piece::Value(template) | Piece::Key(template) => {
                out.push('"');
                let start = out.len();
                template.render(scope, random, out)?;
                escape_from(out, start);
                out.push('"');
                Ok(())
            }
        });
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn push_constant(&mut self, write: impl FnOnce(&mut String)) {
        if let Some(Piece::Constant(text)) = self.pieces.last_mut() {
            return write(text);
        }
        let mut text = String::new();
        write(&mut text);
        self.pieces.push(Piece::Constant(text));
    }

    fn append(&mut self, other: Self) {
        for piece in other.pieces {
            match piece {
                Piece::Constant(text) => self.push_constant(|out| out.push_str(&text)),
                piece => self.pieces.push(piece),
            }
        }
    }
}

// === values ===

/// A JSON value as templates see it; members keep their order.
pub fn from_json(value: &serde_json::Value) -> Value {
    Value::from(Serde(value))
}

/// A value as JSON.
///
/// # Errors
/// A sentence, when there is no JSON for it.
pub(super) fn text_of(value: &Value) -> Result<String, String> {
    bounded::is_flat(value)?;
    let mut text = Limited(Vec::new());
    serde_json::to_writer(&mut text, value).map_err(|error| match error.is_io() {
        true => super::engine::too_large(),
        false => format!("this cannot be written as JSON: {error}"),
    })?;
    String::from_utf8(text.0).map_err(|error| error.to_string())
}

/// Bytes that do not grow beyond what a text may have.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > super::LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn push_value(out: &mut String, value: &Value) -> Result<(), String> {
    if let Some(text) = value.as_str() {
        push_string(out, text);
    } else {
        out.push_str(&text_of(value)?);
    }
    Ok(())
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let start = out.len();
    out.push_str(text);
    escape_from(out, start);
    out.push('"');
}

/// Escapes what was written since `start` for the inside of a JSON string (RFC 8259, section 7). Mostly there is nothing
/// to escape, and then nothing is copied.
fn escape_from(out: &mut String, start: usize) {
    let needs_escape = |byte: u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let Some(first) = out.as_bytes()[start..].iter().position(|byte| needs_escape(*byte)) else { return };
    let rest = out.split_off(start + first);
    for c in rest.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Names, Shared};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::Arc;

    fn template(text: &str) -> Template {
        let mut names = Names::new();
        ["id", "text", "list", "on", "absent", "price"].into_iter().for_each(|name| names.open(name));
        Template::parse(text, &names).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
    }

    fn build(value: &serde_json::Value) -> JsonTemplate {
        match value {
            serde_json::Value::String(text) => JsonTemplate::text(template(text)),
            serde_json::Value::Array(items) => JsonTemplate::list(items.iter().map(build)),
            serde_json::Value::Object(members) => {
                JsonTemplate::map(members.iter().map(|(key, value)| (template(key), build(value))))
            }
            other => JsonTemplate::constant(other),
        }
    }

    fn scope() -> Scope {
        let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
        scope.set("id", Value::from(5));
        scope.set("text", Value::from("a \"b\" \\ \n\u{1}é"));
        scope.set("list", from_json(&json!([1, {"a": null}])));
        scope.set("on", Value::from(true));
        scope.set("price", Value::from(2.0));
        scope
    }

    fn render(document: &JsonTemplate) -> Result<String, String> {
        let mut out = String::new();
        document.render(&scope(), &mut Random::new(0, 0), &mut out).map(|()| out)
    }

    #[test]
    fn a_template_alone_keeps_its_type() {
        for (document, expected) in [
            (json!({"id": "{{ id }}"}), r#"{"id":5}"#),
            (json!({"id": "{{id}}", "b": "{{ on }}", "p": "{{ price }}"}), r#"{"id":5,"b":true,"p":2.0}"#),
            (json!({"id": "no. {{ id }}"}), r#"{"id":"no. 5"}"#),
            (json!({"id": "{{ id | string }}"}), r#"{"id":"5"}"#),
            (json!({"id": " {{ id }}"}), r#"{"id":" 5"}"#),
            (json!(["{{ list }}", "{{ 1 if false }}"]), r#"[[1,{"a":null}],null]"#),
            (json!({"{{ id }}": 1, "k{{ id }}": [], "x": {}}), r#"{"5":1,"k5":[],"x":{}}"#),
            (json!({"{{ text }}": "{{ text }}|"}), r#"{"a \"b\" \\ \n\u0001é":"a \"b\" \\ \n\u0001é|"}"#),
            (json!("{{ text }}"), r#""a \"b\" \\ \n\u0001é""#),
            (json!(7), "7"),
        ] {
            assert_eq!(render(&build(&document)).as_deref(), Ok(expected), "{document}");
        }
    }

    #[test]
    fn what_is_constant_is_one_text() {
        let document = build(&json!({"a": [1, "x", null, {"b": "c\n"}], "d": {}}));
        assert_eq!(document.as_constant(), Some(r#"{"a":[1,"x",null,{"b":"c\n"}],"d":{}}"#));
        let document = build(&json!({"a": 1, "b": "{{ id }}", "c": [2, "3"]}));
        assert_eq!(document.pieces.len(), 3);
        assert_eq!(document.as_constant(), None);
        assert_eq!(document.references().map(|r| &*r.root).collect::<Vec<_>>(), ["id"]);
    }

    #[test]
    fn an_error_leaves_no_half_document() {
        let document = build(&json!({"a": "{{ id }}", "b": "x {{ absent }}"}));
        let mut out = "before".to_owned();
        let error = document.render(&scope(), &mut Random::new(0, 0), &mut out).unwrap_err();
        assert_eq!((error.as_str(), out.as_str()), ("`absent` is undefined", "before"));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|b| json!(b)),
            any::<i64>().prop_map(|n| json!(n)),
            any::<String>().prop_map(|s| json!(s)),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| json!(items)),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|members| json!(members)),
            ]
        })
    }

    /// Every string of a document becomes a template that gives that string, through a variable or through a mixture.
    fn lift(value: &serde_json::Value, variables: &mut Vec<serde_json::Value>) -> JsonTemplate {
        let names = |count: usize| {
            let mut names = Names::new();
            (0..count).for_each(|at| names.open(&format!("v{at}")));
            names
        };
        let mut text = |text: &str| {
            variables.push(json!(text));
            let at = variables.len() - 1;
            let written = if at.is_multiple_of(2) { format!("{{{{ v{at} }}}}") } else { format!("{{{{ v{at} }}}}{{{{ '' }}}}") };
            Template::parse(&written, &names(at + 1)).unwrap()
        };
        match value {
            serde_json::Value::String(string) => JsonTemplate::text(text(string)),
            serde_json::Value::Array(items) => {
                JsonTemplate::list(items.iter().map(|item| lift(item, variables)).collect::<Vec<_>>())
            }
            serde_json::Value::Object(members) => {
                let keys: Vec<Template> = members.keys().map(|key| text(key)).collect();
                let values: Vec<JsonTemplate> = members.values().map(|value| lift(value, variables)).collect();
                JsonTemplate::map(keys.into_iter().zip(values))
            }
            other => JsonTemplate::constant(other),
        }
    }

    proptest! {
        #[test]
        fn rendered_json_is_the_document(document in any_json()) {
            let mut variables = Vec::new();
            let lifted = lift(&document, &mut variables);
            let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
            variables.iter().enumerate().for_each(|(at, value)| scope.set(&format!("v{at}"), from_json(value)));
            let mut out = String::new();
            lifted.render(&scope, &mut Random::new(0, 0), &mut out).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), document);
        }

        #[test]
        fn values_of_any_type_keep_it(document in any_json()) {
            let mut scope = scope();
            scope.set("id", from_json(&document));
            let mut out = String::new();
            JsonTemplate::text(template("{{ id }}")).render(&scope, &mut Random::new(0, 0), &mut out).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), document);
        }
    }
}
