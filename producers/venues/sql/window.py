"""Which keys of a growing table were sent, so that a row that is committed late is neither lost nor sent twice.

Databases give keys out before they commit: a row with key 7 can become visible after the row with key 8 was read. So
keys are looked at again for a while: `floor` is the key up to which everything is done, and above it every key that
was sent is remembered. The floor follows the newest key after `lag_s`, or when more than `lag_rows` are remembered.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import msgspec

from tapewatch.errors import TapewatchError

Key = tuple[int | str, ...]
"""A key's values: integers, and times as ISO text of one width, so that they sort as they should."""
_MARK_MS = 1_000


class _Position(msgspec.Struct):
    """What is kept of a window. sent : keys above the floor; runs : the same for a single integer, first and last"""

    table: str
    floor: list[Any] | None = None
    top: list[Any] | None = None
    sent: list[list[Any]] = []
    runs: list[list[int]] = []
    marks: list[tuple[int, list[Any]]] = []


class Window:
    """How far a table was read.

    floor : everything up to this key is done, None at the table's begin; top : highest key that was sent
    """

    def __init__(self, table: str, lag_s: float, lag_rows: int, floor: Key | None = None) -> None:
        self.floor = floor
        self.top = floor
        self._table = table
        self._lag_ms = int(lag_s * 1_000)
        self._lag_rows = lag_rows
        self._sent: list[Key] = []
        self._known: set[Key] = set()
        self._marks: list[tuple[int, Key]] = []

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Of the keys between floor and top those that were not sent: rows that were committed late."""
        return [key for key in keys if key not in self._known]

    def sent(self, keys: Iterable[Key], now_ms: int) -> None:
        """Remember keys as sent, and move the floor."""
        fresh = [key for key in keys if key not in self._known]
        if fresh:
            self._known.update(fresh)
            self._sent = sorted([*self._sent, *fresh])
            self.top = self._sent[-1] if self.top is None else max(self.top, self._sent[-1])
        last_ms, marked = self._marks[-1] if self._marks else (now_ms - _MARK_MS, self.floor)
        if self.top is not None and self.top != marked and now_ms - last_ms >= _MARK_MS:
            self._marks.append((now_ms, self.top))
        self._move(now_ms)

    def position(self) -> bytes:
        """JSON to go on from."""
        single = bool(self._sent) and len(self._sent[0]) == 1 and isinstance(self._sent[0][0], int)
        return msgspec.json.encode(
            _Position(
                self._table,
                _listed(self.floor),
                _listed(self.top),
                [] if single else [list(key) for key in self._sent],
                _runs([int(key[0]) for key in self._sent]) if single else [],
                [(at, list(key)) for at, key in self._marks],
            )
        )

    @classmethod
    def from_position(cls, position: bytes, table: str, lag_s: float, lag_rows: int) -> "Window":
        """The window that a position tells; TapewatchError where it is of another table or key."""
        try:
            kept = msgspec.json.decode(position, type=_Position)
        except msgspec.DecodeError as error:
            raise TapewatchError(f"the position cannot be read: {error}", "Give the map another name.") from error
        if kept.table != table:
            raise TapewatchError(
                f"the position is of {kept.table}, the map names {table}", "Give a map of another table another name."
            )
        window = cls(table, lag_s, lag_rows, _tupled(kept.floor))
        window.top = _tupled(kept.top)
        singles = [(key,) for first, last in kept.runs for key in range(first, last + 1)]
        window._sent = sorted([*singles, *(tuple(key) for key in kept.sent)])
        window._known = set(window._sent)
        window._marks = [(at, tuple(key)) for at, key in kept.marks]
        return window

    def _move(self, now_ms: int) -> None:
        """Bring the floor up to the newest key that is old enough, or to what there is room for."""
        floor = self.floor
        while self._marks and now_ms - self._marks[0][0] >= self._lag_ms:
            floor = self._marks.pop(0)[1]
        if len(self._sent) > self._lag_rows:
            crowded = self._sent[-self._lag_rows - 1]
            floor = crowded if floor is None else max(floor, crowded)
        if floor is None or floor == self.floor:
            return
        self.floor = floor
        done = bisect_right(self._sent, floor)
        self._known.difference_update(self._sent[:done])
        self._sent = self._sent[done:]
        self._marks = [(at, key) for at, key in self._marks if key > floor]


def _runs(numbers: list[int]) -> list[list[int]]:
    """Ascending integers as first and last of each run without a hole."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _listed(key: Key | None) -> list[Any] | None:
    return None if key is None else list(key)


def _tupled(key: list[Any] | None) -> Key | None:
    return None if key is None else tuple(key)
