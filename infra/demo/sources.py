"""Every live source beside the demo's own market, each against its simulator; a table and a topic that others fill."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
from confluent_kafka import Producer

from infra.demo.children import Child, Family
from infra.demo.plan import PROGRAM, answer
from tapewatch.access import acls
from tapewatch.access.services import Right
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.topics import TopicSpec
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

SYMBOLS = 8
RATE = 150
STUFFING_S = 75
"""The simulated Binance is flooded with quotes that often, so that alerts come out of a live feed too."""
TABLE = "demo_minutes"
TOPIC = "demo.minutes"
EVERY_S = 1.0
_CODES = ("005930", "000660")
_TABLE_MAP = f"""
name = "demo-table"
feed = "demo-table"
start = "first"
poll_s = 1.0
lag_s = 5.0
[table]
name = "{TABLE}"
key = ["id"]
[rows]
type = "bar"
interval_s = 1
instrument_column = "code"
instrument_form = "{{}}.XKRX"
[rows.columns]
time = "at"
open = "open"
high = "high"
low = "low"
close = "close"
volume = "volume"
"""
_TOPIC_MAP = """
feed = "demo-topic"
receipt = "now"
[input]
format = "json"
[instrument]
template = "{code}.XKRX"
register = true
limit = 10
currency = "KRW"
[[rows]]
type = "bar"
interval_s = 1
[rows.columns]
ts_open = { path = "at", time = "iso" }
open = "open"
high = "high"
low = "low"
close = "close"
volume = "volume"
"""


class SourceSummary(msgspec.Struct, frozen=True):
    """What a live source came to. counts : rows by type, or what else it sent; ended : in order, with a summary"""

    counts: dict[str, int] = {}
    gaps: int = 0
    refused: int = 0
    ended: bool = False


class LiveSources:
    """All sources, as children of the demo; `end` asks them to end, `told` says what they came to.

    pause : waits a little between two starts, which take the processor; True where the show is over
    """

    def __init__(
        self, settings: Settings, family: Family, folder: Path, common: tuple[str, ...], pause: Callable[[], bool]
    ) -> None:
        self._children: dict[str, Child] = {}
        known = json.loads(answer([*PROGRAM, *common, "produce", "--list", "--json"]))
        for source in known:
            if source["simulated"] and not pause():
                self._children[source["name"]] = family.launch(f"produce-{source['name']}", _words(source["name"]))
        self._others = ExternalWriter(settings)
        url = {"TAPEWATCH_SQL_URL": settings.postgres_url()}
        for name, words in _maps(folder).items():
            self._children[name] = family.launch(f"produce-{name}", words, url)

    @property
    def names(self) -> list[str]:
        """The sources that were started."""
        return list(self._children)

    def end(self, patience_s: float) -> None:
        """Let every source send what it has and end."""
        for child in self._children.values():
            child.ask()
        deadline = WALL.elapsed() + int(patience_s * NANOS)
        for child in self._children.values():
            child.end(max(0.1, (deadline - WALL.elapsed()) / NANOS))
        self._others.close()

    def told(self) -> dict[str, SourceSummary]:
        """What each came to, by its own summary."""
        return {name: _told(child) for name, child in self._children.items()}


def _words(name: str) -> list[str]:
    """The command of a simulated source."""
    words = ["produce", name, "--against", "sim", "--json", "--sim-symbols", str(SYMBOLS), "--sim-rate", str(RATE)]
    return [*words, "--sim-stuffing", str(STUFFING_S)] if name == "binance" else words


def _maps(folder: Path) -> dict[str, list[str]]:
    """Map files and commands of the table and of the topic."""
    folder.mkdir(parents=True, exist_ok=True)
    table, topic = folder / "table.toml", folder / "topic.toml"
    table.write_text(_TABLE_MAP)
    topic.write_text(_TOPIC_MAP)
    return {
        "sql": ["produce", "sql", "--map", str(table), "--json"],
        "kafka": ["produce", "kafka", "--topic", TOPIC, "--map", str(topic), "--json"],
    }


class ExternalWriter:
    """Stands for programs of others: writes a bar of two shares every second into a table and into a topic."""

    def __init__(self, settings: Settings) -> None:
        kafka.create_topics(settings, [TopicSpec(TOPIC, 1)])
        if settings.embedded.secure:
            reads = [Right("topic", TOPIC, "read")]
            acls.carry_out(settings, [acls.Change("source", acls.principal("source"), reads, [])])
        self._producer: Producer = kafka.producer(settings, linger_ms=5)
        self._sent = kafka.Deliveries(self._producer)
        self._session = psycopg2.connect(settings.postgres_url().replace("+psycopg2", "", 1))
        self._session.autocommit = True
        with self._session.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {TABLE} (id bigserial PRIMARY KEY, code text, at timestamptz, "
                "open numeric, high numeric, low numeric, close numeric, volume bigint)"
            )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="others", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write no more; DeliveryError where a bar was not taken."""
        self._stop.set()
        self._thread.join(2.0)
        self._session.close()
        self._sent.settle(2.0)

    def _write(self) -> None:
        for step in _steps(self._stop):
            at = to_rfc3339(WALL.now() // NANOS * NANOS)
            with self._session.cursor() as cursor:
                for place, code in enumerate(_CODES):
                    close = 70_000 + 100 * ((step * (place + 3)) % 7)
                    bar = (code, at, 70_000, max(close, 70_000), 70_000, close, 10 + step % 5)
                    cursor.execute(
                        f"INSERT INTO {TABLE} (code, at, open, high, low, close, volume) "  # noqa: S608 - our own name
                        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                        bar,
                    )
                    names = ("code", "at", "open", "high", "low", "close", "volume")
                    self._sent.send(TOPIC, json.dumps(dict(zip(names, bar, strict=True))).encode())
            self._producer.poll(0)


def _steps(stop: threading.Event) -> Iterator[int]:
    step = 0
    while not stop.wait(EVERY_S):
        yield step
        step += 1


def _told(child: Child) -> SourceSummary:
    """The source's summary; an empty one where it was killed or never came so far."""
    try:
        found = msgspec.json.decode(child.answer(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
        return SourceSummary()
    rows = found.get("rows", {})
    counts = dict(rows) if isinstance(rows, dict) else {"rows": rows}
    counts |= {name: found[name] for name in ("factors", "sent", "new", "news") if isinstance(found.get(name), int)}
    refused = sum(found.get("refused", {}).values())
    # The summary is printed when everything has been sent and acknowledged, whatever becomes of the process then.
    return SourceSummary(counts, found.get("gaps", 0), refused, ended=True)
