"""Whether the tables hold the rows that the topics hold: each once, and as it was sent."""

from sinks.reconcile.rows.comparing import compare_rows
from sinks.reconcile.rows.report import RowsReport

__all__ = ["RowsReport", "compare_rows"]
