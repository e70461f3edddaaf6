"""Checks the manifests of the Prometheus operator's kinds, which Kubernetes' own schemas do not know, against models that were made of the
operator's definitions.

    kustomize build kubernetes | python tests/manifests.py

A model takes what it knows and leaves the rest: what does not come back is misspelt, or younger than the models. Rules are written to
standard output as a file that promtool can check.
"""

import sys

import yaml
from cloudcoil.models.prometheus_operator import v1

# Newer than operator 0.80, of which the models are. The operator has it since Prometheus 3.8 has.
YOUNGER = {"scrapeNativeHistograms"}


def lost(before, after, place):
    """Where `after` lacks or changes what `before` has."""
    if isinstance(before, dict):
        after = after if isinstance(after, dict) else {}
        return [one for key, value in before.items() for one in lost(value, after.get(key), f"{place}.{key}")]
    if isinstance(before, list):
        after = after if isinstance(after, list) else []
        padded = after + [None] * (len(before) - len(after))
        return [one for index, value in enumerate(before) for one in lost(value, padded[index], f"{place}[{index}]")]
    return [] if before == after else [f"{place}: {before!r} became {after!r}"]


def main():
    problems, seen = [], []
    for document in yaml.safe_load_all(sys.stdin):
        kind = document["kind"]
        if document["apiVersion"] != "monitoring.coreos.com/v1":
            continue
        seen.append(kind)
        spec = document["spec"]
        for key in YOUNGER & spec.keys():
            del spec[key]
        model = getattr(v1, kind).model_validate(document)
        problems += lost(document, model.model_dump(mode="json", by_alias=True, exclude_none=True), kind)
        if kind == "PrometheusRule":
            yaml.safe_dump({"groups": spec["groups"]}, sys.stdout, sort_keys=False)
    if sorted(seen) != ["PodMonitor", "PrometheusRule"]:
        problems.append(f"there should be one PodMonitor and one PrometheusRule; there are {seen}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
