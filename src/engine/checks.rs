//! Whether a response is what the scenario expects.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;

use super::seen::{Response, quoted};
use crate::measure::catalog::CheckId;
use crate::scenario::plan::{Expectation, Rule, TextRule, ValueRule};
use crate::template::{JsonTemplate, Random, Scope};
use crate::units::format_duration;

/// One expectation and how it came out; `Err` says what was found instead.
pub struct CheckResult {
    pub id: CheckId,
    pub outcome: Result<(), String>,
}

/// Evaluates all expectations of a request that has a response, in order.
pub(super) fn evaluate(
    expect: &[Expectation],
    response: &mut Response<'_>,
    scope: &Scope,
    random: &mut Random,
) -> Vec<CheckResult> {
    if expect.is_empty() {
        return Vec::new();
    }
    let mut results = SPARE.take();
    for expectation in expect {
        results.push(CheckResult { id: expectation.id, outcome: check(&expectation.rule, response, scope, random) });
    }
    results
}

thread_local! {
    /// Kept for its allocation.
    static SPARE: Cell<Vec<CheckResult>> = const { Cell::new(Vec::new()) };
}

/// Takes back what `evaluate` gave.
pub(super) fn spare(mut results: Vec<CheckResult>) {
    if results.capacity() > 0 {
        results.clear();
        SPARE.set(results);
    }
}

/// Whether the scenario says itself which statuses are good.
pub(super) fn judges_status(expect: &[Expectation]) -> bool {
    expect.iter().any(|expectation| matches!(expectation.rule, Rule::Status(_)))
}

fn check(rule: &Rule, response: &mut Response<'_>, scope: &Scope, random: &mut Random) -> Result<(), String> {
    let Ok(head) = response.exchange().result() else { return Err("there is no response".to_owned()) };
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
            let (json, budget) = response.json()?;
            let nodes = path.find(json, budget)?;
            check_value(rule, nodes.first().copied(), text, scope, random)
        }
        Rule::MaxTime(limit) => {
            let exchange = response.exchange();
            let took = exchange.finished.saturating_duration_since(exchange.started);
            if took <= *limit { Ok(()) } else { Err(format!("it took {}", format_duration(took))) }
        }
        Rule::That(expression) => match expression.is_true(scope, random) {
            Ok(true) => Ok(()),
            Ok(false) => Err("it is not true".to_owned()),
            Err(error) => Err(error),
        },
    }
}

