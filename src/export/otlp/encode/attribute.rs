//! Attributes, and those that spans and logs share.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};

use crate::measure::catalog::Catalog;
use crate::measure::snapshot::RunInfo;
use crate::reason::Reason;

/// The lowest status that is an error for a client.
const ERROR_STATUS: u16 = 400;

/// A key and its value.
pub(super) type Attribute<'a> = (&'a str, Value<'a>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
}

pub(super) fn text<'a>(key: &'a str, value: impl Into<Cow<'a, str>>) -> Attribute<'a> {
    (key, Value::Text(value.into()))
}

pub(super) fn number(key: &str, value: impl Into<i64>) -> Attribute<'_> {
    (key, Value::Number(value.into()))
}

/// As messages have them.
pub(super) fn pairs<'a>(attributes: impl IntoIterator<Item = Attribute<'a>>) -> Vec<KeyValue> {
    let pair = |(key, value): Attribute<'_>| {
        let value = match value {
            Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
            Value::Number(number) => any_value::Value::IntValue(number),
        };
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    };
    attributes.into_iter().map(pair).collect()
}

/// `otload.*` of a run.
pub(super) fn of_run(run: &RunInfo) -> [Attribute<'_>; 2] {
    [text("otload.run_id", &*run.run_id), text("otload.test", &*run.test)]
}

/// `otload.*` of a request; one that the catalog does not have has those of the run only.
pub(super) fn of_request<'a>(run: &'a RunInfo, catalog: &'a Catalog, request: u32) -> impl Iterator<Item = Attribute<'a>> {
    let names = catalog
        .requests
        .get(request as usize)
        .map(|name| [text("otload.user", &*name.user), text("otload.task", &*name.task), text("otload.request", &*name.request)]);
    of_run(run).into_iter().chain(names.into_iter().flatten())
}

/// `otload.*` of a task's iteration; of a task that the catalog does not have, those of the run.
pub(super) fn of_task<'a>(run: &'a RunInfo, catalog: &'a Catalog, task: u32) -> impl Iterator<Item = Attribute<'a>> {
    let task = catalog.tasks.get(task as usize);
    let user = task.and_then(|task| catalog.users.get(task.user.index())).map(|user| text("otload.user", &**user));
    of_run(run).into_iter().chain(user).chain(task.map(|task| text("otload.task", &*task.name)))
}

/// Whether a client takes the status for an error.
pub(super) fn is_error(status: Option<u16>) -> bool {
    status.is_some_and(|status| status >= ERROR_STATUS)
}

/// `error.type`: the status if that is an error, else the reason; `None` for what went well.
pub(super) fn error_type(status: Option<u16>, reason: Option<Reason>) -> Option<Cow<'static, str>> {
    match status {
        Some(status) if is_error(Some(status)) => Some(status.to_string().into()),
        _ => reason.map(|reason| reason.name().into()),
    }
}

/// All attributes, in order, numbers without quotes.
#[cfg(test)]
pub(super) fn shown(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let value = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => format!("{text:?}"),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), value(attribute))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_status_or_a_reason() {
        for (status, reason, wanted) in [
            (Some(200), None, None),
            (Some(302), None, None),
            (Some(399), Some(Reason::Status), Some("status")),
            (Some(400), None, Some("400")),
            (Some(404), Some(Reason::Check), Some("404")),
            (Some(503), Some(Reason::Status), Some("503")),
            (Some(200), Some(Reason::Check), Some("check")),
            (Some(301), Some(Reason::RedirectLimit), Some("redirect_limit")),
            (None, Some(Reason::ConnectRefused), Some("connect_refused")),
            (None, None, None),
        ] {
            assert_eq!(error_type(status, reason).as_deref(), wanted, "{status:?} {reason:?}");
        }
    }
}
