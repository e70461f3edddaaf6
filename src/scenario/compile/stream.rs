//! `stream`: until when a response is listened to.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Compiler;
use super::text::After;
use crate::scenario::document::model::RequestKeys;
use crate::scenario::plan::StreamRule;
use crate::template::Template;

impl Compiler<'_> {
    pub(super) fn stream(&mut self, keys: &RequestKeys<'_>, after: After) -> Option<StreamRule> {
        let form = keys.stream.given()?;
        let max_time = self.more_than_zero(&form.value.max_time, "max_time");
        if form.value.until.is_absent() && form.value.max_time.is_absent() && !form.value.has_odd_keys {
            let hint = "write `stream: {until: event.data == \"done\", max_time: 10s}`, or one of the two";
            self.push(&form.range, "this stream never ends", hint);
        }
        if let (Some(timeout), Some(_)) = (keys.timeout.key(), form.value.max_time.key()) {
            self.push(&timeout.clone(), "`max_time` of a stream takes the place of `timeout`", "keep one of them");
        }
        let outer = self.names.clone();
        self.names.closed("event", ["data", "json", "event", "id"].map(str::to_owned));
        self.names.open("events");
        let until = form.value.until.given().map(|until| self.expression(until, after));
        self.names = outer;
        let until = match until {
            Some(until) => Some(until?),
            None => None,
        };
        Some(StreamRule { until, max_time })
    }
}

impl StreamRule {
    /// For the whole exchange.
    pub(super) fn timeout(&self, otherwise: Duration) -> Duration {
        self.max_time.unwrap_or(otherwise)
    }
}

/// What a stream asks for, unless the scenario says it.
pub(super) fn headers(fixed: &mut HeaderMap, rendered: &[(HeaderName, Template)]) {
    for (name, value) in [(ACCEPT, "text/event-stream"), (ACCEPT_ENCODING, "identity")] {
        if rendered.iter().all(|(own, _)| *own != name) && !fixed.contains_key(&name) {
            fixed.insert(name, HeaderValue::from_static(value));
        }
    }
}
