"""The evidence archive: what an alert was decided from, content-addressed, hash-chained, locked for years."""

from tapewatch.evidence.archive import Archive as Archive
from tapewatch.evidence.archive import ArchiveReport as ArchiveReport
from tapewatch.evidence.bundle import Bundle as Bundle
from tapewatch.evidence.bundle import DamagedBundleError as DamagedBundleError
from tapewatch.evidence.bundle import Entry as Entry
from tapewatch.evidence.bundle import Manifest as Manifest
from tapewatch.evidence.bundle import Part as Part
from tapewatch.evidence.bundle import Subject as Subject
from tapewatch.evidence.container import load as load
from tapewatch.evidence.container import packed as packed
from tapewatch.evidence.records import EvidenceRecord as EvidenceRecord
