"""Two runs of rows, what must lie there and what does: lost, duplicated and different rows told apart by their keys.

Output topics as streams of rows, each read only as far as the comparison needs it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import msgspec
import numpy as np

from streams.verifying.rows import MESSAGES, Block, Headers, Names, RowDecoder, joined, origin_of
from tapewatch.contract.messages import to_rfc3339
from tapewatch.contract.partitioner import partition_for
from tapewatch.errors import ContractError

PLACES = 5
"""Places that a report names of each kind of difference."""
REMEMBERED = 1_000_000
"""Lost rows that are remembered, in case that they come later."""

LOST, DUPLICATED, DIFFERENT = "lost", "duplicated", "different"


class Place(msgspec.Struct, frozen=True):
    """Where something was found.

    kind : lost, duplicated or different; what : a few words
    offset : of the input record that caused the row; second : RFC 3339, empty where a row has none
    """

    kind: str
    what: str
    offset: int
    instrument: str
    second: str


@dataclass(slots=True)
class ComparisonResult:
    """What a comparison has found so far, in rows. rows : that must be there; found : that lie there"""

    rows: int = 0
    found: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    places: list[Place] = field(default_factory=list)

    def note(self, kind: str, what: str, names: Names, block: Block, at: int) -> None:
        """Keep a place, the first few of each kind."""
        if sum(place.kind == kind for place in self.places) >= PLACES:
            return
        time = int(block.times[at])
        second = to_rfc3339(time) if time > 0 else ""
        instrument = names.of(int(block.names[at]))
        self.places.append(Place(kind, what, int(block.offsets[at]), instrument, second))

    def add(self, other: "ComparisonResult") -> None:
        """Take up what another comparison found."""
        for name in ("rows", "found", "lost", "duplicated", "different"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for place in other.places:
            if sum(kept.kind == place.kind for kept in self.places) < PLACES:
                self.places.append(place)


class Window:
    """Rows of one stream that wait to be compared."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._latest = 0
        self.rows = 0

    def add(self, block: Block) -> None:
        """Append rows."""
        if len(block):
            latest = int(block.order.max())
            self._latest = max(latest, self._latest) if self._blocks else latest
            self._blocks.append(block)
            self.rows += len(block)

    def reaches(self, order: int) -> bool:
        """Whether a row of that order or a later one waits."""
        return bool(self._blocks) and self._latest >= order

    def before(self, order: int) -> Block:
        """Take out the rows up to the first one of that order or a later one."""
        taken: list[Block] = []
        while self._blocks:
            block = self._blocks.popleft()
            late = block.order >= order
            if late.any():
                at = int(late.argmax())
                taken.append(block.cut(slice(0, at)))
                self._blocks.appendleft(block.cut(slice(at, None)))
                break
            taken.append(block)
        done = joined(taken)
        self.rows -= len(done)
        return done


class Aligner:
    """Compares one stream, stretch by stretch of the input log."""

    def __init__(self, names: Names) -> None:
        self.found = ComparisonResult()
        self._names = names
        self._missed: dict[int, int] = {}
        self._begin = -(2**63)

    def compare(self, wanted: Block, found: Block, end: int) -> None:
        """Compare the rows of one stretch. wanted : all rows of an order below `end` not compared before; found : what
        lies there up to the first row of that order or a later one
        """
        self.found.rows += len(wanted)
        self.found.found += len(found)
        if len(wanted) != len(found) or not np.array_equal(wanted.hashes, found.hashes):
            self._align(wanted, found)
        self._begin = end

    def stray(self, rows: Block) -> None:
        """Rows in a partition in which none of their input may lie."""
        self.found.found += len(rows)
        for at in range(len(rows)):
            self._note(DUPLICATED, "lies in a partition that is not its own", rows, at)

    def unreadable(self, topic: str, partition: int, offset: int) -> None:
        """A record that names this input and cannot be read. offset : its own"""
        self.found.found += 1
        self.found.different += 1
        if sum(place.kind == DIFFERENT for place in self.found.places) < PLACES:
            what = f"the record at {topic}[{partition}] offset {offset} cannot be read"
            self.found.places.append(Place(DIFFERENT, what, -1, "", ""))

    def _note(self, kind: str, what: str, block: Block, at: int) -> None:
        setattr(self.found, kind, getattr(self.found, kind) + 1)
        self.found.note(kind, what, self._names, block, at)

    def _align(self, wanted: Block, found: Block) -> None:
        """Match rows by key; what is left over on either side is told by name."""
        places: dict[int, list[int]] = {}
        for at, key in enumerate(wanted.keys.tolist()):
            places.setdefault(key, []).append(at)
        met: dict[int, int] = {}
        furthest, strangers = -1, []
        same = wanted.hashes.tolist(), found.hashes.tolist()
        for at, key in enumerate(found.keys.tolist()):
            mine, number = places.get(key), met.get(key, 0)
            met[key] = number + 1
            if mine is None:
                strangers.append(at)
            elif number >= len(mine):
                self._note(DUPLICATED, "lies there once more", found, at)
            elif same[0][mine[number]] != same[1][at]:
                self._note(DIFFERENT, "says something else", found, at)
            elif mine[number] < furthest:
                self._note(DIFFERENT, "lies behind a row that comes after it", found, at)
            if mine is not None and number < len(mine):
                furthest = max(furthest, mine[number])
        lost = [at for key, mine in places.items() for at in mine[met.get(key, 0) :]]
        self._pair(wanted, sorted(lost), found, self._late(found, strangers))

    def _late(self, found: Block, strangers: list[int]) -> list[int]:
        """Tell rows of stretches that are done already; returns the others."""
        left = []
        for at in strangers:
            key = int(found.keys[at])
            if self._missed.get(key, 0):
                self._missed[key] -= 1
                self._is_there(found, at)
                self._note(DIFFERENT, "lies behind rows that come after it", found, at)
            elif found.order[at] < self._begin:
                self._note(DUPLICATED, "lies there once more, behind later rows", found, at)
            else:
                left.append(at)
        return left

    def _is_there(self, found: Block, at: int) -> None:
        """Take back that a row is lost: it lies further behind."""
        self.found.lost -= 1
        where = int(found.offsets[at]), self._names.of(int(found.names[at]))
        kept = self.found.places
        told = [place for place in kept if place.kind == LOST and (place.offset, place.instrument) == where]
        if told:
            kept.remove(told[0])

    def _pair(self, wanted: Block, lost: list[int], found: Block, strangers: list[int]) -> None:
        """A row that is missed and one that nobody expects, of one stretch, are one row with another key."""
        pairs = min(len(lost), len(strangers))
        for at in strangers[:pairs]:
            self._note(DIFFERENT, "is of another instrument or second than the log says", found, at)
        for at in strangers[pairs:]:
            self._note(DIFFERENT, "is not what the log gives", found, at)
        for at in lost[pairs:]:
            self._note(LOST, "is not there", wanted, at)
            if len(self._missed) < REMEMBERED:
                key = int(wanted.keys[at])
                self._missed[key] = self._missed.get(key, 0) + 1


