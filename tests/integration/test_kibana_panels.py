"""Every panel against the real indices: its fields are mapped, its search runs and finds something."""

import threading
from typing import Any

import pytest

from benchmarks.sinks.rates import bars, features, scores
from infra.kibana.content import objects
from sinks.elasticsearch import mappings, templates
from sinks.elasticsearch.bulk import Bulk
from sinks.elasticsearch.bulk_items import Intake
from sinks.elasticsearch.client import connect
from sinks.elasticsearch.item import Item
from tapewatch.clock import NANOS
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.messages import (
    Canary,
    Case,
    Cause,
    Commit,
    Position,
    Prediction,
    Signal,
    encode,
    stable_id,
    to_rfc3339,
)
from tapewatch.contract.rows import RowType
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings
from tests.integration.elasticsearch_kept import START, alert
from tests.integration.lens_request import fields_of, has_values, marks_of, query_of, request_of
from tests.integration.postgres_kept import NAMES, rows

PREFIX = "panels"
MINUTE = START // (60 * NANOS) * 60 * NANOS
CAUSE = Cause("market.test", 0, 7)


class Record:
    """A Kafka record, as far as the sink looks at it."""

    def __init__(self, topic: str, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
        self._topic, self._value, self._headers = topic, value, headers or []

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return hash((self._topic, self._value)) % 10**9

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, MINUTE // 1_000_000 + 250


class Everybody:
    """A registry in which every instrument stands."""

    def kind(self, instrument: str, appended_ns: int) -> str:
        return "share"

    def partitions(self, topic: str) -> int:
        return 0


def told() -> list[tuple[str, messages.Message]]:
    """One message of each kind that dashboards show."""
    ts = to_rfc3339(MINUTE)
    position = Position(instrument=NAMES[0], ts=ts, currency="TWD", position=1, cost=10, cash=-10, realised=1,
                        unrealised=1, fees=0.5, taxes=0.1, result=1.4, cause=CAUSE)  # fmt: skip
    case = Case(id=stable_id("case", 1), revision=0, instrument=NAMES[0], state="new", risk=80.0, opened=ts, updated=ts,
                alerts=())  # fmt: skip
    signal = Signal(id=stable_id("s", 1), instrument=NAMES[0], ts=ts, policy="ddqn", model="m", action="buy",
                    q_values={}, advantage=0.5, cause=CAUSE)  # fmt: skip
    forecast = Prediction(id=stable_id("p", 1), instrument=NAMES[0], as_of=ts, horizon="1d", target="close",
                          name="lstm", model="m", reference=10.0, value=11.0)  # fmt: skip
    commit = Commit(topic="market.test", partition=0, first_offset=0, next_offset=9, frames=9, rows={"quote": 10},
                    refused={"late": 2}, clock=ts, instance="engine-1", build="b", alerts=1)  # fmt: skip
    canary = Canary(id=stable_id("c", 1), revision=1, state="found", feed="canary", partition=0, scenario="pump",
                    instrument="CANARY_1.SIMX", start=ts, strength=1.0, due=ts, every_s=300.0, alert=stable_id("a", 1),
                    decision_s=2.5, stages={"topic": 0.1, "postgres": 0.5, "elasticsearch": 1.0}, at=ts)  # fmt: skip
    signals = [(topics.SIGNALS, signal), (topics.PREDICTIONS, forecast), (topics.POSITIONS, position)]
    return [
        (topics.ALERTS, alert(1)),
        (topics.CASES, case),
        (topics.CANARIES, canary),
        *signals,
        (topics.COMMITS, commit),
    ]


def records() -> list[Record]:
    """All that the sink would read."""
    origin = [("feed", b"test"), ("partition", b"0")]
    framed = [
        Record(topics.BARS, bars(NAMES, MINUTE), [*origin, ("type", b"bars")]),
        Record(topics.FEATURES, features(NAMES, [MINUTE]), [*origin, ("type", b"features")]),
        Record(topics.SCORES, scores(NAMES, MINUTE, [0.9, 0.8]), [*origin, ("type", b"scores")]),
        Record("market.test", frames.encode(rows(RowType.BOOK, 2)), FrameHeaders("book", "s", 0, 0, 0).to_kafka()),
    ]
    return [Record(topic, encode(message)) for topic, message in told()] + framed


@pytest.fixture(scope="module")
def client(elasticsearch_node):
    settings = Settings(elasticsearch=ElasticsearchSettings(url=elasticsearch_node.url, prefix=PREFIX))
    found = connect(settings)
    templates.install(found, settings)
    intake, items = Intake(settings.elasticsearch, Everybody()), list[Item]()
    for record in records():
        made, letter = intake.take(record)
        assert letter is None, letter
        items += made
    settled = Bulk(found, 1_000_000, lambda problem: None).send(items, threading.Event())
    assert settled.kept.keys() == {*mappings.LASTING, *mappings.DAILY}, settled.refused
    found.indices.refresh(index=f"{PREFIX}-*")
    yield found
    found.close()


SAVED = objects(PREFIX)
VIEWS = {each["id"]: each["attributes"]["title"] for each in SAVED if each["type"] == "index-pattern"}
PANELS = [each for each in SAVED if each["type"] == "lens"]


def index_of(saved: dict[str, Any], name: str) -> str:
    """The indices of a reference's data view."""
    return next(VIEWS[each["id"]] for each in saved["references"] if each["name"].startswith(name))


def mapped(client, index: str) -> dict[str, str]:
    """Type by field, as field capabilities tell."""
    answer = client.field_caps(index=index, fields="*")["fields"]
    return {name: next(iter(kinds)) for name, kinds in answer.items()}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["id"])
