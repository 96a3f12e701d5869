"""Asking Yahoo for Taiwan's quotes: a hundred symbols a request where it lets us, else charts, one symbol each."""

from collections import deque
from collections.abc import Iterator, Sequence

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.venues.twse.arbiter import YAHOO
from producers.venues.twse.instruments import yahoo_symbol

QUOTES, CHART, CRUMB = "/v7/finance/quote", "/v8/finance/chart/", "/v1/test/getcrumb"
SYMBOLS = 100
PER_SECOND, BURST = 2.0, 5
CHARTS_A_ROUND = 20
ROUND_S = 10.0
_REFUSED = frozenset({401, 403})
_FIELDS = "symbol,regularMarketTime,regularMarketPrice,regularMarketVolume,bid,ask,bidSize,askSize"


class YahooQuotes:
    """Yahoo's quotes of some instruments.

    charts_only : Yahoo refused the quote document, with a crumb too
    """

    def __init__(self, web: Http) -> None:
        self.charts_only = False
        self._web = web
        self._crumb = ""
        self._symbols: deque[str] = deque()

    def watch(self, instruments: Sequence[str]) -> None:
        """Ask for these from now on."""
        self._symbols = deque(yahoo_symbol(instrument) for instrument in instruments)

    def questions(self) -> Iterator[DecoderRequest]:
        """What one round asks; with charts, a part of the symbols in turn."""
        if not self.charts_only:
            symbols = list(self._symbols)
            for start in range(0, len(symbols), SYMBOLS):
                yield DecoderRequest(YAHOO, ",".join(symbols[start : start + SYMBOLS]))
            return
        for _ in range(min(CHARTS_A_ROUND, len(self._symbols))):
            yield DecoderRequest(YAHOO, self._symbols[0])
            self._symbols.rotate(-1)

    async def ask(self, want: DecoderRequest) -> Answer:
        """The answer to a question; HttpError where there is none."""
        if self.charts_only:
            return await self._web.get(CHART + want.symbol, {"range": "1d", "interval": "1m"}, want=want)
        try:
            return await self._quotes(want)
        except HttpError as error:
            if error.status not in _REFUSED:
                raise
            if not self._crumb:
                self._crumb = await self._new_crumb()
            if self._crumb:
                try:
                    return await self._quotes(want)
                except HttpError as again:
                    error = again
            self.charts_only = error.status in _REFUSED
            raise error from None

    async def _quotes(self, want: DecoderRequest) -> Answer:
        query = {"symbols": want.symbol, "fields": _FIELDS} | ({"crumb": self._crumb} if self._crumb else {})
        return await self._web.get(QUOTES, query, want=want)

    async def _new_crumb(self) -> str:
        """The text that Yahoo wants to see again with each request of a session; empty where it gives none."""
        try:
            answer = await self._web.get(CRUMB, expect_json=False)
        except HttpError:
            return ""
        text = answer.body.decode("ascii", "replace").strip()
        return text if 0 < len(text) < 40 and not set(text) & set(" <{") else ""
