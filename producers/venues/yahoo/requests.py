"""Asking Yahoo for charts."""

from urllib.parse import quote

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from tapewatch.clock import NANOS

CHART = "/v8/finance/chart/"
INTRADAY_DAYS = {"1m": 7, "2m": 60, "5m": 60, "15m": 60, "30m": 60, "60m": 730, "1h": 730}
"""Days of one request at most, by interval (those of 1m reach back 30 days, the others as far as here)."""


async def chart(
    http: Http, symbol: str, interval: str, start: int, end: int, want: DecoderRequest | None = None
) -> Answer:
    """The answer for a symbol's bars of [start, end), UTC nanoseconds, with splits and dividends.

    An unknown symbol comes as HTTP 404 with a document that says so: an answer whose receipt time is 0. HttpError where
    the venue does not answer.
    """
    params = {
        "period1": str(start // NANOS),
        "period2": str(end // NANOS),
        "interval": interval,
        "events": "div,split",
        "includePrePost": "false",
    }
    try:
        return await http.get(CHART + quote(symbol, safe="=-."), params, want=want)
    except HttpError as error:
        if error.status in (400, 404, 422) and error.body.lstrip()[:1] == b"{":
            return Answer(error.status, {}, error.body, 0, 0)
        raise
