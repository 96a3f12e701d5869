"""Daily reports as factors: a value of a series, of one instrument and day, and from when on it was public."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from producers.base.collector import Collector
from producers.columns import decimal_float
from producers.venues.twse.instruments import TWSE
from producers.venues.twse.reports import Column, Report, any_date
from producers.venues.twse.tables import Document, Table, UnreadableError, read_document
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import Factor, stable_id
from tapewatch.rfc3339 import to_rfc3339

SOURCE = "twse"


class State(StrEnum):
    """What came: a report; word that there is none (no trading, or not yet); something that is no good."""

    OUT = "out"
    ABSENT = "absent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ReportResult:
    """What an answer said."""

    state: State
    factors: list[Factor] = field(default_factory=list)


_ABSENT = frozenset({"", "-", "--", "---", "----", "N/A", "除權", "除息", "除權息"})


@dataclass
class DailyDecoder:
    """Reports to factors.

    instruments : whose values are wanted, empty for all
    Each value of a report is one message, counted in `collector.messages`, and ends in `given`, `collector.dropped` or
    `collector.refused`; a report that cannot be read is one message, and one without data is dropped.
    """

    collector: Collector
    instruments: Collection[str] = ()
    given: Counter[str] = field(default_factory=Counter)
    _absent: dict[tuple[str, date], int] = field(default_factory=dict)

    def read(self, report: Report, day: date, body: bytes, received: int) -> ReportResult:
        """The factors of one day's report. received : UTC nanoseconds"""
        found = self._document(report, body, received, *report.keys)
        if isinstance(found, State):
            if found is State.ABSENT:
                self._absent[report.name, day] = received
            return ReportResult(found)
        document, table = found
        if document.day is not None and document.day != day:
            self._refuse("other_day", report, body, received)
            return ReportResult(State.REFUSED)
        published = self._published(report, day, received)
        factors = self._rows(report, table, day, published, received)
        return ReportResult(State.OUT, factors + self._totals(report, document, day, published, received))

    def read_month(
        self, report: Report, instrument: str, days: Collection[date], body: bytes, received: int
    ) -> ReportResult:
        """The factors of one instrument's month, whose rows begin with a ROC date. days : which of them are wanted"""
        found = self._document(report, body, received, *report.keys)
        if isinstance(found, State):
            return ReportResult(found)
        _, table = found
        factors: list[Factor] = []
        for row in table.rows:
            try:
                day = any_date(row[0])
            except ValueError:
                self._refuse("bad_date", report, "|".join(row), received)
                continue
            if day not in days:
                self.collector.messages[report.name] += 1
                self.collector.dropped["other_day"] += 1
                continue
            published = self._published(report, day, received)
            factors += self._values(report.columns, table, row, instrument, day, published, received)
        return ReportResult(State.OUT, factors)

    def _document(self, report: Report, body: bytes, received: int, *keys: str) -> tuple[Document, Table] | State:
        """The document and its table of values, or why there is none."""
        try:
            document = read_document(body)
            table = document.table(*_present(document, keys), *_present(document, report.columns[-1].names))
        except UnreadableError as error:
            if error.reason != "no_data":
                self._refuse(error.reason, report, body, received)
                return State.REFUSED
            self.collector.messages[report.name] += 1
            self.collector.dropped["no_data"] += 1
            return State.ABSENT
        return document, table

    def _published(self, report: Report, day: date, received: int) -> int:
        """The report's usual time; the receipt time where it was seen earlier, or was not out yet at the usual time."""
        usual = report.published_at(day)
        late = self._absent.get((report.name, day), 0) >= usual
        return received if late or received < usual else usual

    def _rows(self, report: Report, table: Table, day: date, published: int, received: int) -> list[Factor]:
        """The values of every instrument that is wanted."""
        key = next(place for place, name in enumerate(table.fields) if name in report.keys)
        found: list[Factor] = []
        for row in table.rows:
            instrument = f"{row[key].strip('=').strip(chr(34))}.{TWSE}" if len(row) > key else ""
            if not is_instrument_id(instrument):
                self._refuse("bad_code", report, "|".join(row), received)
            elif self.instruments and instrument not in self.instruments:
                self.collector.messages[report.name] += 1
                self.collector.dropped["not_watched"] += 1
            else:
                found += self._values(report.columns, table, row, instrument, day, published, received)
        return found

    def _totals(self, report: Report, document: Document, day: date, published: int, received: int) -> list[Factor]:
        """The market's own values, which have no instrument."""
        found: list[Factor] = []
        for table in document.tables if report.totals else ():
            for row in table.rows:
                column = report.totals.get(row[0]) if row and "項目" in table.fields else None
                if column is not None:
                    found += self._values((column,), table, row, "", day, published, received)
        return found

    def _values(
        self,
        columns: tuple[Column, ...],
        table: Table,
        row: tuple[str, ...],
        instrument: str,
        day: date,
        published: int,
        received: int,
    ) -> list[Factor]:
        """A factor for each column that the table has and the row fills."""
        found: list[Factor] = []
        for column in columns:
            place = _place(table, column)
            if place is None:
                continue
            self.collector.messages[SOURCE] += 1
            text = row[place].replace(",", "") if place < len(row) else ""
            if text in _ABSENT:
                self.collector.dropped["no_value"] += 1
                continue
            try:
                value = decimal_float(text.lstrip("+")) * column.factor
            except ValueError:
                self.collector.refuse("bad_value", f"{column.series} {instrument} {day}", "|".join(row), received)
                continue
            self.given[column.series] += 1
            found.append(_factor(column, instrument, day, value, published, received))
        return found

    def _refuse(self, reason: str, report: Report, raw: bytes | str, received: int) -> None:
        self.collector.messages[report.name] += 1
        self.collector.refuse(reason, report.name, raw, received)


def _factor(column: Column, instrument: str, day: date, value: float, published: int, received: int) -> Factor:
    """The message; its id is the same each time the value is fetched."""
    period = day.isoformat()
    return Factor(
        id=stable_id(SOURCE, column.series, instrument, period, 0),
        source=SOURCE,
        series=column.series,
        instrument=instrument,
        period=period,
        published_at=to_rfc3339(published),
        received=to_rfc3339(received),
        value=value,
        unit=column.unit,
    )


def _place(table: Table, column: Column) -> int | None:
    """Where a column stands, None where the table lacks it."""
    for name in column.names:
        places = [place for place, field_name in enumerate(table.fields) if field_name == name]
        if len(places) > column.place:
            return places[column.place]
        # Names that tell loans and short positions apart stand once each.
        if places and name.startswith("融"):
            return places[0]
    return None


def _present(document: Document, names: Collection[str]) -> tuple[str, ...]:
    """The first of these names that a table of the document has as a column; the first of all where none has."""
    present = {field_name for table in document.tables for field_name in table.fields}
    return (next((name for name in names if name in present), next(iter(names))),)
