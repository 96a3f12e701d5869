"""From records to rows of the contract, by a map: no I/O and no clock."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from producers.venues.bridge.map import BridgeMap, InstrumentMap, RowMap, Value, mistake
from producers.venues.bridge.records import BadRecord, Reader, Record, UnfitError
from producers.venues.bridge.values import Read, text_reader, value_reader
from tapewatch.clock import NANOS
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.instruments import Instrument, Session, is_instrument_id
from tapewatch.contract.rows import OPTIONAL, REQUIRED, RowType
from tapewatch.logs import printable

Origin = tuple[str, int, int]
"""Topic, partition and offset of a message."""

_COMMON = ("instrument", "ts_event", "ts_recv")
_DEFAULTS: dict[RowType, dict[str, Value]] = {
    RowType.TRADE: {"aggressor_side": Value(value=0), "condition": Value(value=0)},
    RowType.QUOTE: {},
    RowType.BOOK: {"sequence": Value(value=0)},
    RowType.BAR: {"trades": Value(value=0)},
    RowType.ORDER: {},
    RowType.STATUS: {"detail": Value(value="")},
}
_PATH = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """What gave no row. row : its number in the message, -1 where the whole message is refused; raw : its own bytes"""

    origin: Origin
    row: int
    reason: str
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is from. row : its number in a message of several, -1 where it is the message; value : the message"""

    origin: Origin
    row: int
    value: bytes
    record: Record | BadRecord

    def refused(self, reason: str, detail: str) -> RefusedRow:
        """The row as refused."""
        return RefusedRow(self.origin, self.row, reason, detail, self.value if self.row < 0 else self.record.raw)


@dataclass(slots=True)
class Batch:
    """Rows of one kind as tuples in the contract's column order, and where each is from.

    names : the dictionary of instruments
    """

    type: RowType
    optional: tuple[str, ...]
    names: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


class Translator:
    """Translates messages; what gives no row is in `refused`.

    known : whether rows of an id are taken; asked once for each row
    """

    def __init__(self, bridge: BridgeMap, known: Callable[[str, Record], bool]) -> None:
        self._reader = Reader(bridge.input, bridge.constants)
        self._instrument = _Template(bridge.instrument)
        self._kinds = [_Kind(f"rows[{place}]", row, bridge.receipt) for place, row in enumerate(bridge.rows)]
        self._known = known
        self._codes: dict[str, int] = {}
        self._names: list[str] = []
        self.refused: list[RefusedRow] = []
        self._batches = self._fresh()

    def message(self, origin: Origin, value: bytes | None, received: int) -> None:
        """Take a message. received : UTC nanoseconds; the rows' ts_recv, except where the map says `event`"""
        try:
            records = self._reader.records(value)
        except UnfitError as error:
            self.refused.append(RefusedRow(origin, -1, error.reason, error.detail, value or b""))
            return
        several = len(records) > 1
        for row, record in enumerate(records):
            place = Place(origin, row if several else -1, value or b"", record)
            try:
                self._row(place, record, received)
            except UnfitError as error:
                self.refused.append(place.refused(error.reason, error.detail))

    def take(self) -> tuple[list[Batch], list[RefusedRow]]:
        """The rows and refusals since the last call."""
        batches, self._batches = [batch for batch in self._batches if batch.rows], self._fresh()
        refused, self.refused = self.refused, []
        return batches, refused

    def _fresh(self) -> list[Batch]:
        return [Batch(kind.type, kind.optional, self._names) for kind in self._kinds]

    def _row(self, place: Place, record: Record | BadRecord, received: int) -> None:
        if isinstance(record, BadRecord):
            raise record.error
        number = next((number for number, kind in enumerate(self._kinds) if kind.fits(record)), -1)
        if number < 0:
            raise UnfitError("no_row_kind", "no entry of [[rows]] fits it")
        name = self._instrument.id(record)
        ts_event, ts_recv, values = self._kinds[number].read(record, received)
        if not self._known(name, record):
            raise UnfitError("unregistered_instrument", name)
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self._names)
            self._names.append(name)
        batch = self._batches[number]
        batch.rows.append((code, ts_event, ts_recv, *values))
        batch.places.append(place)


