"""TWSE's daily reports of the simulated market, as JSON and as CSV in Big5."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from producers.simulators.twse.market import TaiwanMarket, TaiwanStock

Rows = list[list[str]]
Section = tuple[str, Sequence[str], Rows]

NOTHING = {"stat": "很抱歉\uff0c沒有符合條件的資料!"}
FOOTER = ['"備註:"', '"單位: 元, 股",', ""]

_PRICES = ["證券代號", "證券名稱", "成交股數", "成交筆數", "成交金額", "開盤價", "最高價", "最低價", "收盤價"]
_ALL = ["證券代號", "證券名稱", "成交股數", "成交金額", "開盤價", "最高價", "最低價", "收盤價", "漲跌價差", "成交筆數"]
_MONTH = ["日期", "成交股數", "成交金額", "開盤價", "最高價", "最低價", "收盤價", "漲跌價差", "成交筆數"]
_NETS = [
    "證券代號",
    "證券名稱",
    "外陸資買賣超股數(不含外資自營商)",
    "外資自營商買賣超股數",
    "投信買賣超股數",
    "自營商買賣超股數",
    "三大法人買賣超股數",
]
_LOANS = ["買進", "賣出", "現金償還", "前日餘額", "今日餘額", "次一營業日限額"]
_SHORTS = ["買進", "賣出", "現券償還", "前日餘額", "今日餘額", "次一營業日限額"]
_MARGIN = ["代號", "名稱", *_LOANS, *_SHORTS, "資券互抵", "註記"]
_TOTALS = ["項目", "買進", "賣出", "現金(券)償還", "前日餘額", "今日餘額"]


class TaiwanReports:
    """The reports of a market. sections : by the last part of their path"""

    def __init__(self, market: TaiwanMarket) -> None:
        self._market = market
        self.sections: dict[str, Callable[[date], list[Section]]] = {
            "MI_INDEX": self.prices,
            "T86": self.institutions,
            "MI_MARGN": self.margin,
            "STOCK_DAY_ALL": self.latest,
        }

    def prices(self, day: date) -> list[Section]:
        """Every stock's day."""
        rows = [
            [stock.code, f"模擬{stock.code}", *_counts(found, "volume", "trades", "turnover"), *_prices(found)]
            for stock, found in self._days(day)
        ]
        return [(f"{roc_words(day)} 每日收盤行情(全部)", _PRICES, rows)]

    def latest(self, day: date) -> list[Section]:
        """The same in other columns."""
        rows = [[stock.code, f"模擬{stock.code}", *_month_cells(found)] for stock, found in self._days(day)]
        return [(f"{roc_words(day)} 每日成交行情", _ALL, rows)]

    def institutions(self, day: date) -> list[Section]:
        """Net buying."""
        rows = []
        for stock, found in self._days(day):
            nets = [found[name] for name in ("foreign", "foreign_dealer", "trust", "dealer")]
            rows.append([stock.code, f"模擬{stock.code}", *(f"{net:,}" for net in (*nets, sum(nets)))])
        return [(f"{roc_words(day)} 三大法人買賣超日報", _NETS, rows)]

    def margin(self, day: date) -> list[Section]:
        """Margin loans and short positions, after the market's own."""
        rows = [
            [
                stock.code,
                f"模擬{stock.code}",
                *_counts(found, "margin_buy", "margin_sell"),
                "0",
                "1",
                *_counts(found, "margin"),
                "9,999",
                *_counts(found, "short_buy", "short_sell"),
                "0",
                "1",
                *_counts(found, "short"),
                "9,999",
                *_counts(found, "offset"),
                "",
            ]
            for stock, found in self._days(day)
        ]
        total = sum(found["margin"] for _, found in self._days(day))
        totals = [["融資(交易單位)", "1", "1", "0", "1", f"{total:,}"]]
        title = roc_words(day)
        return [(f"{title} 信用交易統計", _TOTALS, totals), (f"{title} 融資融券彙總 (全部)", _MARGIN, rows)]

    def month(self, code: str, days: Sequence[date]) -> list[Section]:
        """One stock's days."""
        stock = next((one for one in self._market.of("tse") if one.code == code), None)
        rows = [[roc(day), *_month_cells(stock.day(day, self._market.seed))] for day in days] if stock else []
        return [(f"{code} 各日成交資訊", _MONTH, rows)]

    def counter(self, day: date) -> list[dict[str, str]]:
        """TPEx's open data of its latest day."""
        return [
            {
                "Date": f"{day.year - 1911}{day:%m%d}",
                "SecuritiesCompanyCode": stock.code,
                "CompanyName": f"模擬{stock.code}",
                "Close": f"{found['close'] / 100:.2f}",
                "TradingShares": str(found["volume"]),
                "TransactionAmount": str(found["turnover"] // 100),
            }
            for stock, found in self._days(day, "otc")
        ]

    def _days(self, day: date, market: str = "tse") -> list[tuple[TaiwanStock, dict[str, int]]]:
        return [(stock, stock.day(day, self._market.seed)) for stock in self._market.of(market)]


def as_json(sections: list[Section], day: date) -> dict[str, Any]:
    """A report as it comes now."""
    tables = [{"title": title, "fields": list(fields), "data": rows} for title, fields, rows in sections]
    if len(tables) == 1:
        return {"stat": "OK", "date": f"{day:%Y%m%d}", **tables[0]}
    return {"stat": "OK", "date": f"{day:%Y%m%d}", "tables": tables}


def as_csv(sections: list[Section]) -> bytes:
    """The same in Big5: quoted cells, trailing commas, codes with a leading 0 as formulas, a footer."""
    lines: list[str] = []
    for title, fields, rows in sections:
        lines += [f'"{title}"', _line(fields)]
        lines += [_line(row) for row in rows]
    return "\r\n".join([*lines, *FOOTER]).encode("cp950")


def roc(day: date) -> str:
    """112/01/03"""
    return f"{day.year - 1911}/{day:%m/%d}"


def roc_words(day: date) -> str:
    """112年01月03日"""
    return f"{day.year - 1911}年{day:%m月%d日}"


def _line(cells: Sequence[str]) -> str:
    return ",".join(f'="{cell}"' if cell.startswith("00") else f'"{cell}"' for cell in cells) + ","


def _counts(found: dict[str, int], *names: str) -> list[str]:
    """Whole numbers with thousands separators; turnover is kept in hundredths."""
    return [f"{found[name] // (100 if name == 'turnover' else 1):,}" for name in names]


def _prices(found: dict[str, int]) -> list[str]:
    return [f"{found[name] / 100:,.2f}" for name in ("open", "high", "low", "close")]


def _month_cells(found: dict[str, int]) -> list[str]:
    return [*_counts(found, "volume", "turnover"), *_prices(found), "X0.00", *_counts(found, "trades")]
