"""Following Taiwan: MIS in batches every five seconds, and Yahoo as long as MIS fails.

MIS requests: how many symbols go into one, and which.

What the exchange and the over-the-counter market list, with the turnover of the latest day.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import ceil
from typing import TypeVar
from urllib.parse import quote

from producers.base.answers import HttpError
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.http import Http, TokenBucket
from producers.base.sessions import SessionCalendar
from producers.base.universe import Listing
from producers.venues.twse import standin
from producers.venues.twse.arbiter import MIS, YAHOO, Rules
from producers.venues.twse.decoder import TaiwanDecoder
from producers.venues.twse.instruments import TPEX, TWSE, asked_for, mis_channel, taiwan_instrument
from producers.venues.twse.mis import instruments_of
from producers.venues.twse.reports import STOCK_DAY_ALL
from producers.venues.twse.tables import Table, UnreadableError, read_document
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.settings.venues import TwseSettings

TPEX_QUOTES = "/openapi/v1/tpex_mainboard_quotes"
"""TPEx's open data: every instrument's latest day."""

_CODE = (*STOCK_DAY_ALL.keys, "SecuritiesCompanyCode")
_NAME = ("證券名稱", "名稱", "Name", "CompanyName")
_TURNOVER = ("成交金額", "TradeValue", "TransactionAmount")


def listings(body: bytes, venue: str) -> list[Listing]:
    """Instruments of a report of the latest day; UnreadableError where it is none. venue : XTAI or ROCO"""
    document = read_document(body)
    for table in document.tables:
        code, turnover = _column(table, _CODE), _column(table, _TURNOVER)
        if code is not None and turnover is not None:
            name = _column(table, _NAME)
            return [
                listing(taiwan_instrument(f"{row[code]}.{venue}", row[name] if name is not None else ""), row[turnover])
                for row in table.rows
                if is_instrument_id(f"{row[code]}.{venue}")
            ]
    raise UnreadableError("no_table", "code and turnover")


def listing(instrument: Instrument, turnover: str = "0") -> Listing:
    """A listing of an instrument. turnover : as TWSE writes it"""
    try:
        amount = float(turnover.replace(",", "") or 0)
    except ValueError:
        amount = 0.0
    venue = instrument.id.rpartition(".")[2]
    return Listing(instrument.id, instrument, amount, traits={"market": {TWSE: "twse", TPEX: "tpex"}[venue]})


def _column(table: Table, names: tuple[str, ...]) -> int | None:
    return next((table.fields.index(name) for name in names if name in table.fields), None)


PATH = "/stock/api/getStockInfo.jsp"
PER_SECOND, BURST = 0.6, 1
"""Three requests in five seconds, evenly spaced, so that no five seconds see more; more lead to a block."""
REFRESH_S = 5.0
"""How often MIS shows something new."""
SYMBOLS = 150
URL_LIMIT = 4_000
"""Characters of a request's query, well below what proxies and servers take."""


