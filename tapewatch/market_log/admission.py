"""What of a partition's log counts: repeats dropped, bad rows refused with a reason. The engine and the sinks share it.

One `Admission` belongs to one partition. Its state is a function of the log: the newest (epoch, sequence) of each
source and what was left out before it, the clock, and the slots in which instruments were first met.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tapewatch.clock import LATEST_NS
from tapewatch.contract import checks
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers, View
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import EVERY_INSTRUMENT
from tapewatch.errors import ContractError

CONTROL_SOURCE = "control"
REPLAY_SOURCE = "dead-letters"
"""Who writes rows into a market topic beside the feed's writer: neither moves the partition's clock."""
CLOSES, OPENS = "generation.closes", "generation.opens"
"""Who ends a feed's topic, whose feed then goes on in another one, and who begins that (generations.py)."""
ASIDE = {CONTROL_SOURCE: checks.CONTROL, REPLAY_SOURCE: checks.REPLAY}
MAX_INSTRUMENTS = 1_000_000
CACHE_BYTES = 32 * 1024 * 1024
"""Dictionaries a partition remembers at most."""
FRAME_NS = 1_000
"""The time that a writer takes for a frame of a partition at least, ns."""
WINDOW = 63
"""A frame is still awaited while at most so many later ones of its source have come; then it counts as seen."""


class InstrumentProvider(Protocol):
    """Where it is known which instruments are registered."""

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        """Class of an id as it was registered when the broker appended a record, UTC ns; None where it was not yet.

        The answer has to be the same whenever it is asked: UnansweredError where there is none.
        """
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions a market topic has; 0 where rows of every instrument count in each."""
        ...


@dataclass(slots=True)
class AdmittedFrame:
    """An accepted frame.

    slots : int32[dictionary], slot of each dictionary entry (negative: see tapewatch.contract.checks)
    reasons : uint8[rows], 0 where the row counts; refused : how many do not
    """

    view: View
    headers: FrameHeaders
    slots: npt.NDArray[np.int32]
    reasons: npt.NDArray[np.uint8]
    refused: int

    def stored(self) -> npt.NDArray[np.intp]:
        """The rows that a store of the market's rows keeps: those that count, and replayed ones of sealed seconds."""
        kept = (self.reasons == checks.Reason.ACCEPTED) | (self.reasons == checks.Reason.SEALED)
        return np.flatnonzero(kept)


