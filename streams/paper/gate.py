"""The order in which the broker hears of things: each frame, then the signals that it caused, whatever came first."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from tapewatch.messages import Commit, Signal

Frame = TypeVar("Frame")


class Span(NamedTuple):
    """What the engine has said about a range of market offsets: all its signals are known once `signals` were read."""

    first: int
    end: int
    signals: int


def _place(signal: Signal) -> tuple[int, str, str]:
    """Where a signal stands among others."""
    return signal.cause.offset, signal.ts, signal.instrument


def _cause(signal: Signal) -> int:
    """The offset of the frame that caused a signal."""
    return signal.cause.offset


class Gate(Generic[Frame]):
    """One partition's frames, signals and commits, read from three topics in any interleaving, in one order.

    A frame waits until the engine has committed a transaction over it and all signals of that transaction are here;
    frames before offset `begin`, the end of a transaction, are the past. Frames and commits are read in their order;
    signals may lie in several partitions, and are put in the order of cause, time and instrument.
    """

    def __init__(self, begin: int = 0):
        self.begin = begin
        self._frames: deque[tuple[int, Frame]] = deque()
        self._spans: deque[Span] = deque()
        self._signals: deque[Signal] = deque()

    def frame(self, offset: int, frame: Frame) -> None:
        """A frame was read. ValueError where offsets go back."""
        if self._frames and offset <= self._frames[-1][0]:
            raise ValueError(f"frame {offset} after {self._frames[-1][0]}")
        if offset >= self.begin:
            self._frames.append((offset, frame))

    def signal(self, signal: Signal) -> None:
        """A signal was read."""
        if signal.cause.offset >= self.begin:
            insort(self._signals, signal, key=_place)

    def commit(self, commit: Commit) -> None:
        """A commit record was read."""
        if commit.next_offset > self.begin:
            self._spans.append(Span(commit.first_offset, commit.next_offset, commit.signals))

    def waiting(self) -> tuple[int, int, int]:
        """How many frames, signals and commits were read and wait for the others."""
        return len(self._frames), len(self._signals), len(self._spans)

    def held(self) -> tuple[list[Signal], list[Span]]:
        """Signals and spans that were read and still wait: a restart that reads on behind them needs them."""
        return list(self._signals), list(self._spans)

    def hold(self, signals: Iterable[Signal], spans: Iterable[Span]) -> None:
        """Take up what `held` gave."""
        self._signals.extend(signals)
        self._spans.extend(spans)

    def released(self, seen: int) -> Iterator[tuple[int, Frame, list[Signal]]]:
        """Offset, frame and its signals of every frame that may go, in order.

        seen : market offset up to which frames have been read, exclusive; a span is whole only from there on, since not
        every offset is a frame
        """
        while self._spans and self._spans[0].end <= seen and self._arrived(self._spans[0]):
            span = self._spans.popleft()
            while self._frames and self._frames[0][0] < span.end:
                offset, frame = self._frames.popleft()
                self.begin = offset + 1
                yield offset, frame, self._caused_by(offset)
            self.begin = max(self.begin, span.end)

    def _arrived(self, span: Span) -> bool:
        first, end = (bisect_left(self._signals, offset, key=_cause) for offset in (span.first, span.end))
        return end - first >= span.signals

    def _caused_by(self, offset: int) -> list[Signal]:
        found = []
        while self._signals and self._signals[0].cause.offset <= offset:
            found.append(self._signals.popleft())
        return found
