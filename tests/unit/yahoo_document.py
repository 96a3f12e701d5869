"""Yahoo's chart document."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo


def at(text: str, zone: str = "America/New_York") -> int:
    """Seconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def document(
    times: list[int],
    rows: list[list[Any]],
    *,
    zone: str = "America/New_York",
    interval: str = "1d",
    session: tuple[int, int] | None = None,
    price_at: int | None = None,
    adjclose: list[Any] | None = None,
    events: dict[str, Any] | None = None,
    **meta: Any,
) -> bytes:
    """A chart of open, high, low, close, volume rows."""
    names = ("open", "high", "low", "close", "volume")
    quote = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    said = {
        "symbol": "AAPL",
        "currency": "USD",
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "exchangeTimezoneName": zone,
        "dataGranularity": interval,
        "regularMarketTime": price_at,
        "regularMarketPrice": 230.49 if price_at else None,
        **meta,
    }
    if session:
        said["currentTradingPeriod"] = {"regular": {"start": session[0], "end": session[1], "gmtoffset": 0}}
    indicators: dict[str, Any] = {"quote": [quote]}
    if adjclose is not None:
        indicators["adjclose"] = [{"adjclose": adjclose}]
    result = {"meta": said, "timestamp": times, "indicators": indicators}
    if events:
        result["events"] = events
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()
