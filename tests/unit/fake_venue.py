"""A venue of the tests' own: messages `symbol price id`, snapshots as answers that reset the ids."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.venues.decoders import TapeDecoder
from tapewatch.contract.rows import StatusKind


class FakeDecoder:
    """Gives a trade a message, a gap where ids are missing, and a question after it."""

    def __init__(self, collector: Collector, scale: float) -> None:
        self.collector = collector
        self.wants: deque[DecoderRequest] = deque()
        self._scale = scale
        self._ids: dict[str, int] = {}
        self._codes: dict[str, int] = {}

    def note(self, name: str, want: DecoderRequest | None, reason: str, at: int) -> None:
        if want is not None:
            self.collector.status(self._codes[want.symbol], StatusKind.HALT, f"{name} {reason}", at)

    def follow(self, listings: Sequence[Listing], at: int = 0) -> None:
        self._codes = {one.symbol: self.collector.code(one.instrument.id) for one in listings}

    def opened(self, symbols: Collection[str], at: int) -> None:
        for symbol in symbols:
            self.collector.status(self._codes[symbol], StatusKind.RESYNC, "opened", at)

    def message(self, data: bytes | str, received: int) -> None:
        self.collector.messages["trade"] += 1
        try:
            symbol, price, number = (data if isinstance(data, str) else data.decode()).split()
            code, count = self._codes[symbol], int(number)
            row = (code, received - 1_000, received, float(price) * self._scale, 1.0, 1, 0, number)
        except (ValueError, KeyError):
            self.collector.refuse("malformed_record", "trade", data, received)
            return
        if count > self._ids.get(symbol, count - 1) + 1:
            self.collector.status(code, StatusKind.GAP, f"before {count}", received)
            self.wants.append(DecoderRequest("snapshot", symbol, count))
        self._ids[symbol] = count
        self.collector.trades.append(row)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        self.collector.messages[want.kind] += 1
        self.collector.status(self._codes[want.symbol], StatusKind.RESYNC, data.decode("latin-1"), received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        for symbol in symbols:
            self.collector.status(self._codes[symbol], StatusKind.GAP, reason, received)


def make_decoder(_venue: str, collector: Collector, settings: Mapping[str, Any]) -> TapeDecoder:
    decoder = FakeDecoder(collector, float(settings.get("scale", 1.0)))
    return TapeDecoder(decoder, decoder.follow, decoder.opened, decoder.note)
