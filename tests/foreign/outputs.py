"""What the engine and the stages wrote, of one feed, into the scratch database."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from tests.foreign.broker import headers_of
from tests.foreign.market import Refusals
from tests.foreign.report import Report
from tests.foreign.scratch import ROWS, Scratch, table

KEYS = ("instrument", "ts", "offset")
FLUSH_ROWS = 100_000
Letter = dict[str, str]
"""The headers of a dead letter."""
Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Topics(Protocol):
    """Where topics are read."""

    def read_all(self, topic: str) -> Iterator[Message]:
        """Every record of a topic."""
        ...


class Outputs:
    """Output frames and messages of a feed. features : names of the feature columns that frames had"""

    def __init__(self, scratch: Scratch, topics: Topics, feed: str) -> None:
        self._scratch, self._topics, self._feed = scratch, topics, feed
        self._topic = f"market.{feed}"
        self.features: list[str] = []
        self._models: dict[str, int] = {}
        scratch.sql.execute(
            """
            CREATE TABLE features (partition INT, instrument INT, ts BIGINT, "offset" BIGINT, place BIGINT);
            CREATE TABLE scores (partition INT, instrument INT, ts BIGINT, "offset" BIGINT, place BIGINT,
                detector TINYINT, model INT, raw FLOAT, probability FLOAT);
            CREATE TABLE bars (partition INT, instrument INT, ts BIGINT, "offset" BIGINT, place BIGINT, interval_s INT,
                open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, trades DOUBLE, buys DOUBLE,
                sells DOUBLE);
            CREATE TABLE markers (topic VARCHAR, partition INT, instrument INT, ts BIGINT, "offset" BIGINT,
                place BIGINT, instruments BIGINT);
            CREATE TABLE commits (partition INT, first BIGINT, next BIGINT, frames BIGINT, duplicates BIGINT,
                features BIGINT, scores BIGINT, alerts BIGINT, signals BIGINT);
            CREATE TABLE counted (partition INT, what VARCHAR, name VARCHAR, count BIGINT);
            CREATE TABLE records (topic VARCHAR, partition INT, pos BIGINT);
            """
        )

    def frames(self, topic: str, report: Report) -> None:
        """The frames of `features`, `scores` or `bars`; tells of rows behind the marker that sealed their time."""
        pending: defaultdict[tuple[str, ...], list[tuple[int, int, pa.RecordBatch]]] = defaultdict(list)
        held, sealed, records = 0, dict[int, int](), list[tuple[int, int]]()
        for message in self._topics.read_all(topic):
            headers = headers_of(message)
            if headers.get("feed") != self._feed:
                continue
            records.append((message.partition(), message.offset()))
            partition, kind = int(headers["partition"]), headers["type"]
            batch = pa.ipc.open_stream(message.value()).read_next_batch()
            newest = int(np.max(batch.column("ts").cast(pa.int64()).to_numpy(), initial=0))
            oldest = int(np.min(batch.column("ts").cast(pa.int64()).to_numpy(), initial=2**63 - 1))
            if topic != "scores" and oldest <= sealed.get(partition, 0):
                place = {"partition": partition, "topic_partition": message.partition(), "at": message.offset()}
                report.tell(f"{topic} behind their marker", "different", [place])
            if kind.startswith("sealed"):
                sealed[partition] = max(newest, sealed.get(partition, 0))
            metadata = batch.schema.metadata or {}
            models = (
                metadata.get(b"tapewatch.detectors", b"").decode(),
                metadata.get(b"tapewatch.versions", b"").decode(),
            )
            key = (kind, *models, *batch.schema.names)
            pending[key].append((partition, message.offset(), batch.replace_schema_metadata(None)))
            held += batch.num_rows
            if held > FLUSH_ROWS:
                self._flush_all(topic, pending)
                held = 0
        self._flush_all(topic, pending)
        self._remember(topic, records)

    def messages(self, topic: str, place: str) -> list[tuple[int, dict[str, Any]]]:
        """The messages of a topic that name this feed's log, with its partition. place : the field that names it"""
        found, records = [], list[tuple[int, int]]()
        for message in self._topics.read_all(topic):
            said = _json(message)
            where = said.get(place)
            if isinstance(where, dict) and where.get("topic") == self._topic:
                found.append((int(where["partition"]), said))
                records.append((message.partition(), message.offset()))
        self._remember(topic, records)
        return found

    def cases(self, alerts: Iterable[str]) -> list[dict[str, Any]]:
        """Cases that hold any of these alerts."""
        wanted = set(alerts)
        every = (_json(message) for message in self._topics.read_all("cases"))
        return [case for case in every if any(each["id"] in wanted for each in case.get("alerts", ()))]

    def commits(self) -> dict[int, int]:
        """The commit records of this feed; where each partition's last one ends."""
        rows, counted = [], []
        for message in self._topics.read_all("engine.commits"):
            said = _json(message)
            if said.get("topic") != self._topic:
                continue
            partition = said["partition"]
            numbers = ("first_offset", "next_offset", "frames", "duplicates", "features", "scores", "alerts", "signals")
            rows.append((partition, *(said.get(name, 0) for name in numbers)))
            for what in ("rows", "refused"):
                counted += [(partition, what, name, count) for name, count in said.get(what, {}).items()]
        self._insert_all("commits", rows)
        self._insert_all("counted", counted)
        return dict(self._scratch.sql.execute("SELECT partition, max(next) FROM commits GROUP BY ALL").fetchall())

    def letters(self, report: Report) -> tuple[dict[int, Refusals], list[Letter]]:
        """What the engine refused of each partition, and every dead letter that stores have written of this feed."""
        refused: defaultdict[int, Refusals] = defaultdict(Refusals)
        counted: Counter[tuple[int, str]] = Counter()
        known: set[tuple[str, ...]] = set()
        of_stores = []
        for topic in (self._topic, "features", "scores", "bars", "alerts", "cases", "signals", "coverage"):
            for message in self._topics.read_all(f"{topic}.dlq"):
                letter = headers_of(message)
                if letter.get("refused_by") in ("postgres", "elasticsearch"):
                    of_stores.append(letter)
                elif topic == self._topic and letter.get("refused_by") == "engine":
                    self._refuse(letter, message.value() or b"", refused, counted, known, report)
        report.looked("dead letters", len(known))
        self._insert_all(
            "counted", [(partition, "letters", name, count) for (partition, name), count in counted.items()]
        )
        return refused, of_stores

    def retried(self, reader: str) -> set[Place]:
        """Records that one reader was asked to take once more, by where they lay."""
        asked = (headers_of(message) for message in self._topics.read_all(f"retry.{reader}"))
        return {(each["retry_topic"], int(each["retry_partition"]), int(each["retry_offset"])) for each in asked}

    def is_ours(self, letter: Letter) -> bool:
        """Whether a letter's record is one of this feed's."""
        topic, partition, at = letter["origin_topic"], int(letter["origin_partition"]), int(letter["origin_offset"])
        where = f"topic = '{topic}' AND partition = {partition} AND pos = {at}"
        return topic == self._topic or bool(self._scratch.one(f"SELECT count(*) FROM records WHERE {where}"))

    @property
    def models(self) -> dict[str, int]:
        """Number of each `detector=version` among the scores."""
        return self._models

    def _refuse(
        self, letter: Letter, value: bytes, refused: dict[int, Refusals], counted: Counter[tuple[int, str]],
        known: set[tuple[str, ...]], report: Report,
    ) -> None:  # fmt: skip
        """Take up one of the engine's letters."""
        partition, offset = int(letter["origin_partition"]), int(letter["origin_offset"])
        key = (letter["origin_partition"], letter["origin_offset"], letter.get("row", ""))
        rows = int(letter.get("rows", "1"))
        counted[partition, letter["reason"]] += rows
        if key in known:
            report.tell("dead letters", "doubled", [{"partition": partition, "offset": offset, "row": key[2]}])
        known.add(key)
        if letter["kind"] == "row":
            refused[partition].rows.add(offset * ROWS + int(letter["row"]))
        elif letter["kind"] == "rows":
            whole = b"" if "bytes" in letter else value
            refused[partition].shared.setdefault(offset, []).append((int(letter["row"]), rows, whole))
        elif letter["reason"] != "bad_control":
            # The frame of a control row that says nothing sensible counts all the same.
            refused[partition].records.update(range(offset, int(letter.get("last_offset", offset)) + 1))

    def _flush_all(self, topic: str, pending: dict[tuple[str, ...], list[tuple[int, int, pa.RecordBatch]]]) -> None:
        for (kind, detectors, versions, *names), batches in pending.items():
            rows = pa.Table.from_batches([batch for _, _, batch in batches])
            sizes = np.array([batch.num_rows for _, _, batch in batches])
            partitions = np.array([partition for partition, _, _ in batches], dtype=np.int32)
            offsets = np.repeat(np.array([offset for _, offset, _ in batches], dtype=np.int64), sizes)
            columns: dict[str, Any] = {
                "partition": np.repeat(partitions, sizes),
                "instrument": self._scratch.numbers(rows.column("instrument")),
                "ts": rows.column("ts").cast(pa.int64()),
                "place": offsets * ROWS + np.arange(len(offsets)) - np.repeat(np.cumsum(sizes) - sizes, sizes),
                **{name: rows.column(name) for name in names if name not in ("instrument", "ts")},
            }
            if kind.startswith("sealed"):
                columns["topic"] = pa.array([topic] * len(offsets))
                self._scratch.insert("INSERT INTO markers BY NAME SELECT * FROM given", table(columns))
                continue
            if kind == "features":
                self._know([name for name in names if name not in KEYS])
            elif kind == "scores":
                columns["model"] = self._numbered(columns["detector"].to_numpy(), detectors, versions)
            self._scratch.insert(f"INSERT INTO {kind} BY NAME SELECT * FROM given", table(columns))
        pending.clear()

    def _know(self, names: list[str]) -> None:
        """Have a column for each feature."""
        for name in names:
            if name not in self.features:
                self.features.append(name)
                self._scratch.sql.execute(f"ALTER TABLE features ADD COLUMN {name} FLOAT")

    def _numbered(self, detectors: Any, names: str, versions: str) -> Any:
        """A number for the detector and model version of each score, as the frame's metadata names them."""
        known = dict(part.partition("=")[::2] for part in versions.split(","))
        listed = [f"{name}={known.get(name, '')}" for name in names.split(",")]
        numbers = np.array([self._models.setdefault(name, len(self._models)) for name in listed], dtype=np.int32)
        return numbers[detectors]

    def _remember(self, topic: str, records: list[tuple[int, int]]) -> None:
        self._insert_all("records", [(topic, *record) for record in records])

    def _insert_all(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            columns = {f"c{number}": pa.array(values) for number, values in enumerate(zip(*rows, strict=True))}
            self._scratch.insert(f"INSERT INTO {name} SELECT * FROM given", table(columns))


def digest(message: Any) -> int:
    """A message's content, however its text is spaced and ordered."""
    text = json.dumps(message, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _json(message: Message) -> dict[str, Any]:
    """A JSON message; empty where it is none."""
    try:
        said = json.loads(message.value() or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
