"""The broker's whole state as bytes, and back: what a restart goes on from."""

import base64
from collections.abc import Mapping

import msgspec
import numpy as np

from detectors.trading import state as fields
from detectors.trading.units import Units
from detectors.trading.venues import VenueRules
from streams.paper.broker import Command, PaperBroker
from streams.paper.instrument_states import InstrumentSpec, Record
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.settings.paper import PaperSettings

VERSION = 1


class InstrumentSnapshot(msgspec.Struct, forbid_unknown_fields=True):
    """One instrument. state : base64 of int64[WIDTH], little-endian"""

    instrument: str
    currency: str
    rules: VenueRules
    price_decimals: int
    qty_decimals: int
    state: str
    middle: float
    variance: float
    seconds: int


class BrokerSnapshot(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that the next row's outcome depends on."""

    version: int
    settings: PaperSettings
    topic: str
    partition: int
    offset: int
    clock: int
    running: Command
    switched: dict[str, bool]
    skipped: dict[str, int]
    lanes: list[InstrumentSnapshot]
    standing: list[Record]


def dump(broker: PaperBroker) -> bytes:
    """The broker between two frames, as canonical JSON. What it has said but not given away yet is not in it."""
    return msgspec.json.encode(stored(broker), order="deterministic")


def stored(broker: PaperBroker) -> BrokerSnapshot:
    """The broker's state as plain values."""
    lanes = broker.lanes
    each = [
        InstrumentSnapshot(
            name, lanes.currencies[k], lanes.rules[k], lanes.units[k].price_decimals, lanes.units[k].qty_decimals,
            base64.b64encode(lanes.state[k].astype("<i8").tobytes()).decode(), float(lanes.middle[k]),
            float(lanes.variance[k]), int(lanes.seconds[k]),
        )
        for k, name in enumerate(lanes.ids)
    ]  # fmt: skip
    return BrokerSnapshot(
        VERSION, broker.settings, broker.topic, broker.partition, broker.offset, broker.clock, broker.running,
        broker.switched, broker.skipped, each, list(broker.book.standing.values()),
    )  # fmt: skip


def load(data: bytes, reference: Mapping[str, Instrument]) -> PaperBroker:
    """A broker that goes on where `dump` was taken; TapewatchError where the bytes are no such state."""
    try:
        found = msgspec.json.decode(data, type=BrokerSnapshot)
    except msgspec.DecodeError as error:
        raise TapewatchError(f"no state of a paper broker: {error}", "Start it from the log's beginning.") from None
    return restored(found, reference)


def restored(found: BrokerSnapshot, reference: Mapping[str, Instrument]) -> PaperBroker:
    """A broker of a state; TapewatchError where this build cannot read it."""
    if found.version != VERSION:
        raise TapewatchError(
            f"paper broker state of version {found.version}, this build reads {VERSION}",
            "Start it with the build that wrote it.",
        )
    broker = PaperBroker(found.settings, reference, found.topic, found.partition)
    broker.offset, broker.clock, broker.running = found.offset, found.clock, found.running
    broker.switched, broker.skipped = found.switched, found.skipped
    if found.lanes:
        broker.lanes.add(
            [
                InstrumentSpec(
                    each.instrument, each.rules, Units(each.price_decimals, each.qty_decimals), each.currency
                )
                for each in found.lanes
            ]
        )
    for k, lane in enumerate(found.lanes):
        state = np.frombuffer(base64.b64decode(lane.state), dtype="<i8")
        if state.shape != (fields.WIDTH,):
            raise TapewatchError("paper broker state of another layout", "Start it with the build that wrote it.")
        broker.lanes.state[k] = state
        broker.lanes.middle[k], broker.lanes.variance[k] = lane.middle, lane.variance
        broker.lanes.seconds[k] = lane.seconds
    for record in found.standing:
        broker.book.add(record)
    return broker
