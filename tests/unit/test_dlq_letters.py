"""Dead letters and retries as they are read: nothing that their headers claim is believed, nothing stops a reader."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.elasticsearch.bulk_items import Intake
from streams.event_stage.records import Record
from tapewatch.commands import dlq_text
from tapewatch.contract import messages, topics
from tapewatch.contract.checks import Reason
from tapewatch.dlq import retry
from tapewatch.dlq.letter import Letter, Place, Selection, place_of, read
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.logs import printable
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.settings.delivery import ElasticsearchSettings
from tests.integration.elasticsearch_kept import alert
from tests.unit import engine_market as m


class FakeMessage:
    """A record as a Kafka client gives it."""

    def __init__(self, topic: str, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
        self._topic, self._value, self._headers = topic, value, headers

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


def lying(letter: DeadLetter) -> Letter:
    return read(FakeMessage(letter.topic, letter.value, letter.headers))


def test_letter_says_what_was_refused_where_and_by_whom() -> None:
    found = lying(dead_letters.of_record(("alerts", 2, 9), "not_storable", "no room", b"{}", "postgres"))
    assert (found.id, found.origin, found.reason, found.by) == (
        "alerts.dlq@0.7", Place("alerts", 2, 9), "not_storable", "postgres",
    )  # fmt: skip
    assert found.whole
    assert place_of(found.id) == found.place


def test_cut_record_is_not_whole_and_neither_is_one_of_another_hash() -> None:
    assert not lying(dead_letters.of_record(("alerts", 0, 1), "oversized", "", bytes(100_000), "engine")).whole
    letter = dead_letters.of_record(("alerts", 0, 1), "oversized", "", b"abc", "engine")
    assert not lying(DeadLetter(letter.topic, b"abd", letter.headers)).whole


def refused_rows(count: int) -> list[DeadLetter]:
    """The letters of a frame whose quotes are all crossed."""
    rows = m.rows_of([m.quote("A.SIMX", 1 + number / 100_000, 102, 101) for number in range(count)], ["A.SIMX"])
    reasons = np.full(count, int(Reason.CROSSED_QUOTE), dtype=np.uint8)
    return list(dead_letters.of_refused(("market.x", 2, 9), rows, reasons, 10_000))


def test_letter_of_several_rows_says_how_many_and_shows_the_first_of_them() -> None:
    (letter,) = refused_rows(50)
    found = lying(letter)
    assert (found.kind, found.row, found.rows, found.whole, found.by) == ("rows", 0, 50, True, "engine")
    assert len(dlq_text.tree(found, None)["content"]) == 50
    assert dlq_text.tree(found, None)["rows"] == 50
    lines = dlq_text.lines(found, None)
    assert "(2.9 row 0 and 49 more)" in lines[1]
    assert lines[-1].strip() == "... 30 more rows"
    counted = dlq_text.LetterCounts()
    for each in [*refused_rows(50), *refused_rows(3)]:
        counted.add(lying(each), False)
    assert [(group["letters"], group["rows"]) for group in counted.trees()] == [(4, 53)]


def test_rows_of_which_only_number_and_hash_were_kept_are_not_whole() -> None:
    *kept, rest = map(lying, refused_rows(20_000))
    assert all(letter.whole for letter in kept)
    assert (rest.whole, rest.value, rest.rows) == (False, b"", 20_000 - sum(letter.rows for letter in kept))


@pytest.mark.parametrize("text", ["", "alerts@0.7", "alerts.dlq@0", "alerts.dlq@-1.7", "__x.dlq@0.1", "a b.dlq@0.1"])
def test_what_is_no_id_is_refused_with_how_one_looks(text: str) -> None:
    with pytest.raises(TapewatchError, match=r"no dead letter's id"):
        place_of(text)


def test_only_rows_of_market_topics_are_taken_for_the_engines_where_nobody_is_named() -> None:
    old = [("reason", b"late"), ("origin_topic", b"market.x"), ("origin_partition", b"0"), ("origin_offset", b"3")]
    assert read(FakeMessage("market.x.dlq", b"", [*old, ("kind", b"row")])).by == "engine"
    assert read(FakeMessage("market.x.dlq", b"", [*old, ("kind", b"record")])).by == ""
    assert read(FakeMessage("market.y.dlq", b"", [*old, ("kind", b"row")])).by == ""


names = st.sampled_from(["reason", "origin_topic", "origin_offset", "bytes", "sha256", "row", "kind", "detail", "x"])


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.none() | st.binary(max_size=30))), st.none() | st.binary(max_size=80))
def test_no_letter_stops_whoever_reads_it_or_steers_the_terminal(headers, value) -> None:
    found = read(FakeMessage("market.x.dlq", value, headers))
    assert Selection(reason="*").has(found)
    assert isinstance(dlq_text.tree(found, None), dict)
    for line in dlq_text.lines(found, None):
        assert printable(line) == line


def test_retry_carries_the_record_as_it_was() -> None:
    told = RetryRecord(
        "alerts.dlq@0.7", ("features", 3, 11), 1_000, b"value", [("type", b"features"), ("partition", b"1")]
    )
    assert retry.opened(retry.headers(told), b"value") == told


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(retry._OURS)), st.binary(max_size=12))))
def test_what_is_no_retry_is_refused(headers) -> None:
    try:
        retry.opened(headers, b"")
    except ContractError as error:
        assert error.reason == "bad_headers"
    else:
        assert {name for name, _ in headers} == retry._OURS


def test_stage_takes_a_retry_as_the_record_in_its_own_place() -> None:
    told = RetryRecord("news.dlq@0.7", (topics.NEWS, 0, 11), 1_500, b"{}", [])
    carrier = Record((topics.retry("news"), 0), 4, b"{}", 9, tuple(retry.headers(told)))
    assert carrier.original() == Record((topics.NEWS, 0), 11, b"{}", 1_500_000_000)


class PlacedMessage(FakeMessage):
    """A record at a place of its own."""

    def __init__(self, topic: str, value: bytes, headers: Sequence[tuple[str, bytes | None]], offset: int) -> None:
        super().__init__(topic, value, headers)
        self._offset = offset

    def offset(self) -> int:
        return self._offset


def test_elasticsearch_makes_of_a_retry_the_documents_of_the_record_that_it_carries() -> None:
    intake = Intake(ElasticsearchSettings())
    stretch = msgspec.json.encode({"version": "1.0", "letter": "of another kind"})
    for value in (messages.encode(alert(1)), stretch, b"{"):
        first = intake.take(PlacedMessage(topics.ALERTS, value, [], 11))
        told = RetryRecord("alerts.dlq@0.7", (topics.ALERTS, 0, 11), 1_000, value, [])
        carrier = PlacedMessage(topics.retry(dead_letters.ELASTICSEARCH), value, retry.headers(told), 3)
        assert intake.take(carrier) == first


def test_elasticsearch_buries_a_retry_that_does_not_say_of_what() -> None:
    carrier = PlacedMessage(topics.retry(dead_letters.ELASTICSEARCH), b"{}", [("retry_topic", b"alerts")], 3)
    items, letter = Intake(ElasticsearchSettings()).take(carrier)
    assert items == []
    assert letter is not None
    assert letter.reason == "bad_headers"
