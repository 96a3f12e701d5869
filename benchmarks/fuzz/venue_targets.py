"""Targets of live venues: a short session of messages, answers and breaks, each given to the venue's decoder.

An input is steps separated by a record separator (0x1e); a step's first byte says what it is: `m` a pushed message, a
digit the answer to a question of that kind, `l` a broken connection, `o` one that is open, `t` ten seconds that pass.
"""

from collections.abc import Callable

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.venues.decoders import make_decoder
from tapewatch import frames
from tapewatch.clock import NANOS
from tapewatch.instruments import Instrument

Take = Callable[[bytes], None]

STEP = b"\x1e"
START_NS = 1_700_000_000 * NANOS

VENUES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "binance": ("BTCUSDT", "BTCUSDT.BINANCE", ("snapshot", "trades", "aggregates")),
    "binance-usdm": ("BTCUSDT", "BTCUSDT-PERP.BINANCE", ("snapshot", "trades", "aggregates")),
    "upbit": ("KRW-BTC", "KRW-BTC.UPBIT", ("trades",)),
    "coinbase": ("BTC-USD", "BTC-USD.COINBASE", ("trades",)),
    "kraken": ("BTC/USD", "BTC-USD.KRAKEN", ("trades",)),
    "twse": ("2330.XTAI", "2330.XTAI", ("mis", "yahoo")),
    "yahoo": ("AAPL", "AAPL.XNAS", ("chart",)),
    "kiwoom": ("005930", "005930.XKRX", ("chart",)),
}
"""Symbol, instrument, and kinds of questions."""


def session(venue: str) -> Callable[[], Take]:
    """What gives a venue's target."""
    return lambda: lambda data: play(venue, data)


def play(venue: str, data: bytes) -> None:
    """A session of one input, begun anew; what it gave must be rows that a frame can hold."""
    symbol, instrument, kinds = VENUES[venue]
    collector = Collector()
    taped = make_decoder(venue, collector, {})
    now = START_NS
    taped.follow([Listing(symbol, Instrument(instrument))], now)
    for step in data.split(STEP)[:32]:
        now += NANOS // 10
        what, rest = step[:1], step[1:]
        if what == b"m":
            taped.decoder.message(rest, now)
        elif what.isdigit():
            place = b"0123456789".find(what)
            taped.decoder.answer(asked(taped.decoder.wants, kinds[place % len(kinds)], symbol), rest, now)
        elif what == b"l":
            taped.decoder.lost([symbol], rest.decode("utf-8", "replace"), now)
        elif what == b"o":
            taped.opened([symbol], now)
        elif what == b"t":
            now += 10 * NANOS
    for rows in collector.take():
        frames.encode(rows)
    collector.take_refused()


def asked(wants: object, kind: str, symbol: str) -> DecoderRequest:
    """The question that stands, else one of that kind."""
    for want in list(wants):  # type: ignore[call-overload]
        if want.kind == kind:
            return want  # type: ignore[no-any-return]
    return DecoderRequest(kind, symbol, 0)
