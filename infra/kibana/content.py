"""All saved objects, and the file that holds them. `python -m infra.kibana.content --write` writes it anew."""

import json
import sys
from pathlib import Path
from typing import Any

from infra.kibana.dashboards import DASHBOARDS, GENUINE, QUEUE, QUEUE_COLUMNS, VIEWS, Dashboard
from infra.kibana.lens import Panel, Saved, saved
from tapewatch import generated

FILE = Path(__file__).with_name("tapewatch.ndjson")
PREFIX = "tapewatch"
WIDTH = 48
"""Columns of Kibana's grid."""

_SOURCE = "kibanaSavedObjectMeta.searchSourceJSON.index"


def objects(prefix: str = PREFIX) -> list[Saved]:
    """Every saved object. prefix : of the indices; ids carry it too, so that two prefixes live side by side"""
    found = [_view(prefix, kind, title) for kind, title in VIEWS.items()]
    found.append(_queue(prefix))
    for dashboard in DASHBOARDS:
        found += [_panel(prefix, panel) for panel in dashboard.panels]
        found.append(_dashboard(prefix, dashboard))
    return found


def ndjson(prefix: str = PREFIX) -> str:
    """The file that Kibana imports: one object a line."""
    return "".join(json.dumps(each, sort_keys=True) + "\n" for each in objects(prefix))


def _compact(value: Any) -> str:
    """JSON within JSON, as Kibana keeps it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _view(prefix: str, kind: str, title: str) -> Saved:
    """A data view over the indices of a kind."""
    return {
        "type": "index-pattern",
        "id": f"{prefix}-{kind}",
        "attributes": {"title": f"{prefix}-{kind}-*", "name": f"{prefix}: {title}", "timeFieldName": "@timestamp"},
        "references": [],
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": "8.0.0",
    }


def _panel(prefix: str, panel: Panel) -> Saved:
    """A panel under an id of its own."""
    said = saved(panel, f"{prefix}-{panel.view}", f"{prefix}-alerts")
    return said | {"id": f"{prefix}-panel-{panel.id}"}


def _queue(prefix: str) -> Saved:
    """The alerts, newest first, as a saved search."""
    source = {
        "query": {"query": f"event.kind : alert and {GENUINE}", "language": "kuery"},
        "filter": [],
        "indexRefName": _SOURCE,
    }
    return {
        "type": "search",
        "id": f"{prefix}-{QUEUE}",
        "attributes": {
            "title": "Alert queue",
            "description": "Alerts, newest first",
            "columns": list(QUEUE_COLUMNS),
            "sort": [["@timestamp", "desc"]],
            "grid": {},
            "hideChart": True,
            "isTextBasedQuery": False,
            "kibanaSavedObjectMeta": {"searchSourceJSON": _compact(source)},
        },
        "references": [{"type": "index-pattern", "id": f"{prefix}-alerts", "name": _SOURCE}],
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": "8.0.0",
    }


def _dashboard(prefix: str, dashboard: Dashboard) -> Saved:
    """A dashboard with its panels laid out row by row."""
    panels: list[Saved] = []
    references: list[Saved] = []
    top = 0
    for height, row in dashboard.rows:
        width = WIDTH // len(row)
        for column, panel in enumerate(row):
            number = str(len(panels) + 1)
            kind, id_ = (
                ("search", f"{prefix}-{panel}") if isinstance(panel, str) else ("lens", f"{prefix}-panel-{panel.id}")
            )
            grid = {"x": column * width, "y": top, "w": width, "h": height, "i": number}
            config: dict[str, Any] = {"enhancements": {}}
            panels.append(
                {
                    "type": kind,
                    "gridData": grid,
                    "panelIndex": number,
                    "embeddableConfig": config,
                    "panelRefName": f"panel_{number}",
                }
            )
            references.append({"type": kind, "id": id_, "name": f"{number}:panel_{number}"})
        top += height
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "type": "dashboard",
        "id": f"{prefix}-dashboard-{dashboard.id}",
        "attributes": {
            "title": dashboard.title,
            "description": dashboard.description,
            "panelsJSON": _compact(panels),
            "optionsJSON": _compact(
                {"useMargins": True, "syncColors": True, "syncCursor": True, "hidePanelTitles": False}
            ),
            "timeRestore": False,
            "kibanaSavedObjectMeta": {"searchSourceJSON": _compact(source)},
        },
        "references": references,
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": "8.9.0",
    }


def main(words: list[str] | None = None) -> int:
    """Write the file, or say whether it is what the code makes."""
    args = generated.options("infra.kibana.content", "Kibana's saved objects").parse_args(words)
    return generated.settle({FILE: ndjson()}, "infra.kibana.content", args.write)


if __name__ == "__main__":
    sys.exit(main())
