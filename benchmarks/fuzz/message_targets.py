"""Targets that read JSON: messages of every kind, control rows, and what `tail` shows."""

from collections.abc import Callable

from benchmarks.fuzz import market
from tapewatch import control_rows, messages, readable
from tapewatch.admission import CONTROL_SOURCE
from tapewatch.clock import NANOS
from tapewatch.errors import ContractError
from tapewatch.frames import FrameHeaders

Take = Callable[[bytes], None]

ROUND = 200
"""Inputs after which a partition is begun anew."""


def message() -> Take:
    """The first byte says which kind the rest is read as; what is read can be written and read again."""
    kinds = list(messages.KINDS.values())

    def take(data: bytes) -> None:
        kind = kinds[data[0] % len(kinds)] if data else kinds[0]
        try:
            found = messages.decode(kind, data[1:])
        except ContractError:
            return
        again = messages.encode(found)
        if messages.encode(messages.decode(kind, again)) != again:
            raise AssertionError(f"{kind.__name__} is not read as it was written")

    return take


def control() -> Take:
    """The detail of a control row, then a second of a market under what it brought into force."""
    used, number = market.driver(), 0

    def take(data: bytes) -> None:
        nonlocal used, number
        if number == ROUND:
            used, number = market.driver(), 0
        number += 1
        value = control_rows.frame(data.decode("utf-8", "replace"), market.START * NANOS)
        used.record(value, FrameHeaders("status", CONTROL_SOURCE, 0, number, 0).to_kafka())
        for rows in market.second(number):
            used.send(rows)
        used.task.take()

    return take


def show() -> Take:
    """As `tail` reads a record."""

    def take(data: bytes) -> None:
        try:
            readable.read(data)
        except ContractError:
            return

    return take
