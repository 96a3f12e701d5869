"""Which daily reports are read, when each is public, and which series come out of which columns.

Taiwan's dates and times: the calendar of the Republic of China, whose year 1 is 1912, and Taipei's clock.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from producers.venues.twse.instruments import LOT
from tapewatch.clock import NANOS

TAIPEI_OFFSET_NS = 8 * 3600 * NANOS
"""Taipei is eight hours ahead of UTC and has known no summer time since 1979."""

_ROC = re.compile(r"\s*(\d{2,3})\s*[/年.-]\s*(\d{1,2})\s*[/月.-]\s*(\d{1,2})\s*日?\s*\*?")
_ROC_DIGITS = re.compile(r"(\d{3})(\d{2})(\d{2})")
_WESTERN = re.compile(r"\s*(\d{4})[/-]?(\d{2})[/-]?(\d{2})\s*")


def roc_date(text: str) -> date:
    """A date of the ROC calendar; ValueError for anything else.

    >>> roc_date("112/01/03"), roc_date("112年1月3日"), roc_date("1120103")
    (datetime.date(2023, 1, 3), datetime.date(2023, 1, 3), datetime.date(2023, 1, 3))
    """
    match = _ROC.fullmatch(text) or _ROC_DIGITS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a date of the ROC calendar, such as 112/01/03")
    return date(int(match[1]) + 1911, int(match[2]), int(match[3]))


def any_date(text: str) -> date:
    """A Western date (20230103, 2023-01-03, 2023/01/03) or one of the ROC calendar; ValueError for anything else."""
    match = _WESTERN.fullmatch(text)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else roc_date(text)


def roc_text(day: date) -> str:
    """A date as TWSE and TPEx write it.

    >>> roc_text(date(2023, 1, 3))
    '112/01/03'
    """
    return f"{day.year - 1911}/{day.month:02d}/{day.day:02d}"


def local_ns(day: str, time: str) -> int:
    """UTC nanoseconds of Taipei's YYYYMMDD and HH:MM:SS; ValueError for anything else."""
    moment = datetime.strptime(f"{day} {time}", "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * NANOS - TAIPEI_OFFSET_NS


def taipei_day(ns: int) -> date:
    """The date in Taipei at a UTC time."""
    return datetime.fromtimestamp((ns + TAIPEI_OFFSET_NS) // NANOS, UTC).date()


def taipei_seconds(ns: int) -> int:
    """Seconds since midnight in Taipei."""
    return (ns + TAIPEI_OFFSET_NS) // NANOS % 86_400


def at(day: date, time: str) -> int:
    """UTC nanoseconds of Taipei's HH:MM on a day."""
    return local_ns(f"{day:%Y%m%d}", f"{time}:00")


SHARES, MONEY, NUMBER = "shares", "TWD", ""


@dataclass(frozen=True, slots=True)
class Column:
    """A series and where its value stands.

    names : what TWSE has called the column over the years; place : which of the columns of that name, from 0
    factor : to the unit
    """

    series: str
    unit: str
    names: tuple[str, ...]
    place: int = 0
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """A daily report.

    path : below TWSE's address; query : parameters beside date and response; published : Taipei's time from which it
    counts as public; keys : names of the column with the code; columns : what is read of each row
    totals : row labels of the market's own table -> columns, where the report has one
    """

    name: str
    path: str
    published: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    query: dict[str, str] = field(default_factory=dict)
    totals: dict[str, Column] = field(default_factory=dict)

    def parameters(self, day: date) -> dict[str, str]:
        """The query of one day."""
        return {**self.query, "date": f"{day:%Y%m%d}", "response": "json"}

    def published_at(self, day: date) -> int:
        """When the report of that day counts as public, UTC nanoseconds."""
        return at(day, self.published)


_CODES = ("證券代號", "股票代號", "代號", "Code")
_PRICES = (
    Column("open", MONEY, ("開盤價", "OpeningPrice")),
    Column("high", MONEY, ("最高價", "HighestPrice")),
    Column("low", MONEY, ("最低價", "LowestPrice")),
    Column("close", MONEY, ("收盤價", "ClosingPrice")),
    Column("volume", SHARES, ("成交股數", "TradeVolume")),
    Column("turnover", MONEY, ("成交金額", "TradeValue")),
    Column("trades", NUMBER, ("成交筆數", "Transaction")),
)

PRICES = Report("prices", "/rwd/zh/afterTrading/MI_INDEX", "15:00", _CODES, _PRICES, {"type": "ALLBUT0999"})
"""Every instrument's day, one request a day."""

STOCK_DAY = Report("stock-day", "/rwd/zh/afterTrading/STOCK_DAY", "15:00", ("日期", "Date"), _PRICES)
"""One instrument's month, one request a month."""

STOCK_DAY_ALL = Report("stock-day-all", "/rwd/zh/afterTrading/STOCK_DAY_ALL", "15:00", _CODES, _PRICES)
"""Every instrument's latest day, whatever date is asked for."""

INSTITUTIONS = Report(
    "institutions",
    "/rwd/zh/fund/T86",
    "16:30",
    _CODES,
    (
        Column(
            "foreign_net_buy", SHARES, ("外陸資買賣超股數(不含外資自營商)", "外資及陸資買賣超股數", "外資買賣超股數")
        ),
        Column("foreign_dealer_net_buy", SHARES, ("外資自營商買賣超股數",)),
        Column("trust_net_buy", SHARES, ("投信買賣超股數",)),
        Column("dealer_net_buy", SHARES, ("自營商買賣超股數",)),
        Column("institutions_net_buy", SHARES, ("三大法人買賣超股數",)),
    ),
    {"selectType": "ALLBUT0999"},
)
"""Net buying of foreign investors, investment trusts and dealers."""

MARGIN = Report(
    "margin",
    "/rwd/zh/marginTrading/MI_MARGN",
    "21:00",
    _CODES,
    (
        Column("margin_buy", SHARES, ("買進", "融資買進"), 0, LOT),
        Column("margin_sell", SHARES, ("賣出", "融資賣出"), 0, LOT),
        Column("margin_balance", SHARES, ("今日餘額", "融資今日餘額"), 0, LOT),
        Column("short_cover", SHARES, ("買進", "融券買進"), 1, LOT),
        Column("short_sell", SHARES, ("賣出", "融券賣出"), 1, LOT),
        Column("short_balance", SHARES, ("今日餘額", "融券今日餘額"), 1, LOT),
        Column("margin_short_offset", SHARES, ("資券互抵",), 0, LOT),
    ),
    {"selectType": "ALL"},
    {
        "融資金額(仟元)": Column("margin_loans", MONEY, ("今日餘額",), 0, 1_000.0),
        "融資(交易單位)": Column("margin_balance", SHARES, ("今日餘額",), 0, LOT),
        "融券(交易單位)": Column("short_balance", SHARES, ("今日餘額",), 0, LOT),
    },
)
"""Margin loans and short positions; the report counts lots."""

DAILY = {report.name: report for report in (PRICES, INSTITUTIONS, MARGIN)}
"""Reports with one request a day."""
