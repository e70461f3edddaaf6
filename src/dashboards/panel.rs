//! One panel: what is asked, and how it is shown. What Grafana's editor would write of it is added here, once for each kind.

use serde_json::{Map, Value, json};

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
    overrides: Vec<Value>,
    transformations: Vec<Value>,
    mappings: Vec<Value>,
    /// Where colours begin, by value, in ascending order; the first is that of all below.
    steps: Vec<(Option<f64>, Colour)>,
    colour: Option<Colour>,
    stacked: bool,
    links: Vec<Value>,
    decimals: Option<u32>,
    log: bool,
    max: Option<f64>,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One figure.
    Stat,
    /// The name of what is, rather than its value.
    Name,
    Curves,
    Heatmap,
    Table,
    /// States over time.
    Timeline,
    /// A bar for each of several figures.
    Bars,
}

/// As Grafana names units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Ratio,
    Requests,
    /// Things a second that are no requests.
    PerSecond,
    Bytes,
    BytesPerSecond,
    Count,
    /// A flag, a state: shown as words.
    State,
    /// How many times as much.
    Factor,
    /// Milliseconds since the epoch.
    Date,
    /// A share for each hour.
    PerHour,
}

/// By meaning: the same thing has the same colour on every dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// What went well.
    Good,
    /// Failures, and what is broken.
    Bad,
    /// What is not bad yet.
    Warning,
    /// What cannot be believed.
    Invalid,
    /// What is neither good nor bad: load.
    Load,
    /// What was asked for.
    Target,
    Median,
    P90,
    P95,
    P99,
    /// Service time, beside response time.
    Service,
    /// The run that is compared with.
    Before,
    Muted,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) expr: String,
    /// What its series are called, like `{{request}}`; empty in tables.
    pub(super) legend: &'static str,
    pub(super) instant: bool,
    format: &'static str,
    exemplar: bool,
}

// === Target ===

impl Target {
    /// A curve.
    pub(super) fn curve(legend: &'static str, expr: String) -> Self {
        Self { expr, legend, instant: false, format: "time_series", exemplar: false }
    }

    /// What is true at the end of the time shown.
    pub(super) fn now(legend: &'static str, expr: String) -> Self {
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

    fn json(&self, nth: usize) -> Value {
        let letter = char::from(b'A' + u8::try_from(nth).unwrap_or(25).min(25));
        json!({
            "refId": letter.to_string(),
            "datasource": datasource(),
            "expr": self.expr,
            "legendFormat": self.legend,
            "editorMode": "code",
            "format": self.format,
            "instant": self.instant,
            "range": !self.instant,
            "exemplar": self.exemplar,
        })
    }
}

/// The one that the variable names.
pub(super) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

// === Unit, Colour ===

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Ratio | Self::PerHour => "percentunit",
            Self::Requests => "reqps",
            Self::PerSecond => "cps",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "binBps",
            Self::Count => "short",
            Self::State => "none",
            Self::Factor => "suffix:×",
            Self::Date => "dateTimeAsIso",
        }
    }
}

impl Colour {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Bad => "red",
            Self::Warning => "orange",
            Self::Invalid => "purple",
            Self::Load => "blue",
            Self::Target => "super-light-blue",
            Self::Median => "light-blue",
            Self::P90 => "light-yellow",
            Self::P95 => "dark-yellow",
            Self::P99 => "dark-orange",
            Self::Service => "semi-dark-purple",
            Self::Before => "#8e8e8e",
            Self::Muted => "text",
        }
    }

    fn fixed(self) -> Value {
        json!({"mode": "fixed", "fixedColor": self.name()})
    }
}

// === Panel ===

