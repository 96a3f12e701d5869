"""The book of orders: what the kernels' events mean as messages, revision by revision."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.trading import state as fields
from streams.paper.instrument_states import InstrumentTable
from tapewatch.contract.messages import Cause, Fill, Order, Side, stable_id
from tapewatch.rfc3339 import to_rfc3339

I8 = npt.NDArray[np.int64]

SIDES: tuple[Side, Side] = ("buy", "sell")
WHY_NO_MORE = "no more was visible"


class Record(msgspec.Struct):
    """An order that may still change; quantities in steps.

    number : of its lane; cancelled_for : why a cancel was asked for; fills : how many there were
    """

    id: str
    lane: int
    number: int
    side: int
    price: int
    qty: int
    signal: str
    created: int
    filled: int = 0
    revision: int = 0
    fills: int = 0
    opened: bool = False
    cancelled_for: str = ""


@dataclass
class OrderBook:
    """Orders that stand, and the messages that tell what became of them."""

    lanes: InstrumentTable
    standing: dict[tuple[int, int], Record] = field(default_factory=dict)
    messages: list[Order | Fill] = field(default_factory=list)
    _numbers: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def of_side(self, lane: int, side: int) -> list[Record]:
        """The side's standing orders, oldest first."""
        return [self.standing[lane, number] for number in self._numbers.get((lane, side), ())]

    def sent(self, record: Record, cause: Cause) -> None:
        """An order is on its way."""
        self.add(record)
        self._tell(record, "pending", "", record.created, cause)

    def add(self, record: Record) -> None:
        """An order that stands."""
        self.standing[record.lane, record.number] = record
        self._numbers.setdefault((record.lane, record.side), []).append(record.number)

    def _drop(self, record: Record) -> None:
        del self.standing[record.lane, record.number]
        self._numbers[record.lane, record.side].remove(record.number)

    def refused(self, record: Record, reason: str, cause: Cause) -> None:
        """An order that the venue's rules or the broker's limits do not allow."""
        self._tell(record, "rejected", reason, record.created, cause)

    def happened(self, event: I8, cause: Cause) -> None:
        """One event of the kernels."""
        key = int(event[fields.E_LANE]), int(event[fields.E_NUMBER])
        record = self.standing[key]
        at, kind = int(event[fields.E_TIME]), int(event[fields.E_KIND])
        if kind == fields.FILL:
            self._filled(record, event, cause)
            return
        record.revision += 1
        if kind == fields.AMENDED:
            record.qty -= int(event[fields.E_QTY])
            if record.qty == 0:
                # Its end is the next event.
                record.revision -= 1
            else:
                self._tell(record, "open" if record.opened else "pending", "", at, cause)
        elif kind == fields.OPEN:
            record.opened = True
            self._tell(record, "open", "", at, cause)
        else:
            self._drop(record)
            self._tell(record, "cancelled", record.cancelled_for or self._why(record), at, cause)

    def _why(self, record: Record) -> str:
        if record.qty <= 0:
            return "the order it replaces was filled"
        return WHY_NO_MORE if record.price == fields.MARKET else "replaced"

    def _filled(self, record: Record, event: I8, cause: Cause) -> None:
        lane, qty, at = record.lane, int(event[fields.E_QTY]), int(event[fields.E_TIME])
        units = self.lanes.units[lane]
        fill = Fill(
            id=stable_id(record.id, record.fills),
            order=record.id,
            mode="paper",
            instrument=self.lanes.ids[lane],
            side=SIDES[record.side],
            price=units.price(int(event[fields.E_PRICE])),
            qty=units.quantity(qty),
            liquidity="maker" if event[fields.E_MAKER] else "taker",
            fee=units.money(int(event[fields.E_FEE])),
            tax=units.money(int(event[fields.E_TAX])),
            currency=self.lanes.currencies[lane],
            at=to_rfc3339(at),
            cause=cause,
        )
        record.fills += 1
        record.filled += qty
        record.revision += 1
        self.messages.append(fill)
        if record.filled >= record.qty:
            self._drop(record)
            self._tell(record, "filled", "", at, cause)
        else:
            self._tell(record, "open" if record.opened else "pending", "", at, cause)

    def _tell(self, record: Record, state: str, reason: str, at: int, cause: Cause) -> None:
        units = self.lanes.units[record.lane]
        body = {
            "id": record.id,
            "revision": record.revision,
            "mode": "paper",
            "instrument": self.lanes.ids[record.lane],
            "side": SIDES[record.side],
            "kind": "market" if record.price == fields.MARKET else "limit",
            "price": None if record.price == fields.MARKET else units.price(record.price),
            "qty": units.quantity(max(record.qty, record.filled, 1)),
            "filled": units.quantity(record.filled),
            "state": state,
            "reason": reason,
            "signal": record.signal,
            "created": to_rfc3339(record.created),
            "updated": to_rfc3339(at),
            "cause": cause,
        }
        self.messages.append(msgspec.convert(body, Order))
