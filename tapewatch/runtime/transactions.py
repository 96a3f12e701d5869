"""Transactions in Kafka: the one place where one is begun, committed and aborted, and the producer that does it.

A transactional id is one producer's at a time: whoever takes it next fences the one before, and the broker decides what
that one left open.
"""

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.logs import Log
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

TIMEOUT_MS = 8_000
"""Longer than a cluster takes to replace a dead leader and its clients to find the new one; a dead process's open
transaction keeps readers waiting as long, where no process of its name comes back.
"""
FENCE_S = 30
"""How long the broker may take to give a producer its transactions, s."""
_FENCE_ONCE_S = 10
_log = logs.get("kafka")


def make_producer(settings: Settings, name: str, timeout_ms: int = TIMEOUT_MS, **properties: Any) -> Producer:
    """A producer under a transactional id, before it is fenced in.

    timeout_ms : how long a transaction may last, and a record of it may go unacknowledged
    properties : as those of `kafka.producer`
    """
    given: dict[str, Any] = {
        "message_timeout_ms": timeout_ms,
        # A transaction that begins while the broker completes the one before is answered "try again": the default
        # wait is 100 ms.
        "retry_backoff_ms": 2,
        "retry_backoff_max_ms": 200,
        "linger_ms": 1,
    }
    return kafka.producer(settings, transactional_id=name, transaction_timeout_ms=timeout_ms, **{**given, **properties})


def fenced(producer: Producer, seconds: float = FENCE_S) -> Producer:
    """The producer, which from here on alone can commit under its id. KafkaException where the broker does not give it
    its transactions, after so many seconds.
    """
    deadline = WALL.elapsed() + int(seconds * NANOS)
    while True:
        try:
            producer.init_transactions(min(seconds, _FENCE_ONCE_S))
            return producer
        except KafkaException as error:
            if not error.args[0].retriable() or WALL.elapsed() > deadline:
                raise


def begin(producer: Producer) -> None:
    """Begin one: what is produced from here on is seen by readers once `commit` has returned, and never otherwise."""
    producer.begin_transaction()


def commit(
    producer: Producer,
    offsets: Iterable[TopicPartition] = (),
    member: object = None,
    patience_s: float = TIMEOUT_MS / 1000,
) -> None:
    """Add the input offsets to the open transaction and commit it; flushes first. A coordinator that moves or is away
    for a moment is asked again, as long as the transaction may last.

    member : the consumer's group metadata, None where there are no offsets. KafkaException where the transaction has to
    be aborted, StuckError where the client does not come back.
    """
    places = list(offsets)
    if member is not None:
        kafka.patiently(lambda: producer.send_offsets_to_transaction(places, member, kafka.ACT_S), patience_s)
    kafka.patiently(lambda: producer.commit_transaction(kafka.ACT_S), patience_s)


def abort(producer: Producer, why: KafkaException | None = None, log: Log = _log) -> None:
    """Abort the open transaction; the producer is to be replaced by a new one then. A fatal error is raised: it ends
    the process.

    librdkafka gives the next records the sequence numbers of those that it took back. Where a broker has such a one
    already, and only its answer was lost, it takes the next one for its repeat: the next transaction is committed
    without it. A new producer has a new epoch, and its numbers begin anew.
    """
    if why is not None:
        cause = why.args[0]
        log.warning("transaction failed", error=str(cause), fatal=cause.fatal(), retriable=cause.retriable())
        if cause.fatal():
            raise why
    kafka.patiently(lambda: producer.abort_transaction(kafka.ACT_S), TIMEOUT_MS / 1000)


class Writer:
    """The transactional producer of a name, which is another one after each transaction that failed (see `abort`).

    producer : the one to write with, until the next `abort`
    """

    def __init__(self, make: Callable[[], Producer], succeed: Callable[[KafkaException], None] | None = None) -> None:
        """Fences whoever had the name. make : a producer under it; succeed : called where a producer is of no more use,
        raises where another process has the name now (None: whoever has it later is the right one, and this process
        ends)
        """
        self._make, self._succeed = make, succeed
        self.producer = fenced(make())

    def abort(self, error: KafkaException, log: Log) -> None:
        """Abort the open transaction. A producer that the broker has fenced, because its transaction took too long on a
        machine that stood still, has a successor, where no other process has the name.
        """
        try:
            abort(self.producer, error, log)
        except KafkaException as failure:
            if self._succeed is None:
                raise
            self._succeed(failure)
            log.warning("the producer is of no more use, another takes its place", error=str(failure.args[0]))
        self.producer = fenced(self._make())


def unacknowledged(what: str) -> KafkaException:
    """The error of records that the broker has not taken in time: the transaction has to be aborted."""
    return KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{what} were not acknowledged", False, True, True))
