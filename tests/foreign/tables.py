"""PostgreSQL's tables beside the topics: every row as often as there, and saying the same."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

from tests.foreign.market import KINDS, STORED
from tests.foreign.outputs import Letter, Outputs, digest
from tests.foreign.report import Report
from tests.foreign.scratch import ROWS, Scratch, table

FLUSH_BYTES = 32 * 1024 * 1024
VIEWS = ("quotes", "trades", "books", "orders", "status", "bars", "features", "scores")
Columns = Sequence[tuple[str, str, str]]
"""Name, SQL in PostgreSQL, numpy kind."""

_SQL = {"i4": "int4", "i8": "int8", "f4": "float4", "f8": "float8", "S32": "text"}


class CopyDecoder:
    """Takes what PostgreSQL's binary COPY writes: rows of columns of fixed width that are never NULL."""

    def __init__(self, columns: Columns, keep: Callable[[dict[str, Any]], None]) -> None:
        fields: list[tuple[str, str]] = [("#", ">i2")]
        for name, _, kind in columns:
            fields += [(f"#{name}", ">i4"), (name, kind if kind.startswith("S") else f">{kind}")]
        self._row = np.dtype(fields)
        self._names = [name for name, _, _ in columns]
        self._keep = keep
        self._parts: list[bytes] = []
        self._size, self._begun = 0, False

    def write(self, data: bytes) -> None:
        """Some bytes more."""
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size > FLUSH_BYTES:
            self._flush()

    def close(self) -> None:
        """No more will come; ValueError where rows are not as they should be."""
        self._flush()
        if b"".join(self._parts) != b"\xff\xff":
            raise ValueError("PostgreSQL's COPY did not end as its format says")

    def _flush(self) -> None:
        data = b"".join(self._parts)
        if not self._begun:
            # Signature, flags and the length of an extension that there is none of.
            data, self._begun = data[19:], True
        whole = len(data) // self._row.itemsize * self._row.itemsize
        rows = np.frombuffer(data[:whole], dtype=self._row)
        self._parts = [data[whole:]]
        self._size = len(data) - whole
        if len(rows):
            if (rows["#"] != len(self._names)).any():
                raise ValueError("a row of PostgreSQL's COPY has another number of columns")
            columns = {name: rows[name] for name in self._names}
            self._keep(
                {name: values if values.dtype.kind == "S" else _native(values) for name, values in columns.items()}
            )


