"""Whether tables and documents hold what the topics hold: each once, and as it was sent."""

from sinks.reconcile.rows.repair import compare_rows, repair_rows
from sinks.reconcile.rows.report import RowsReport

__all__ = ["RowsReport", "compare_rows", "repair_rows"]