def batches(instruments: Sequence[str], symbols: int = SYMBOLS, limit: int = URL_LIMIT) -> list[str]:
    """MIS's channels joined by |, in requests of bounded length and about equal size."""
    channels = [mis_channel(instrument) for instrument in instruments]
    if not channels:
        return []
    longest = max(len(quote(channel)) for channel in channels) + len(quote("|"))
    room = max(1, min(symbols, limit // longest))
    count = ceil(len(channels) / room)
    size = ceil(len(channels) / count)
    return ["|".join(channels[start : start + size]) for start in range(0, len(channels), size)]


def parameters(batch: str) -> dict[str, str]:
    """The query of one request."""
    return {"ex_ch": batch, "json": "1", "delay": "0"}


def round_s(count: int) -> float:
    """Seconds between two looks at the same instrument with so many requests a round."""
    return max(1, ceil(count / (PER_SECOND * REFRESH_S))) * REFRESH_S


BEFORE_NS, AFTER_NS = 60 * NANOS, 300 * NANOS
"""MIS is asked from a minute before the opening until five minutes after the close, which may be delayed by three."""
REPORTS_PER_SECOND = 0.5
"""Requests to TWSE's web site, which blocks who asks more often."""

ROUNDS_TO_WAIT = 2
"""Rounds after which a request counts as failed."""

Found = TypeVar("Found")


class TwseConnector:
    """The feed `twse`.

    asked : instrument ids chosen by name, for which MIS is asked alone; empty looks at everything that is listed
    user_agent : sent to Yahoo; pace : how many times faster than usual rounds are, for tests
    """

    feed = "twse"

    def __init__(
        self,
        addresses: TwseSettings,
        asked: Sequence[str] = (),
        *,
        user_agent: str = "",
        calendar: str = TWSE,
        rules: Rules | None = None,
        pace: float = 1.0,
    ) -> None:
        self.calendar = calendar
        self.decoder = TaiwanDecoder(Collector(), rules or Rules())
        self.bucket = TokenBucket(PER_SECOND * pace, BURST)
        self.tape_settings = asdict(self.decoder.rules)
        self._addresses, self._asked, self._pace = addresses, list(asked), pace
        self._yahoo_headers = {"User-Agent": user_agent} if user_agent else {}
        self._sessions = SessionCalendar(calendar)
        self._batches: list[str] = []
        self._instruments: list[str] = []
        self._mis: Http | None = None
        self._lists: tuple[Http, Http] | None = None
        self._standin: standin.YahooQuotes | None = None

    async def listed(self, station: FeedSession) -> list[Listing]:
        """What was asked for by name, as MIS knows it; else everything, ranked by the latest day's turnover."""
        if self._asked:
            return [one for batch in batches(self._asked) for one in await self._named(station, batch)]
        if self._lists is None:
            pace = REPORTS_PER_SECOND * self._pace
            self._lists = (
                station.http(self._addresses.web, per_second=pace),
                station.http(self._addresses.tpex, per_second=pace),
            )
        exchange, counter = self._lists
        day = await exchange.get(STOCK_DAY_ALL.path, {"response": "json"})
        others = await counter.get(TPEX_QUOTES)
        found = _read(lambda body: listings(body, TWSE), day.body)
        try:
            return found + _read(lambda body: listings(body, TPEX), others.body)
        except HttpError:
            # An answer that is no good must not end the following of instruments that are listed.
            if any(name.endswith(f".{TPEX}") for name in self._instruments):
                raise
            return found

    async def _named(self, station: FeedSession, batch: str) -> list[Listing]:
        """The instruments of a request as MIS knows them; as they were named where MIS does not answer."""
        try:
            answer = await self._web(station).get(PATH, parameters(batch))
            return [listing(instrument) for instrument in _read(instruments_of, answer.body)]
        except HttpError as error:
            station.log.warning("reference data are not known", reason=error.reason, detail=error.detail)
            station.failures[f"{MIS}_{error.reason}"] += 1
            return [listing(taiwan_instrument(name)) for name in asked_for(batch.split("|"))]

    async def follow(self, station: FeedSession, listed: Sequence[Listing]) -> None:
        """Ask for these and no others from the next round on."""
        self._instruments = [one.instrument.id for one in listed]
        self._batches = batches(self._instruments)
        self.decoder.watch(self._instruments)
        self._open(station, self._batches)
        self._stand_in(station).watch(self._instruments)

    async def run(self, station: FeedSession) -> None:
        """Ask MIS, and Yahoo where it is needed, while the exchange trades."""
        station.spawn(station.every(standin.ROUND_S / self._pace, lambda: self._ask_yahoo(station)), "yahoo")
        was_open = False
        while True:
            is_open = self._is_open(station.now())
            if is_open and not was_open:
                self._open(station, ())
            was_open = is_open
            begun = asyncio.get_running_loop().time()
            if is_open:
                await asyncio.gather(*(self._ask_mis(station, batch) for batch in self._batches))
            spent = asyncio.get_running_loop().time() - begun
            await asyncio.sleep(max(0.01, round_s(len(self._batches)) / self._pace - spent))

    def _is_open(self, now: int) -> bool:
        """Whether MIS shows something worth asking for."""
        return self._sessions.is_open(now + BEFORE_NS) or self._sessions.is_open(now - AFTER_NS)

    async def _ask_mis(self, station: FeedSession, batch: str) -> None:
        """One request; where it fails, the next round is the retry."""
        want = DecoderRequest(MIS, batch)
        try:
            async with asyncio.timeout(ROUNDS_TO_WAIT * round_s(len(self._batches)) / self._pace):
                answer = await self._web(station).get(PATH, parameters(batch), want=want, expect_json=False)
        except (HttpError, TimeoutError) as error:
            reason = error.reason if isinstance(error, HttpError) else "timeout"
            self._failed(station, MIS, batch, reason)
            return
        self.decoder.answer(want, answer.body, answer.received)

    async def _ask_yahoo(self, station: FeedSession) -> None:
        """A round of questions to Yahoo where MIS is not in charge or about to lose it."""
        yahoo = self._stand_in(station)
        if not (self._is_open(station.now()) and self.decoder.arbiter.wants_yahoo(station.now())):
            return
        for want in list(yahoo.questions()):
            try:
                answer = await yahoo.ask(want)
            except HttpError as error:
                station.log.warning("yahoo does not answer", reason=error.reason, detail=error.detail)
                self._failed(station, YAHOO, want.symbol, error.reason)
            else:
                self.decoder.answer(want, answer.body, answer.received)

    def _open(self, station: FeedSession, batches_of_mis: Sequence[str]) -> None:
        """What MIS is asked for from now on, also for the tape; nothing: a session begins."""
        now = station.now()
        station.tape_opened(MIS, batches_of_mis, now)
        self.decoder.opened(batches_of_mis, now)

    def _failed(self, station: FeedSession, upstream: str, symbols: str, reason: str) -> None:
        """A question without an answer, also for the tape."""
        now = station.now()
        station.failures[f"{upstream}_{reason}"] += 1
        station.tape_lost(upstream, [symbols], reason, now)
        self.decoder.lost([symbols], f"{upstream}: {reason}", now)

    def _web(self, station: FeedSession) -> Http:
        if self._mis is None:
            self._mis = station.http(self._addresses.mis, bucket=self.bucket, attempts=1, cookies=True)
        return self._mis

    def _stand_in(self, station: FeedSession) -> standin.YahooQuotes:
        if self._standin is None:
            web = station.http(
                self._addresses.yahoo,
                per_second=standin.PER_SECOND * self._pace,
                burst=standin.BURST,
                attempts=2,
                cookies=True,
                headers=self._yahoo_headers,
            )
            self._standin = standin.YahooQuotes(web)
        return self._standin


def _read(read: Callable[[bytes], list[Found]], body: bytes) -> list[Found]:
    """What a document says; HttpError not_json where it says nothing of that kind."""
    try:
        return read(body)
    except UnreadableError as error:
        raise HttpError("not_json", str(error)) from None
