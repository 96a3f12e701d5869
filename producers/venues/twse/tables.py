"""TWSE's daily reports as tables of texts: JSON in four shapes, and CSV in Big5 with ="0050" cells and footers.

One instrument's market at one instant, as either upstream shows it.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from producers.base.ladder import Level
from producers.venues.twse.reports import any_date


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an upstream shows of one instrument.

    event : the upstream's time, UTC ns; sequence : rises with each change
    volume : shares traded in the session so far; last : price of the last trade, NaN where the snapshot has none
    bids, asks : levels, best first; quantities in shares, 0 where the upstream does not tell
    deep : several levels, and so a book; trial : what kind of trial matching, empty in trading
    halted : until when trading is halted (HH:MM:SS), empty where it is not
    """

    instrument: str
    event: int
    sequence: int
    volume: float
    last: float
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    deep: bool
    trial: str = ""
    halted: str = ""


class UnreadableError(ValueError):
    """A message that cannot be read. reason : a word for the count"""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


KEYS = frozenset({"證券代號", "股票代號", "代號", "日期", "項目", "Code", "SecuritiesCompanyCode"})
"""Names of a table's first columns; a CSV line that holds one of them is a header."""

_NUMBERED = re.compile(r"fields(\d*)")
_TITLE_DATE = re.compile(r"(\d{2,3}年\d{1,2}月\d{1,2}日|\d{3}/\d{2}/\d{2}|\d{4}/\d{2}/\d{2})")
_NOTHING = ("很抱歉", "沒有符合", "查無", "無資料", "大於今日", "No Data", "no data")


@dataclass(frozen=True, slots=True)
class Table:
    """Column names (some stand twice) and rows of as many texts."""

    title: str
    fields: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report. day : what it is of, None where it does not say"""

    day: date | None
    tables: tuple[Table, ...]

    def table(self, *columns: str) -> Table:
        """The first table that has these columns; UnreadableError `no_table` where there is none."""
        for table in self.tables:
            if all(column in table.fields for column in columns):
                return table
        raise UnreadableError("no_table", ", ".join(columns))


def read_document(body: bytes) -> Document:
    """A report's tables. UnreadableError: no_data where there is none for that day, not_json, malformed, not_text."""
    text = _text(body).strip()
    if not text:
        raise UnreadableError("no_data", "an empty body")
    if text[0] in "{[":
        return _json(text)
    if text[0] == "<":
        raise UnreadableError("not_json", text[:80])
    return _csv(text)


def _text(body: bytes) -> str:
    """UTF-8, or Big5 as Windows writes it."""
    for encoding in ("utf-8-sig", "cp950"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UnreadableError("not_text", "neither UTF-8 nor Big5")


def _json(text: str) -> Document:
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UnreadableError("not_json", str(error)) from error
    if isinstance(found, list):
        return _records(found)
    stat = str(found.get("stat", ""))
    if stat.upper() != "OK":
        nothing = not stat or any(word in stat for word in _NOTHING)
        raise UnreadableError("no_data" if nothing else "bad_request", stat)
    tables = tuple(_json_tables(found))
    if not any(table.rows for table in tables):
        raise UnreadableError("no_data", "no rows")
    return Document(_day(str(found.get("date", ""))), tables)


def _records(found: list[Any]) -> Document:
    """The open-data shape: a list of objects with a date in each."""
    if not found:
        raise UnreadableError("no_data", "an empty list")
    if not all(isinstance(record, dict) for record in found):
        raise UnreadableError("malformed", "a list of something else")
    fields = tuple(found[0])
    rows = tuple(tuple(str(record.get(name, "")) for name in fields) for record in found)
    return Document(_day(str(found[0].get("Date", ""))), (Table("", fields, rows),))


def _json_tables(found: dict[str, Any]) -> Iterator[Table]:
    """Tables below `tables`, or in `fields` and `data`, `fields9` and `data9`, `creditFields` and `creditList`."""
    for table in found.get("tables") or ():
        if isinstance(table, dict) and table.get("fields"):
            yield _table(str(table.get("title", "")), table["fields"], table.get("data"))
    if found.get("creditFields"):
        yield _table(str(found.get("creditTitle", "")), found["creditFields"], found.get("creditList"))
    for name, fields in found.items():
        match = _NUMBERED.fullmatch(name)
        if match and fields:
            title = found.get(f"subtitle{match[1]}") or found.get(f"title{match[1]}") or found.get("title", "")
            yield _table(str(title), fields, found.get(f"data{match[1]}"))


def _table(title: str, fields: Any, data: Any) -> Table:
    if not isinstance(fields, list) or not isinstance(data or [], list):
        raise UnreadableError("malformed", f"{title}: fields and data are no lists")
    names = tuple(str(field).strip() for field in fields)
    rows = tuple(tuple(str(cell).strip() for cell in row) for row in data or [] if isinstance(row, list))
    return Table(title.strip(), names, rows)


def _csv(text: str) -> Document:
    """Sections of a title, a header with a known first column, and rows of its width; footers are left out."""
    title, titles = "", []
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = []
    for cells in csv.reader(io.StringIO(text.replace('="', '"'))):
        row = _cells(cells)
        if len(row) < 2:
            title = row[0] if row else title
            titles.append(title)
            if tables and tables[-1][1]:
                tables.append(("", (), []))
        elif KEYS & set(row):
            tables.append((title, row, []))
        elif tables and len(row) <= len(tables[-1][1]) and row[0]:
            # Cells that are empty at the end of a line were cut off with its trailing comma.
            padding = ("",) * (len(tables[-1][1]) - len(row))
            tables[-1][2].append((*row, *padding))
    found = tuple(Table(name, fields, tuple(rows)) for name, fields, rows in tables if fields)
    if not any(table.rows for table in found):
        raise UnreadableError("no_data", "no rows")
    return Document(_first_day(titles, found), found)


def _cells(cells: Sequence[str]) -> tuple[str, ...]:
    """Stripped cells without the empty ones at the end."""
    row = [cell.strip() for cell in cells]
    while row and not row[-1]:
        row.pop()
    return tuple(row)


def _first_day(titles: Sequence[str], tables: Sequence[Table]) -> date | None:
    """The first date among the titles; else that of a column of dates that are all the same."""
    for title in titles:
        match = _TITLE_DATE.search(title)
        if match:
            return _day(match[1])
    for table in tables:
        if table.fields[:2] and table.fields[0] == "日期" and len({row[0] for row in table.rows}) == 1:
            return _day(table.rows[0][0])
    return None


def _day(text: str) -> date | None:
    """A date of either calendar, None for anything else."""
    try:
        return any_date(text)
    except ValueError:
        return None
