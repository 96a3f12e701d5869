"""TWSE's daily reports made by code, in the shapes and encodings in which they come."""

import json
from typing import Any

PRICE_FIELDS = [
    "證券代號",
    "證券名稱",
    "成交股數",
    "成交筆數",
    "成交金額",
    "開盤價",
    "最高價",
    "最低價",
    "收盤價",
    "漲跌(+/-)",
    "漲跌價差",
]
TSMC = [
    "2330",
    "台積電",
    "34,567,890",
    "45,678",
    "34,500,000,123",
    "1,000.00",
    "1,010.00",
    "995.00",
    "1,005.00",
    "+",
    "5.00",
]
QUIET = ["9110", "越南控-DR", "0", "0", "0", "--", "--", "--", "--", " ", "0.00"]
T86_FIELDS = [
    "證券代號", "證券名稱",
    "外陸資買進股數(不含外資自營商)", "外陸資賣出股數(不含外資自營商)", "外陸資買賣超股數(不含外資自營商)",
    "外資自營商買進股數", "外資自營商賣出股數", "外資自營商買賣超股數",
    "投信買進股數", "投信賣出股數", "投信買賣超股數", "自營商買賣超股數",
    "自營商買進股數(自行買賣)", "自營商賣出股數(自行買賣)", "自營商買賣超股數(自行買賣)",
    "自營商買進股數(避險)", "自營商賣出股數(避險)", "自營商買賣超股數(避險)", "三大法人買賣超股數",
]  # fmt: skip
T86_TSMC = [
    "2330", "台積電    ", "20,000,000", "25,123,456", "-5,123,456", "0", "0", "0", "300,000", "100,000", "200,000",
    "-7,000", "1,000", "2,000", "-1,000", "4,000", "10,000", "-6,000", "-4,930,456",
]  # fmt: skip
MARGIN_FIELDS = [
    "代號", "名稱", "買進", "賣出", "現金償還", "前日餘額", "今日餘額", "次一營業日限額",
    "買進", "賣出", "現券償還", "前日餘額", "今日餘額", "次一營業日限額", "資券互抵", "註記",
]  # fmt: skip
MARGIN_TSMC = [
    "2330", "台積電", "1,200", "1,100", "50", "20,000", "20,050", "6,482,543",
    "10", "30", "0", "500", "520", "6,482,543", "7", " ",
]  # fmt: skip
TOTAL_FIELDS = ["項目", "買進", "賣出", "現金(券)償還", "前日餘額", "今日餘額"]
TOTALS = [
    ["融資(交易單位)", "300,000", "290,000", "5,000", "7,000,000", "7,005,000"],
    ["融券(交易單位)", "20,000", "25,000", "1,000", "250,000", "254,000"],
    ["融資金額(仟元)", "15,000,000", "14,000,000", "100,000", "200,000,000", "200,900,000"],
]
NOTHING = json.dumps({"stat": "很抱歉\uff0c沒有符合條件的資料!"}).encode()


def document(*tables: tuple[str, list[str], list[list[str]]], day: str = "20230103") -> bytes:
    """A report as it comes now: tables with title, fields and data."""
    found = [{"title": title, "fields": fields, "data": rows} for title, fields, rows in tables]
    return json.dumps({"stat": "OK", "date": day, "tables": found}).encode()


def flat(fields: list[str], rows: list[list[str]], day: str = "20230103", **more: Any) -> bytes:
    """A report of one table."""
    return json.dumps({"stat": "OK", "date": day, "title": "x", "fields": fields, "data": rows, **more}).encode()


def csv_text(title: str, header: list[str], rows: list[list[str]], before: list[str] | None = None) -> bytes:
    """A report as CSV: Big5, quoted cells, trailing commas, codes as formulas, a footer."""
    lines = [f'"{title}"', *(before or []), ",".join(f'"{name}"' for name in header) + ","]
    for row in rows:
        code = f'="{row[0]}"' if row[0].startswith("0") else f'"{row[0]}"'
        lines.append(",".join([code, *(f'"{cell}"' for cell in row[1:])]) + ",")
    lines += ['"備註:"', '"1. 單位為股, 元",', '"ETF證券代號第六碼為K、M、S、C者\uff0c表示該ETF以外幣交易。"', ""]
    return "\r\n".join(lines).encode("cp950")


def prices(day: str = "20230103") -> bytes:
    """The market's day: an index table before the table of closing quotes."""
    return document(
        ("價格指數(臺灣證券交易所)", ["指數", "收盤指數"], [["發行量加權股價指數", "14,224.12"]]),
        ("112年01月03日 每日收盤行情(全部(不含權證、牛熊證))", PRICE_FIELDS, [TSMC, QUIET]),
        day=day,
    )


def margin(day: str = "20230103") -> bytes:
    """Margin balances: the market's, then each instrument's."""
    return document(
        ("112年01月03日 信用交易統計", TOTAL_FIELDS, TOTALS),
        ("112年01月03日 融資融券彙總 (全部)", MARGIN_FIELDS, [MARGIN_TSMC]),
        day=day,
    )
