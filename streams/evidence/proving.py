"""Proving an alert from its bundles: no broker, no log, only what was archived.

A task over archived or gathered records: what the models, the registry and the log of one alert give.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from detectors.model_file import content_hash
from streams.engine.build import build_hash
from streams.engine.models import EVER, ActiveModels, ModelSource, ModelStore
from streams.engine.snapshots import restore
from streams.engine.task import ReferenceData, Task
from streams.engine.verification import Finding, Proof, alerts_of, compare, decoded
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import UNMARKED_TOLERANCE_NS
from tapewatch.proof.evidence import Archive, Bundle, Entry, EvidenceRecord, records


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


STATE, INSTRUMENTS, ALERTS, LOG, MODELS = "state.bin", "instruments.json", "alerts.arrow", "log/", "models/"


def prove(bundle: Bundle, damage: Iterable[str] = ()) -> Proof:
    """Recompute a bundle's alert from its own parts and compare every record with what comes out.

    damage : what is already known to be wrong with it; a damaged bundle proves nothing
    """
    subject = bundle.manifest.subject
    proof = Proof(
        alert=subject.alert,
        identical=False,
        input=f"{subject.topic}[{subject.partition}]",
        first_offset=subject.state_offset,
        last_offset=subject.last_offset,
        replayed=0,
        build=build_hash(),
        source="bundle",
        bundles=[bundle.name],
    )
    wrong = list(dict.fromkeys([*damage, *bundle.damage()]))
    if not wrong and STATE not in {part.path for part in bundle.manifest.parts}:
        wrong = [bundle.manifest.problem or f"the bundle has no {STATE}"]
    if not wrong:
        try:
            proof.findings, proof.replayed = _findings(bundle)
        except TapewatchError as error:
            wrong = [error.message]
            if bundle.manifest.build != build_hash():
                wrong.append(f"it was archived by build {bundle.manifest.build}; this is build {build_hash()}")
    proof.damage = wrong
    proof.identical = not wrong and bool(proof.findings) and all(found.identical for found in proof.findings)
    return proof


def prove_archived(archive: Archive, alert: str, told: Sequence[bytes] = ()) -> Proof | None:
    """Prove an alert from all its bundles in the archive, each revision by the newest that has it; None without any.

    told : the topic's records of the alert, where it is still there; each must be an archived one
    """
    entries = archive.of_alert(alert)
    if not entries:
        return None
    needed = _needed(entries)
    proofs = [_archived(archive, entry) for entry in needed]
    findings = [finding for proof in proofs for finding in proof.findings]
    if not any(proof.damage for proof in proofs):
        findings += _unarchived(archive, needed, told)
    return replace(
        proofs[0],
        identical=all(proof.identical for proof in proofs) and all(finding.identical for finding in findings),
        input=", ".join(sorted({proof.input for proof in proofs})),
        first_offset=min(proof.first_offset for proof in proofs),
        last_offset=max(proof.last_offset for proof in proofs),
        replayed=sum(proof.replayed for proof in proofs),
        findings=sorted(findings, key=lambda finding: finding.revision),
        bundles=[name for proof in proofs for name in proof.bundles],
        damage=[line for proof in proofs for line in proof.damage],
    )


def _archived(archive: Archive, entry: Entry) -> Proof:
    """The proof of one bundle of the archive, damaged or not."""
    damage = [f"bundle {entry.bundle[:16]} was purged"] if archive.is_purged(entry.bundle) else []
    return prove(archive.bundle(entry.bundle), damage)


def _needed(entries: list[Entry]) -> list[Entry]:
    """The newest bundles that hold all revisions, oldest first: later ones repeat what earlier ones hold."""
    chosen: list[Entry] = []
    covered: set[tuple[str, int, int]] = set()
    for entry in reversed(entries):
        subject = entry.subject
        holds = {(subject.topic, subject.partition, revision) for revision in subject.revisions}
        if not holds <= covered:
            chosen.append(entry)
            covered |= holds
    return chosen[::-1]


def _unarchived(archive: Archive, entries: list[Entry], told: Sequence[bytes]) -> list[Finding]:
    """Records of the topic that differ from the archived ones of their revision."""
    archived: dict[int, set[bytes]] = {}
    for entry in entries:
        for record in records.decode(archive.bundle(entry.bundle).part(ALERTS)):
            found = decoded(record.value)
            archived.setdefault(found.revision if found else -1, set()).add(record.value or b"")
    wrong = []
    for value in told:
        found = decoded(value)
        revision = found.revision if found else -1
        if value not in archived.get(revision, set()):
            wrong.append(Finding(revision, -1, -1, False, True, ["the topic's record is not an archived one"]))
    return wrong


def _findings(bundle: Bundle) -> tuple[list[Finding], int]:
    """Each archived record of the alert against the recomputed one, and how many log records were replayed."""
    subject = bundle.manifest.subject
    log = [record for path in bundle.paths(LOG) for record in records.decode(bundle.part(path))]
    shelf = ModelStore()
    for path in bundle.paths(MODELS):
        data = bundle.part(path)
        shelf.files[content_hash(data)] = data
    where = (subject.topic, subject.partition)
    registry = ArchivedRegistry(registered(bundle))
    recomputed = alerts_of(replayed(where, bundle.part(STATE), log, registry, shelf), subject.alert)
    return compared(records.decode(bundle.part(ALERTS)), recomputed), len(log)


def compared(archived: list[EvidenceRecord], recomputed: dict[int, bytes]) -> list[Finding]:
    """Each record of the alert against the recomputed one of its revision; a revision without a record is named."""
    findings = [compare(record.value or b"", record.partition, record.offset, recomputed) for record in archived]
    mine = {found.revision for found in (decoded(record.value) for record in archived) if found is not None}
    # What begins before the first of them belongs to an earlier bundle; what comes behind the last, to a later one.
    missing = [each for each in sorted(set(recomputed) - mine) if mine and min(mine) < each < max(mine)]
    return findings + [
        Finding(each, -1, -1, False, True, ["the log gives this revision; the bundle has no record of it"])
        for each in missing
    ]


def registered(bundle: Bundle) -> list[RegisteredInstrument]:
    """The reference data of a bundle."""
    try:
        return msgspec.json.decode(bundle.part(INSTRUMENTS), type=list[RegisteredInstrument])
    except msgspec.MsgspecError as error:
        raise TapewatchError(f"{INSTRUMENTS} cannot be read: {error}") from error
