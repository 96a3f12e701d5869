"""Elasticsearch's alerts and cases beside the topics, over plain HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.foreign.report import Report

PAGE = 1000
PATIENCE_S = 60.0
Said = Mapping[str, Any]


class Documents:
    """The indices of a prefix. key : an API key, empty where none is asked for"""

    def __init__(self, url: str, prefix: str, key: str = "") -> None:
        self._url, self._prefix, self._key = url.rstrip("/"), prefix, key

    def check_alerts(self, said: Iterable[Said], topic: str, report: Report) -> None:
        """Alerts of a market topic: the newest revision of each, under its id."""

        def is_ours(source: Said) -> bool:
            return bool(source["tapewatch"]["alert"]["provenance"]["topic"] == topic)

        def shown(source: Said) -> tuple[Any, ...]:
            event = source["event"]
            revision = source["tapewatch"]["alert"]["revision"]
            return revision, event["id"], event["action"], event["risk_score"], source["message"]

        wanted = {
            alert["id"]: (alert["revision"], alert["id"], alert["state"], alert["score"], alert["sentence"])
            for alert in sorted(said, key=lambda alert: alert["revision"])
        }
        self._hold("alerts", wanted, is_ours, shown, report)

    def check_cases(self, said: Iterable[Said], alerts: Iterable[str], report: Report) -> None:
        """Cases that hold any of these alerts: the newest revision of each, under its id."""
        mine = set(alerts)

        def is_ours(source: Said) -> bool:
            return any(alert["id"] in mine for alert in source["tapewatch"]["case"]["alerts"])

        def shown(source: Said) -> tuple[Any, ...]:
            case = source["tapewatch"]["case"]
            return case["revision"], source["event"]["id"], case["state"], case["owner"], case["alert_count"]

        wanted = {
            case["id"]: (case["revision"], case["id"], case["state"], case["owner"], len(case["alerts"]))
            for case in sorted(said, key=lambda case: case["revision"])
        }
        self._hold("cases", wanted, is_ours, shown, report)

    def _hold(
        self, kind: str, wanted: Mapping[str, tuple[Any, ...]], is_ours: Callable[[Said], bool],
        shown: Callable[[Said], tuple[Any, ...]], report: Report,
    ) -> None:  # fmt: skip
        check = f"documents of {kind}"
        report.looked(check, len(wanted))
        found: dict[str, list[tuple[Any, ...]]] = {}
        for hit in self._every(f"{self._prefix}-{kind}"):
            if hit["_id"] in wanted or is_ours(hit["_source"]):
                found.setdefault(hit["_id"], []).append(shown(hit["_source"]))
        report.tell(check, "lost", [{"id": id_} for id_ in sorted(wanted.keys() - found.keys())])
        more = [id_ for id_, kept in found.items() for _ in (kept if id_ not in wanted else kept[1:])]
        report.tell(check, "doubled", [{"id": id_} for id_ in more])
        both = [(id_, found[id_][0]) for id_ in sorted(wanted.keys() & found.keys())]
        other = [{"id": id_, "topic": wanted[id_], "document": kept} for id_, kept in both if kept != wanted[id_]]
        report.tell(check, "different", other)

    def _every(self, index: str) -> Iterator[dict[str, Any]]:
        """Every document of an index, as one moment shows it; none where there is no index."""
        try:
            self._ask("POST", f"/{index}/_refresh")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return
            raise
        view = self._ask("POST", f"/{index}/_pit?keep_alive=2m")["id"]
        body: dict[str, Any] = {"size": PAGE, "pit": {"id": view, "keep_alive": "2m"}, "sort": [{"_shard_doc": "asc"}]}
        while hits := self._ask("POST", "/_search", body)["hits"]["hits"]:
            yield from hits
            body["search_after"] = hits[-1]["sort"]
        self._ask("DELETE", "/_pit", {"id": view})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"ApiKey {self._key}"} if self._key else {}),
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return dict(json.load(answer))
