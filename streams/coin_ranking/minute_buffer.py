"""What has been read of the inputs and not yet been used: a minute is released when every awaited input has sealed it.

An input is a feed's partition. Minutes come in the order (minute, feed, partition, instrument), however the records
were interleaved: what comes out is a function of each input's log and of which inputs were awaited.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

Source = tuple[str, int]
"""Feed and partition."""


class Bar(NamedTuple):
    """A coin's minute. values : float64[BAR] as the desk takes it; at : partition and offset of its record"""

    instrument: str
    values: F8
    at: tuple[int, int]


class BarBufferState(msgspec.Struct, frozen=True):
    """What a restart needs. sealed : newest sealed minute by `feed/partition` of the awaited inputs"""

    released: int
    sealed: dict[str, int]
    left_out: list[str]


class BarBuffer:
    """Bars by minute and input.

    released : newest minute given out, -1 before the first; sealed : newest sealed minute of each awaited input, -1
    where none is known; left_out : inputs that are not awaited any more, until they have caught up
    """

    def __init__(self, awaited: Iterable[Source]) -> None:
        self.released = -1
        self.sealed: dict[Source, int] = dict.fromkeys(awaited, -1)
        self.left_out: set[Source] = set()
        self.late = 0
        self._strangers: dict[Source, int] = {}
        self._bars: dict[int, dict[Source, list[Bar]]] = {}

    def add(self, source: Source, minute: int, bar: Bar) -> None:
        """A bar; one of a minute that is out already comes too late."""
        if minute <= self.released:
            self.late += 1
            return
        self._bars.setdefault(minute, {}).setdefault(source, []).append(bar)

    def seal(self, source: Source, minute: int) -> None:
        """An input will say nothing more of `minute` or an earlier one."""
        known = self.sealed if source in self.sealed else self._strangers
        known[source] = max(known.get(source, -1), minute)

    def ready(self) -> int:
        """The newest minute that every awaited input has sealed; -1 where one has sealed none."""
        return min(self.sealed.values(), default=-1)

    def release(self, until: int, most: int) -> Iterator[tuple[int, list[Bar]]]:
        """At most `most` minutes with bars up to `until`, oldest first, with the awaited inputs' bars in order."""
        for minute in sorted(minute for minute in self._bars if minute <= until)[:most]:
            of_inputs = self._bars.pop(minute)
            self.released = minute
            yield (
                minute,
                [
                    bar
                    for source in sorted(of_inputs)
                    if source in self.sealed
                    for bar in sorted(of_inputs[source], key=lambda one: one.instrument)
                ],
            )

    def join(self) -> list[Source]:
        """Await the inputs that have shown up, and those left out that have caught up; which they are."""
        joined = [source for source, minute in self._strangers.items() if minute > self.released]
        for source in joined:
            self.sealed[source] = self._strangers.pop(source)
            self.left_out.discard(source)
        return joined

    def behind(self) -> list[Source]:
        """Awaited inputs that hold back a minute which another has sealed."""
        newest = max(self.sealed.values(), default=-1)
        return [source for source, minute in self.sealed.items() if minute < newest - 1]

    def leave_out(self, source: Source) -> None:
        """Wait for this input no longer."""
        self._strangers[source] = self.sealed.pop(source)
        self.left_out.add(source)

    def needed(self) -> dict[int, int]:
        """By partition of the bars: the first record that holds a bar not given out yet."""
        found: dict[int, int] = {}
        for of_inputs in self._bars.values():
            for bars in of_inputs.values():
                for bar in bars:
                    partition, offset = bar.at
                    found[partition] = min(offset, found.get(partition, offset))
        return found

    def stored(self) -> BarBufferState:
        """As it goes into a snapshot: bars that wait are read again."""
        return BarBufferState(
            self.released,
            {_text(source): minute for source, minute in sorted(self.sealed.items())},
            [_text(source) for source in sorted(self.left_out)],
        )


def restored(kept: BarBufferState) -> BarBuffer:
    """As it was."""
    waiting = BarBuffer(())
    waiting.released = kept.released
    waiting.sealed = {_source(text): minute for text, minute in kept.sealed.items()}
    waiting.left_out = {_source(text) for text in kept.left_out}
    return waiting


def _text(source: Source) -> str:
    return f"{source[0]}/{source[1]}"


def _source(text: str) -> Source:
    feed, _, partition = text.rpartition("/")
    return feed, int(partition)
