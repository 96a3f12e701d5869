"""Whether the stores hold the alerts that the topic holds, and their repair from it."""

from sinks.reconcile.reconciler import Reconciler, Report

__all__ = ["Reconciler", "Report"]
