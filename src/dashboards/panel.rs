//! One panel: what is asked, and how it is shown. `shape.rs` writes it for Grafana.

use serde_json::{Value, json};

use super::look::{Colour, Unit};

/// A panel, as the dashboards define it.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) kind: Kind,
    pub(super) title: &'static str,
    /// What it answers, and what to do when the answer is bad.
    pub(super) description: &'static str,
    pub(super) unit: Unit,
    /// In the grid's 24 columns, and in its lines of 30 pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) targets: Vec<Target>,
    pub(super) overrides: Vec<Value>,
    pub(super) transformations: Vec<Value>,
    pub(super) mappings: Vec<Value>,
    /// Where colours begin, by value, in ascending order; the first is that of all below.
    pub(super) steps: Vec<(Option<f64>, Colour)>,
    pub(super) colour: Option<Colour>,
    /// Each series in a shade of that.
    pub(super) shades: bool,
    pub(super) stacked: bool,
    pub(super) decimals: Option<u32>,
    /// The axis goes below 0.
    pub(super) signed: bool,
    /// What is said where there is nothing at all.
    pub(super) nothing: &'static str,
    pub(super) max: Option<f64>,
    /// At least so long from one point to the next, like `15s`.
    pub(super) step: Option<&'static str>,
    /// Links at its head.
    pub(super) see: Vec<Value>,
    /// The column that rows are in the order of, the largest first.
    pub(super) order: Option<&'static str>,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One figure.
    Stat,
    /// One figure, and how it came to it.
    Trend,
    /// The name of what is, with its value.
    Named,
    Curves,
    Heatmap,
    Table,
    /// States over time.
    Timeline,
    /// A bar for each of several figures.
    Bars,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) expr: String,
    /// What its series are called, like `{{request}}`; empty in tables.
    pub(super) legend: String,
    pub(super) instant: bool,
    pub(super) format: &'static str,
    pub(super) exemplar: bool,
    /// Unless it is the panel's.
    pub(super) unit: Option<Unit>,
}

// === Target ===

impl Target {
    /// A curve.
    pub(super) fn curve(legend: impl Into<String>, expr: String) -> Self {
        Self { expr, legend: legend.into(), instant: false, format: "time_series", exemplar: false, unit: None }
    }

    /// What is true at the end of the time shown.
    pub(super) fn now(legend: impl Into<String>, expr: String) -> Self {
        Self { instant: true, ..Self::curve(legend, expr) }
    }

    /// Rows of a table.
    pub(super) fn rows(expr: String) -> Self {
        Self { instant: true, format: "table", ..Self::curve("", expr) }
    }

    /// Buckets over time.
    pub(super) fn buckets(expr: String) -> Self {
        Self { format: "heatmap", ..Self::curve("{{le}}", expr) }
    }

    /// With a dot for each exemplar, which leads to its trace.
    pub(super) fn with_exemplars(mut self) -> Self {
        self.exemplar = true;
        self
    }

    /// Of a column that has a unit of its own.
    pub(super) fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }
}

// === Panel ===

