"""A task over archived or gathered records: what the models, the registry and the log of one alert give."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streams.engine.build import build_hash
from streams.engine.models import EVER, ActiveModels, ModelSource
from streams.engine.snapshots import restore
from streams.engine.task import ReferenceData, Task
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import UNMARKED_TOLERANCE_NS
from tapewatch.proof.evidence import EvidenceRecord


class Recorder:
    """A shelf that remembers which models were asked for."""

    def __init__(self, shelf: ModelSource) -> None:
        self._shelf = shelf
        self.asked: dict[str, bytes] = {}

    def find(self, wanted: str, for_ns: int = EVER) -> bytes:
        """The file with that hash."""
        self.asked[wanted] = self._shelf.find(wanted, for_ns)
        return self.asked[wanted]


class RegisteredInstrument(msgspec.Struct, frozen=True):
    """An instrument as the registry had it.

    since : its rows count from this append time on, UTC ns; exact : false in bundles of earlier builds, which archived
    the time by the producer's clock
    """

    since: int
    instrument: Instrument
    exact: bool = False


class ArchivedRegistry:
    """The registry as it was archived; what is not in it was not registered."""

    def __init__(self, registered: Sequence[RegisteredInstrument]) -> None:
        self._since = {
            each.instrument.id: each.since - (0 if each.exact else UNMARKED_TOLERANCE_NS) for each in registered
        }
        self.instruments: Mapping[str, Instrument] = {each.instrument.id: each.instrument for each in registered}

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        """Class of an id that was registered when a record was appended, UTC ns; None where it was not yet."""
        since = self._since.get(instrument)
        return None if since is None or since > appended_ns else self.instruments[instrument].kind

    def partitions(self, topic: str) -> int:
        """Not archived: an instrument that lay elsewhere is not among those that the partition had met."""
        return 0


def new_task(where: tuple[str, int], registry: ReferenceData, shelf: ModelSource) -> Task:
    """An empty task of a partition, under the shipped models."""
    return Task(*where, registry, ActiveModels.default(shelf), build_hash())


def replayed(
    where: tuple[str, int], state: bytes, log: Iterable[EvidenceRecord], registry: ReferenceData, shelf: ModelSource
) -> Task:
    """A task restored from a dumped state and fed the records behind it; DamagedError where the state is none."""
    task = new_task(where, registry, shelf)
    restore(task, state, shelf)
    for record in log:
        if record.offset >= task.next_offset:
            feed_kept(task, record)
    return task


def feed_kept(task: Task, record: EvidenceRecord) -> None:
    """Hand an archived record to a task."""
    task.feed(record.offset, record.value, record.headers, record.timestamp_ms * 1_000_000)
