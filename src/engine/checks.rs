//! Whether a response is what the scenario expects.

use std::borrow::Cow;

use serde_json::Value;

use crate::http::Exchange;
use crate::measure::catalog::CheckId;
use crate::scenario::plan::{Expectation, Rule, TextRule, ValueRule};
use crate::template::{JsonTemplate, Random, Scope};
use crate::units::format_duration;

/// One expectation and how it came out; `Err` says what was found instead.
pub struct CheckResult {
    pub id: CheckId,
    pub outcome: Result<(), String>,
}

/// Found texts are shown up to this many characters.
const SHOWN: usize = 80;

/// Evaluates all expectations of a request that has a response, in order.
pub(super) fn evaluate(expect: &[Expectation], exchange: &Exchange, scope: &Scope, random: &mut Random) -> Vec<CheckResult> {
    let mut context = Response { exchange, text: None, json: None };
    expect
        .iter()
        .map(|expectation| CheckResult { id: expectation.id, outcome: check(&expectation.rule, &mut context, scope, random) })
        .collect()
}

/// Whether the scenario says itself which statuses are good.
pub(super) fn judges_status(expect: &[Expectation]) -> bool {
    expect.iter().any(|expectation| matches!(expectation.rule, Rule::Status(_)))
}

/// The response, with its text and JSON made once, when asked for.
struct Response<'a> {
    exchange: &'a Exchange,
    text: Option<Cow<'a, str>>,
    json: Option<Result<Value, String>>,
}

fn check(rule: &Rule, response: &mut Response<'_>, scope: &Scope, random: &mut Random) -> Result<(), String> {
    let Ok(head) = &response.exchange.result else { return Err("there is no response".to_owned()) };
    match rule {
        Rule::Status(ranges) => {
            let status = head.status;
            let good = ranges.iter().any(|(least, most)| (*least..=*most).contains(&status));
            if good { Ok(()) } else { Err(format!("the status is {status}")) }
        }
        Rule::Header(name, rule) => {
            let found = head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            check_text(rule, found.as_deref(), &format!("the header `{name}`"), scope, random)
        }
        Rule::Body(rule) => {
            let text = response.text();
            check_text(rule, Some(&text), "the body", scope, random)
        }
        Rule::Json { text, path, rule } => {
            let json = response.json()?;
            let nodes = path.query(json);
            check_value(rule, nodes.first(), text, scope, random)
        }
        Rule::MaxTime(limit) => {
            let took = response.exchange.finished.saturating_duration_since(response.exchange.started);
            if took <= *limit { Ok(()) } else { Err(format!("it took {}", format_duration(took))) }
        }
        Rule::That(expression) => match expression.is_true(scope, random) {
            Ok(true) => Ok(()),
            Ok(false) => Err("it is not true".to_owned()),
            Err(error) => Err(error),
        },
    }
}

fn check_text(rule: &TextRule, found: Option<&str>, what: &str, scope: &Scope, random: &mut Random) -> Result<(), String> {
    match (rule.exists, found) {
        (Some(true) | None, None) => return Err(format!("{what} is missing")),
        (Some(false), Some(_)) => return Err(format!("{what} is there")),
        _ => {}
    }
    let found = found.unwrap_or_default();
    let mut wanted = String::new();
    if let Some(template) = &rule.equals {
        template.render(scope, random, &mut wanted)?;
        if found != wanted {
            return Err(format!("{what} is {}, not {}", quoted(found), quoted(&wanted)));
        }
    }
    if let Some(template) = &rule.contains {
        wanted.clear();
        template.render(scope, random, &mut wanted)?;
        if !found.contains(&wanted) {
            return Err(format!("{what} does not contain {}: {}", quoted(&wanted), quoted(found)));
        }
    }
    match &rule.matches {
        Some(pattern) if !pattern.is_match(found) => Err(format!("{what} does not match `{pattern}`: {}", quoted(found))),
        _ => Ok(()),
    }
}

fn check_value(rule: &ValueRule, found: Option<&Value>, path: &str, scope: &Scope, random: &mut Random) -> Result<(), String> {
    let found = match (rule.exists, found) {
        (Some(false), None) => return Ok(()),
        (Some(false), Some(value)) => return Err(format!("{path} is there: {}", shown(value))),
        (_, None) => return Err(format!("{path} finds nothing")),
        (_, Some(value)) => value,
    };
    if let Some(template) = &rule.equals {
        let wanted = render_json(template, scope, random)?;
        if !same(found, &wanted) {
            return Err(format!("{path} is {}, not {}", shown(found), shown(&wanted)));
        }
    }
    if let Some(template) = &rule.contains {
        let wanted = render_json(template, scope, random)?;
        let contains = match (found, &wanted) {
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            (Value::Array(list), wanted) => list.iter().any(|element| same(element, wanted)),
            (Value::Object(map), Value::String(key)) => map.contains_key(key),
            _ => false,
        };
        if !contains {
            return Err(format!("{path} does not contain {}: {}", shown(&wanted), shown(found)));
        }
    }
    if let Some(pattern) = &rule.matches {
        let text = found.as_str().map_or_else(|| Cow::Owned(found.to_string()), Cow::Borrowed);
        if !pattern.is_match(&text) {
            return Err(format!("{path} does not match `{pattern}`: {}", shown(found)));
        }
    }
    check_size(rule, found, path)
}

fn check_size(rule: &ValueRule, found: &Value, path: &str) -> Result<(), String> {
    let holds = |limit: Option<f64>, words: &str, holds: fn(&f64, &f64) -> bool| match (limit, found.as_f64()) {
        (None, _) => Ok(()),
        (Some(limit), Some(number)) if holds(&number, &limit) => Ok(()),
        (Some(limit), Some(_)) => Err(format!("{path} is {}, not {words} {limit}", shown(found))),
        (Some(_), None) => Err(format!("{path} is {}, not a number", shown(found))),
    };
    holds(rule.gt, "greater than", f64::gt)?;
    holds(rule.gte, "at least", f64::ge)?;
    holds(rule.lt, "less than", f64::lt)?;
    holds(rule.lte, "at most", f64::le)?;
    let Some(wanted) = rule.length else { return Ok(()) };
    let length = match found {
        Value::String(text) => text.chars().count(),
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => return Err(format!("{path} is {}, which has no length", shown(found))),
    };
    if length as u64 == wanted { Ok(()) } else { Err(format!("the length of {path} is {length}, not {wanted}")) }
}

/// Equal as JSON, where 1 and 1.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn render_json(template: &JsonTemplate, scope: &Scope, random: &mut Random) -> Result<Value, String> {
    let mut text = String::new();
    template.render(scope, random, &mut text)?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn shown(value: &Value) -> String {
    quoted(&value.to_string())
}

// === impl Response ===

impl<'a> Response<'a> {
    fn text(&mut self) -> Cow<'a, str> {
        let exchange = self.exchange;
        self.text.get_or_insert_with(|| exchange.result.as_ref().map_or(Cow::Borrowed(""), |response| response.text())).clone()
    }

    fn json(&mut self) -> Result<&Value, String> {
        if self.json.is_none() {
            let text = self.text();
            self.json =
                Some(serde_json::from_str(&text).map_err(|error| format!("the body is not JSON ({error}): {}", quoted(&text))));
        }
        match &self.json {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.clone()),
            None => Err("the body was not read".to_owned()),
        }
    }
}