class _Kind:
    """One entry of [[rows]], compiled."""

    def __init__(self, key: str, row: RowMap, receipt: str) -> None:
        self.type = RowType[row.type.upper()]
        self._when = tuple(row.when.items())
        self._by_event = receipt == "event"
        given = {name: Value(path=entry) if isinstance(entry, str) else entry for name, entry in row.columns.items()}
        entries = {**_DEFAULTS[self.type], **given}
        if self.type == RowType.BAR and row.interval_s and "interval_s" not in entries:
            entries["interval_s"] = Value(value=row.interval_s)
        kinds = dict((*REQUIRED[self.type], *OPTIONAL[self.type]))
        for name in given:
            if name not in kinds or name in ("instrument", "ts_recv"):
                allowed = ", ".join(column for column in kinds if column not in ("instrument", "ts_recv"))
                raise mistake(f"{key}.columns.{name}", f"a {row.type} has no such column", f"Columns: {allowed}.")
        self.optional = tuple(name for name, _ in OPTIONAL[self.type] if name in entries)
        wanted = [name for name, _ in REQUIRED[self.type] if name not in _COMMON] + list(self.optional)
        self._event = self._event_reader(key, row, entries)
        self._readers = tuple(self._column(key, name, kinds[name], entries) for name in wanted)
        self._open_at = wanted.index("ts_open") if self.type == RowType.BAR else -1
        self._interval_at = wanted.index("interval_s") if self.type == RowType.BAR else -1

    def fits(self, record: Record) -> bool:
        """Whether the record is of this kind."""
        return all(record.text(path) == text for path, text in self._when)

    def read(self, record: Record, received: int) -> tuple[int, int, list[Any]]:
        """ts_event, ts_recv and the other columns' values."""
        values = [read(record) for read in self._readers]
        if self._event is not None:
            ts_event: int = self._event(record)
        else:
            ts_event = values[self._open_at] + values[self._interval_at] * NANOS
        ts_recv = ts_event if self._by_event else received
        if abs(ts_event - ts_recv) > MAX_SKEW_NS:
            apart = (ts_event - ts_recv) / NANOS
            raise UnfitError("absurd_ts_event", f"ts_event lies {apart:+.0f} s from the receipt time")
        return ts_event, ts_recv, values

    def _event_reader(self, key: str, row: RowMap, entries: dict[str, Value]) -> Read | None:
        entry = entries.get("ts_event")
        if entry is not None:
            return value_reader(f"{key}.columns.ts_event", "ts_event", REQUIRED[self.type][1][1], entry, False)
        if self.type == RowType.BAR and {"ts_open", "interval_s"} <= entries.keys():
            return None
        raise mistake(
            f"{key}.columns", f"a {row.type} needs ts_event", 'Write ts_event = "path", or { path, time, zone }.'
        )

    def _column(self, key: str, name: str, kind: Any, entries: dict[str, Value]) -> Read:
        lenient = self.type == RowType.QUOTE
        entry = entries.get(name)
        if entry is None and lenient:
            return lambda _: float("nan")
        if entry is None:
            what = "interval_s (or write interval_s = 60 beside type)" if name == "interval_s" else name
            raise mistake(f"{key}.columns", f"it lacks {what}", f'Write {name} = "path.in.the.message".')
        return value_reader(f"{key}.columns.{name}", name, kind, entry, lenient)


class _Template:
    """Instrument ids by a template."""

    def __init__(self, entry: InstrumentMap) -> None:
        self._parts = _PATH.split(entry.template)
        if any("{" in part or "}" in part for part in self._parts[::2]):
            raise mistake("instrument.template", f"unpaired braces in {entry.template!r}", 'Write "{path}.VENUE".')
        if len(self._parts) == 1 and not is_instrument_id(entry.template):
            raise mistake("instrument.template", f"{entry.template!r} is no id", 'Write "{path}.VENUE" or an id.')
        self._prefix, self._upper = entry.strip_prefix, entry.upper

    def id(self, record: Record) -> str:
        """The record's instrument; UnfitError where it gives none."""
        parts = list(self._parts)
        for place in range(1, len(parts), 2):
            text = record.text(parts[place])
            if not text:
                raise UnfitError("missing_field", f"nothing at {parts[place]}, which names the instrument")
            parts[place] = text.removeprefix(self._prefix)
        name = "".join(parts).upper() if self._upper else "".join(parts)
        if not is_instrument_id(name):
            raise UnfitError("malformed_instrument", name[:80])
        return name


def provisional(entry: InstrumentMap, feed: str, name: str, record: Record) -> Instrument:
    """Reference data of an id that appeared, as far as the map tells it."""
    return Instrument(
        id=name,
        name=printable(record.text(entry.name))[:200] if entry.name else "",
        currency=entry.currency,
        kind=entry.kind,
        lot=entry.lot,
        session=Session(entry.timezone, entry.open, entry.close),
        provisional=f"template of {feed}",
    )


__all__ = ["Batch", "Origin", "RefusedRow", "Translator", "provisional", "text_reader"]
