//! Tables: labels are their first columns, each query is one of the others.

use serde_json::{Map, Value, json};

use super::look::{Colour, Unit};
use super::panel::{Kind, Panel, Target, by_name, letter, mappings};

/// A column of a table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    title: &'static str,
    unit: Unit,
    expr: String,
    properties: Vec<(&'static str, Value)>,
}

// === Panel ===

impl Panel {
    /// A table: labels are its first columns, each query is one of the others.
    pub(super) fn table(
        title: &'static str,
        description: &'static str,
        labels: &[(&'static str, &'static str)],
        columns: Vec<Column>,
    ) -> Self {
        let (mut renamed, mut places) = (Map::new(), Map::new());
        for (label, title) in labels {
            places.insert((*label).to_owned(), json!(places.len()));
            renamed.insert((*label).to_owned(), json!(title));
        }
        let mut panel = Self::new(Kind::Table, title, Unit::Count, description);
        let several = columns.len() > 1;
        for (nth, column) in columns.into_iter().enumerate() {
            let value = if several { format!("Value #{}", letter(nth)) } else { "Value".to_owned() };
            places.insert(value.clone(), json!(places.len()));
            renamed.insert(value, json!(column.title));
            let mut properties = vec![("unit", json!(column.unit.name()))];
            properties.extend(column.properties);
            panel = panel.ask(Target::rows(column.expr).unit(column.unit)).over(by_name(column.title), properties);
        }
        panel.transform("merge", json!({})).transform(
            "organize",
            json!({"excludeByName": {"Time": true}, "includeByName": {}, "indexByName": places, "renameByName": renamed}),
        )
    }
}

// === Column ===

impl Column {
    pub(super) fn new(title: &'static str, unit: Unit, expr: String) -> Self {
        Self { title, unit, expr, properties: Vec::new() }
    }

    /// Its cells are coloured from this value on.
    pub(super) fn from(self, value: f64, colour: Colour) -> Self {
        self.steps(&[json!({"value": null, "color": "transparent"}), json!({"value": value, "color": colour.name()})])
    }

    /// Its cells are coloured below and above what is hardly a difference.
    pub(super) fn better_and_worse(self, better: f64, worse: f64) -> Self {
        self.steps(&[
            json!({"value": null, "color": Colour::Good.name()}),
            json!({"value": better, "color": "transparent"}),
            json!({"value": worse, "color": Colour::Bad.name()}),
        ])
    }

    fn steps(mut self, steps: &[Value]) -> Self {
        self.properties.push(("custom.cellOptions", json!({"type": "color-background", "mode": "basic"})));
        self.properties.push(("thresholds", json!({"mode": "absolute", "steps": steps})));
        self.properties.push(("color", json!({"mode": "thresholds"})));
        self
    }

    /// Its numbers are words.
    pub(super) fn words(mut self, words: &[(i32, &str, Colour)]) -> Self {
        self.properties.push(("mappings", json!(mappings(words))));
        self.properties.push(("custom.cellOptions", json!({"type": "color-background", "mode": "basic"})));
        self
    }
}
