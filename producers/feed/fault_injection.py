"""What goes wrong on a feed's way into Kafka, on purpose: a clock that jumps, frames twice, out of order, unreadable.

Orders are JSON lines appended to a file while the producer runs; what was done is appended to FILE.done, a line each.

- `clock`: the writer's clock jumps by `by_s` seconds. Forward: the partition's clock goes ahead with it. Back: the
  writer keeps `ts_recv` from going back, so rows carry the newest one until the clock has passed it; none is refused.
- `duplicate`: the next `frames` frames are written twice. The engine drops the second by its sequence and counts it.
- `reorder`: `frames` times a frame is overtaken by the next of its partition. The engine takes it when it comes (its
  sequence has not been seen); rows of a second that is over by then are dead letters, `late`.
- `poison`: `frames` records no reader can use. Each is a dead letter with its reason, and costs no other row.
"""

import os
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from producers.feed.writer import RecordProducer
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Column, Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError

POISON_SOURCE = "poison"
UNKNOWN = "GHOST.NOWH"
"""An instrument that nobody registers."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file. id : comes back in the answer; by_s : of `clock`; frames : of the others"""

    do: Literal["clock", "duplicate", "reorder", "poison"]
    id: str = ""
    by_s: float = 0.0
    frames: int = 1


class FaultResult(msgspec.Struct, frozen=True):
    """An order that has been carried out.

    at : UTC nanoseconds; frames : (partition, epoch, sequence) of each frame that was sent twice or overtaken
    records : of poison, how many were sent
    """

    do: str
    id: str
    at: int
    frames: list[tuple[int, int, int]] = []
    records: int = 0


class _Task:
    """An order that is being carried out. left : frames to go"""

    def __init__(self, order: Order) -> None:
        self.order, self.left = order, order.frames
        self.frames: list[tuple[int, int, int]] = []


class FaultInjector:
    """Stands between a feed writer and its Kafka producer, and does to frames what the file says.

    orders : file that is read from its present end on; clock_error_ns : how far the writer's clock is off
    Every frame is handed on exactly once beside what was ordered, and none later than the writer's flush.
    """

    def __init__(self, producer: RecordProducer, orders: Path, clock: Clock = WALL) -> None:
        self.clock_error_ns = 0
        self._producer, self._clock = producer, clock
        orders.touch()
        self._orders = orders.open("rb")
        self._orders.seek(0, os.SEEK_END)
        self._answers = orders.with_name(f"{orders.name}.done").open("ab")
        self._waiting: list[_Task] = []
        self._held: dict[int, tuple[_Task, Callable[[], None]]] = {}
        self._poisoned = 0
        self._poisons = cycle((_nothing_like_a_frame, _half_a_frame, _another_type, _unknown_instrument))

    def look(self) -> None:
        """Take new orders. TapewatchError where a line is none."""
        while (line := self._orders.readline()).endswith(b"\n"):
            try:
                self._take(msgspec.json.decode(line, type=Order))
            except msgspec.MsgspecError as error:
                raise TapewatchError(f"{self._orders.name}: {error}", "See docs/faults.md for the orders.") from error
        if line:
            self._orders.seek(-len(line), os.SEEK_CUR)  # a line that is still being written

    def produce(
        self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Callable[[Any, Any], None]
    ) -> None:
        """Hand a frame on, as ordered. BufferError where the queue is full: nothing has happened then."""

        def send() -> None:
            self._producer.produce(topic, value, partition=partition, headers=headers, on_delivery=on_delivery)

        task = self._waiting[0] if self._waiting else None
        if task is not None and task.order.do == "reorder" and partition not in self._held:
            self._held[partition] = (task, lambda: self._surely(send))
            self._note(task, partition, headers)
            return
        send()
        if partition in self._held:
            self._release(partition)
        if task is not None and task.order.do == "duplicate":
            copy = {"partition": partition, "headers": headers, "on_delivery": _ignored}
            self._surely(lambda: self._producer.produce(topic, value, **copy))
            self._note(task, partition, headers)
        elif task is not None and task.order.do == "poison":
            self._poison(topic, partition, value)
            self._note(task, partition, headers)

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""
        return self._producer.poll(timeout)

    def flush(self, timeout: float) -> int:
        """Hand on what is held back, and wait until the queue is empty."""
        for partition in list(self._held):
            self._release(partition)
        return self._producer.flush(timeout)

    def _take(self, order: Order) -> None:
        if order.do == "clock":
            self.clock_error_ns += round(order.by_s * NANOS)
            self._answer(_Task(order))
        else:
            self._waiting.append(_Task(order))

    def _note(self, task: _Task, partition: int, headers: Any) -> None:
        """Count a frame of a task; answer where it was the last and nothing is held back for it."""
        known = FrameHeaders.from_kafka(headers)
        task.frames.append((partition, known.epoch, known.sequence))
        task.left -= 1
        if task.left <= 0:
            self._waiting.remove(task)
            if task.order.do != "reorder":
                self._answer(task)

    def _release(self, partition: int) -> None:
        """Send a frame that was held back; the last one of its order answers it."""
        task, send = self._held.pop(partition)
        send()
        if task.left <= 0 and all(task is not other for other, _ in self._held.values()):
            self._answer(task)

    def _surely(self, send: Callable[[], None]) -> None:
        """Send, waiting for room in the queue: the writer cannot ask again for this one."""
        while True:
            try:
                return send()
            except BufferError:
                self._producer.poll(0.1)

    def _poison(self, topic: str, partition: int, value: bytes) -> None:
        bad, headers = next(self._poisons)(value, self._poisoned, self._clock.now())
        self._poisoned += 1
        extra = {"partition": partition, "headers": headers, "on_delivery": _ignored}
        self._surely(lambda: self._producer.produce(topic, bad, **extra))

    def _answer(self, task: _Task) -> None:
        """Say that an order is done; the line is on disk before the next frame goes."""
        poison = task.order.do == "poison"
        done = FaultResult(
            do=task.order.do,
            id=task.order.id,
            at=self._clock.now(),
            frames=[] if poison else task.frames,
            records=len(task.frames) if poison else 0,
        )
        self._answers.write(msgspec.json.encode(done) + b"\n")
        self._answers.flush()
        os.fsync(self._answers.fileno())


def _ignored(error: Any, message: Any) -> None:
    """The report on a record that nobody counts."""


def _headers(label: str, number: int, now: int) -> Any:
    return FrameHeaders(label, POISON_SOURCE, now, number, now).to_kafka()


def _nothing_like_a_frame(value: bytes, number: int, now: int) -> tuple[bytes, Any]:
    return b"\x00poison" * 7, None


def _half_a_frame(value: bytes, number: int, now: int) -> tuple[bytes, Any]:
    return value[: len(value) // 2], _headers("quote", number, now)


def _another_type(value: bytes, number: int, now: int) -> tuple[bytes, Any]:
    return _frame(now, UNKNOWN), _headers("quote", number, now)


def _unknown_instrument(value: bytes, number: int, now: int) -> tuple[bytes, Any]:
    return _frame(now, UNKNOWN), _headers("status", number, now)


def _frame(now: int, instrument: str) -> bytes:
    """One status row of an instrument."""
    stamp = np.full(1, now, dtype=np.int64)
    columns: dict[str, Column] = {
        "instrument": np.zeros(1, dtype=np.int32),
        "ts_event": stamp,
        "ts_recv": stamp,
        "kind": np.full(1, int(StatusKind.HALT), dtype=np.int8),
        "detail": np.array(["poison"], dtype=object),
    }
    return frames.encode(Rows(RowType.STATUS, [instrument], columns))
