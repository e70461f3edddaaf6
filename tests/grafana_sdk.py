#!/usr/bin/env python3
"""Reads each dashboard with Grafana's own models (grafana-foundation-sdk) and writes it again: what is lost on the way is a key that
no Grafana knows, a misspelt one for example.

    python tests/grafana_sdk.py dashboards/*.json
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# What Grafana's Prometheus data source reads of an annotation, and its models do not have: those know what all sources share.
UNKNOWN = {"step", "titleFormat", "textFormat", "tagKeys", "useValueForTime"}


def lost(ours, theirs, path=""):
    """The paths of what `ours` has and `theirs` has not, or has otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            place = f"{path}.{key}"
            if key in theirs:
                yield from lost(value, theirs[key], place)
            elif value not in (None, "", [], {}):
                yield place
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path} has {len(theirs)} of {len(ours)}"
        for nth, (one, other) in enumerate(zip(ours, theirs)):
            yield from lost(one, other, f"{path}[{nth}]")
    elif ours != theirs:
        yield f"{path} is {theirs!r} and not {ours!r}"


def main(files):
    register_default_plugins()
    bad = 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            ours = json.load(text)
        theirs = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(ours)))
        for place in lost(ours, theirs):
            if place.startswith(".annotations.") and place.rsplit(".", 1)[-1] in UNKNOWN:
                continue
            bad += 1
            print(f"{file}: {place}")
    print(f"{len(files)} dashboards, {bad} keys lost")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
