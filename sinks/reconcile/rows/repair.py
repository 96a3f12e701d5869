"""PostgreSQL's tables brought to what the topics say, while the sink works on.

1. Rows and messages of what is wrong are read from the topics, as far as the sink has come.
   If we die here, nothing has changed.
2. Partitions that they need are made. If we die here, they stay empty.
3. One transaction: the sink's positions are locked, so that the sink waits and none of its rows come meanwhile; what
   the engine has said of the same input records since step 1 is read; what is wrong is deleted and written by the
   sink's own code. If we die before the commit, nothing has changed; doing it twice changes nothing either.

The rows of chosen records of the market log, cut out of a stream in PostgreSQL's binary COPY format.

A feed's rows over the stores that were asked for: one comparison, or a repair between two.
"""

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name

from sinks.log_reader import place
from sinks.postgres import merge
from sinks.postgres.batch import JsonRecord
from sinks.postgres.database import check_revision, connect
from sinks.postgres.keys import Keys
from sinks.postgres.partitions import DayPartitions
from sinks.postgres.positions import next_offsets
from sinks.postgres.tables import Table
from sinks.postgres.writer import copy_rows, merge_storable
from sinks.reconcile.ledger import ELASTICSEARCH, POSTGRES
from sinks.reconcile.rows import message_rows
from sinks.reconcile.rows.comparing import Discrepancies, compare_tables, layout
from sinks.reconcile.rows.digests import Bytes, Longs, _number
from sinks.reconcile.rows.documents import compare_documents
from sinks.reconcile.rows.message_rows import Key
from sinks.reconcile.rows.report import NOWHERE, RowsReport, RowTable
from sinks.reconcile.rows.topics_side import TopicRows
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Case
from tapewatch.errors import ContractError
from tapewatch.kernels import kernel
from tapewatch.market_log.registry import Registry
from tapewatch.settings import Settings


@kernel
def pick_rows(
    data: Bytes, fields: Longs, places: Longs, starts: Longs, wanted: npt.NDArray[np.bool_], out: Bytes
) -> int:
    """Copy whole rows of wanted records; returns the bytes copied.

    fields : int64[2], which fields hold the number of the log and the offset in it
    places : int64[logs], place of each log, -1 for others; starts : int64[places + 1], where its offsets begin
    wanted : bool[starts[-1]]; out : uint8[data.size]
    """
    at, used = 0, 0
    while at + 2 <= data.size:
        columns = _number(data, at, 2)
        position, log, offset = at + 2, -1, -1
        for column in range(columns):
            length = _number(data, position, 4)
            position += 4
            if column == fields[0]:
                log = _number(data, position, length)
            elif column == fields[1]:
                offset = _number(data, position, length)
            position += max(length, 0)
        if 0 <= log < places.size and places[log] >= 0:
            place = places[log]
            cell = starts[place] + offset
            if cell < starts[place + 1] and wanted[cell]:
                for byte in range(at, position):
                    out[used] = data[byte]
                    used += 1
        at = position
    return used


@dataclass(slots=True)
class PickedRows:
    """Rows of one table of the records whose cell is wanted. wanted : bool[starts[-1]]"""

    table: Table
    places: Longs
    starts: Longs
    wanted: npt.NDArray[np.bool_]
    parts: list[bytes] = field(default_factory=list)
    days: set[tuple[str, int]] = field(default_factory=set)

    def add(self, data: bytes, days: tuple[int, ...]) -> None:
        """Take up what is wanted of packed rows. days : that they touch"""
        names = self.table.columns
        fields = np.array([names.index("log_id"), names.index("log_offset")], dtype=np.int64)
        out = np.empty(len(data), dtype=np.uint8)
        rows = np.frombuffer(data, dtype=np.uint8)
        used = pick_rows(rows, fields, self.places, self.starts, self.wanted, out)
        if used:
            self.parts.append(out[:used].tobytes())
            self.days.update((self.table.name, day) for day in days)


_LOCK = "LOCK TABLE sink_offsets IN SHARE ROW EXCLUSIVE MODE"
_OF_ENGINE = ("features", "scores")
"""Tables that the engine's topics alone fill; bars come from both sides."""