impl Panel {
    pub(super) fn new(kind: Kind, title: &'static str, unit: Unit, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat | Kind::Name => (4, 4),
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
            stacked: false,
            links: Vec::new(),
            decimals: None,
            log: false,
            max: None,
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

    /// The series of this name in this colour.
    pub(super) fn series(self, name: &str, colour: Colour) -> Self {
        self.over(by_name(name), vec![("color", colour.fixed())])
    }

    /// The series of this name in this colour, dashed: what is compared with.
    pub(super) fn dashed(self, name: &str, colour: Colour) -> Self {
        let style = json!({"fill": "dash", "dash": [8, 6]});
        self.over(by_name(name), vec![("color", colour.fixed()), ("custom.lineStyle", style), ("custom.fillOpacity", json!(0))])
    }

    /// What is so of some fields alone.
    pub(super) fn over(mut self, matcher: Value, properties: Vec<(&str, Value)>) -> Self {
        let properties: Vec<_> = properties.into_iter().map(|(id, value)| json!({"id": id, "value": value})).collect();
        self.overrides.push(json!({"matcher": matcher, "properties": properties}));
        self
    }

    /// A number that is a word.
    pub(super) fn word(mut self, value: i32, text: &str, colour: Colour) -> Self {
        let index = self.mappings.len();
        let result = json!({"text": text, "color": colour.name(), "index": index});
        self.mappings.push(json!({"type": "value", "options": {value.to_string(): result}}));
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

    /// With a logarithmic axis: a slow few must not flatten all others.
    pub(super) fn log(mut self) -> Self {
        self.log = true;
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

    /// Where a click on it leads.
    pub(super) fn link(mut self, title: &str, url: &str) -> Self {
        self.links.push(json!({"title": title, "url": url}));
        self
    }

    /// As Grafana reads it, at its place.
    pub(super) fn json(&self, id: u32, x: u32, y: u32) -> Value {
        let targets: Vec<_> = self.targets.iter().enumerate().map(|(nth, target)| target.json(nth)).collect();
        let mut panel = json!({
            "id": id,
            "type": self.kind.plugin(),
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": targets,
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides},
            "options": self.options(),
        });
        if !self.transformations.is_empty() {
            panel["transformations"] = json!(self.transformations);
        }
        panel
    }

    fn defaults(&self) -> Value {
        let mut defaults = Map::new();
        let mut put = |key: &str, value: Value| defaults.insert(key.to_owned(), value);
        put("unit", json!(self.unit.name()));
        if let Some(decimals) = self.decimals {
            put("decimals", json!(decimals));
        }
        // For what has no value at all; what did not happen has one, 0.
        put("noValue", json!("–"));
        if matches!(self.kind, Kind::Curves | Kind::Bars) {
            put("min", json!(0));
        }
        if let Some(max) = self.max {
            put("max", json!(max));
        }
        put("color", self.coloured());
        put("mappings", json!(self.mappings));
        put("thresholds", json!({"mode": "absolute", "steps": self.coloured_steps()}));
        if !self.links.is_empty() {
            put("links", json!(self.links));
        }
        if let Some(custom) = self.custom() {
            put("custom", custom);
        }
        Value::Object(defaults)
    }

    fn coloured(&self) -> Value {
        match (self.colour, self.kind) {
            (Some(colour), _) => colour.fixed(),
            (None, Kind::Curves) => json!({"mode": "palette-classic-by-name"}),
            (None, _) => json!({"mode": "thresholds"}),
        }
    }

    fn coloured_steps(&self) -> Vec<Value> {
        if self.steps.is_empty() {
            return vec![json!({"value": null, "color": Colour::Muted.name()})];
        }
        self.steps.iter().map(|(value, colour)| json!({"value": value, "color": colour.name()})).collect()
    }

    /// What only this kind of panel knows, of each field.
    fn custom(&self) -> Option<Value> {
        match self.kind {
            Kind::Curves => Some(json!({
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "fillOpacity": if self.stacked { 40 } else { 8 },
                "showPoints": "auto",
                "pointSize": 4,
                "spanNulls": false,
                "stacking": {"mode": if self.stacked { "normal" } else { "none" }, "group": "A"},
                "scaleDistribution": if self.log { json!({"type": "log", "log": 10}) } else { json!({"type": "linear"}) },
                "thresholdsStyle": {"mode": if self.steps.is_empty() { "off" } else { "dashed" }},
            })),
            Kind::Table => Some(json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false})),
            Kind::Timeline => Some(json!({"lineWidth": 0, "fillOpacity": 80})),
            Kind::Heatmap => Some(json!({"scaleDistribution": {"type": "linear"}})),
            Kind::Stat | Kind::Name | Kind::Bars => None,
        }
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::Stat | Kind::Name => json!({
                "colorMode": if self.mappings.is_empty() { "value" } else { "background" },
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": if self.kind == Kind::Name { "name" } else { "auto" },
                "wideLayout": true,
                "reduceOptions": reduce,
            }),
            Kind::Curves => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "mean", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Heatmap => json!({
                "calculate": false,
                "cellGap": 1,
                "cellValues": {"unit": "short"},
                "color": {"mode": "scheme", "scheme": "Blues", "fill": "dark-blue", "scale": "exponential", "exponent": 0.5, "steps": 64, "reverse": false},
                "exemplars": {"color": Colour::Warning.name()},
                "filterValues": {"le": 1e-9},
                "legend": {"show": true},
                "rowsFrame": {"layout": "auto"},
                "showValue": "never",
                "tooltip": {"mode": "single", "yHistogram": true, "showColorScale": true},
                "yAxis": {"axisPlacement": "left", "unit": self.unit.name(), "reverse": false},
            }),
            Kind::Table => {
                json!({"cellHeight": "sm", "showHeader": true, "footer": {"show": false, "reducer": ["sum"], "countRows": false, "fields": ""}})
            }
            Kind::Timeline => json!({
                "mergeValues": true,
                "showValue": "auto",
                "alignValue": "center",
                "rowHeight": 0.9,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Kind::Bars => json!({
                "displayMode": "basic",
                "orientation": "horizontal",
                "reduceOptions": reduce,
                "showUnfilled": true,
                "valueMode": "color",
                "namePlacement": "auto",
                "sizing": "auto",
                "minVizWidth": 8,
                "minVizHeight": 16,
                "maxVizHeight": 300,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
            }),
        }
    }
}

impl Kind {
    /// Which of Grafana's panels it is.
    fn plugin(self) -> &'static str {
        match self {
            Self::Stat | Self::Name => "stat",
            Self::Curves => "timeseries",
            Self::Heatmap => "heatmap",
            Self::Table => "table",
            Self::Timeline => "state-timeline",
            Self::Bars => "bargauge",
        }
    }
}

/// The field that is shown under this name.
pub(super) fn by_name(name: &str) -> Value {
    json!({"id": "byName", "options": name})
}
