"""Rows on their way to a feed: venues' decoders append tuples, the runner takes them away as columns."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from producers.columns import rows_of
from tapewatch.contract.rows import EVERY_INSTRUMENT, REQUIRED, Rows, RowType, StatusKind

RAW_LIMIT = 65_536
"""Bytes of a refused message that are kept."""
REFUSED_WAITING = 1_000
"""Refused messages kept with their text between two flushes; all are counted."""


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that gave no row. where : stream, endpoint or table; raw : its first 64 KiB; received : UTC ns"""

    reason: str
    where: str
    raw: bytes
    received: int


class Collector:
    """Rows as tuples in the contract's column order, until they are taken.

    Tuples begin with the instrument's code (see `code`), ts_event and ts_recv, UTC nanoseconds. Trades end with
    trade_id (str or None). Hot paths may append to the lists themselves.

    first : how the dictionary begins; code 0 is every instrument
    refused : counts by reason; messages : messages seen by kind; dropped : by reason, what was rightly left out (a
    repeated id, a row of the upstream that is not in charge); violations : rebuilt books that were not sound, by kind
    """

    def __init__(self, first: tuple[str, ...] = (EVERY_INSTRUMENT,)) -> None:
        self.trades: list[tuple[Any, ...]] = []
        self.quotes: list[tuple[Any, ...]] = []
        self.books: list[tuple[Any, ...]] = []
        self.bars: list[tuple[Any, ...]] = []
        self.statuses: list[tuple[Any, ...]] = []
        self.messages: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self._refused: list[RefusedMessage] = []
        self._codes = {name: code for code, name in enumerate(first)}
        self._names = first

    def code(self, instrument: str) -> int:
        """The instrument's code in the rows' dictionary; an id that was not known is added to it."""
        code = self._codes.get(instrument)
        if code is None:
            code = self._codes[instrument] = len(self._codes)
        return code

    def codes(self, instruments: Iterable[str]) -> dict[str, int]:
        """The codes of several instruments."""
        return {instrument: self.code(instrument) for instrument in instruments}

    def status(self, code: int, kind: StatusKind, detail: str, received: int, event: int = 0) -> None:
        """A status row of one instrument (code 0: of all). event : venue time, 0 takes the receipt time"""
        self.statuses.append((code, event or received, received, int(kind), detail))

    def refuse(self, reason: str, where: str, raw: bytes | str, received: int) -> None:
        """Count a refused message and keep the start of its text while there is room."""
        self.refused[reason] += 1
        if len(self._refused) < REFUSED_WAITING:
            data = raw[:RAW_LIMIT].encode("utf-8", "replace") if isinstance(raw, str) else bytes(raw[:RAW_LIMIT])
            self._refused.append(RefusedMessage(reason, where, data[:RAW_LIMIT], received))

    @property
    def waiting(self) -> int:
        """Rows that have not been taken."""
        return len(self.trades) + len(self.quotes) + len(self.books) + len(self.bars) + len(self.statuses)

    def take(self) -> list[Rows]:
        """The rows collected so far, one `Rows` a type, each in receipt order."""
        if len(self._names) != len(self._codes):
            self._names = tuple(self._codes)
        found = [
            self._columns(RowType.STATUS, self.statuses),
            self._columns(RowType.TRADE, self.trades, ("trade_id",)),
            self._columns(RowType.QUOTE, self.quotes),
            self._columns(RowType.BOOK, self.books),
            self._columns(RowType.BAR, self.bars),
        ]
        return [rows for rows in found if rows is not None]

    def take_refused(self) -> list[RefusedMessage]:
        """The refused messages since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _columns(
        self, row_type: RowType, records: list[tuple[Any, ...]], optional: tuple[str, ...] = ()
    ) -> Rows | None:
        if not records:
            return None
        rows: Rows | None
        try:
            rows = rows_of(row_type, self._names, records, optional)
        except OverflowError:
            sound = self._in_range(row_type, records)
            rows = rows_of(row_type, self._names, sound, optional) if sound else None
        records.clear()
        return rows

    def _in_range(self, row_type: RowType, records: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The records whose whole numbers fit into their columns; the others, such as a time of the year 10,000, are
        refused: a venue's nonsense must not end the feed.
        """
        sound = []
        for record in records:
            try:
                rows_of(row_type, self._names, [record[: len(REQUIRED[row_type])]])
                sound.append(record)
            except OverflowError:
                self.refuse("out_of_range", row_type.label, repr(record), record[2])
        return sound
