//! Templates and expressions of a scenario: parsed once, rendered many times into a buffer that is reused.
//!
//! ```text
//! "/cars/{{ id }}"  ── Template::parse(text, names) ──>  [ "/cars/" , variable id ]  ── render(scope, random, out) ──>  "/cars/7"
//! "id > 10"         ── Expression::parse ──>  is_true(scope, random)
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `names.rs` | what a template may refer to |
//! | `scope.rs` | what those names stand for while a user runs |
//! | `check.rs`, `syntax.rs` | what is wrong with a template, before anything runs |
//! | `code.rs` | an expression, ready to be computed |
//! | `bounded.rs` | what is kept for later, nested to a limit |
//! | `engine.rs` | MiniJinja, set up for scenarios |
//! | `functions.rs`, `fakes.rs`, `filters.rs` | what can be called, and what stands after a bar |
//! | `manual.rs` | what the reference says of them |
//! | `json.rs`, `assigned.rs` | JSON documents and values with templates in their strings |
//! | `extract.rs` | values out of responses |
//! | `feeder.rs` | rows of data files |
//!
//! The language is MiniJinja's. A text without `{{`, `{%` and `{#` costs a copy; `{{ name }}`, `{{ row.field }}` and the
//! simplest random functions are computed here; other expressions by the engine; and a text with statements (`{% if %}`)
//! is the engine's as a whole.

mod assigned;
mod bounded;
pub mod budget;
mod check;
mod code;
mod engine;
pub mod extract;
mod fakes;
mod feeder;
mod filters;
mod functions;
mod json;
mod manual;
mod names;
pub mod page;
pub mod path;
mod scope;
mod syntax;

pub use assigned::Assigned;
pub use feeder::{Format, MOST_COLUMNS, Table};
pub use json::{JsonTemplate, from_json};
pub use manual::{Callable, filters, functions, names_of_filters_and_tests};
pub use minijinja::Value;
pub use minijinja::value::ValueKind;
pub use names::{Literal, Names, Reference};
pub use scope::{Response, Scope, Shared};

pub use crate::random::Random;

use code::Code;
use minijinja::Environment;
use minijinja::machinery::{self, ast};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text with `{{ expressions }}` in it. Cheap to clone.
#[derive(Clone)]
pub struct Template(Form);

#[derive(Clone)]
enum Form {
    Literal(Arc<str>),
    Dynamic(Arc<Dynamic>),
}

struct Dynamic {
    source: Box<str>,
    references: Vec<Reference>,
    body: Body,
}

enum Body {
    /// Neighbouring literals are merged.
    Parts(Vec<Part>),
    /// With statements: an engine that holds this one template.
    Whole(Box<Environment<'static>>),
}

enum Part {
    Literal(Box<str>),
    Code(Code),
}

/// An expression without braces, as in `when` and `that`. Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Bare>);

struct Bare {
    source: Box<str>,
    references: Vec<Reference>,
    /// It calls a function.
    calls: bool,
    code: Code,
}

/// What is wrong with a template or an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub message: String,
    /// Bytes of the text that was parsed; never empty unless the text is.
    pub range: Range<usize>,
    /// What would be right.
    pub hint: Option<String>,
}

// === Template ===

impl Template {
    /// Reads a template that may use `names`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Vec<ParseError>> {
        if !["{{", "{%", "{#"].iter().any(|marker| text.contains(marker)) {
            return Ok(Self::literal(text));
        }
        let tree = syntax::parse_template(text).map_err(|error| vec![error])?;
        let references = check::template(&tree, names)?;
        let body = match parts(text, &tree) {
            Some(parts) => Body::Parts(parts?),
            None => {
                let mut engine = engine::ENGINE.clone();
                engine
                    .add_template_owned(WHOLE, syntax::with_bounded_sets(text))
                    .map_err(|error| vec![syntax::explain(text, &error, syntax::Kind::Template)])?;
                Body::Whole(Box::new(engine))
            }
        };
        Ok(Self(Form::Dynamic(Arc::new(Dynamic { source: text.into(), references, body }))))
    }

    /// A text that is rendered as it is, whatever is in it.
    pub fn literal(text: &str) -> Self {
        Self(Form::Literal(text.into()))
    }

    /// The text that every rendering gives, when there is one.
    pub fn as_literal(&self) -> Option<&str> {
        match &self.0 {
            Form::Literal(text) => Some(text),
            Form::Dynamic(dynamic) => match &dynamic.body {
                Body::Parts(parts) => match &parts[..] {
                    [] => Some(""),
                    [Part::Literal(text)] => Some(text),
                    _ => None,
                },
                Body::Whole(_) => None,
            },
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        match &self.0 {
            Form::Literal(text) => text,
            Form::Dynamic(dynamic) => &dynamic.source,
        }
    }

    /// The names that it uses, in the order of the text.
    pub fn references(&self) -> &[Reference] {
        match &self.0 {
            Form::Literal(_) => &[],
            Form::Dynamic(dynamic) => &dynamic.references,
        }
    }

    /// Appends the text to `out`.
    ///
    /// # Errors
    /// A sentence that says which part cannot be computed and why; `out` is then as it was before.
    pub fn render(&self, scope: &Scope, random: &mut Random, out: &mut String) -> Result<(), String> {
        let dynamic = match &self.0 {
            Form::Literal(text) => {
                out.push_str(text);
                return Ok(());
            }
            Form::Dynamic(dynamic) => dynamic,
        };
        match &dynamic.body {
            Body::Parts(parts) => {
                let start = out.len();
                let done = parts.iter().try_for_each(|part| match part {
                    Part::Literal(text) => {
                        out.push_str(text);
                        Ok(())
                    }
                    Part::Code(code) => code.render(scope, random, out).and_then(|()| fits(out.len() - start)),
                });
                if done.is_err() {
                    out.truncate(start);
                }
                done
            }
            Body::Whole(engine) => {
                let text = engine::lend(random, || engine.get_template(WHOLE)?.render(scope.root()));
                out.push_str(&text.map_err(|error| code::describe(&error, &dynamic.source, scope))?);
                Ok(())
            }
        }
    }

    /// What it gives: `{{ x }}` alone keeps the type of x, everything else is a text.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub fn value(&self, scope: &Scope, random: &mut Random) -> Result<Value, String> {
        if let Some(code) = self.only_code() {
            return code.value(scope, random);
        }
        let mut text = String::new();
        self.render(scope, random, &mut text)?;
        Ok(Value::from(text))
    }

    /// Whether it is one `{{ expression }}` and nothing else.
    pub fn is_one_value(&self) -> bool {
        self.only_code().is_some()
    }

    fn only_code(&self) -> Option<&Code> {
        match &self.0 {
            Form::Dynamic(dynamic) => match &dynamic.body {
                Body::Parts(parts) => match &parts[..] {
                    [Part::Code(code)] => Some(code),
                    _ => None,
                },
                Body::Whole(_) => None,
            },
            Form::Literal(_) => None,
        }
    }
}

