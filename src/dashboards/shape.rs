//! A panel as Grafana reads it: what its editor would write, once for each kind.

use serde_json::{Map, Value, json};

use super::look::Colour;
use super::panel::{Kind, Panel, Target, datasource, letter};

impl Panel {
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
        if !self.see.is_empty() {
            panel["links"] = json!(self.see);
        }
        if let Some(step) = self.step {
            panel["interval"] = json!(step);
        }
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
        put("noValue", json!(self.nothing));
        if matches!(self.kind, Kind::Curves | Kind::Bars) && !self.signed {
            put("min", json!(0));
        }
        if let Some(max) = self.max {
            put("max", json!(max));
        }
        put("color", self.coloured());
        put("mappings", json!(self.mappings));
        put("thresholds", json!({"mode": "absolute", "steps": self.coloured_steps()}));
        if let Some(custom) = self.custom() {
            put("custom", custom);
        }
        Value::Object(defaults)
    }

    fn coloured(&self) -> Value {
        match (self.colour, self.kind) {
            (Some(colour), _) if self.shades => json!({"mode": "shades", "fixedColor": colour.name()}),
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
                "scaleDistribution": {"type": "linear"},
                "thresholdsStyle": {"mode": if self.steps.is_empty() { "off" } else { "dashed" }},
            })),
            Kind::Table => Some(json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false})),
            Kind::Timeline => Some(json!({"lineWidth": 0, "fillOpacity": 80})),
            Kind::Heatmap => Some(json!({"scaleDistribution": {"type": "linear"}})),
            Kind::Stat | Kind::Trend | Kind::Named | Kind::Bars => None,
        }
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::Stat | Kind::Trend | Kind::Named => json!({
                "colorMode": if self.mappings.is_empty() { "value" } else { "background" },
                "graphMode": if self.kind == Kind::Trend { "area" } else { "none" },
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": if self.kind == Kind::Named { "value_and_name" } else { "auto" },
                "wideLayout": true,
                "showPercentChange": false,
                "percentChangeColorMode": "standard",
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
            Kind::Table => json!({
                "cellHeight": "sm",
                "frameIndex": 0,
                "showHeader": true,
                "footer": {"show": false, "reducer": ["sum"], "countRows": false, "fields": []},
                "sortBy": self.order.map_or_else(Vec::new, |column| vec![json!({"displayName": column, "desc": true})]),
            }),
            Kind::Timeline => json!({
                "mergeValues": true,
                "showValue": "auto",
                "alignValue": "center",
                "rowHeight": 0.9,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
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
            Self::Stat | Self::Trend | Self::Named => "stat",
            Self::Curves => "timeseries",
            Self::Heatmap => "heatmap",
            Self::Table => "table",
            Self::Timeline => "state-timeline",
            Self::Bars => "bargauge",
        }
    }
}

impl Target {
    fn json(&self, nth: usize) -> Value {
        json!({
            "refId": letter(nth).to_string(),
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
