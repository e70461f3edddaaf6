//! What no response can be, and what no comparison can find. Only what is certain is said: what a template decides is left alone.

use std::ops::Range;
use std::time::Duration;

use http::Method;

use super::Compiler;
use crate::scenario::document::model::{Expect, RequestKeys};
use crate::scenario::document::node::{Node, Value};
use crate::scenario::document::place::inside;
use crate::scenario::document::read::Field;
use crate::scenario::document::rules::{BodyRule, HeaderRule, JsonOperators, JsonRule, Pattern, StatusRange};
use crate::template::{Literal, Reference};
use crate::units::format_duration;

/// Whether a number keeps a bound.
type Holds = fn(f64, f64) -> bool;

/// Redirects that are followed wherever they lead.
const FOLLOWED: [u16; 5] = [301, 302, 303, 307, 308];

/// Whether responses with these statuses have no body (RFC 9110, 6.4.1).
fn is_bodiless(status: &StatusRange) -> bool {
    let (least, most) = status.range;
    (least..=most).all(|status| matches!(status, 100..200 | 204 | 304))
}

impl Compiler<'_> {
    /// Looks for expectations and captures of a request that can never hold, and for some that can never fail.
    pub(super) fn impossible(&mut self, keys: &RequestKeys<'_>, method: Option<&Method>, timeout: Duration, redirects: u32) {
        if let Some(expect) = keys.expect.value() {
            self.contradictions(expect);
            self.followed(expect, redirects);
            if let Some(limit) = expect.max_time.given().filter(|limit| limit.value >= timeout && !limit.value.is_zero()) {
                let message = format!("the request is cut after {}, so this can never be broken", format_duration(timeout));
                self.warn(&limit.range, message, "give a shorter time, or raise the request's `timeout`");
            }
        }
        let statuses = keys.expect.value().and_then(|expect| expect.status.value());
        let statuses = statuses.map(|list| list.items.as_slice()).unwrap_or_default();
        let (why, hint) = match statuses.first() {
            _ if method == Some(&Method::HEAD) => {
                ("the response to a HEAD request has no body".to_owned(), "remove it, or use `get`")
            }
            Some(one) if statuses.iter().all(|one| is_bodiless(&one.value)) => {
                (format!("a response with the status {} has no body", one.value.written), "remove it, or expect another status")
            }
            _ => return,
        };
        for place in looks_at_the_body(keys) {
            self.push(&place, format!("{why}, so this can never hold"), hint);
        }
    }

    /// A status that is never seen, since it is followed.
    fn followed(&mut self, expect: &Expect, redirects: u32) {
        let Some(list) = expect.status.given().filter(|_| redirects > 0) else { return };
        let is_followed = |range: &(u16, u16)| range.0 == range.1 && FOLLOWED.contains(&range.0);
        if !list.value.items.is_empty() && list.value.items.iter().all(|one| is_followed(&one.value.range)) {
            let message = "redirects are followed, and the status is that of the last response";
            self.warn(&list.range, message, "add `redirects: 0` to the request to see the redirect itself");
        }
    }

    // === contradictions ===

    fn contradictions(&mut self, expect: &Expect) {
        for (_, rule) in expect.headers.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            if let HeaderRule::Operators(rule) = &rule.value {
                self.of_texts(&rule.equals, &rule.contains, &rule.matches);
            }
        }
        if let Some(BodyRule::Operators(rule)) = expect.body.value() {
            self.of_texts(&rule.equals, &rule.contains, &rule.matches);
        }
        for (_, rule) in expect.json.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default() {
            if let JsonRule::Operators(rule) = &rule.value {
                self.of_bounds(rule);
                self.of_values(rule);
            }
        }
    }

    fn contradiction(&mut self, place: &Range<usize>, message: String) {
        self.push(place, message, "all of these have to hold at once; keep one of the two");
    }

    fn of_texts(&mut self, equals: &Field<String>, contains: &Field<String>, matches: &Field<Pattern>) {
        let Some(text) = equals.value().filter(|text| !text.contains('{')) else { return };
        if let Some(part) = contains.given().filter(|part| !part.value.contains('{') && !text.contains(&part.value)) {
            self.contradiction(&part.range, format!("`{text}` does not contain `{}`", part.value));
        }
        if let Some(pattern) = matches.given().filter(|pattern| !pattern.value.0.is_match(text)) {
            self.contradiction(&pattern.range, format!("`{text}` does not match this"));
        }
    }

    /// Nothing is above 5 and below 3.
    fn of_bounds(&mut self, rule: &JsonOperators) {
        let below = [("gt", &rule.gt, true), ("gte", &rule.gte, false)];
        let above = [("lt", &rule.lt, true), ("lte", &rule.lte, false)];
        for (low_name, low, low_strict) in below {
            for (high_name, high, high_strict) in above {
                let (Some(low), Some(high)) = (low.given(), high.given()) else { continue };
                let crossed = low.value > high.value || (low.value == high.value && (low_strict || high_strict));
                if crossed {
                    let place = if low.range.start > high.range.start { &low.range } else { &high.range };
                    let message = format!("no number is `{low_name}: {}` and `{high_name}: {}`", low.value, high.value);
                    return self.contradiction(place, message);
                }
            }
        }
    }

    /// A value that is written out, and what else is to hold for it.
    fn of_values(&mut self, rule: &JsonOperators) {
        let Some(node) = rule.equals.value().map(|any| &any.0) else { return };
        let written = shown(node);
        let bounds: [(&str, &Field<f64>, Holds); 4] = [
            ("gt", &rule.gt, |a, b| a > b),
            ("gte", &rule.gte, |a, b| a >= b),
            ("lt", &rule.lt, |a, b| a < b),
            ("lte", &rule.lte, |a, b| a <= b),
        ];
        for (name, bound, holds) in bounds {
            let Some(bound) = bound.given() else { continue };
            let good = match &node.value {
                Value::Number(number, _) => number.as_f64().is_none_or(|number| holds(number, bound.value)),
                Value::Text(text) => text.contains('{'),
                _ => false,
            };
            if !good {
                return self.contradiction(&bound.range, format!("{written} is not `{name}: {}`", bound.value));
            }
        }
        let Some(length) = rule.length.given() else { return };
        let found = match &node.value {
            Value::Text(text) if text.contains('{') => return,
            Value::Text(text) => text.chars().count(),
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            _ => return self.contradiction(&length.range, format!("{written} has no length")),
        };
        if found as u64 != length.value {
            self.contradiction(&length.range, format!("the length of {written} is {found}"));
        }
    }

    // === comparisons ===

    /// A text is compared with a number: they are never equal, and which is the larger says nothing.
    pub(super) fn can_be_compared(&mut self, reference: &Reference, text: &str, range: &Range<usize>) -> bool {
        let Some(other) = reference.compared_with else { return true };
        let own = match (&*reference.root, reference.field.as_deref()) {
            ("response", Some("status")) | ("user_id" | "iteration" | "loop_index", None) => Literal::Number,
            ("response", Some("body")) | ("run_id", None) | ("env", Some(_)) => Literal::Text,
            (root, Some(_)) if self.has_texts_alone(root) => Literal::Text,
            _ => return true,
        };
        if own == other {
            return true;
        }
        let name = text.get(reference.range.clone()).unwrap_or_default();
        let (message, hint) = match own {
            Literal::Number => {
                (format!("`{name}` is a number, and this compares it with a text"), "write the number without quotes".to_owned())
            }
            Literal::Text => {
                (format!("`{name}` is a text, and this compares it with a number"), format!("write `{name} | int`, or `| float`"))
            }
        };
        let place = inside(&self.source, range, text, reference.range.clone());
        self.push(&place, message, hint);
        false
    }
}

