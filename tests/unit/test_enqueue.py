"""Handing records to a producer whose queue is full."""

from typing import Any

from tapewatch.runtime import kafka


class Narrow:
    """A producer that has room for one record, which leaves when it is polled."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, ...]] = []
        self.sent: list[tuple[Any, ...]] = []

    def produce(self, *record: object, headers: list[tuple[str, bytes]]) -> None:
        if self.waiting:
            raise BufferError("Local: Queue full")
        assert isinstance(headers, list)
        self.waiting.append((*record, headers))

    def poll(self, seconds: float) -> None:
        assert seconds > 0
        self.sent += self.waiting
        self.waiting.clear()


def test_full_queue_is_waited_for_and_order_is_kept() -> None:
    producer = Narrow()
    for number in range(3):
        kafka.enqueue(producer, "alerts", b"%d" % number, headers=(("type", b"alert"),))
    producer.poll(1.0)
    assert producer.sent == [("alerts", b"%d" % number, None, -1, [("type", b"alert")]) for number in range(3)]
