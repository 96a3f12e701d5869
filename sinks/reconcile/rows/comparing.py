"""Topics and PostgreSQL side by side: bulk tables by the record of the log that caused their rows, messages by key,
cases at their newest revision.

Everything that a comparison found wrong in PostgreSQL, for a repair: its report names but the first places.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from sinks.postgres.binary import PackedRows
from sinks.postgres.database import check_revision, connect
from sinks.postgres.keys import Keys
from sinks.postgres.market import TABLES
from sinks.postgres.tables import BARS, SCORES, Table
from sinks.reconcile.ledger import POSTGRES
from sinks.reconcile.rows import case_rows, message_rows
from sinks.reconcile.rows.digests import STRANGE, Longs, TableDigest
from sinks.reconcile.rows.message_rows import Key
from sinks.reconcile.rows.report import NOWHERE, PLACES, RowPlace, RowTable
from sinks.reconcile.rows.store_side import Snapshot
from sinks.reconcile.rows.topics_side import TopicRows
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


@dataclass(slots=True)
class Discrepancies:
    """What is lost, doubled or different.

    numbers : number of each log by input partition
    bulk : by name of a bulk table, the table and the wrong input offsets by input partition
    keys : by name of a table of messages or cases, the wrong keys by input partition
    """

    numbers: dict[int, int] = field(default_factory=dict)
    bulk: dict[str, tuple[Table, dict[int, Longs]]] = field(default_factory=dict)
    keys: dict[str, dict[int, set[Key]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.bulk or self.keys)

    def note_offsets(self, table: Table, partition: int, offsets: Longs) -> None:
        """Take up offsets of a bulk table."""
        if offsets.size:
            self.bulk.setdefault(table.name, (table, {}))[1][partition] = offsets.astype(np.int64)

    def note_key(self, table: str, partition: int, key: Key) -> None:
        """Take up a key of a table of messages."""
        self.keys.setdefault(table, {}).setdefault(partition, set()).add(key)

    def counts(self) -> dict[str, int]:
        """Input records of bulk tables, and keys of others, by table."""
        found = {name: sum(each.size for each in places.values()) for name, (_, places) in self.bulk.items()}
        return found | {name: sum(len(each) for each in by.values()) for name, by in self.keys.items()}


def compare_tables(settings: Settings, feed: str, wrong: Discrepancies) -> tuple[list[RowTable], int]:
    """Compare what the topics hold of a feed with PostgreSQL, as far as the sink has read them.

    wrong : takes up every place that is
    Returns the tables, and how many records of the feed's log the sink has not read yet. Both sides are read as
    streams; a table costs 16 bytes of memory a side and record of the feed's log.
    """
    topic, registry = topics.market(feed), Registry(settings)
    with closing(connect(settings.postgres_url())) as session, closing(connect(settings.postgres_url())) as beside:
        check_revision(beside)
        keys, snapshot = Keys(beside), Snapshot(session)
        try:
            ends, logs = snapshot.ends(), snapshot.logs(topic)
            registry.read_whole()
            highs = _highs(settings, topic)
            if not any(name == topic for name, _ in ends):
                raise TapewatchError(f"the sink has not read {topic}", "Run `tapewatch sink postgres` first.")
            said = TopicRows(settings, feed, ends, keys, registry)
            tables = [
                *_bulk(said, snapshot, logs, highs, wrong),
                *_messages(said, snapshot, topic, wrong),
                *_cases(said, snapshot, wrong),
            ]
        finally:
            snapshot.close()
            registry.close()
    return tables, sum(max(high - ends.get((topic, partition), 0), 0) for partition, high in highs.items())


def _highs(settings: Settings, topic: str) -> dict[int, int]:
    """Next offset of each partition of a topic."""
    reader = kafka.consumer(settings)
    try:
        count = kafka.existing_topics(kafka.admin(settings)).get(topic, 0)
        return {partition: kafka.watermarks(reader, topic, partition)[1] for partition in range(count)}
    finally:
        reader.close()


def _bulk(
    said: TopicRows, snapshot: Snapshot, logs: Mapping[int, int], highs: Mapping[int, int], wrong: Discrepancies
) -> Iterator[RowTable]:
    """The bulk tables: those of the market log, then the engine's; bars, which both write, with the engine's."""
    numbers = {partition: logs[partition] for partition in sorted(highs) if partition in logs}
    wrong.numbers = numbers
    places, starts = layout(numbers, highs)
    market = {table.name: TableDigest(table, places, starts) for table in TABLES.values()}
    for packed in said.market():
        _take(market, packed, places, starts)
    engine = {each.name: TableDigest(each, places, starts) for each in (SCORES,)} | {BARS.name: market.pop(BARS.name)}
    for name in sorted(market):
        yield from _compared(market.pop(name), snapshot, wrong)
    for packed in said.engine():
        _take(engine, packed, places, starts)
    for name in sorted(engine):
        yield from _compared(engine.pop(name), snapshot, wrong)


def layout(numbers: Mapping[int, int], highs: Mapping[int, int]) -> tuple[Longs, Longs]:
    """Place of each log by its number, and where its offsets begin."""
    places = np.full(max(numbers.values(), default=0) + 1, -1, dtype=np.int64)
    starts = np.zeros(len(numbers) + 1, dtype=np.int64)
    for place, (partition, number) in enumerate(numbers.items()):
        places[number] = place
        starts[place + 1] = starts[place] + highs[partition]
    return places, starts


def _take(counted: dict[str, TableDigest], packed: PackedRows, places: Longs, starts: Longs) -> None:
    """Count rows of the topics."""
    name = packed.table.name
    if name not in counted:
        counted[name] = TableDigest(packed.table, places, starts)
    if counted[name].table != packed.table:
        raise TapewatchError(
            f"frames for table {name} have different columns", "Rows of one build's feature columns are compared."
        )
    counted[name].add(packed.data)


def _compared(said: TableDigest, snapshot: Snapshot, wrong: Discrepancies) -> Iterator[RowTable]:
    """A table by input partition."""
    table: Table = said.table
    kept = TableDigest(table, said.places, said.starts)
    snapshot.copy(table, list(wrong.numbers.values()), kept.add)
    for place, partition in enumerate(wrong.numbers):
        inside = slice(int(said.starts[place]), int(said.starts[place + 1]))
        yield _table(partition, inside, said, kept, wrong)
    if kept.told[STRANGE]:
        strange = int(kept.told[STRANGE])
        told = RowPlace("doubled", NOWHERE, 0, strange, "of records behind the log's end")
        yield RowTable(POSTGRES, table.name, NOWHERE, 0, strange, 0, strange, 0, "", [told])


def _table(partition: int, inside: slice, said: TableDigest, kept: TableDigest, wrong: Discrepancies) -> RowTable:
    wanted, found = said.counts[inside], kept.counts[inside]
    missing, more = np.maximum(wanted - found, 0), np.maximum(found - wanted, 0)
    unlike = (wanted == found) & (said.sums[inside] != kept.sums[inside])
    # Of a record whose rows are all there and not what was said it is not known how many differ: at least one.
    places = [
        RowPlace(kind, int(offset), int(wanted[offset]), int(found[offset]))
        for kind, mask in (("lost", missing > 0), ("doubled", more > 0), ("different", unlike))
        for offset in np.flatnonzero(mask)[:PLACES]
    ]
    wrong.note_offsets(said.table, partition, np.flatnonzero((missing > 0) | (more > 0) | unlike))
    digest = int(np.add.reduce(kept.sums[inside], dtype=np.uint64)) if inside.stop > inside.start else 0
    return RowTable(
        POSTGRES, said.table.name, partition, int(wanted.sum()), int(found.sum()), int(missing.sum()), int(more.sum()),
        int(unlike.sum()), f"{digest:016x}", places,
    )  # fmt: skip


def _messages(said: TopicRows, snapshot: Snapshot, topic: str, wrong: Discrepancies) -> Iterator[RowTable]:
    """Tables of JSON messages."""
    for table, (source, *_) in message_rows.KINDS.items():
        wanted = message_rows.counted(message_rows.said(table, said.messages(source)))
        found = message_rows.counted(message_rows.kept(table, snapshot, topic))
        for partition in sorted(set(wanted) | set(found)):
            yield _message_table(table, partition, wanted.get(partition, {}), found.get(partition, {}), wrong)


def _cases(said: TopicRows, snapshot: Snapshot, wrong: Discrepancies) -> Iterator[RowTable]:
    """Tables of cases, which belong to no feed: an alert of any may be in one."""
    wanted = case_rows.said(said.whole(topics.CASES), snapshot.refused(topics.CASES))
    for table in case_rows.TABLES:
        yield _message_table(table, NOWHERE, wanted[table], case_rows.kept(table, snapshot), wrong)


def _message_table(
    name: str,
    partition: int,
    wanted: Mapping[Key, Counter[bytes]],
    found: Mapping[Key, Counter[bytes]],
    wrong: Discrepancies,
) -> RowTable:
    counts, places = Counter[str](), list[RowPlace]()
    for key in sorted(set(wanted) | set(found), key=lambda each: each[1]):
        mine, theirs = wanted.get(key, Counter()), found.get(key, Counter())
        for kind, count in _parted(mine, theirs):
            wrong.note_key(name, partition, key)
            counts[kind] += count
            if sum(place.kind == kind for place in places) < PLACES:
                places.append(RowPlace(kind, key[1], mine.total(), theirs.total(), key[0]))
    return RowTable(
        POSTGRES, name, partition, _total(wanted.values()), _total(found.values()), counts["lost"], counts["doubled"],
        counts["different"], "", places,
    )  # fmt: skip


def _parted(mine: Counter[bytes], theirs: Counter[bytes]) -> Iterator[tuple[str, int]]:
    """How rows of one key differ."""
    if mine == theirs:
        return
    lost, more = mine.total() - theirs.total(), theirs.total() - mine.total()
    if lost > 0:
        yield "lost", lost
    elif more > 0:
        yield "doubled", more
    else:
        yield "different", (mine - theirs).total()


def _total(counts: Iterable[Counter[bytes]]) -> int:
    return sum(each.total() for each in counts)