/// Where a request wants something of the body, as it needs to be for the request to go well.
fn looks_at_the_body(keys: &RequestKeys<'_>) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    if let Some(expect) = keys.expect.value() {
        let absent = |rule: &JsonRule| matches!(rule, JsonRule::Operators(rule) if rule.exists.value() == Some(&false));
        let json = expect.json.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default();
        places.extend(json.iter().filter(|(_, rule)| !absent(&rule.value)).map(|(path, _)| path.range.clone()));
        let empty = match expect.body.value() {
            Some(BodyRule::Contains(text)) => text.is_empty(),
            Some(BodyRule::Operators(rule)) => {
                rule.contains.value().is_none_or(String::is_empty)
                    && rule.equals.value().is_none_or(String::is_empty)
                    && rule.matches.value().is_none_or(|pattern| pattern.0.is_match(""))
            }
            None => true,
        };
        places.extend(expect.body.key().filter(|_| !empty).cloned());
    }
    let captures = keys.capture.value().map(|pairs| pairs.0.as_slice()).unwrap_or_default();
    let wanted = captures.iter().filter(|(_, capture)| {
        let form = &capture.value;
        form.default.is_absent() && [form.json.key(), form.regex.key(), form.css.key()].iter().any(Option::is_some)
    });
    places.extend(wanted.map(|(name, _)| name.range.clone()));
    places
}

/// A value of the file, as a message names it.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("`{text}`"),
        Value::Number(_, spelling) => format!("`{spelling}`"),
        _ => node.describe(),
    }
}