impl Panel {
    pub(super) fn new(kind: Kind, title: &'static str, unit: Unit, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat | Kind::Trend | Kind::Named => (4, 4),
            Kind::Curves | Kind::Heatmap | Kind::Bars => (12, 8),
            Kind::Table => (24, 8),
            Kind::Timeline => (24, 5),
        };
        Self {
            kind,
            title,
            description,
            unit,
            width,
            height,
            targets: Vec::new(),
            overrides: Vec::new(),
            transformations: Vec::new(),
            mappings: Vec::new(),
            steps: Vec::new(),
            colour: None,
            shades: false,
            stacked: false,
            decimals: None,
            signed: false,
            nothing: "–",
            max: None,
            step: None,
            see: Vec::new(),
            order: None,
        }
    }

    pub(super) fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub(super) fn ask(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// All of it in one colour.
    pub(super) fn colour(mut self, colour: Colour) -> Self {
        self.colour = Some(colour);
        self
    }

    /// Each series in a shade of one colour: what is of one meaning.
    pub(super) fn shades(mut self, of: Colour) -> Self {
        (self.colour, self.shades) = (Some(of), true);
        self
    }

    /// The series of this name in this colour.
    pub(super) fn series(self, name: &str, colour: Colour) -> Self {
        self.over(by_name(name), vec![("color", colour.fixed())])
    }

    /// The series of this name in this colour, dashed: what is compared with.
    pub(super) fn dashed(self, name: &str, colour: Colour) -> Self {
        let (style, apart) = (json!({"fill": "dash", "dash": [8, 6]}), json!({"mode": "none", "group": "A"}));
        self.over(
            by_name(name),
            vec![
                ("color", colour.fixed()),
                ("custom.lineStyle", style),
                ("custom.fillOpacity", json!(0)),
                ("custom.stacking", apart),
            ],
        )
    }

    /// What is so of some fields alone.
    pub(super) fn over(mut self, matcher: Value, properties: Vec<(&str, Value)>) -> Self {
        let properties: Vec<_> = properties.into_iter().map(|(id, value)| json!({"id": id, "value": value})).collect();
        self.overrides.push(json!({"matcher": matcher, "properties": properties}));
        self
    }

    /// Numbers that are words.
    pub(super) fn words(mut self, words: &[(i32, &str, Colour)]) -> Self {
        self.mappings = mappings(words);
        self
    }

    /// The colour of values from here on.
    pub(super) fn from(mut self, value: f64, colour: Colour) -> Self {
        if self.steps.is_empty() {
            self.steps.push((None, Colour::Good));
        }
        self.steps.push((Some(value), colour));
        self
    }

    /// The colour of values below the first step.
    pub(super) fn below(mut self, colour: Colour) -> Self {
        self.steps = vec![(None, colour)];
        self
    }

    /// One on the other.
    pub(super) fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    pub(super) fn decimals(mut self, decimals: u32) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// The axis goes below 0.
    pub(super) fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// What is said where there is nothing at all, and that is no fault.
    pub(super) fn or_say(mut self, nothing: &'static str) -> Self {
        self.nothing = nothing;
        self
    }

    /// The axis goes as far as this at least.
    pub(super) fn up_to(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    pub(super) fn transform(mut self, id: &str, options: Value) -> Self {
        self.transformations.push(json!({"id": id, "options": options}));
        self
    }

    /// Points are at least so far from each other: for curves of hours.
    pub(super) fn step(mut self, step: &'static str) -> Self {
        self.step = Some(step);
        self
    }

    /// The rows of a table are in the order of this column, the largest first.
    pub(super) fn order(mut self, column: &'static str) -> Self {
        self.order = Some(column);
        self
    }

    /// A link at its head.
    pub(super) fn see(mut self, title: &str, url: &str) -> Self {
        self.see.push(link(title, url, "external link"));
        self
    }
}

pub(super) fn mappings(words: &[(i32, &str, Colour)]) -> Vec<Value> {
    let word = |(index, (value, text, colour)): (usize, &(i32, &str, Colour))| {
        let result = json!({"text": text, "color": colour.name(), "index": index});
        json!({"type": "value", "options": {value.to_string(): result}})
    };
    words.iter().enumerate().map(word).collect()
}

/// The name of a panel's query.
pub(super) fn letter(nth: usize) -> char {
    char::from(b'A' + u8::try_from(nth).unwrap_or(25).min(25))
}

/// The one that the variable names.
pub(super) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The field that is shown under this name.
pub(super) fn by_name(name: &str) -> Value {
    json!({"id": "byName", "options": name})
}

/// A link of a panel or of a dashboard. What is chosen and the time go along only if the address has no place for them.
pub(super) fn link(title: &str, url: &str, icon: &str) -> Value {
    let onward = url.starts_with("/d/");
    json!({
        "type": "link",
        "title": title,
        "url": url,
        "icon": icon,
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "targetBlank": false,
        "keepTime": onward,
        "includeVars": onward,
    })
}