/// What a rule looked at, for people; nothing where the rule says all of it.
pub(super) fn found(rule: &Rule, response: &mut Response<'_>) -> Option<String> {
    let head = response.exchange().result().ok()?;
    match rule {
        Rule::Status(_) => Some(head.status.to_string()),
        Rule::Header(name, _) => head.headers.get(name).map(|value| quoted(&String::from_utf8_lossy(value.as_bytes()))),
        Rule::Body(_) => Some(quoted(&response.text())),
        Rule::Json { path, .. } => {
            let (json, budget) = response.json().ok()?;
            path.find(json, budget).ok()?.first().copied().map(shown)
        }
        Rule::MaxTime(_) => {
            let exchange = response.exchange();
            Some(format_duration(exchange.finished.saturating_duration_since(exchange.started)))
        }
        Rule::That(_) => None,
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
        // Two integers are compared as such: above 2^53 different ones are the same float.
        (Value::Number(a), Value::Number(b)) => a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()),
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

fn shown(value: &Value) -> String {
    quoted(&value.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::diagnostic::Source;
    use crate::http::{Exchange, Response as Answer};
    use crate::scenario::plan::{Plan, Step};
    use crate::scenario::{self, Overrides};
    use crate::template::budget::Budget;
    use crate::template::{Response as Seen, Shared};

    const BODY: &str = r#"{"id": 12345678901234567000, "n": 5, "half": 2.5, "name": "Tesla", "tags": ["a", "b"], "nothing": null, "in": {"x": 1}}"#;

    fn plan(expect: &str) -> Plan {
        let text = format!("host: http://t.test\nusers: [{{tasks: [{{get: /, expect: {expect}}}]}}]\nload: {{users: 1}}\n");
        match scenario::compile(Arc::new(Source { name: "t".into(), text }), &Overrides::default()) {
            Ok((plan, _)) => plan,
            Err(problems) => panic!("{expect}\n{}", problems.render(false)),
        }
    }

    /// What the checks say of a response with status 201 that took 40 ms.
    fn outcome(expect: &str) -> Result<(), String> {
        let plan = plan(expect);
        let Step::Request(step) = &plan.users[0].tasks[0].steps[0] else { panic!() };
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let body = bytes::Bytes::from_static(BODY.as_bytes());
        let mut scope = Scope::new(Arc::new(Shared::new("r")), 1);
        scope.set_response(Seen::new(201, headers.clone(), body.clone()));
        let mut exchange = Exchange::begun(clock::now());
        exchange.finished = exchange.started + Duration::from_millis(40);
        exchange.response = Answer { status: 201, headers, body: Some(body), ..Answer::default() };
        evaluate(&step.expect, &mut Response::new(&exchange, Budget::default()), &scope, &mut Random::new(1, 1))
            .into_iter()
            .try_for_each(|check| check.outcome)
    }

    #[test]
    fn what_holds() {
        for expect in [
            "{status: 201}",
            "{status: [200, 201]}",
            "{status: 2xx}",
            "{headers: {content-type: application/json}}",
            "{headers: {content-type: {contains: json, matches: '^app'}, x-none: {exists: false}}}",
            "{body: Tesla}",
            "{body: {matches: '\"n\": \\d+'}}",
            "{json: {$.n: 5, '$.in.x': 1.0, $.name: Tesla, '$.tags[1]': b, $.nothing: null}}",
            "{json: {$.id: 12345678901234567000}}",
            "{json: {$.tags: {contains: a, length: 2}, $.in: {contains: x, length: 1}, $.name: {contains: esl, matches: '^T', length: 5}}}",
            "{json: {$.n: {gt: 4, gte: 5, lt: 5.5, lte: 5}, $.half: 2.5, $.none: {exists: false}, $.nothing: {exists: true}}}",
            "{json: {$.n: '{{ 2 + 3 }}', $.tags: [a, b], $.in: {equals: {x: 1}}}}",
            "{max_time: 40ms}",
            "{that: response.json.n == 5 and response.status == 201}",
        ] {
            assert_eq!(outcome(expect), Ok(()), "{expect}");
        }
    }

    #[test]
    fn what_does_not_hold_says_what_was_found() {
        for (expect, found) in [
            ("{status: 200}", "the status is 201"),
            ("{headers: {x-none: a}}", "the header `x-none` is missing"),
            ("{headers: {content-type: text/plain}}", "the header `content-type` is `application/json`, not `text/plain`"),
            ("{body: BMW}", "the body does not contain `BMW`: "),
            ("{json: {$.none: 1}}", "$.none finds nothing"),
            ("{json: {$.n: 6}}", "$.n is `5`, not `6`"),
            ("{json: {$.n: '5'}}", "$.n is `5`, not `\"5\"`"),
            ("{json: {$.id: 12345678901234567001}}", "$.id is `12345678901234567000`, not `12345678901234567001`"),
            ("{json: {$.n: {gt: 5}}}", "$.n is `5`, not greater than 5"),
            ("{json: {$.name: {lt: 5}}}", "$.name is `\"Tesla\"`, not a number"),
            ("{json: {$.tags: {length: 3}}}", "the length of $.tags is 2, not 3"),
            ("{json: {$.n: {length: 1}}}", "$.n is `5`, which has no length"),
            ("{json: {$.name: {exists: false}}}", "$.name is there: `\"Tesla\"`"),
            ("{max_time: 39ms}", "it took 40ms"),
            ("{that: response.status == 200}", "it is not true"),
        ] {
            let error = outcome(expect).expect_err(expect);
            assert!(error.starts_with(found), "{expect}: {error}");
        }
    }
}
