#!/usr/bin/env python3
"""Writes each dashboard as TypeScript that names the types of @grafana/schema, so that `tsc --strict` finds keys and values that are
not in them: a literal may not have a key that its type has not.

    python tests/grafana_types.py OUT_DIR dashboards/*.json

What the types leave open is given one of its own here: the options and fields of each kind of panel, and Prometheus' queries.
"""

import json
import pathlib
import sys

RAW = "@grafana/schema/dist/esm/raw/composable"
# The plugin, and whether its fields have options of their own.
PANELS = {
    "stat": ("stat/panelcfg/x/StatPanelCfg_types.gen.js", False),
    "timeseries": ("timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.js", True),
    "heatmap": ("heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.js", True),
    "table": ("table/panelcfg/x/TablePanelCfg_types.gen.js", True),
    "state-timeline": ("statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen.js", True),
    "bargauge": ("bargauge/panelcfg/x/BarGaugePanelCfg_types.gen.js", False),
}

HEAD = """// Made by tests/grafana_types.py.
import type { Dashboard, DataQuery, FieldConfig, Panel, RowPanel } from '@grafana/schema';

// A string where the types have an enum of strings.
type Plain<T> = T extends string ? `${T}` : T extends Array<infer I> ? Array<Plain<I>> : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

interface Query extends Omit<DataQuery, 'datasource'> {
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  legendFormat: string;
  editorMode: 'code' | 'builder';
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  exemplar: boolean;
}

type Shown<O, C> = Omit<Plain<Panel>, 'targets' | 'options' | 'fieldConfig'> & {
  targets: Query[];
  options: Plain<O>;
  fieldConfig: { defaults: Omit<Plain<FieldConfig>, 'custom'> & { custom?: Plain<C> }; overrides: Plain<NonNullable<Panel['fieldConfig']>['overrides']> };
};
"""


def main(out, files):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        dashboard = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
        flat = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
        lines = [HEAD]
        for kind in sorted({panel["type"] for panel in flat} - {"row"}):
            path, fields = PANELS[kind]
            name = kind.replace("-", "_")
            lines.append(f"import type {{ Options as {name}_options{f', FieldConfig as {name}_fields' if fields else ''} }} from '{RAW}/{path}';")
        for panel in flat:
            name, kind = f"panel{panel['id']}", panel["type"].replace("-", "_")
            if panel["type"] == "row":
                kept = dict(panel, panels=[])
                lines.append(f"export const {name}: Plain<RowPanel> = {json.dumps(kept, ensure_ascii=False, indent=1)};")
            else:
                fields = f"{kind}_fields" if PANELS[panel["type"]][1] else "Record<string, never>"
                lines.append(f"export const {name}: Shown<{kind}_options, {fields}> = {json.dumps(panel, ensure_ascii=False, indent=1)};")
        rest = dict(dashboard, panels=[])
        # Queries of annotations and of variables are the data source's own.
        rest["annotations"] = {"list": [{key: one[key] for key in ("name", "datasource", "enable", "hide", "iconColor")} for one in dashboard["annotations"]["list"]]}
        lines.append(f"export const whole: Plain<Dashboard> = {json.dumps(rest, ensure_ascii=False, indent=1)};")
        (out / f"{pathlib.Path(file).stem}.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(files)} dashboards as TypeScript in {out}")
    return 0 if files else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
