"""Figures that processes of several kinds have under one name, so that one rule watches them all."""

from collections.abc import Mapping

from tapewatch.runtime.monitoring.metric import counter, gauge, histogram

TRANSACTIONS = counter("tapewatch_transactions_total", "Transactions committed: Kafka's, or a sink's database's.")
ABORTED = counter("tapewatch_transactions_aborted_total", "Kafka transactions that failed and were aborted.")
TRANSACTION_SECONDS = histogram("tapewatch_transaction_seconds", "From the begin of a transaction to its commit.")
REFUSED = counter("tapewatch_refused_total", "Rows and records that were refused, by reason.", "reason")
DUPLICATES = counter("tapewatch_duplicates_total", "Frames that had come before and were passed over.")
DEAD_LETTERS = counter("tapewatch_dead_letters_total", "Records sent to a dead-letter topic, by reason.", "reason")
RETRIES = counter("tapewatch_retries_total", "Times a server failed and the work was taken up again.")
WRITTEN = counter("tapewatch_sink_written_total", "Rows or documents that a sink keeps now, by what they are.", "kind")
PARTITIONS = gauge("tapewatch_partitions_held", "Input partitions in the hands of this process.")

ENDINGS = {"transactions": TRANSACTIONS, "aborted": ABORTED}
"""By the names that totals have for them."""


def labelled(counts: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Counts by the value of the one label, as a monitor reads them."""
    return {(name,): value for name, value in dict(counts).items()}
