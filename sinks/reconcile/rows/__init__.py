"""Whether tables and documents hold what the topics hold: each once, and as it was sent."""

from sinks.reconcile.rows.report import RowsReport
from sinks.reconcile.rows.whole import compare_rows, repair_rows

__all__ = ["RowsReport", "compare_rows", "repair_rows"]