class Admission:
    """Decides over one partition's records in log order.

    sources : newest (epoch, sequence) by source
    missing : by source, bit i is set where the sequence i + 1 before the newest has not come; none where all have
    A source named CLOSES among them closes the partition: behind its frame only more of its own count.
    A frame that a later one of its source has overtaken is no repeat: it is taken where it lies in the log, and rows
    of a second that is over are late.
    topic, partition : whose rows count are those of the instruments that lie there; of all where no topic is named
    """

    def __init__(self, registry: InstrumentProvider, topic: str = "", partition: int = 0) -> None:
        self._registry, self._topic, self._partition = registry, topic, partition
        self._decoder = Decoder()
        self._cache: dict[bytes, npt.NDArray[np.int32]] = {}
        self._cached_bytes = 0
        self._slot_of: dict[str, int] = {}
        self.names: list[str] = []
        self.sources: dict[str, tuple[int, int]] = {}
        self.missing: dict[str, int] = {}
        self.clock = np.full(1, -1, dtype=np.int64)

    def admit(self, value: bytes | None, headers: Headers | None, appended_ns: int) -> AdmittedFrame | None:
        """Open a record: an accepted frame, or None for a repeat.

        appended_ns : when the broker appended the record, UTC nanoseconds
        ContractError carries the reason where the whole record is refused; its sequence is then not counted as seen.
        """
        if not value:
            raise ContractError("unreadable", "an empty record")
        known = FrameHeaders.from_kafka(headers)
        _refuse_absurd(known, appended_ns)
        if self._is_repeat(known):
            return None
        if CLOSES in self.sources and known.source != CLOSES:
            if known.source == CONTROL_SOURCE:
                # What comes into force meanwhile does so in the next generation.
                return None
            raise ContractError("closed", "the feed goes on in another generation of its topic, see docs/rescale.md")
        view = self._decoder.open(value)
        if view.type.label != known.type:
            raise ContractError("bad_headers", f"header says {known.type}, the frame holds {view.type.label}")
        slots = self._slots(view, appended_ns)
        reasons = np.empty(view.rows, dtype=np.uint8)
        writer = ASIDE.get(known.source, checks.FEED)
        latest = min(appended_ns + checks.MAX_SKEW_NS, LATEST_NS)
        refused = checks.check(
            int(view.type), view.buffer, view.offsets, view.rows, slots, writer, latest, self.clock, reasons
        )
        self._note(known)
        return AdmittedFrame(view, known, slots, reasons, refused)

    def _is_repeat(self, known: FrameHeaders) -> bool:
        """Whether a frame's epoch is over, or its sequence was seen (or is older than the window)."""
        newest = self.sources.get(known.source, (-1, -1))
        if (known.epoch, known.sequence) > newest:
            return False
        back = newest[1] - known.sequence - 1
        return known.epoch < newest[0] or back < 0 or not self.missing.get(known.source, 0) >> back & 1

    def _note(self, known: FrameHeaders) -> None:
        """Count a frame as seen."""
        epoch, newest = self.sources.get(known.source, (-1, -1))
        missing = self.missing.get(known.source, 0)
        if known.epoch == epoch and known.sequence < newest:
            missing &= ~(1 << (newest - known.sequence - 1))
        else:
            # What lies between the newest before (or the epoch's beginning) and this one has been left out so far.
            step = min(known.sequence - newest if known.epoch == epoch else known.sequence + 1, WINDOW + 1)
            missing = ((missing if known.epoch == epoch else 0) << step | (1 << (step - 1)) - 1) & (1 << WINDOW) - 1
            self.sources[known.source] = (known.epoch, known.sequence)
        if missing:
            self.missing[known.source] = missing
        else:
            self.missing.pop(known.source, None)

    def _slots(self, view: View, appended_ns: int) -> npt.NDArray[np.int32]:
        """The slot of each dictionary entry, remembered by the dictionary's bytes once all entries are registered."""
        known = self._cache.get(view.dictionary)
        if known is not None:
            return known
        names = view.names()
        places = list(map(self._slot_of.get, names))
        if None in places:
            places = [self._slot(name, appended_ns) for name in names]
        slots = np.array(places, dtype=np.int32)
        if not (slots == checks.UNREGISTERED).any():
            self._cached_bytes += len(view.dictionary)
            if self._cached_bytes > CACHE_BYTES:
                self._cache.clear()
                self._cached_bytes = len(view.dictionary)
            self._cache[view.dictionary] = slots
        return slots

    def _slot(self, name: str, appended_ns: int) -> int:
        """An instrument's slot, given at first sight if it was registered by the time of the record."""
        slot = self._slot_of.get(name)
        if slot is not None:
            return slot
        if name == EVERY_INSTRUMENT:
            return checks.EVERY
        if not is_instrument_id(name):
            return checks.MALFORMED
        partitions = self._registry.partitions(self._topic) if self._topic else 0
        if partitions and partition_for(name, partitions) != self._partition:
            return checks.MISPLACED
        if len(self.names) >= MAX_INSTRUMENTS or self._registry.kind(name, appended_ns) is None:
            return checks.UNREGISTERED
        self._slot_of[name] = len(self.names)
        self.names.append(name)
        return len(self.names) - 1

    def dump(self) -> dict[str, object]:
        """The state as plain values."""
        return {
            "names": self.names,
            "sources": self.sources,
            "clock": int(self.clock[0]),
            "missing": self.missing,
        }

    def load(
        self, names: list[str], sources: dict[str, tuple[int, int]], clock: int, missing: dict[str, int] | None = None
    ) -> None:
        """Take up a dumped state. missing : None in one that was dumped before it was known"""
        self.names = list(names)
        self._slot_of = {name: slot for slot, name in enumerate(names)}
        self.sources = {source: (epoch, sequence) for source, (epoch, sequence) in sources.items()}
        self.missing = dict(missing or {})
        self.clock[0] = clock
        self._cache.clear()


def _refuse_absurd(known: FrameHeaders, appended_ns: int) -> None:
    """An epoch is the time at which its writer began, and nobody writes a million frames a second: what lies beyond
    would make all that the source writes afterwards repeats.
    """
    latest = appended_ns + checks.MAX_SKEW_NS
    if known.epoch > latest:
        raise ContractError("absurd_epoch", f"epoch {known.epoch} of {known.source!r} lies ahead of the broker's time")
    if known.sequence > (latest - known.epoch) // FRAME_NS:
        raise ContractError("absurd_sequence", f"{known.source!r} wrote no {known.sequence} frames in this epoch")
