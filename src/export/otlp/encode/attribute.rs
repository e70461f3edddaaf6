//! Attributes, and those that spans and logs share.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use crate::measure::catalog::Catalog;
use crate::measure::snapshot::RunInfo;
use crate::reason::Reason;

/// The lowest status that is an error for a client.
const ERROR_STATUS: u16 = 400;

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    with(key, Value::StringValue(value.into()))
}

pub(super) fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    with(key, Value::IntValue(value.into()))
}

fn with(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// `otload.*` of a run.
pub(super) fn of_run(run: &RunInfo) -> Vec<KeyValue> {
    vec![text("otload.run_id", &*run.run_id), text("otload.test", &*run.test)]
}

/// `otload.*` of a request; one that the catalog does not have has those of the run only.
pub(super) fn of_request(run: &RunInfo, catalog: &Catalog, request: u32) -> Vec<KeyValue> {
    let mut attributes = of_run(run);
    if let Some(name) = catalog.requests.get(request as usize) {
        attributes.extend([
            text("otload.user", &*name.user),
            text("otload.task", &*name.task),
            text("otload.request", &*name.request),
        ]);
    }
    attributes
}

/// `otload.*` of a task's iteration; of a task that the catalog does not have, those of the run.
pub(super) fn of_task(run: &RunInfo, catalog: &Catalog, task: u32) -> Vec<KeyValue> {
    let mut attributes = of_run(run);
    if let Some(name) = catalog.tasks.get(task as usize) {
        attributes.extend(catalog.users.get(name.user.index()).map(|user| text("otload.user", &**user)));
        attributes.push(text("otload.task", &*name.name));
    }
    attributes
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
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::IntValue(number)) => number.to_string(),
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
