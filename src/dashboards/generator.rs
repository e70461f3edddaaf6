//! Can the figures be believed?

use super::dashboard::{Dashboard, Row, Variable};
use super::panel::{Kind, Panel, Target, Unit};
use super::query::{of, rate};
use crate::measure::name;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "otload-generator",
        title: "otload: generator",
        description: "Can the figures be believed?",
        variables: Variable::usual(),
        rows: vec![Row::top(vec![
            Panel::new(Kind::Curves, "Requests a second", Unit::Requests, "How many requests ended a second.")
                .ask(Target::curve("{{request}}", rate(&of(&name::REQUESTS), &["request"]))),
        ])],
    }
}
