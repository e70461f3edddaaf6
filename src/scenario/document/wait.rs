//! `wait_time` and `think`: a duration, or one of the forms.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::node::{Node, Value};
use super::place::error_at;
use super::read::{Field, Placed, Read, Reader, record};
use super::values::{List, one_of};
use crate::units::Rate;

/// A pause as written.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitForm {
    /// A bare duration, or `constant`.
    Constant(Duration),
    Between(Placed<Duration>, Placed<Duration>),
    Exponential(Duration),
    Normal {
        mean: Duration,
        std: Duration,
    },
    Pacing(Duration),
    Throughput(Placed<Rate>),
}

record! {
    /// A pause in one of these forms.
    struct Wait {
        /// Always the same.
        constant: Duration,
        /// Evenly between the two: `[5s, 10s]`.
        between: List<Duration>,
        /// Exponential with this mean.
        exponential: Duration,
        /// Normal with a mean and a standard deviation; never below zero.
        normal: Normal,
        /// Tasks start this far apart.
        constant_pacing: Duration,
        /// So many tasks per second and user, such as `0.5/s`.
        constant_throughput: Rate,
    }
}

record! {
    /// A normal distribution, cut at zero.
    struct Normal {
        /// The mean.
        [required] mean: Duration,
        /// The standard deviation.
        [required] std: Duration,
    }
}

impl Read for WaitForm {
    fn expected() -> String {
        "a duration such as `5s`, or a form such as `{between: [5s, 10s]}`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(_) => Self::from_map(node, reader),
            Value::List(_) | Value::Null => {
                reader.unexpected(node, &Self::expected());
                None
            }
            _ => Duration::read(node, reader).map(Self::Constant),
        }
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let forms = Wait::schema(definitions);
        if let Some(form) = definitions.get_mut("Wait") {
            form["minProperties"] = json!(1);
            form["maxProperties"] = json!(1);
            form["properties"]["between"]["minItems"] = json!(2);
            form["properties"]["between"]["maxItems"] = json!(2);
        }
        json!({"oneOf": [Duration::schema(definitions), forms]})
    }
}

impl WaitForm {
    fn from_map(node: &Node, reader: &mut Reader) -> Option<Self> {
        let wait = Wait::read(node, reader)?;
        let given: Vec<_> = [
            ("constant", wait.constant.key()),
            ("between", wait.between.key()),
            ("exponential", wait.exponential.key()),
            ("normal", wait.normal.key()),
            ("constant_pacing", wait.constant_pacing.key()),
            ("constant_throughput", wait.constant_throughput.key()),
        ]
        .into_iter()
        .filter_map(|(name, key)| Some((name, key?.clone())))
        .collect();
        if given.len() != 1 {
            let names: Vec<_> = Wait::KEYS.iter().map(|key| key.name).collect();
            match given.get(1) {
                Some((second, place)) => reader.push(
                    error_at(
                        &reader.source,
                        place,
                        format!("a pause has one form, but here are `{}` and `{second}`", given[0].0),
                    )
                    .hint("keep one of them"),
                ),
                // Unknown keys have been reported.
                None if matches!(&node.value, Value::Map(map) if map.is_empty()) => {
                    reader.error(&node.range, format!("expected one of {}", one_of(&names)));
                }
                None => {}
            }
            return None;
        }
        let constant = wait.constant.value().copied().map(Self::Constant);
        constant
            .or_else(|| wait.exponential.value().copied().map(Self::Exponential))
            .or_else(|| wait.constant_pacing.value().copied().map(Self::Pacing))
            .or_else(|| wait.constant_throughput.given().cloned().map(Self::Throughput))
            .or_else(|| {
                let normal = wait.normal.value()?;
                Some(Self::Normal { mean: *normal.mean.value()?, std: *normal.std.value()? })
            })
            .or_else(|| Self::between(&wait.between, reader))
    }

    fn between(field: &Field<List<Duration>>, reader: &mut Reader) -> Option<Self> {
        let list = field.given()?;
        match list.value.items.as_slice() {
            [a, b] if a.value > b.value => {
                let hint = format!("write `[{}, {}]`", spelled(reader, b), spelled(reader, a));
                reader.push(error_at(&reader.source, &list.range, "the first duration is longer than the second").hint(hint));
                None
            }
            [a, b] => Some(Self::Between(a.clone(), b.clone())),
            _ if !list.value.whole => None,
            items => {
                let problem = error_at(
                    &reader.source,
                    &list.range,
                    format!(
                        "`between` takes two durations, but here {} {}",
                        if items.len() == 1 { "is" } else { "are" },
                        items.len()
                    ),
                );
                reader.push(problem.hint("write `between: [5s, 10s]`"));
                None
            }
        }
    }
}

fn spelled(reader: &Reader, duration: &Placed<Duration>) -> String {
    reader.source.text.get(duration.range.clone()).unwrap_or_default().to_owned()
}