STARVED_ROWS = 500_000
"""Rows of other types that are held while one type's next row is looked for. A transaction of the engine holds fewer: a
type that has not come by then does not come.
"""

SOME_RECORDS = 500


class Record(Protocol):
    """What is read of a Kafka record (confluent_kafka.Message has it)."""

    def offset(self) -> int | None:
        """Its place in the partition."""
        ...

    def value(self) -> bytes | None:
        """Its content."""
        ...

    def key(self) -> bytes | None:
        """Its key."""
        ...

    def headers(self) -> object:
        """Its headers, (name, value) pairs or None."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """Kind, and UTC milliseconds."""
        ...


class Log(Protocol):
    """Where records are read."""

    @property
    def partitions(self) -> Mapping[str, int]:
        """Topic -> number of partitions."""
        ...

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """The committed records of a partition as it stood when it was first asked for, in order."""
        ...


class OutputReader:
    """One partition of an output topic, split by row type.

    mine : the input partition whose rows are wanted, -1 for none; end : input offsets from there on are left out
    may_lie : whether rows of another input partition are nothing to wonder at here
    strangers : rows of which that is not so
    """

    def __init__(
        self,
        log: Log,
        place: tuple[str, int],
        feed: str,
        mine: int,
        end: int,
        may_lie: Callable[[int], bool],
        kinds: Iterable[str],
        reading: RowDecoder,
    ) -> None:
        self.topic, self.partition = place
        self._count = log.partitions[self.topic]
        self._records: Iterator[Record] | None = log.records(*place)
        self._feed, self._mine, self._end = feed, mine, end
        self._may_lie, self._reading = may_lie, reading
        self.windows = {kind: Window() for kind in kinds}
        self.strangers: list[tuple[str, Block]] = []
        self.unreadable: list[int] = []

    def read_to(self, kind: str, order: int) -> Window:
        """Read until a row of that order or a later one waits, or none can come; the rows that wait."""
        window = self.windows[kind]
        while self._records is not None and not window.reaches(order) and not self._starved(kind):
            self._take_next()
        return window

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return self._records is None

    def read_some(self) -> None:
        """Read on a little, whatever is there."""
        for _ in range(SOME_RECORDS):
            self._take_next()

    def _starved(self, kind: str) -> bool:
        return sum(window.rows for other, window in self.windows.items() if other != kind) > STARVED_ROWS

    def _take_next(self) -> None:
        """Take up one record."""
        record = next(self._records, None) if self._records is not None else None
        if record is None:
            self._records = None
            return
        value, headers = record.value() or b"", cast(Headers, record.headers() or ())
        origin = origin_of(self.topic, self._feed, value, headers)
        if origin is None or (origin != self._mine and self._may_lie(origin)):
            return
        try:
            kind, rows = self._reading.rows(self.topic, value, record.key(), headers)
        except ContractError:
            self.unreadable.append(record.offset() or 0)
            return
        if origin != self._mine or not self._at_home(rows):
            self.strangers.append((kind, rows))
            return
        if kind not in self.windows:
            self.unreadable.append(record.offset() or 0)
            return
        before_end = rows.offsets < self._end
        self.windows[kind].add(rows if before_end.all() else rows.cut(before_end))

    def _at_home(self, rows: Block) -> bool:
        """Whether a message lies in its instrument's partition."""
        if self.topic not in MESSAGES:
            return True
        return partition_for(self._reading.names.of(int(rows.names[0])), self._count) == self.partition
