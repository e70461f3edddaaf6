//! Streams of events: when they have been enough, and how they came out.

use crate::http::Exchange;
use crate::http::events::{Came, Event, Events};
use crate::reason::Reason;
use crate::scenario::plan::StreamRule;
use crate::template::{Random, Scope, Value, from_json};

/// What takes the events of one request. It looks at the user's variables as they are now.
pub(super) fn events(rule: &StreamRule, scope: &Scope, random: &Random) -> Box<Events> {
    let (mut scope, mut random, until) = (scope.clone(), random.clone(), rule.until.clone());
    Box::new(Events::new(move |event, count| {
        let Some(until) = &until else { return Ok(false) };
        scope.set("event", value(event));
        scope.set("events", Value::from(count));
        until.is_true(&scope, &mut random)
    }))
}

fn value(event: &Event) -> Value {
    let Event { event, data, id } = event;
    let mut fields = serde_json::json!({ "event": event, "data": data, "id": id });
    // What is no JSON has no `json`.
    if let (Ok(json), Some(fields)) = (serde_json::from_str(data), fields.as_object_mut()) {
        fields.insert("json".to_owned(), json);
    }
    from_json(&fields)
}

/// Sets right what the exchange came to: the last event is its body, a time that was to be listened for is no failure, and a
/// stream that ended before its `until` is one.
pub(super) fn settle(rule: &StreamRule, events: &Events, exchange: &mut Exchange) -> Option<(Reason, String)> {
    let Came { count, done, wrong, last } = events.came();
    if let Some(failure) = &exchange.failure
        && failure.reason == Reason::Timeout
        && rule.until.is_none()
        && let Some(status) = failure.status
    {
        exchange.failure = None;
        exchange.response = crate::http::Response { status, ..Default::default() };
    }
    if exchange.failure.is_some() {
        return None;
    }
    let response = &mut exchange.response;
    // What is no stream, such as a page of an error, is left as it is.
    if count > 0 {
        response.body = Some(last);
    }
    if let Some(wrong) = wrong {
        return Some((Reason::Template, format!("`until` of the stream: {wrong}")));
    }
    let plural = if count == 1 { "" } else { "s" };
    let ended = rule.until.is_some() && !done && response.status < 400;
    ended.then(|| (Reason::Check, format!("the stream ended after {count} event{plural}, and its `until` was true for none")))
}