def test_panel_finds_something_by_fields_that_are_mapped(client, panel):
    index = index_of(panel, "indexpattern-datasource-layer-")
    assert fields_of(panel) <= mapped(client, index).keys()
    request = request_of(panel)
    found = client.search(index=index, **request)
    assert found["hits"]["total"]["value"] > 0
    assert has_values(found.get("aggregations", {}), request)


def test_buckets_are_of_types_that_can_be_divided_and_measures_of_numbers(client):
    for panel in PANELS:
        kinds = mapped(client, index_of(panel, "indexpattern-datasource-layer-"))
        (layer,) = panel["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
        for column in layer["columns"].values():
            if column["operationType"] == "terms":
                assert kinds[column["sourceField"]] in ("keyword", "boolean"), (panel["id"], column)
            elif column["operationType"] in ("average", "sum", "max", "min"):
                assert kinds[column["sourceField"]] in ("long", "float", "double"), (panel["id"], column)


def test_annotations_find_alerts_by_mapped_fields(client):
    marked = [panel for panel in PANELS if marks_of(panel)]
    assert marked
    for panel in marked:
        index = index_of(panel, "xy-visualization-layer-")
        for mark in marks_of(panel):
            assert {mark["timeField"], *mark["extraFields"]} <= mapped(client, index).keys()
            found = client.search(index=index, query=query_of(mark["filter"]["query"]), size=0)
            assert found["hits"]["total"]["value"] > 0


def test_saved_search_shows_mapped_columns_of_alerts(client):
    (search,) = [each for each in SAVED if each["type"] == "search"]
    index = index_of(search, "kibanaSavedObjectMeta")
    assert set(search["attributes"]["columns"]) <= mapped(client, index).keys()
    found = client.search(index=index, query=query_of("event.kind : alert"), sort=[{"@timestamp": "desc"}])
    assert found["hits"]["hits"]


def test_every_index_of_a_data_view_has_its_time_field(client):
    for title in VIEWS.values():
        assert mapped(client, title)["@timestamp"] == "date"
        assert client.count(index=title)["count"] > 0
