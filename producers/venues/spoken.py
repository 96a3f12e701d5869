"""Following a venue that pushes books and trades by subscription: what Upbit, Coinbase and Kraken have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.decoder import Decoder, DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.http import Http, TokenBucket
from producers.base.reconnecting_websocket import ReconnectingWebSocket
from producers.base.universe import Listing
from tapewatch.settings.venues import ExchangeSettings

NEWER_LEFT, OLDER_LEFT = "newer connection left", "older connection left"
"""Notes on a tape: one of two connections ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A venue's limits as (per second, burst), and how we use its connections.

    requests, connects, messages : of the REST interface, of websocket connections, of messages on one connection
    symbols : on one connection; ping : its own ping message; beats : whether data comes every second whatever happens
    """

    requests: tuple[float, float]
    connects: tuple[float, float]
    messages: tuple[float, float]
    symbols: int
    ping: str = ""
    beats: bool = False


class FollowingDecoder(Decoder, Protocol):
    """A decoder that is told which symbols to take."""

    def follow(self, symbols: Iterable[str]) -> None:
        """Take messages of these symbols and of no others."""
        ...

    def out_of_step(self) -> set[str]:
        """Symbols whose book has to come anew."""
        ...


class VenueProtocol(Protocol):
    """How one venue is asked for things."""

    limits: Limits

    async def listed(self, web: Http) -> list[Listing]:
        """What the venue lists. HttpError or msgspec.MsgspecError where it cannot be had"""
        ...

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        """Messages that begin everything for these symbols."""
        ...

    def change(self, carried: Sequence[str], joining: Sequence[str], leaving: Sequence[str]) -> list[str]:
        """Messages that turn a connection to `carried`."""
        ...

    def again(self, carried: Sequence[str], symbol: str) -> list[str]:
        """Messages after which the symbol's book comes as a whole."""
        ...

    async def trades(self, web: Http, want: DecoderRequest) -> Answer:
        """Past trades."""
        ...


class SubscriptionConnector:
    """A venue's connector, given its language and its decoder.

    tape_settings : what a tape's reader has to make its decoder with
    The decoder's questions: `subscribe` (a symbol's book anew), `reconnect` (all of it), `trades`.
    one_left : tells the decoder, where it matters, that one of two connections ended: whether the newer is left, and
    the time
    """

    calendar = ""

    def __init__(
        self,
        feed: str,
        addresses: ExchangeSettings,
        language: VenueProtocol,
        decoder: FollowingDecoder,
        one_left: Callable[[bool, int], None] | None = None,
    ) -> None:
        self.feed = feed
        self.decoder: FollowingDecoder = decoder
        self.tape_settings: dict[str, Any] = {}
        self._addresses, self._language, self._one_left = addresses, language, one_left
        self._links: list[ReconnectingWebSocket] = []
        self._carried: set[str] = set()
        self._overdue: set[str] = set()
        self._web: Http | None = None
        self._connects = TokenBucket(*language.limits.connects)

    async def listed(self, station: FeedSession) -> list[Listing]:
        """What the venue lists now, ranked by its turnover of 24 hours."""
        try:
            return await self._language.listed(self._service(station))
        except msgspec.MsgspecError as error:
            raise HttpError("not_json", f"{self.feed}: the list is not as expected: {error}") from None

    async def follow(self, station: FeedSession, listings: Sequence[Listing]) -> None:
        """Turn the connections to these symbols; open more where they do not suffice."""
        wanted = {one.symbol for one in listings}
        joining = sorted(wanted - self._carried)
        self.decoder.follow([one.symbol for one in listings])
        self._carried = wanted
        for link in self._links:
            stays = link.symbols & wanted
            room = max(0, self._language.limits.symbols - len(stays))
            taken, joining = joining[:room], joining[room:]
            if taken or stays != link.symbols:
                await self._turn(link, stays, taken)
        while joining:
            carried, joining = joining[: self._language.limits.symbols], joining[self._language.limits.symbols :]
            self._open(station, carried)

    async def run(self, station: FeedSession) -> None:
        """Answer the decoder's questions, and ask again for books that do not come."""
        station.spawn(station.every(station.produce.stale_s, self._chase), f"{self.feed} chase")

        async def ask(want: DecoderRequest) -> Answer:
            return await self._ask(station, want)

        await station.answer_wants(self.decoder, ask)

    async def _turn(self, link: ReconnectingWebSocket, stays: Collection[str], joining: Sequence[str]) -> None:
        leaving = sorted(link.symbols - set(stays))
        carried = sorted({*stays, *joining})
        now = self._language.change(carried, joining, leaving)
        await link.change(carried, self._language.subscribe(carried), now)

    def _open(self, station: FeedSession, symbols: Sequence[str]) -> None:
        limits, name = self._language.limits, f"{self.feed}-{len(self._links) + 1}"

        def one_left(newer: bool, at: int) -> None:
            if self._one_left is not None:
                station.tape_note(NEWER_LEFT if newer else OLDER_LEFT, at)
                self._one_left(newer, at)

        link = ReconnectingWebSocket(
            station,
            name,
            self._addresses.stream,
            self.decoder,
            symbols,
            self._language.subscribe(symbols),
            pace=TokenBucket(*limits.messages),
            connects=self._connects,
            quiet_s=station.produce.stale_s if limits.beats else 0.0,
            ping=limits.ping,
            one_left=one_left,
        )
        self._links.append(link)
        station.spawn(link.run(), name)

    async def _chase(self) -> None:
        """Ask once more for the books that were out of step at the last look and still are."""
        out_of_step = self.decoder.out_of_step()
        self.decoder.wants.extend(DecoderRequest("subscribe", symbol) for symbol in sorted(out_of_step & self._overdue))
        self._overdue = out_of_step

    async def _ask(self, station: FeedSession, want: DecoderRequest) -> Answer:
        at = station.now()
        if want.kind == "trades":
            try:
                return await self._language.trades(self._service(station), want)
            except HttpError as error:
                if error.reason not in ("not_found", "client_error"):
                    raise
        elif want.kind == "reconnect":
            for link in self._links:
                await link.restart("messages missing")
        else:
            for link in self._links:
                if want.symbol in link.symbols:
                    carried = sorted(link.symbols)
                    now = self._language.again(carried, want.symbol)
                    await link.change(carried, self._language.subscribe(carried), now)
        return Answer(0, {}, b"", at, station.now())

    def _service(self, station: FeedSession) -> Http:
        if self._web is None:
            per_second, burst = self._language.limits.requests
            self._web = station.http(self._addresses.rest, per_second=per_second, burst=burst)
        return self._web
