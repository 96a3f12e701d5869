"""Minute charts over REST: the newest bars, and bars of the past page by page.

What Kiwoom lists (ka10099): KOSPI and KOSDAQ.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.universe import Listing
from producers.venues.bars import Bar
from producers.venues.kiwoom.client import CHART, LIST, KiwoomClient, PageError, parse_page
from producers.venues.polled import ChartPage, NoChartError
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Session, Tick, is_instrument_id

MARKETS = {"0": "XKRX", "10": "XKOS"}
"""Kiwoom's number of a market -> ISO 10383: KOSPI and KOSDAQ."""
_SESSION = Session("Asia/Seoul", "09:00", "15:30")
_STEPS = ((0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000))
TICKS = tuple(Tick(float(price), float(size)) for price, size in _STEPS)
"""KRX shares since 2023-01-25."""
PRICE_LIMIT = 0.3


class _Page(msgspec.Struct):
    rows: list[dict[str, Any]] = msgspec.field(name="list", default_factory=list)


def instrument(code: str, market: str, name: str = "") -> Instrument:
    """Reference data of a share."""
    return Instrument(
        f"{code}.{market}",
        name or code,
        "KRW",
        "share",
        TICKS,
        session=_SESSION,
        price_limit=PRICE_LIMIT,
    )


def listings(body: bytes, market: str) -> Iterator[Listing]:
    """The listings of a page; msgspec.MsgspecError where it is none. Codes that are no ids of ours are left out."""
    for row in msgspec.json.decode(body, type=_Page).rows:
        code = str(row.get("code", "")).strip()
        fresh = instrument(code, market, str(row.get("name", "")).strip())
        if is_instrument_id(fresh.id):
            halted = "거래정지" in str(row.get("state", ""))
            traits = {"market": str(row.get("marketName", "")).strip() or market}
            yield Listing(code, fresh, trading=not halted, traits=traits)


CHART_API, LIST_API = "ka10080", "ka10099"
SETTLED_NS = 5 * NANOS
"""A bar is whole this long after its end, where no later one says so before: clocks differ."""


def whole(bars: Sequence[Bar], interval_s: int, received: int) -> list[Bar]:
    """The bars that will not change any more; the unfinished last one is left out. bars : oldest first"""
    length = interval_s * NANOS
    return [bar for bar in bars if bar.opened < bars[-1].opened or received >= bar.opened + length + SETTLED_NS]


def parse(body: bytes, received: int, interval_s: int) -> ChartPage:
    """The whole bars of a page; NoChartError where there is none."""
    try:
        page = parse_page(body)
    except PageError as error:
        raise NoChartError(error.reason, error.detail) from error
    return ChartPage(whole(page.bars, interval_s, received), page.refused)


def question(code: str, minutes: int) -> dict[str, str]:
    """The body of a question for a minute chart, with prices as they were traded (not adjusted for splits)."""
    return {"stk_cd": code, "tic_scope": str(minutes), "upd_stkpc_tp": "0"}


class KiwoomCharts:
    """What a feed and a history ask Kiwoom for. minutes : length of a bar"""

    def __init__(self, client: KiwoomClient, minutes: int) -> None:
        self._client, self._minutes = client, minutes

    async def newest(self, station: FeedSession, want: DecoderRequest) -> Answer:
        """A symbol's newest page."""
        return await self._client.ask(CHART, CHART_API, question(want.symbol, self._minutes), want=want)

    async def listed(self, station: FeedSession) -> list[Listing]:
        """Everything on KOSPI and KOSDAQ."""
        found: list[Listing] = []
        for number, market in MARKETS.items():
            async for answer in self._client.pages(LIST, LIST_API, {"mrkt_tp": number}):
                try:
                    found += listings(answer.body, market)
                except msgspec.MsgspecError as error:
                    raise HttpError("not_json", f"{LIST_API} is not as expected: {error}") from None
        return found

    async def since(self, code: str, start: int) -> list[Bar]:
        """The whole bars from `start` (UTC ns) on, oldest first, continued page by page; HttpError where Kiwoom does
        not answer with a page.
        """
        found: dict[int, Bar] = {}
        received = 0
        async for answer in self._client.pages(CHART, CHART_API, question(code, self._minutes)):
            try:
                page = parse_page(answer.body)
            except PageError as error:
                raise HttpError(error.reason, error.detail, answer.status) from None
            received = received or answer.received
            found |= {bar.opened: bar for bar in page.bars if bar.opened not in found}
            if not page.bars or page.bars[0].opened < start:
                break
        bars = [found[opened] for opened in sorted(found)]
        return [bar for bar in whole(bars, self._minutes * 60, received) if bar.opened >= start]
