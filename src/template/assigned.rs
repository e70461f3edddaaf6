//! A value of the file whose texts are templates, as `set` and the `default` of a capture have it.

use super::{JsonTemplate, Random, Reference, Scope, Template, Value, bounded, from_json};

/// Keeps its YAML type; a text is a template, and a text that is one `{{ expression }}` keeps the type of that.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned(Form);

#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// And how it is written, as JSON.
    Constant(Value, Box<str>),
    Template(Template),
    /// A list or map with templates in it.
    Document(JsonTemplate),
}

impl Assigned {
    /// A text.
    pub fn text(template: Template) -> Self {
        Self(match template.as_literal() {
            Some(text) => Form::Constant(Value::from(text), serde_json::Value::from(text).to_string().into()),
            None => Form::Template(template),
        })
    }

    /// Any other value.
    pub fn document(document: JsonTemplate) -> Self {
        let constant = document.as_constant().and_then(|text| Some((from_text(text).ok()?, text.into())));
        Self(match constant {
            Some((value, text)) => Form::Constant(value, text),
            None => Form::Document(document),
        })
    }

    /// What it is now.
    ///
    /// # Errors
    /// A sentence that says what cannot be computed and why.
    pub fn value(&self, scope: &Scope, random: &mut Random) -> Result<Value, String> {
        match &self.0 {
            Form::Constant(value, _) => Ok(value.clone()),
            Form::Template(template) => {
                bounded::begin();
                bounded::bounded(template.value(scope, random)?)
            }
            Form::Document(document) => {
                let mut text = String::new();
                document.render(scope, random, &mut text)?;
                from_text(&text)
            }
        }
    }

    /// The value that it always has, if no template is in it.
    pub fn as_constant(&self) -> Option<&Value> {
        match &self.0 {
            Form::Constant(value, _) => Some(value),
            Form::Template(_) | Form::Document(_) => None,
        }
    }

    /// The names that it uses; ranges are within each template's own text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let (template, document) = match &self.0 {
            Form::Constant(..) => (None, None),
            Form::Template(template) => (Some(template), None),
            Form::Document(document) => (None, Some(document)),
        };
        let of_template = template.into_iter().flat_map(Template::references);
        of_template.chain(document.into_iter().flat_map(JsonTemplate::references))
    }

    /// As it was written, or nearly so.
    pub fn shown(&self) -> &str {
        match &self.0 {
            Form::Constant(_, text) => text,
            Form::Template(template) => template.source(),
            Form::Document(_) => "(with templates)",
        }
    }
}

fn from_text(json: &str) -> Result<Value, String> {
    serde_json::from_str::<serde_json::Value>(json).map(|value| from_json(&value)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Names, Shared};
    use super::*;

    fn template(text: &str) -> Template {
        let mut names = Names::new();
        names.open("x");
        Template::parse(text, &names).unwrap()
    }

    #[test]
    fn values_keep_their_type() {
        let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
        scope.set("x", Value::from(5));
        let mut random = Random::new(1, 1);
        let mut value = |assigned: &Assigned| assigned.value(&scope, &mut random).unwrap();
        assert_eq!(value(&Assigned::text(template("{{ x }}"))), Value::from(5));
        assert_eq!(value(&Assigned::text(template("{{ x + 1 }}"))), Value::from(6));
        assert_eq!(value(&Assigned::text(template("{{ x }}!"))), Value::from("5!"));
        assert_eq!(value(&Assigned::text(template("5"))), Value::from("5"));
        for (json, expected) in [("5", Value::from(5)), ("true", Value::from(true)), ("null", Value::from(()))] {
            assert_eq!(value(&Assigned::document(JsonTemplate::constant(&serde_json::from_str(json).unwrap()))), expected);
        }
        let list = Assigned::document(JsonTemplate::list([
            JsonTemplate::text(template("{{ x }}")),
            JsonTemplate::text(template("a{{ x }}")),
        ]));
        assert_eq!(serde_json::to_string(&value(&list)).unwrap(), r#"[5,"a5"]"#);
        assert_eq!(list.references().count(), 2);
    }
}
