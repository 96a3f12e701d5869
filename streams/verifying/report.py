"""What a whole-feed verification tells."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from streams.verifying.aligning import DIFFERENT, DUPLICATED, LOST, ComparisonResult, Place
from streams.verifying.partition import PartitionResult
from streams.verifying.sent import SentReport
from tapewatch.logs import printable

KINDS = (LOST, DUPLICATED, DIFFERENT)


class Table(msgspec.Struct, frozen=True):
    """One row type of an output topic, of one input partition.

    rows : that the log gives; found : that lie on the topic; places : the first few of each kind of difference
    """

    topic: str
    type: str
    partition: int
    rows: int
    found: int
    lost: int
    duplicated: int
    different: int
    places: list[Place]


class Report(msgspec.Struct, frozen=True):
    """A feed, verified.

    rows_in : accepted input rows by type; refused : rows and records by dead-letter reason; repeats : frames dropped as
    seen before
    waiting : input frames that no engine has processed
    other_builds : alerts and signals that name another build of the program; its name is left out of the comparison
    lost, duplicated, different : rows out; where a record was given, rows in too
    seconds : wall time, s; rows_per_s : input rows; sent : the log beside its simulator's record
    """

    feed: str
    partitions: int
    frames: int
    rows: int
    rows_in: dict[str, int]
    refused: dict[str, int]
    repeats: int
    waiting: int
    rows_out: int
    lost: int
    duplicated: int
    different: int
    other_builds: int
    seconds: float
    rows_per_s: float
    tables: list[Table]
    sent: SentReport | None = None

    def beside(self, sent: SentReport) -> "Report":
        """With what a record says of the log."""
        sums = {kind: getattr(self, kind) + getattr(sent, kind) for kind in KINDS}
        return msgspec.structs.replace(self, sent=sent, **sums)

    @property
    def sound(self) -> bool:
        """Whether all is as it must be."""
        return not (self.lost or self.duplicated or self.different or self.waiting)

    def lines(self) -> list[str]:
        """For people: totals of each row type, then every table in which something is wrong."""
        by_type = ", ".join(f"{count:,} {name}" for name, count in sorted(self.rows_in.items())) or "none"
        lines = [f"rows in   {self.rows:,} in {self.frames:,} frames of {self.partitions} partitions: {by_type}"]
        if self.refused or self.repeats:
            refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.refused.items()))
            lines.append(f"          refused: {refused or 'none'}; frames seen before: {self.repeats:,}")
        lines += [f"  {_line(topic, kind, found)}" for (topic, kind), found in _by_stream(self.tables).items()]
        for table in self.tables:
            if table.lost or table.duplicated or table.different:
                lines.append(_told(table))
                lines += [f"    {_at(place)}" for place in table.places]
        if self.waiting:
            lines.append(f"WAITING   {self.waiting:,} input frames that no engine has processed")
        if self.other_builds:
            lines.append(f"          {self.other_builds:,} messages name another build of the program")
        lines += self.sent.lines() if self.sent is not None else []
        lines.append(
            f"{'proved' if self.sound else 'NOT proved'}: {self.lost:,} lost, {self.duplicated:,} duplicated, "
            f"{self.different:,} different of {self.rows_out:,} rows out ({self.seconds:.1f} s, "
            f"{self.rows_per_s:,.0f} rows in a second)"
        )
        return lines


def report(feed: str, checked: Sequence[PartitionResult], waiting: int, seconds: float) -> Report:
    """Put together what came out of all partitions."""
    tables = [
        Table(topic, kind, each.partition, found.rows, found.found, *_counts(found), found.places)
        for each in sorted(checked, key=lambda one: one.partition)
        for (topic, kind), found in sorted(each.streams.items())
        if found.rows or found.found
    ]
    rows_in, refused = Counter[str](), Counter[str]()
    for each in checked:
        rows_in.update(each.rows)
        refused.update(each.refused)
    return Report(
        feed=feed,
        partitions=len(checked),
        frames=sum(each.frames for each in checked),
        rows=rows_in.total(),
        rows_in=dict(sorted(rows_in.items())),
        refused=dict(sorted(refused.items())),
        repeats=sum(each.duplicates for each in checked),
        waiting=waiting,
        rows_out=sum(table.rows for table in tables),
        lost=sum(table.lost for table in tables),
        duplicated=sum(table.duplicated for table in tables),
        different=sum(table.different for table in tables),
        other_builds=sum(each.other_builds for each in checked),
        seconds=round(seconds, 3),
        rows_per_s=round(rows_in.total() / max(seconds, 1e-9), 1),
        tables=tables,
    )


def _counts(found: ComparisonResult) -> tuple[int, int, int]:
    return found.lost, found.duplicated, found.different


def _by_stream(tables: Sequence[Table]) -> dict[tuple[str, str], Counter[str]]:
    """Sums over partitions, by topic and row type."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for table in tables:
        mine = sums.setdefault((table.topic, table.type), Counter())
        mine.update({name: getattr(table, name) for name in ("rows", *KINDS)})
    return sums


def _line(topic: str, kind: str, found: Counter[str]) -> str:
    wrong = ", ".join(f"{found[name]:,} {name}" for name in KINDS if found[name])
    return f"{topic} {kind}: {found['rows']:,} rows, {wrong or 'all there, once, the same'}"


def _told(table: Table) -> str:
    wrong = ", ".join(f"{getattr(table, name):,} {name}" for name in KINDS if getattr(table, name))
    return f"WRONG     {table.topic} {table.type} of input partition {table.partition}: {wrong} of {table.rows:,} rows"


def _at(place: Place) -> str:
    where = f"input offset {place.offset}" if place.offset >= 0 else ""
    told = ", ".join(part for part in (where, place.instrument, place.second) if part)
    return printable(f"{place.kind}: {place.what}{': ' if told else ''}{told}")
