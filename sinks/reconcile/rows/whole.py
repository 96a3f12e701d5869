"""A feed's rows over the stores that were asked for: one comparison, or a repair between two."""

from collections.abc import Collection

import msgspec

from sinks.reconcile.ledger import ELASTICSEARCH, POSTGRES
from sinks.reconcile.rows.comparing import compare_tables
from sinks.reconcile.rows.documents import compare_documents
from sinks.reconcile.rows.repair import repair_tables
from sinks.reconcile.rows.report import RowsReport, RowTable
from sinks.reconcile.rows.wrong import Discrepancies
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings


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
