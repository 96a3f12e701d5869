"""Panels in Kibana Lens: columns over one data view each, drawn as lines, bars, a donut, a table or a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["line", "bar_stacked", "area", "donut", "table", "metric"]
Saved = dict[str, Any]
_NAMES = {"donut": "lnsPie", "table": "lnsDatatable", "metric": "lnsMetric"}
_LAYER, _MARKS = "layer1", "marks"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. operation : terms, date_histogram, count, average, sum, max, min or unique_count

    source : field; empty for count; size : of terms
    """

    label: str
    operation: str
    source: str = ""
    size: int = 10

    @property
    def is_bucket(self) -> bool:
        """Whether it divides, rather than measures."""
        return self.operation in ("terms", "date_histogram")


def over_time() -> Column:
    """Time, in steps that fit the stretch shown."""
    return Column("Time", "date_histogram", "@timestamp")


def by(source: str, label: str, size: int = 10) -> Column:
    """The values that score highest in the panel's first measure."""
    return Column(label, "terms", source, size)


def count(label: str) -> Column:
    """How many documents."""
    return Column(label, "count")


def measure(operation: str, source: str, label: str) -> Column:
    """A measure of a field."""
    return Column(label, operation, source)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. view : name of its data view; query : in Kibana's query language

    buckets : time first where it is drawn over time; marks : a query of alerts that are drawn as annotations
    """

    id: str
    title: str
    kind: Kind
    view: str
    buckets: Sequence[Column]
    measures: Sequence[Column]
    query: str = ""
    marks: str = ""
    columns: Mapping[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        """Name the columns."""
        named = {f"b{at}": each for at, each in enumerate(self.buckets)}
        named |= {f"m{at}": each for at, each in enumerate(self.measures)}
        object.__setattr__(self, "columns", named)


def saved(panel: Panel, view_id: str, marks_view_id: str) -> Saved:
    """The panel as a saved object. view_id, marks_view_id : saved ids of the data views"""
    columns = {name: _column(each, panel) for name, each in panel.columns.items()}
    layer = {"columnOrder": list(columns), "columns": columns, "incompleteColumns": {}, "sampling": 1}
    references = [{"type": "index-pattern", "id": view_id, "name": f"indexpattern-datasource-layer-{_LAYER}"}]
    if panel.marks:
        references.append({"type": "index-pattern", "id": marks_view_id, "name": f"xy-visualization-layer-{_MARKS}"})
    return {
        "type": "lens",
        "id": panel.id,
        "attributes": {
            "title": panel.title,
            "description": "",
            "visualizationType": _NAMES.get(panel.kind, "lnsXY"),
            "state": {
                "datasourceStates": {"formBased": {"layers": {_LAYER: layer}}},
                "visualization": _visualization(panel),
                "query": {"query": panel.query, "language": "kuery"},
                "filters": [],
                "internalReferences": [],
                "adHocDataViews": {},
            },
        },
        "references": references,
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": "8.9.0",
    }


def _column(column: Column, panel: Panel) -> Saved:
    """A column of the form-based data source."""
    said: Saved = {"label": column.label, "customLabel": True, "operationType": column.operation}
    if column.operation == "date_histogram":
        return said | {
            "dataType": "date",
            "isBucketed": True,
            "scale": "interval",
            "sourceField": column.source,
            "params": {"interval": "auto", "includeEmptyRows": False, "dropPartials": False},
        }
    if column.operation == "terms":
        return said | {
            "dataType": "string",
            "isBucketed": True,
            "scale": "ordinal",
            "sourceField": column.source,
            "params": {
                "size": column.size,
                "orderBy": {"type": "column", "columnId": "m0"},
                "orderDirection": "desc",
                "otherBucket": False,
                "missingBucket": False,
                "parentFormat": {"id": "terms"},
            },
        }
    source = "___records___" if column.operation == "count" else column.source
    return said | {
        "dataType": "number",
        "isBucketed": False,
        "scale": "ratio",
        "sourceField": source,
        "params": {"emptyAsNull": False} if column.operation in ("count", "sum") else {},
    }


def _visualization(panel: Panel) -> Saved:
    """How the columns are drawn."""
    buckets = [name for name in panel.columns if name.startswith("b")]
    measures = [name for name in panel.columns if name.startswith("m")]
    if panel.kind == "donut":
        layer = {"layerId": _LAYER, "layerType": "data", "primaryGroups": buckets, "metrics": measures}
        shown = {"numberDisplay": "percent", "categoryDisplay": "default", "legendDisplay": "default"}
        return {"shape": "donut", "layers": [layer | shown]}
    if panel.kind == "table":
        return {"layerId": _LAYER, "layerType": "data", "columns": [{"columnId": name} for name in panel.columns]}
    if panel.kind == "metric":
        return {"layerId": _LAYER, "layerType": "data", "metricAccessor": measures[0]}
    layers: list[Saved] = [
        {
            "layerId": _LAYER,
            "layerType": "data",
            "seriesType": panel.kind,
            "xAccessor": buckets[0],
            "accessors": measures,
            **({"splitAccessor": buckets[1]} if len(buckets) > 1 else {}),
        }
    ]
    if panel.marks:
        layers.append(_annotations(panel))
    return {
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "fittingFunction": "Linear" if panel.kind == "line" else "None",
        "preferredSeriesType": panel.kind,
        "layers": layers,
    }


def _annotations(panel: Panel) -> Saved:
    """Alerts as marks on the time axis."""
    mark = {
        "type": "query",
        "id": f"{panel.id}-alerts",
        "label": "Alert",
        "icon": "alert",
        "color": "#BD271E",
        "key": {"type": "point_in_time"},
        "timeField": "@timestamp",
        "textVisibility": False,
        "extraFields": ["rule.name", "message"],
        "filter": {"type": "kibana_query", "query": panel.marks, "language": "kuery"},
    }
    return {
        "layerId": _MARKS,
        "layerType": "annotations",
        "persistanceType": "byValue",
        "ignoreGlobalFilters": False,
        "annotations": [mark],
    }
