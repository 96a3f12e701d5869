"""A Lens panel as the search that Kibana makes of it: its columns as aggregations, its query as a filter."""

import json
import re
from typing import Any

_PHRASE = re.compile(r'(not )?([\w.@]+) : "?([^"]+?)"?')


def query_of(kuery: str) -> dict[str, Any]:
    """The part of Kibana's query language that our panels use: `field : value`, where `*` is any value, or `not` that,
    joined by `and`.
    """
    filters, others = list[dict[str, Any]](), list[dict[str, Any]]()
    for part in filter(None, kuery.split(" and ")):
        found = _PHRASE.fullmatch(part)
        assert found, f"not understood: {part}"
        wanted: dict[str, Any] = {"exists": {"field": found[2]}} if found[3] == "*" else {"term": {found[2]: found[3]}}
        (others if found[1] else filters).append(wanted)
    return {"bool": {"filter": filters, "must_not": others}}


def layer_of(panel: dict[str, Any]) -> dict[str, Any]:
    (layer,) = panel["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
    return layer


def fields_of(panel: dict[str, Any]) -> set[str]:
    """Every field that a panel names, its annotations' time and extra fields included."""
    named = {column["sourceField"] for column in layer_of(panel)["columns"].values()} - {"___records___"}
    named |= {
        part.split(" : ")[0].removeprefix("not ")
        for part in panel["attributes"]["state"]["query"]["query"].split(" and ")
        if part
    }
    return named


def marks_of(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a panel."""
    layers = panel["attributes"]["state"]["visualization"].get("layers", [])
    return [mark for layer in layers if layer["layerType"] == "annotations" for mark in layer["annotations"]]


def request_of(panel: dict[str, Any]) -> dict[str, Any]:
    """The search of a panel's columns: buckets within each other, measures innermost."""
    layer = layer_of(panel)
    columns = [(name, layer["columns"][name]) for name in layer["columnOrder"]]
    measures: dict[str, Any] = {}
    for name, column in columns:
        if not column["isBucketed"] and column["operationType"] != "count":
            kind = {"average": "avg", "unique_count": "cardinality"}.get(
                column["operationType"], column["operationType"]
            )
            measures[name] = {kind: {"field": column["sourceField"]}}
    inner = measures
    for name, column in reversed([each for each in columns if each[1]["isBucketed"]]):
        inner = {name: {**_bucket(column, layer["columns"]), "aggs": measures | inner}}
    kuery = panel["attributes"]["state"]["query"]["query"]
    return {"size": 0, "track_total_hits": True, "query": query_of(kuery), "aggs": inner}


def _bucket(column: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """One division."""
    if column["operationType"] == "date_histogram":
        return {"date_histogram": {"field": column["sourceField"], "fixed_interval": "1m", "min_doc_count": 1}}
    said = column["params"]
    first = said["orderBy"]["columnId"]
    by = "_count" if columns[first]["operationType"] == "count" else first
    return {"terms": {"field": column["sourceField"], "size": said["size"], "order": {by: said["orderDirection"]}}}


def has_values(aggregations: dict[str, Any], request: dict[str, Any]) -> bool:
    """Whether every aggregation, innermost ones included, gives buckets with values that are numbers."""
    for name, asked in request["aggs"].items():
        found = aggregations[name]
        if "aggs" in asked:
            if not found["buckets"] or not any(has_values(bucket, asked) for bucket in found["buckets"]):
                return False
        elif found["value"] is None:
            return False
    return True


def panels_json(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(dashboard["attributes"]["panelsJSON"]))