def repair_tables(settings: Settings, feed: str, wrong: Discrepancies) -> None:
    """Write again what is lost, doubled or different.

    psycopg2.Error where the database gives up: nothing is changed then.
    """
    registry = Registry(settings)
    with closing(connect(settings.postgres_url())) as session, closing(connect(settings.postgres_url())) as beside:
        check_revision(beside)
        keys = Keys(beside)
        try:
            with session, session.cursor() as cursor:
                first = next_offsets(cursor)
            registry.read_whole()
            work = _Work(wrong, {each: first.get((topics.market(feed), each), 0) for each in wrong.numbers})
            said = TopicRows(settings, feed, first, keys, registry)
            work.read_market(said)
            work.read_rest(said)
            work.prepare(keys, beside)
            with session, session.cursor() as cursor:
                cursor.execute(_LOCK)
                work.read_rest(TopicRows(settings, feed, next_offsets(cursor), keys, registry, first))
                work.prepare(keys, beside)
                work.write(cursor, keys)
        finally:
            registry.close()


class _Work:
    """What is to be deleted and written. ends : how far the sink had come in the market log, by partition"""

    def __init__(self, wrong: Discrepancies, ends: Mapping[int, int]) -> None:
        self._wrong = wrong
        self._bulk: dict[str, PickedRows] = {}
        self._offsets: dict[str, dict[int, Longs]] = {}
        for name, (table, by) in wrong.bulk.items():
            # What the sink reads of the market log meanwhile is for the next repair.
            mine = {each: by[each] if name in _OF_ENGINE else by[each][by[each] < ends[each]] for each in by}
            places, starts = layout(wrong.numbers, {each: _end(mine.get(each)) for each in wrong.numbers})
            wanted = np.zeros(int(starts[-1]), dtype=np.bool_)
            for partition, offsets in mine.items():
                wanted[starts[places[wrong.numbers[partition]]] + offsets] = True
            self._bulk[name] = PickedRows(table, places, starts, wanted)
            self._offsets[name] = mine
        self._coverage = {(each, key[1]) for each, found in wrong.keys.get("coverage", {}).items() for key in found}
        self._alerts = {key[0] for key in self._keys("case_alerts")}
        self._cases = {key[0].partition(" ")[0] for name in ("cases", "case_history") for key in self._keys(name)}
        self._messages: list[JsonRecord] = []

    def read_market(self, said: TopicRows) -> None:
        """Take up rows of the market log."""
        if self._bulk.keys() - set(_OF_ENGINE):
            for packed in said.market():
                self._pick(packed.table.name, packed.data, packed.days)

    def read_rest(self, said: TopicRows) -> None:
        """Take up the engine's rows, messages and cases."""
        if self._bulk.keys() & {*_OF_ENGINE, "bars"}:
            for packed in said.engine():
                self._pick(packed.table.name, packed.data, packed.days)
        for table in sorted(message_rows.KINDS.keys() & self._wrong.keys.keys()):
            source, of_message, *_ = message_rows.KINDS[table]
            for value in said.messages(source):
                try:
                    key, partition, _ = of_message(value)
                except (ValueError, KeyError, TypeError):
                    continue  # the sink buries it
                if self._is_wrong(table, partition, key):
                    # Where a message lay does not matter to the tables.
                    self._messages.append(JsonRecord(source, NOWHERE, NOWHERE, value))
        if self._cases or self._alerts:
            self._read_cases(said)

    def prepare(self, keys: Keys, beside: Connection) -> None:
        """Have numbers given and partitions made; messages that the sink would bury go."""
        days = {day for picked in self._bulk.values() for day in picked.days}
        sound = []
        for record in self._messages:
            try:
                day = merge.prepare(record, keys)
            except ContractError:
                continue
            sound.append(record)
            days.update([day] if day else [])
        self._messages = sound
        DayPartitions(beside).ensure(days)

    def write(self, cursor: Cursor, keys: Keys) -> None:
        """Delete and write again. Where the sink waits with a newer revision of the same alert or case, the server ends
        one of the two, which begins again.
        """
        for name, picked in self._bulk.items():
            self._delete_offsets(cursor, name, self._offsets[name])
            if picked.parts:
                copy_rows(cursor, picked.table, picked.parts)
        by_partition: dict[int, list[int]] = {}
        for partition, offset in self._coverage:
            by_partition.setdefault(partition, []).append(offset)
        self._delete_offsets(cursor, "coverage", {each: np.array(found) for each, found in by_partition.items()})
        cursor.execute("DELETE FROM signals WHERE id = ANY(%s)", ([key[0] for key in self._keys("signals")],))
        for key in sorted(self._keys("alert_history")):
            id_, _, revision = key[0].partition(" revision ")
            cursor.execute("DELETE FROM alert_history WHERE id = %s AND revision = %s", (id_, int(revision)))
        cases, alerts = list(self._cases), list(self._alerts)
        cursor.execute("DELETE FROM case_alerts WHERE case_id = ANY(%s) OR alert_id = ANY(%s)", (cases, alerts))
        for statement in ("DELETE FROM cases WHERE id = ANY(%s)", "DELETE FROM case_history WHERE id = ANY(%s)"):
            cursor.execute(statement, (cases,))
        merge_storable(cursor, self._messages, partial(merge.merge, cursor, keys))

    def _keys(self, table: str) -> set[Key]:
        return {key for found in self._wrong.keys.get(table, {}).values() for key in found}

    def _is_wrong(self, table: str, partition: int, key: Key) -> bool:
        """Whether a message's row is to be written again; of coverage, which has no key, all of an input record."""
        if table == "coverage":
            return (partition, key[1]) in self._coverage
        return key in self._wrong.keys[table].get(partition, ())

    def _pick(self, name: str, data: bytes, days: tuple[int, ...]) -> None:
        if name in self._bulk:
            self._bulk[name].add(data, days)

    def _read_cases(self, said: TopicRows) -> None:
        """Every revision of the cases that are wrong, or hold an alert that is."""
        for record in said.whole(topics.CASES):
            (topic, partition), offset = place(record)
            value = record.value() or b""
            try:
                case = messages.decode(Case, value)
            except (ContractError, ValueError, msgspec.MsgspecError):
                continue  # the sink buries it
            if case.id in self._cases or any(each.id in self._alerts for each in case.alerts):
                self._cases.add(case.id)
                self._messages.append(JsonRecord(topic, partition, offset, value))

    def _delete_offsets(self, cursor: Cursor, table: str, offsets: Mapping[int, Any]) -> None:
        """Delete what input records have caused."""
        query = sql.SQL("DELETE FROM {} WHERE log_id = %s AND log_offset = ANY(%s)").format(sql.Identifier(table))
        for partition, chosen in offsets.items():
            cursor.execute(query, (self._wrong.numbers[partition], [int(each) for each in chosen]))


