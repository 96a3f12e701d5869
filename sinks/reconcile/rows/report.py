"""What a comparison of rows found: as JSON, in words, as metrics."""

import msgspec

from tapewatch.exposition import family

PLACES = 5
KINDS = ("lost", "doubled", "different")


class RowPlace(msgspec.Struct, frozen=True):
    """Where tables and topics part.

    offset : input offset of the rows; said, kept : how many the topics and the table hold; what : their name, if any
    """

    kind: str
    offset: int
    said: int
    kept: int
    what: str = ""


class RowTable(msgspec.Struct, frozen=True):
    """One table, of one input partition. said : rows that the topics hold; kept : rows of the table"""

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
    """A feed's rows. behind : records of the feed's log that the sink has not read yet; seconds : wall time, s"""

    feed: str
    rows: int
    lost: int
    doubled: int
    different: int
    behind: int
    seconds: float
    rows_per_s: float
    tables: list[RowTable]

    @property
    def differences(self) -> int:
        """All of them; 0 where the tables hold what the topics hold."""
        return self.lost + self.doubled + self.different

    def lines(self) -> list[str]:
        """In words: each table, and each place where something is wrong."""
        told = []
        for name in sorted({table.table for table in self.tables}):
            mine = [table for table in self.tables if table.table == name]
            wrong = _wrong({kind: sum(getattr(each, kind) for each in mine) for kind in KINDS})
            said = sum(each.said for each in mine)
            told.append(f"{name:<14} {said:,} rows in the topics, {wrong or 'all there, once, the same'}")
        for table in self.tables:
            if table.lost or table.doubled or table.different:
                wrong = _wrong({kind: getattr(table, kind) for kind in KINDS})
                told.append(f"WRONG     {table.table} of input partition {table.partition}: {wrong}")
                told += [
                    f"    {place.kind}: input offset {place.offset}: {place.said} in the topics, {place.kept} kept"
                    + (f": {place.what}" if place.what else "")
                    for place in table.places
                ]
        if self.behind:
            told.append(f"          {self.behind:,} records of the log are still to be read by the sink")
        told.append(
            f"{'complete' if not self.differences else 'NOT complete'}: {self.lost:,} lost, {self.doubled:,} doubled, "
            f"{self.different:,} different of {self.rows:,} rows ({self.seconds:.1f} s, {self.rows_per_s:,.0f} rows/s)"
        )
        return told


def _wrong(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)


def metrics(report: RowsReport | None, rounds: int, failures: int) -> str:
    """Prometheus' text format."""
    lines = family("tapewatch_reconcile_rounds_total", "counter", "Comparisons made.", [({}, rounds)])
    lines += family("tapewatch_reconcile_failures_total", "counter", "Comparisons that failed.", [({}, failures)])
    if report is not None:
        names = sorted({table.table for table in report.tables})
        sums = {
            (name, kind): sum(getattr(table, kind) for table in report.tables if table.table == name)
            for name in names
            for kind in ("said", *KINDS)
        }
        lines += family(
            "tapewatch_reconcile_rows", "gauge", "Rows in the topics, by table.",
            [({"table": name}, sums[name, "said"]) for name in names],
        )  # fmt: skip
        lines += family(
            "tapewatch_reconcile_row_differences", "gauge", "Rows of tables that are not what the topics say.",
            [({"table": name, "kind": kind}, sums[name, kind]) for name in names for kind in KINDS],
        )  # fmt: skip
    return "\n".join(lines) + "\n"
