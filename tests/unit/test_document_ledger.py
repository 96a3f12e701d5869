"""Documents beside the topics: which of several revisions must be there, and what may be."""

from collections.abc import Iterator

import pytest

from sinks.reconcile.rows.documents import DocumentDifference, DocumentLedger, DocumentVersion, ExpectedDocument


@pytest.fixture
def ledger() -> Iterator[DocumentLedger]:
    made = DocumentLedger()
    yield made
    made.close()


def said(
    key: str, content: str, version: int = 0, first: bool = False, due: bool = True, offset: int = 0
) -> ExpectedDocument:
    return ExpectedDocument("k", key, content, version, first, due, ("t", 0, offset))


def parted(
    ledger: DocumentLedger, kept: list[DocumentVersion], records: list[ExpectedDocument]
) -> list[DocumentDifference]:
    ledger.keep("k", kept)
    ledger.note(records)
    return list(ledger.differences("k"))


def test_of_revisions_the_highest_must_be_there_and_of_equals_the_later(ledger: DocumentLedger) -> None:
    records = [
        said("a", "2", 2),
        said("a", "1", 1),
        said("b", "x", 1),
        said("b", "y", 1),
        said("c", "old"),
        said("c", "new"),
    ]
    assert (
        parted(ledger, [DocumentVersion("a", "2"), DocumentVersion("b", "y"), DocumentVersion("c", "new")], records)
        == []
    )
    assert ledger.counts("k") == (3, 3)


def test_what_is_only_created_must_be_there_as_it_came_first(ledger: DocumentLedger) -> None:
    records = [said("a", "first", first=True), said("a", "second", first=True)]
    assert parted(ledger, [DocumentVersion("a", "first")], records) == []


def test_lost_doubled_and_different_are_told_by_key(ledger: DocumentLedger) -> None:
    kept = [
        DocumentVersion("same", "1"),
        DocumentVersion("changed", "2"),
        DocumentVersion("nobody", "1"),
        DocumentVersion("twice", "1"),
        DocumentVersion("twice", "1"),
    ]
    records = [said(key, "1") for key in ("same", "changed", "gone", "twice")]
    assert parted(ledger, kept, records) == [
        DocumentDifference("lost", "gone", 1, 0),
        DocumentDifference("doubled", "nobody", 0, 1),
        DocumentDifference("doubled", "twice", 1, 2),
        DocumentDifference("different", "changed", 1, 1),
    ]


def test_what_the_sink_has_not_come_to_may_be_there_or_not(ledger: DocumentLedger) -> None:
    records = [
        said("old", "1", 1),
        *(said("old", "2", 2, due=False), said("ahead", "1", 1), said("ahead", "2", 2, due=False)),
        *(said("fresh", "1", due=False), said("missing", "1", due=False), said("spoilt", "1", due=False)),
    ]
    kept = [
        DocumentVersion("old", "1"),
        DocumentVersion("ahead", "2"),
        DocumentVersion("fresh", "1"),
        DocumentVersion("spoilt", "9"),
    ]
    assert parted(ledger, kept, records) == [DocumentDifference("different", "spoilt", 1, 1)]
    assert ledger.on_the_way() == 3


def test_what_the_server_refused_need_not_be_there(ledger: DocumentLedger) -> None:
    ledger.bury([("t", 0, 7), ("t", 0, 7)])
    assert parted(ledger, [], [said("refused", "1", offset=7), said("gone", "1", offset=8)]) == [
        DocumentDifference("lost", "gone", 1, 0)
    ]