def _end(offsets: Longs | None) -> int:
    """Behind the last of them."""
    return int(offsets.max()) + 1 if offsets is not None and offsets.size else 0


def compare_rows(settings: Settings, feed: str, stores: Collection[str] = (POSTGRES,)) -> RowsReport:
    """Compare what the topics hold with what the stores hold, as far as the sinks have come.

    feed : whose rows PostgreSQL is asked for; cases and documents are compared whole, of every feed
    """
    return _compared(settings, feed, stores, Discrepancies())


def repair_rows(settings: Settings, feed: str, stores: Collection[str] = (POSTGRES,)) -> RowsReport:
    """The same, with PostgreSQL's tables repaired; what is left after it."""
    wrong = Discrepancies()
    found = _compared(settings, feed, stores, wrong)
    if not wrong:
        return found
    repair_tables(settings, feed, wrong)
    left = compare_rows(settings, feed, stores)
    return msgspec.structs.replace(left, repaired=wrong.counts(), seconds=round(found.seconds + left.seconds, 3))


def _compared(settings: Settings, feed: str, stores: Collection[str], wrong: Discrepancies) -> RowsReport:
    """One comparison. wrong : takes up what is, of PostgreSQL"""
    begun = WALL.elapsed()
    tables: list[RowTable] = []
    behind = 0
    if ELASTICSEARCH in stores:
        found, left = compare_documents(settings)
        tables, behind = tables + found, behind + left
    if POSTGRES in stores:
        found, left = compare_tables(settings, feed, wrong)
        tables, behind = tables + found, behind + left
    seconds = (WALL.elapsed() - begun) / NANOS
    rows = sum(table.said for table in tables)
    return RowsReport(
        feed=feed,
        rows=rows,
        lost=sum(table.lost for table in tables),
        doubled=sum(table.doubled for table in tables),
        different=sum(table.different for table in tables),
        behind=behind,
        seconds=round(seconds, 3),
        rows_per_s=round(rows / max(seconds, 1e-9), 1),
        tables=tables,
    )
