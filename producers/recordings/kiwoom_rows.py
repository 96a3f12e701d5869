"""Rows of Kiwoom's minute chart, by REST's names (ka10080) or by the Korean ones of opt10080, as bars."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from producers.columns import decimal_float
from producers.recordings.bar_times import BarTimes, zone_of
from producers.venues.bars import Bar

SEOUL = zone_of("Asia/Seoul")


class RowError(Exception):
    """A row that is no bar. reason : missing_column, malformed_time, not_exact_float or bad_bar"""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RowNames:
    """What a row calls its values. time : begin of the bar, YYYYMMDDHHMMSS in Seoul; code : empty where absent"""

    time: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    code: str = ""

    @property
    def needed(self) -> frozenset[str]:
        """Names a row must have."""
        return frozenset(self.columns.values())

    @property
    def columns(self) -> dict[str, str]:
        """The names by what they are."""
        return {name: getattr(self, name) for name in ("time", "open", "high", "low", "close", "volume")}


REST = RowNames("cntr_tm", "open_pric", "high_pric", "low_pric", "cur_prc", "trde_qty", "stk_cd")
KOREAN = RowNames("체결시간", "시가", "고가", "저가", "현재가", "거래량", "종목코드")
ENGLISH = RowNames("time", "open", "high", "low", "close", "volume", "code")
DATED = RowNames("date", "open", "high", "low", "close", "volume", "code")
KNOWN_NAMES = (REST, KOREAN, ENGLISH, DATED)


def names_among(columns: Collection[str]) -> RowNames | None:
    """The names that all stand among these columns, or None."""
    return next((names for names in KNOWN_NAMES if names.needed <= set(columns)), None)


def unsigned(text: Any) -> float:
    """A price or quantity without its direction sign: "-78800", "--30433", "+1,234" or a number; ValueError otherwise.

    Kiwoom writes + or - before a price that stands above or below the previous close; the price is never negative.
    """
    return decimal_float(str(text).strip().lstrip("+-").replace(",", ""))


_TIMES = BarTimes((), SEOUL)


def opened_at(text: Any) -> int:
    """UTC nanoseconds of a bar's begin, written YYYYMMDDHHMMSS or YYYYMMDDHHMM in Seoul; 0 where it is none.

    The time is the begin: the day's first bar, 090000, holds the opening auction of 09:00:00, and 153000 the closing
    auction of 15:30:00; a trade at 10:05:00 opens the bar of 10:05.
    """
    digits = str(text).strip()
    return _TIMES.one(digits) if digits.isdecimal() and len(digits) in (12, 14) else 0


def bar_of(row: Mapping[str, Any], names: RowNames) -> Bar:
    """The bar of a row; RowError where it is none."""
    missing = sorted(name for name in names.needed if row.get(name) in (None, ""))
    if missing:
        raise RowError("missing_column", ", ".join(missing))
    opened = opened_at(row[names.time])
    if opened == 0:
        raise RowError("malformed_time", str(row[names.time])[:40])
    try:
        opening, high, low, close, volume = (
            unsigned(row[name]) for name in (names.open, names.high, names.low, names.close, names.volume)
        )
    except ValueError as error:
        raise RowError("not_exact_float", str(error)) from error
    bar = Bar(opened, opening, high, low, close, volume)
    if not bar.sound:
        raise RowError("bad_bar", f"{bar}")
    return bar