class Tables:
    """The tables of one feed. url : of libpq"""

    def __init__(self, scratch: Scratch, url: str, feed: str) -> None:
        self._scratch, self._topic = scratch, f"market.{feed}"
        self._session: Connection = psycopg2.connect(url)
        self._session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        listed = self._ask("SELECT id, name FROM instruments")
        self._instruments = np.full(max((number for number, _ in listed), default=0) + 2, -1, dtype=np.int32)
        for number, name in listed:
            self._instruments[number] = scratch.number(name)
        logs = self._ask("SELECT partition, id FROM logs WHERE topic = %s", self._topic)
        self._logs: dict[int, int] = dict(logs)

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def check_market(self, partition: int, report: Report) -> None:
        """Market rows of a partition, by record, instrument and time; those that the log refused are not there."""
        for kind, stored in STORED.items():
            columns = [(name, name, "i8") for name in stored.longs] + [(name, name, "f8") for name in stored.doubles]
            where = ""
            if kind == "bar":
                columns[0] = ("ts_recv_ns", "ts_ns", "i8")
                where = " AND origin = 1"
            if stored.texts:
                texts = ", ".join(f"coalesce({name}, chr(30))" for name in stored.texts)
                columns.append(("texts", f"md5(concat_ws(chr(31), {texts}))", "S32"))
            chosen = f"ts_recv_ns AS ts, {stored.digest} AS digest"
            self._copy(partition, stored.table, columns, chosen, where)
            here = f"partition = {partition} AND kind = {KINDS.index(kind)}"
            place = f'{partition} AS partition, place // {ROWS} AS "offset"'
            said = f"SELECT {place}, instrument, ts, digest FROM rows WHERE {here}"
            self._compare(report, "bars of the venue" if kind == "bar" else stored.table, said)

    def check_engine(self, partition: int, outputs: Outputs, report: Report) -> None:
        """Rows that the engine wrote, by market record, instrument and time, with every value."""
        features = [(name, f"coalesce({name}, 'NaN')", "f4") for name in sorted(outputs.features)]
        self._check_engine("features", partition, features, report)
        models = {f"{detector}={version}": number for number, detector, version in self._ask(
            "SELECT id, detector, version FROM score_models"
        )}  # fmt: skip
        # Ours for theirs: a model that no topic knows has no number of ours.
        numbers = ", ".join(
            f"WHEN {models[name]} THEN {number}" for name, number in outputs.models.items() if name in models
        )
        model = f"CASE model_id {numbers.replace(', ', ' ')} ELSE -1 END" if numbers else "-1"
        values = [("raw", "raw", "f4"), ("probability", "probability", "f4"), ("model", model, "i4")]
        self._check_engine("scores", partition, values, report)
        prices = [(name, name, "f8") for name in ("open", "high", "low", "close", "volume")]
        whole = [("trades", "trades", "i8"), ("interval_s", "interval_s", "i4")]
        self._check_engine("bars", partition, [*prices, *whole], report, " AND origin = 0")

    def check_views(self, report: Report) -> None:
        """The views for people show every row of their tables."""
        for name in VIEWS:
            table_rows = self._ask(
                f"SELECT count(*) FROM {name} t JOIN logs l ON l.id = log_id WHERE topic = %s", self._topic
            )
            shown = self._ask(f"SELECT count(*) FROM v_{name} WHERE topic = %s", self._topic)
            self._tell_of_view(name, table_rows[0][0], shown[0][0], report)
        for name in ("alerts", "cases", "case_alerts"):
            counted = self._ask(f"SELECT (SELECT count(*) FROM {name}), (SELECT count(*) FROM v_{name})")
            self._tell_of_view(name, counted[0][0], counted[0][1], report)

    def check_alerts(self, said: Iterable[Mapping[str, Any]], report: Report) -> None:
        """Alerts at their newest revision, and every revision as it was sent."""
        revisions = _by_revision(said)
        names = ("revision", "state", "score", "sentence", "severity", "data_tier", "scenario")
        kept = self._ask(f"SELECT id, {', '.join(names)} FROM alerts WHERE provenance->>'topic' = %s", self._topic)
        newest = {id_: each[max(each)] for id_, each in revisions.items()}
        _hold(
            "table alerts",
            [(id_, "newest", digest([alert[name] for name in names])) for id_, alert in newest.items()],
            [(id_, "newest", digest(values)) for id_, *values in kept],
            report,
        )
        history = self._ask(
            "SELECT id, revision, message FROM alert_history WHERE message->'provenance'->>'topic' = %s", self._topic
        )
        self._hold_history("alert_history", revisions, history, report)

    def check_cases(self, said: Iterable[Mapping[str, Any]], alerts: Iterable[str], report: Report) -> None:
        """Cases that hold these alerts, at their newest revision, and every revision as it was sent."""
        revisions = _by_revision(said)
        wanted = list({*alerts, ""})
        held = (
            "SELECT id FROM case_history h WHERE EXISTS (SELECT FROM jsonb_array_elements(h.message->'alerts') a "
            "WHERE a->>'id' = ANY(%s))"
        )
        kept = self._ask(f"SELECT id, revision, state, owner, alerts FROM cases WHERE id IN ({held})", wanted)
        newest = {id_: each[max(each)] for id_, each in revisions.items()}
        _hold(
            "table cases",
            [(id_, "newest", digest([case["revision"], case["state"], case["owner"], len(case["alerts"])]))
             for id_, case in newest.items()],
            [(id_, "newest", digest(values)) for id_, *values in kept],
            report,
        )  # fmt: skip
        history = self._ask(f"SELECT id, revision, message FROM case_history WHERE id IN ({held})", wanted)
        self._hold_history("case_history", revisions, history, report)
        listed = [(case["id"], alert["id"], 0) for case in newest.values() for alert in case["alerts"]]
        found = self._ask("SELECT case_id, alert_id, 0 FROM case_alerts WHERE case_id = ANY(%s)", list(newest))
        _hold("table case_alerts", listed, found, report)

    def check_dead_letters(self, letters: Iterable[Letter], outputs: Outputs, report: Report) -> None:
        """The sink's refusals: a row has a letter in the topics; a letter may have lost its row to a retry only."""
        said = {
            (letter["origin_topic"], int(letter["origin_partition"]), int(letter["origin_offset"]))
            for letter in letters
            if letter["refused_by"] == "postgres" and outputs.is_ours(letter)
        }
        kept = {(topic, partition, at) for topic, partition, at in self._ask(
            "SELECT topic, partition, log_offset FROM dead_letters"
        )}  # fmt: skip
        retried = outputs.retried("postgres")
        report.looked("table dead_letters", len(said))
        names = ("topic", "partition", "offset")
        report.tell(
            "table dead_letters",
            "lost",
            [dict(zip(names, place, strict=True)) for place in sorted(said - kept - retried)],
        )
        ours = {place for place in kept - said if place[0] == self._topic}
        report.tell("table dead_letters", "doubled", [dict(zip(names, place, strict=True)) for place in sorted(ours)])

    def _check_engine(self, name: str, partition: int, values: Columns, report: Report, where: str = "") -> None:
        names = [each for each, _, _ in values]
        # Counts of trades are whole numbers in the table, and floating ones in the frame.
        casts = {"f4": "FLOAT", "f8": "DOUBLE", "i8": "BIGINT", "i4": "INT"}
        hashed = ", ".join(f"{each}::{casts[kind]}" for each, _, kind in values)
        self._copy(partition, name, [("ts", "ts_ns", "i8"), *values], f"ts, hash({hashed}) AS digest", where)
        filled = ", ".join(f"coalesce({each}, 'nan'::FLOAT)::{casts[kind]} AS {each}" for each, _, kind in values)
        said = (
            f'SELECT partition, "offset", instrument, ts, hash({", ".join(names)}) AS digest '
            f'FROM (SELECT partition, "offset", instrument, ts, {filled} FROM {name} WHERE partition = {partition})'
        )
        self._compare(report, name, said)

    def _compare(self, report: Report, name: str, said: str) -> None:
        self._scratch.compare(
            report, f"table {name}", said, "SELECT * FROM kept", ["partition", '"offset"', "instrument", "ts"]
        )

    def _copy(self, partition: int, name: str, columns: Columns, chosen: str, where: str) -> None:
        """A table's rows of a market partition into the scratch table `kept`. chosen : SQL of ts and digest"""
        self._scratch.sql.execute(
            'CREATE OR REPLACE TABLE kept (partition INT, "offset" BIGINT, instrument INT, ts BIGINT, digest UBIGINT)'
        )
        log = self._logs.get(partition)
        if log is None:
            return
        every = [("offset", "log_offset", "i8"), ("instrument", "instrument_id", "i4"), *columns]

        def keep(found: dict[str, Any]) -> None:
            # One that no instrument has is the last, which stands for all of them.
            known = np.minimum(found["instrument"], len(self._instruments) - 1)
            found["instrument"] = self._instruments[known]
            texts = {
                each: values.astype(str).astype(object) for each, values in found.items() if values.dtype.kind == "S"
            }
            given = table({**found, **{each: list(values) for each, values in texts.items()}})
            self._scratch.insert(
                f'INSERT INTO kept SELECT {partition}, "offset", instrument, {chosen} FROM given', given
            )

        copied = CopyDecoder(every, keep)
        listed = ", ".join(f"({sql})::{_SQL[kind]}" for _, sql, kind in every)
        with self._session.cursor() as cursor:
            cursor.copy_expert(
                f"COPY (SELECT {listed} FROM {name} WHERE log_id = {log}{where}) TO STDOUT (FORMAT binary)", copied
            )
        copied.close()

    def _tell_of_view(self, name: str, rows: int, shown: int, report: Report) -> None:
        check, place = "views", [{"view": f"v_{name}", "rows": rows, "shown": shown}]
        report.looked(check, shown)
        report.tell(check, "lost", place, max(rows - shown, 0))
        report.tell(check, "doubled", place, max(shown - rows, 0))

    def _hold_history(
        self, name: str, revisions: Mapping[str, Mapping[int, Any]], kept: Iterable[tuple[Any, ...]], report: Report
    ) -> None:
        said = [(id_, number, digest(each)) for id_, mine in revisions.items() for number, each in mine.items()]
        _hold(f"table {name}", said, [(id_, number, digest(message)) for id_, number, message in kept], report)

    def _ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(question, values)
            return cursor.fetchall()


def _native(values: Any) -> Any:
    """Numbers in this machine's order of bytes."""
    return values.astype(values.dtype.newbyteorder("="))


def _by_revision(said: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Messages by id and revision; of a revision said twice the first counts."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for message in said:
        found.setdefault(message["id"], {}).setdefault(message["revision"], message)
    return found


def _hold(check: str, said: Iterable[tuple[Any, ...]], kept: Iterable[tuple[Any, ...]], report: Report) -> None:
    """Hold triples of two keys and a digest against each other."""
    wanted = {(first, second): content for first, second, content in said}
    found: dict[tuple[Any, Any], list[Any]] = {}
    for first, second, content in kept:
        found.setdefault((first, second), []).append(content)
    report.looked(check, len(wanted))

    def places(keys: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
        return [json.loads(json.dumps({"id": first, "which": second})) for first, second in sorted(keys)]

    report.tell(check, "lost", places(wanted.keys() - found.keys()))
    again = [key for key, contents in found.items() for _ in contents[1:]]
    report.tell(check, "doubled", places([*(found.keys() - wanted.keys()), *again]))
    both = wanted.keys() & found.keys()
    report.tell(check, "different", places(key for key in both if found[key][0] != wanted[key]))
