"""What a comparison of rows found: as JSON, in words, as metrics."""

from collections import Counter

import msgspec

from tapewatch.runtime.exposition import family

PLACES = 5
KINDS = ("lost", "doubled", "different")
NOWHERE = -1
"""The input partition and offset of what has none: cases, documents."""


class RowPlace(msgspec.Struct, frozen=True):
    """Where tables and topics part.

    offset : input offset of the rows, NOWHERE for what has none; what : their name, if any
    said, kept : how many the topics and the table hold
    """

    kind: str
    offset: int
    said: int
    kept: int
    what: str = ""


class RowTable(msgspec.Struct, frozen=True):
    """One table of one input partition, or one kind of document. said : rows of the topics; kept : of the table"""

    store: str
    table: str
    partition: int
    said: int
    kept: int
    lost: int
    doubled: int
    different: int
    digest: str
    places: list[RowPlace]


class RowsReport(msgspec.Struct, frozen=True):
    """A feed's rows.

    behind : records of the feed's log and documents still to come from the sinks; seconds : wall time
    repaired : input records or keys that were written again, by table
    """

    feed: str
    rows: int
    lost: int
    doubled: int
    different: int
    behind: int
    seconds: float
    rows_per_s: float
    tables: list[RowTable]
    repaired: dict[str, int] = {}

    @property
    def differences(self) -> int:
        """All of them; 0 where the tables hold what the topics hold."""
        return self.lost + self.doubled + self.different

    def lines(self) -> list[str]:
        """In words: each table, and each place where something is wrong."""
        told = []
        for store, name in sorted({(table.store, table.table) for table in self.tables}):
            mine = [table for table in self.tables if (table.store, table.table) == (store, name)]
            wrong = _wrong({kind: sum(getattr(each, kind) for each in mine) for kind in KINDS})
            said = sum(each.said for each in mine)
            told.append(f"{store:<14}{name:<14} {said:,} in the topics, {wrong or 'all there, once, the same'}")
        for table in self.tables:
            if table.lost or table.doubled or table.different:
                told += _of_table(table)
        told += [f"repaired  {name}: {count:,}" for name, count in sorted(self.repaired.items())]
        if self.behind:
            told.append(f"          {self.behind:,} records and documents are still to come from the sinks")
        told.append(
            f"{'complete' if not self.differences else 'NOT complete'}: {self.lost:,} lost, {self.doubled:,} doubled, "
            f"{self.different:,} different of {self.rows:,} rows ({self.seconds:.1f} s, {self.rows_per_s:,.0f} rows/s)"
        )
        return told


def _of_table(table: RowTable) -> list[str]:
    """What is wrong in a table, and where."""
    of = "" if table.partition == NOWHERE else f" of input partition {table.partition}"
    wrong = _wrong({kind: getattr(table, kind) for kind in KINDS})
    told = [f"WRONG     {table.store} {table.table}{of}: {wrong}"]
    for place in table.places:
        named = [] if place.offset == NOWHERE else [f"input offset {place.offset}"]
        named += [f"{place.said} in the topics, {place.kept} kept", *([place.what] if place.what else [])]
        told.append(f"    {place.kind}: {': '.join(named)}")
    return told


def _wrong(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)


def metrics(report: RowsReport | None, rounds: int, failures: int) -> str:
    """Prometheus' text format."""
    lines = family("tapewatch_reconcile_rounds_total", "counter", "Comparisons made.", [({}, rounds)])
    lines += family("tapewatch_reconcile_failures_total", "counter", "Comparisons that failed.", [({}, failures)])
    if report is not None:
        sums: Counter[tuple[str, str, str]] = Counter()
        for table in report.tables:
            for kind in ("said", *KINDS):
                sums[table.store, table.table, kind] += getattr(table, kind)
        names = sorted({(store, table) for store, table, _ in sums})
        lines += family(
            "tapewatch_reconcile_rows", "gauge", "Rows and documents in the topics, by store and table.",
            [({"store": store, "table": table}, sums[store, table, "said"]) for store, table in names],
        )  # fmt: skip
        lines += family(
            "tapewatch_reconcile_row_differences", "gauge", "Rows and documents that are not what the topics say.",
            [
                ({"store": store, "table": table, "kind": kind}, sums[store, table, kind])
                for store, table in names
                for kind in KINDS
            ],
        )  # fmt: skip
    return "\n".join(lines) + "\n"
