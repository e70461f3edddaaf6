//! An expression, ready to be computed again and again.
//!
//! The forms that make up nearly all of a scenario's templates are computed here, without the engine and its set-up for
//! each evaluation; they give what the engine would give, which a test compares.

use super::engine::{self, ENGINE};
use super::{ParseError, Random, Scope, Value, fakes, functions, syntax};
use minijinja::ErrorKind;
use minijinja::machinery::ast::{CallArg, Expr};
use std::fmt::Write as _;
use std::ops::Range;

/// One expression.
pub(super) struct Code {
    /// As it was written, for messages.
    source: Box<str>,
    operation: Operation,
}

enum Operation {
    /// `name`, `name.field.field`
    Path { root: Box<str>, fields: Box<[Box<str>]> },
    /// `random_int(1, 1000)`
    Int { low: i64, high: i64 },
    /// `uuid()`, `fake.city()`
    Draw(fakes::Draw),
    /// Everything else.
    Compiled(minijinja::Expression<'static, 'static>),
}

impl Code {
    /// The expression at `range` of `text`, which has been checked.
    pub(super) fn new(expression: &Expr<'_>, text: &str, range: Range<usize>) -> Result<Self, ParseError> {
        let source = text.get(range.clone()).unwrap_or_default();
        let operation = match simple(expression) {
            Some(operation) => operation,
            None => Operation::Compiled(ENGINE.compile_expression_owned(source.to_owned()).map_err(|error| {
                let inner = syntax::explain(source, &error, syntax::Kind::Expression);
                ParseError { range: range.start + inner.range.start..range.start + inner.range.end, ..inner }
            })?),
        };
        Ok(Self { source: source.trim().into(), operation })
    }

    /// Its value; never undefined, and `none` where it gives nothing.
    pub(super) fn value(&self, scope: &Scope, random: &mut Random) -> Result<Value, String> {
        Ok(self.compute(scope, random)?.unwrap_or(Value::from(())))
    }

    /// Appends its value as a text.
    pub(super) fn render(&self, scope: &Scope, random: &mut Random, out: &mut String) -> Result<(), String> {
        match &self.operation {
            Operation::Int { low, high } => {
                let _ = write!(out, "{}", random.between(*low, *high));
            }
            Operation::Draw(draw) => out.push_str(&draw(random)),
            Operation::Path { .. } | Operation::Compiled(_) => {
                if let Some(value) = self.compute(scope, random)? {
                    engine::write_text(out, &value).map_err(|_| format!("`{}`: {}", self.source, engine::too_large()))?;
                }
            }
        }
        Ok(())
    }

    /// `None` where it gives nothing: `x if condition`, without `else`, when the condition does not hold.
    fn compute(&self, scope: &Scope, random: &mut Random) -> Result<Option<Value>, String> {
        let value = match &self.operation {
            Operation::Path { root, fields } => self.look_up(root, fields, scope)?,
            Operation::Int { low, high } => Value::from(random.between(*low, *high)),
            Operation::Draw(draw) => Value::from(draw(random)),
            Operation::Compiled(compiled) => {
                let value = engine::lend(random, || compiled.eval(scope.root()));
                value.map_err(|error| describe(&error, &self.source, scope))?
            }
        };
        if !value.is_undefined() {
            return Ok(Some(value));
        }
        // Both are the engine's undefined, but only nothing may be printed.
        match ENGINE.empty_state().format(value) {
            Ok(_) => Ok(None),
            Err(_) => Err(undefined(&self.source, scope)),
        }
    }

    fn look_up(&self, root: &str, fields: &[Box<str>], scope: &Scope) -> Result<Value, String> {
        let mut value = scope.get(root).ok_or_else(|| undefined(root, scope))?;
        for (index, field) in fields.iter().enumerate() {
            value = value.get_attr(field).map_err(|error| describe(&error, &self.source, scope))?;
            if value.is_undefined() {
                let path = fields[..=index].iter().fold(root.to_owned(), |path, field| format!("{path}.{field}"));
                return Err(undefined(&path, scope));
            }
        }
        Ok(value)
    }
}

fn undefined(what: &str, scope: &Scope) -> String {
    scope.explain(format!("`{what}` is undefined"))
}

/// An error of the engine as a sentence; `source` is what was computed.
pub(super) fn describe(error: &minijinja::Error, source: &str, scope: &Scope) -> String {
    let source = source.trim();
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("`{}` takes too long, or is too large", shorten(source));
    }
    let Some(detail) = error.detail() else { return format!("`{source}` cannot be computed: {}", error.kind()) };
    // "operator + does not take ... (`x` is undefined)": what is undefined is the whole reason.
    let undefined = detail.rsplit_once(" (`").and_then(|(_, end)| end.strip_suffix(" is undefined)"));
    let detail = match undefined {
        Some(end) => scope.explain(format!("`{end} is undefined")),
        None if error.kind() == ErrorKind::UndefinedError => scope.explain(detail.to_owned()),
        None => detail.to_owned(),
    };
    match error.line() {
        Some(line) if source.contains('\n') => format!("line {line}: {detail}"),
        _ if detail.starts_with('`') || source.contains("{%") => detail,
        _ => format!("`{source}`: {detail}"),
    }
}

fn shorten(source: &str) -> String {
    let short: String = source.chars().take(80).collect();
    if short.len() < source.len() { short + "…" } else { short }
}

/// The forms that need no engine.
fn simple(expression: &Expr<'_>) -> Option<Operation> {
    match expression {
        Expr::Var(_) | Expr::GetAttr(_) => {
            let mut fields: Vec<Box<str>> = Vec::new();
            let mut at = expression;
            while let Expr::GetAttr(attribute) = at {
                fields.push(attribute.name.into());
                at = &attribute.expr;
            }
            fields.reverse();
            let Expr::Var(root) = at else { return None };
            Some(Operation::Path { root: root.id.into(), fields: fields.into() })
        }
        Expr::Call(call) => match (&call.expr, &call.args[..]) {
            (Expr::Var(function), []) if function.id == "uuid" => Some(Operation::Draw(functions::uuid)),
            (Expr::Var(function), [CallArg::Pos(low), CallArg::Pos(high)]) if function.id == "random_int" => {
                let (low, high) = functions::int_bounds(&low.as_const()?, &high.as_const()?).ok()?;
                Some(Operation::Int { low, high })
            }
            (Expr::GetAttr(attribute), []) => match &attribute.expr {
                Expr::Var(root) if root.id == "fake" => fakes::find(attribute.name).map(Operation::Draw),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
