"""Taiwan's venue for the simulator server: who may ask how often, what is answered, and what goes wrong.

TWSE's daily reports of the simulated market, as JSON and as CSV in Big5.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.faults import FaultKind
from producers.simulators.server import SimulatorServer
from producers.simulators.twse.market import (
    UNKNOWN,
    StockSnapshot,
    TaiwanMarket,
    TaiwanStock,
    chart,
    mis_document,
    mis_row,
    taipei,
    yahoo_quote,
    yahoo_symbol,
)
from producers.simulators.twse.recorded import RecordedMis

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


WINDOW_S, REQUESTS = 5.0, 3
"""How many requests in how long MIS and TWSE's web site stand."""
PUBLISHED = {"MI_INDEX": "15:00", "STOCK_DAY": "15:00", "STOCK_DAY_ALL": "15:00", "T86": "16:30", "MI_MARGN": "21:00"}
CRUMB = "cRuMb.42"
_BLOCKED = b"<html><body>THE PAGE CANNOT BE ACCESSED! FOR SECURITY REASONS</body></html>"
_SATURDAY = 5


class TaiwanVenue:
    """MIS, Yahoo's Taiwan quotes, TWSE's reports and TPEx's open data.

    channels : such as tse_2330.tw; recorded : MIS gives these answers again, and no made-up ones
    pace : how many times faster than usual time passes for refreshes and limits
    yahoo : quotes, crumb (quotes only with one), charts (no quotes) or off
    most : largest number of MIS requests within the limit's window; blocked : requests refused for coming too often
    """

    name = "twse"

    def __init__(
        self,
        channels: Sequence[str] = (),
        *,
        seed: int = 0,
        pace: float = 1.0,
        yahoo: str = "quotes",
        recorded: RecordedMis | None = None,
    ) -> None:
        self._recorded = recorded
        self.market = TaiwanMarket(channels or (recorded.channels if recorded is not None else ()), seed)
        self.reports = TaiwanReports(self.market)
        self.yahoo = yahoo
        self.pace = pace
        self.most = self.blocked = 0
        self.answered: dict[str, int] = {"mis_rows": 0, "yahoo_rows": 0, "reports": 0}
        self._asked: dict[str, deque[float]] = {"mis": deque(), "web": deque()}
        self._frozen_until = self._shut_until = 0.0
        self._frozen: dict[str, StockSnapshot] = {}
        self._server: SimulatorServer | None = None

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """As in the settings of the venue."""
        return {"mis": http, "web": http, "tpex": http, "yahoo": http}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """Everything is asked for."""
        self._server = server
        self._refresh(server.now())
        return [
            web.get("/stock/api/getStockInfo.jsp", self._mis),
            web.get("/v7/finance/quote", self._quotes),
            web.get("/v8/finance/chart/{symbol}", self._chart),
            web.get("/v1/test/getcrumb", self._give_crumb),
            web.get("/rwd/zh/{group}/{report}", self._report),
            web.get("/openapi/v1/tpex_mainboard_quotes", self._counter),
        ]

    async def run(self, server: SimulatorServer) -> None:
        """Let the market move every five seconds."""
        while True:
            await asyncio.sleep(WINDOW_S / self.pace)
            self._misbehave(server)
            self._refresh(server.now())

    def sent(self) -> dict[str, Any]:
        """Rows and reports answered, and how hard MIS was asked."""
        return {**self.answered, "most_in_window": self.most, "blocked": self.blocked}

    def freeze(self, seconds: float) -> None:
        """MIS goes on answering, with what it shows now."""
        self._frozen_until = _loop_time() + seconds
        self._frozen = {name: stock.shown for name, stock in self.market.stocks.items()}

    async def _mis(self, request: web.Request) -> web.Response:
        now = self._now()
        if self._too_often("mis"):
            return web.Response(body=_BLOCKED, content_type="text/html")
        if _loop_time() < self._shut_until:
            return _text_html(mis_document([], now, "9999", "系統維護中"))
        wanted = [name for name in request.query.get("ex_ch", "").split("|") if name]
        if not wanted:
            return _text_html(mis_document([], now, "5001", "Empty Query."))
        self._misbehave(self._at_work())
        old = self._at_work().plan.take({FaultKind.OLD_SNAPSHOT}, request.path_qs) is not None
        rows = [self._row(name, old) for name in wanted]
        self.answered["mis_rows"] += len(rows)
        return _text_html(mis_document(rows, now))

    def _row(self, name: str, old: bool) -> dict[str, str]:
        stock = self.market.stocks.get(name)
        if stock is None or not stock.listed:
            return UNKNOWN
        if self._recorded is not None:
            return self._recorded.row(name) or UNKNOWN
        if _loop_time() < self._frozen_until:
            return mis_row(stock, self._frozen[name])
        return mis_row(stock, stock.before if old and stock.before.at else stock.shown)

    async def _quotes(self, request: web.Request) -> web.Response:
        if self.yahoo in ("charts", "off") or (self.yahoo == "crumb" and request.query.get("crumb") != CRUMB):
            error = {"code": "Unauthorized", "description": "Invalid Crumb"}
            return json_answer({"finance": {"result": None, "error": error}}, 401)
        wanted = set(request.query.get("symbols", "").split(","))
        found = [yahoo_quote(stock) for stock in self._stocks() if yahoo_symbol(stock) in wanted]
        self.answered["yahoo_rows"] += len(found)
        return json_answer({"quoteResponse": {"result": found, "error": None}})

    async def _chart(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        stock = next((one for one in self._stocks() if yahoo_symbol(one) == symbol), None)
        if stock is None or self.yahoo == "off":
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return json_answer({"chart": {"result": None, "error": error}}, 404)
        self.answered["yahoo_rows"] += 1
        return json_answer(chart(stock))

    async def _give_crumb(self, request: web.Request) -> web.Response:
        return web.Response(text=CRUMB) if self.yahoo == "crumb" else web.Response(status=401, text="Unauthorized")

    async def _report(self, request: web.Request) -> web.Response:
        if self._too_often("web"):
            return web.Response(body=_BLOCKED, content_type="text/html")
        name = request.match_info["report"]
        today = taipei(self._now()).date()
        asked = request.query.get("date", "")
        day = date.fromisoformat(f"{asked[:4]}-{asked[4:6]}-{asked[6:8]}") if asked else self.latest_day(name)
        if name == "STOCK_DAY":
            days = [day.replace(day=1) + timedelta(days=place) for place in range(31)]
            days = [one for one in days if one.month == day.month and one <= today and self._is_out(name, one)]
            sections = self.reports.month(request.query.get("stockNo", ""), days)
        elif name not in self.reports.sections:
            return web.Response(status=404)
        else:
            day = self.latest_day(name) if name == "STOCK_DAY_ALL" else day
            sections = self.reports.sections[name](day) if self._is_out(name, day) else []
        if not any(rows for _, _, rows in sections):
            return json_answer(NOTHING)
        self.answered["reports"] += 1
        if request.query.get("response") == "csv":
            return web.Response(body=as_csv(sections), content_type="application/octet-stream")
        return json_answer(as_json(sections, day))

    async def _counter(self, request: web.Request) -> web.Response:
        return json_answer(self.reports.counter(self.latest_day("MI_INDEX")))

    def latest_day(self, report: str) -> date:
        """The latest day whose report is out."""
        day = taipei(self._now()).date()
        while not self._is_out(report, day):
            day -= timedelta(days=1)
        return day

    def _is_out(self, report: str, day: date) -> bool:
        """Whether there was trading and the report's time has passed; the simulator knows weekends, and no holidays."""
        now = taipei(self._now())
        past = (day, "") < (now.date(), "") or (day == now.date() and f"{now:%H:%M}" >= PUBLISHED.get(report, "15:00"))
        return day.weekday() < _SATURDAY and past

    def _refresh(self, now: int) -> None:
        """Five seconds pass."""
        self.market.refresh(now)
        if self._recorded is not None:
            self._recorded.step(now)

    def _stocks(self) -> list[TaiwanStock]:
        return [stock for stock in self.market.stocks.values() if stock.listed]

    def _too_often(self, whom: str) -> bool:
        """Whether a request is one too many; it counts all the same."""
        asked, now = self._asked[whom], _loop_time()
        while asked and now - asked[0] > WINDOW_S / self.pace * 0.98:
            asked.popleft()
        asked.append(now)
        if whom == "mis":
            self.most = max(self.most, len(asked))
        # A bucket that was full gives a burst on top of what it is filled with in the window.
        blocked = len(asked) > 2 * REQUESTS
        self.blocked += blocked
        return blocked

    def _misbehave(self, server: SimulatorServer) -> None:
        """What is this venue's own part."""
        fault = server.plan.take({FaultKind.DELISTED}, " ".join(self.market.stocks))
        if fault is not None:
            stocks = [stock for name, stock in self.market.stocks.items() if fault.match in name and stock.listed]
            for stock in stocks[:1]:
                stock.listed = False
        fault = server.plan.take({FaultKind.MAINTENANCE})
        if fault is not None:
            self._shut_until = _loop_time() + fault.seconds

    def _at_work(self) -> SimulatorServer:
        if self._server is None:
            raise RuntimeError("the venue is not served")
        return self._server

    def _now(self) -> int:
        return self._at_work().now()


def _text_html(document: dict[str, Any]) -> web.Response:
    """JSON with the content type that MIS gives it."""
    answer = json_answer(document)
    answer.content_type = "text/html"
    return answer


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
