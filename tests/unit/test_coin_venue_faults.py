"""Whatever is lost, repeated, swapped or cut on the way from a coin venue: in the end the books are the venue's."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.simulators.coinbase import CoinbaseVenue
from producers.simulators.coins import CoinVenue
from producers.simulators.faults import FaultKind
from producers.simulators.kraken import KrakenVenue
from producers.simulators.server import SimulatorServer
from producers.simulators.upbit import UpbitVenue
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.coinbase.language import CoinbaseProtocol
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.kraken.language import KrakenProtocol
from producers.venues.upbit.decoder import UpbitDecoder
from producers.venues.upbit.language import UpbitProtocol
from tapewatch.contract.rows import StatusKind

SYMBOLS = {"upbit": ["KRW-BTC", "KRW-ETH"], "coinbase": ["BTC-USD", "ETH-USD"], "kraken": ["BTC/USD", "ETH/USD"]}
PARTS: dict[str, tuple[Callable[..., CoinVenue], Callable[..., Any], Callable[[], Any]]] = {
    "upbit": (UpbitVenue, UpbitDecoder, UpbitProtocol),
    "coinbase": (CoinbaseVenue, CoinbaseDecoder, CoinbaseProtocol),
    "kraken": (KrakenVenue, KrakenDecoder, KrakenProtocol),
}
KINDS = ("pass", "lose", "repeat", "swap", "cut", "old", "renew", "in vain")
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 12)), max_size=12)


class Wire:
    """A connection that keeps what the venue sends until it is delivered."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def send(self, payload: bytes, stream: str = "", *, binary: bool = False) -> None:
        self.waiting.append(payload)


class Session:
    """A venue, a decoder, and wires between them that someone plays tricks on."""

    def __init__(self, name: str, seed: int) -> None:
        make, decoder, language = PARTS[name]
        self.name, self.symbols = name, SYMBOLS[name]
        self.venue: Any = make(self.symbols, seed=seed, rate=0.0)
        self.server = SimulatorServer(self.venue)
        self.venue.routes(self.server)
        self.decoder = decoder(Collector(), self.symbols)
        self.language = language()
        self.wire = Wire()

    async def connect(self) -> None:
        """A connection with its subscription."""
        self.wire = Wire()
        await self.venue.opened(self.wire)
        for text in self.language.subscribe(self.symbols):
            await self.venue.received(self.wire, text)

    async def cut(self) -> None:
        """Break it, with what was on its way, and connect anew."""
        self.venue.closed(self.wire)
        self.decoder.lost(self.symbols, "cut", self.server.now())
        await self.connect()

    async def renew(self) -> None:
        """A second connection; the first one goes on for a while."""
        old = self.wire
        await self.connect()
        self.venue.step(4)
        for message in old.waiting:
            self.decoder.message(message, self.server.now())
        self.deliver()
        self.venue.closed(old)
        self.one_left(newer=True)

    async def renew_in_vain(self) -> None:
        """A second connection that breaks while the first one goes on."""
        first = self.wire
        await self.connect()
        self.deliver()
        self.venue.step(4)
        self.venue.closed(self.wire)
        self.wire = first
        self.one_left(newer=False)

    def one_left(self, *, newer: bool) -> None:
        """What the link tells where it matters."""
        if isinstance(self.decoder, CoinbaseDecoder):
            self.decoder.one_left(newer, self.server.now())

    async def act(self, action: str, count: int) -> None:
        """Let the venue go on for some events, and something happen to their messages."""
        if action in ("cut", "renew", "in vain"):
            self.deliver()
            self.venue.step(count)
            await {"cut": self.cut, "renew": self.renew, "in vain": self.renew_in_vain}[action]()
        elif action == "old" and self.name == "coinbase":
            await self.cut()  # nothing in its messages tells an old snapshot from a new one
        elif action == "old":
            self.server.plan.now(FaultKind.OLD_SNAPSHOT, match=self.symbols[0])
            await self.cut()
        else:
            self.deliver()
            self.venue.step(count)
            messages = self.wire.waiting
            if action == "lose":
                del messages[::2]
            elif action == "repeat":
                self.wire.waiting = [message for message in messages for _ in (0, 1)]
            elif action == "swap":
                self.wire.waiting = messages[1:2] + messages[:1] + messages[2:]
        self.deliver()
        await self.help()

    def deliver(self) -> None:
        """Give the decoder what waits."""
        messages, self.wire.waiting = self.wire.waiting, []
        for message in messages:
            self.decoder.message(message, self.server.now())

    async def help(self) -> None:
        """Do what the decoder asks for; past trades are not to be had."""
        while self.decoder.wants:
            want: DecoderRequest = self.decoder.wants.popleft()
            if want.kind == "reconnect":
                await self.cut()
            elif want.kind == "subscribe":
                for text in self.language.again(self.symbols, want.symbol):
                    await self.venue.received(self.wire, text)
            else:
                self.decoder.answer(want, b"", self.server.now())
            self.deliver()

    async def calm(self) -> None:
        """Nothing more goes wrong; the books move on, and every symbol trades."""
        self.server.plan.clear()
        for _ in range(3):
            self.venue.stir()
            for book in self.venue.market.books.values():
                self.venue.traded(book, book.trade(self.server.now()))
            self.deliver()
            await self.help()


def newest_book(session: Session, code: int) -> tuple[Any, ...]:
    row = [row for row in session.decoder.collector.books if row[0] == code][-1]
    return tuple(list(zip(row[at], row[at + 1], strict=True)) for at in (4, 6))


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS, seed=st.integers(0, 1_000))
@example(actions=[("renew", 1), ("swap", 1)], seed=2)  # the number left out was where the older connection stood
@example(actions=[("in vain", 3), ("pass", 3)], seed=1)  # the book came from a connection that is no more
def test_books_are_the_venues_and_gaps_are_closed_after_any_faults(
    name: str, actions: list[tuple[str, int]], seed: int
) -> None:
    async def play() -> None:
        session = Session(name, seed)
        # An Upbit client may say five things a second, which a test does at once.
        session.venue.patience = 10_000
        await session.connect()
        session.deliver()
        for action, count in actions:
            await session.act(action, count)
        await session.calm()
        collector = session.decoder.collector
        for code, symbol in enumerate(session.symbols, 1):
            assert newest_book(session, code) == session.venue.book(symbol)
            kinds = [row[3] for row in collector.statuses if row[0] == code]
            assert kinds == [StatusKind.GAP, StatusKind.RESYNC] * (len(kinds) // 2)
            trades = [row[7] for row in collector.trades if row[0] == code]
            assert len(trades) == len(set(trades))
        total = session.decoder.given.total() + collector.dropped.total() + collector.refused.total()
        assert collector.messages.total() == total

    asyncio.run(play())
