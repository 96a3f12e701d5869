"""The evidence archive: what an alert was decided from, content-addressed, hash-chained, locked for years."""

from tapewatch.proof.evidence.archive import Archive as Archive
from tapewatch.proof.evidence.archive import ArchiveReport as ArchiveReport
from tapewatch.proof.evidence.bundle import Bundle as Bundle
from tapewatch.proof.evidence.bundle import DamagedBundleError as DamagedBundleError
from tapewatch.proof.evidence.bundle import Entry as Entry
from tapewatch.proof.evidence.bundle import Manifest as Manifest
from tapewatch.proof.evidence.bundle import Part as Part
from tapewatch.proof.evidence.bundle import Subject as Subject
from tapewatch.proof.evidence.bundle import load as load
from tapewatch.proof.evidence.bundle import packed as packed
from tapewatch.proof.evidence.records import EvidenceRecord as EvidenceRecord