/// No text is longer, in bytes: of parts that fit each, all together need not.
const LONGEST: usize = 16 << 20;

fn fits(bytes: usize) -> Result<(), String> {
    if bytes <= LONGEST { Ok(()) } else { Err(format!("the text would be longer than {} MiB", LONGEST >> 20)) }
}

/// The name of the one template in its engine.
const WHOLE: &str = "template";

/// A template without statements as its parts; `None` when it has some.
fn parts(text: &str, tree: &ast::Stmt<'_>) -> Option<Result<Vec<Part>, Vec<ParseError>>> {
    let ast::Stmt::Template(template) = tree else { return None };
    let mut parts = Vec::with_capacity(template.children.len());
    for child in &template.children {
        match child {
            ast::Stmt::EmitRaw(raw) => match parts.last_mut() {
                Some(Part::Literal(before)) => *before = format!("{before}{}", raw.raw).into(),
                _ => parts.push(Part::Literal(raw.raw.into())),
            },
            ast::Stmt::EmitExpr(emit) => match Code::new(&emit.expr, text, range(emit.span())) {
                Ok(code) => parts.push(Part::Code(code)),
                Err(error) => return Some(Err(vec![error])),
            },
            _ => return None,
        }
    }
    Some(Ok(parts))
}

/// A range of the engine's in ours.
fn range(span: machinery::Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Literal(text) => write!(f, "literal {text:?}"),
            Form::Dynamic(dynamic) => write!(f, "template {:?}", dynamic.source),
        }
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source() && matches!(self.0, Form::Literal(_)) == matches!(other.0, Form::Literal(_))
    }
}

impl Eq for Template {}

// === Expression ===

impl Expression {
    /// Reads an expression that may use `names`.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Vec<ParseError>> {
        let tree = syntax::parse_expression(text).map_err(|error| vec![error])?;
        let (references, calls) = check::expression(&tree, names)?;
        let code = Code::new(&tree, text, 0..text.len()).map_err(|error| vec![error])?;
        Ok(Self(Arc::new(Bare { source: text.into(), references, calls, code })))
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The names that it uses, in the order of the text.
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Whether it calls a function, and so may give something else each time.
    pub fn varies(&self) -> bool {
        self.0.calls
    }

    /// The value that it has whatever comes, if it looks at nothing.
    pub fn constant(&self) -> Option<Value> {
        if self.0.calls || !self.0.references.is_empty() {
            return None;
        }
        self.eval(&Scope::new(Arc::new(Shared::default()), 0), &mut Random::new(0, 0)).ok()
    }

    /// Its value.
    ///
    /// # Errors
    /// A sentence that says what cannot be computed and why; naming something undefined is an error.
    pub fn eval(&self, scope: &Scope, random: &mut Random) -> Result<Value, String> {
        self.0.code.value(scope, random)
    }

    /// Whether its value counts as true: not `false`, `none`, 0, or empty.
    ///
    /// # Errors
    /// As for [`Expression::eval`].
    pub fn is_true(&self, scope: &Scope, random: &mut Random) -> Result<bool, String> {
        Ok(self.eval(scope, random)?.is_true())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expression {:?}", self.0.source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Expression {}

#[cfg(test)]
mod tests;
