"""What follows from news: scored once, repeats count once, factors that fade and are not used early."""

import math
from typing import Any

import msgspec
import pytest

from detectors.sentiment.decay import FORGOTTEN, HOUR_NS, Decay, ScoredHeadline, faded, over, stepped
from streams.event_stage.records import Record
from streams.news.process import MOST_BYTES, NewsWork
from streams.news.scoring import NewsScoring
from tapewatch.contract import messages
from tapewatch.contract.messages import Factor, News, from_rfc3339, to_rfc3339
from tapewatch.errors import ContractError
from tapewatch.settings import Settings
from tapewatch.settings.forecasts import NewsSettings
from tests.unit.news_scene import HOUR, START, TwoWords, item

SETTINGS = NewsSettings()
LATER = START + 1_000 * HOUR


def stage() -> NewsScoring:
    return NewsScoring(SETTINGS, TwoWords())


def through(scoring: NewsScoring, items: list[News]) -> list[News | Factor]:
    return [each for one in items for each in scoring.take(one, LATER)]


def many() -> list[News]:
    """Forty different headlines of three companies over five days."""
    names = ("AAPL.XNAS", "MSFT.XNAS", "2330.XTAI")
    words = ("good", "bad", "flat")
    return [
        item(f"{words[each % 3]} day {each * each} for chapter {each}", each * 3.1, *names[: 1 + each % 3])
        for each in range(40)
    ]


def test_an_item_is_written_again_with_sentiment_and_model_and_brings_two_factors() -> None:
    one = item("Good quarter at Apple")
    scored, sentiment, count = stage().take(one, LATER)
    assert isinstance(sentiment, Factor) and isinstance(count, Factor)
    assert scored == msgspec.structs.replace(one, sentiment=0.7, model=TwoWords.hash)
    assert (sentiment.series, sentiment.value, count.series, count.value) == ("news_sentiment", 0.7, "news_count", 1.0)
    assert {each.instrument for each in (sentiment, count)} == {"AAPL.XNAS"}
    assert sentiment.period == to_rfc3339(START - START % HOUR)


def test_own_output_that_comes_back_and_items_sent_again_bring_nothing() -> None:
    scoring, one = stage(), item("Good quarter at Apple")
    scored = scoring.take(one, LATER)[0]
    assert isinstance(scored, News)
    assert scoring.take(scored, LATER) == []
    assert scoring.take(one, LATER) == []
    assert scoring.take(item("Bad day", 1, sentiment=0.1, model="theirs"), LATER) == []


def test_a_rewording_a_marked_copy_and_a_repeat_are_scored_and_add_nothing_to_the_factors() -> None:
    scoring = stage()
    one = item("Apple shares jump on good record quarter")
    first = scoring.take(one, LATER)
    again = scoring.take(item("Apple stock jumps after good record quarter", 0.5), LATER)
    copied = scoring.take(item("Another text", 0.6, duplicate_of=one.id), LATER)
    assert len(first) == 3
    repeats = [each for each in again + copied if isinstance(each, News)]
    assert repeats == again + copied
    assert [(each.sentiment, each.duplicate_of) for each in repeats] == [(0.7, one.id), (0.0, one.id)]


def test_factors_are_never_public_before_the_item_was_published_and_received() -> None:
    scoring = stage()
    late = item("Good old story", 0, received=to_rfc3339(START + 24 * HOUR))
    factor = scoring.take(late, LATER)[1]
    assert isinstance(factor, Factor)
    assert from_rfc3339(factor.published_at) == START + 24 * HOUR
    assert factor.value == 0.35
    back = scoring.take(item("Bad first story", 2), LATER)[1]
    assert isinstance(back, Factor)
    assert from_rfc3339(back.published_at) == START + 24 * HOUR
    assert back.value == pytest.approx(0.35 - 0.4 * 2 ** (-22 / 24))


def test_each_headline_of_an_hour_is_a_revision_of_its_factor() -> None:
    said = through(stage(), [item(f"good {each} news of {each}", each / 10) for each in range(3)])
    counts = [each for each in said if isinstance(each, Factor) and each.series == "news_count"]
    assert [(each.revision, each.value) for each in counts] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert len({each.id for each in said}) == 9


def test_the_stream_gives_the_same_bits_as_the_batch_over_the_stored_items() -> None:
    items = [*many(), item("good day 1521 for chapter 39", 122.0)]
    said = through(stage(), items)
    stored = [each for each in said if isinstance(each, News) and not each.duplicate_of]
    assert len(stored) == len(items) - 1
    batch = over(
        [
            ScoredHeadline(from_rfc3339(n.published), from_rfc3339(n.received), n.sentiment, n.instruments)
            for n in stored
            if n.sentiment is not None
        ],
        SETTINGS.half_life_h,
    )
    told = [each for each in said if isinstance(each, Factor) and each.series == "news_sentiment"]
    assert [(name, state.at, state.value) for name, state in batch] == [
        (each.instrument, from_rfc3339(each.published_at), each.value) for each in told
    ]


def test_a_restart_from_the_written_records_goes_on_with_the_same_bits() -> None:
    items = many()
    whole = through(stage(), items)
    for cut in (1, 17, 39):
        said = through(stage(), items[:cut])
        again = stage()
        for each in said:
            read = messages.decode(type(each), messages.encode(each))
            again.recall_news(read) if isinstance(read, News) else again.recall_factor(read)
        assert again.take(items[0], LATER) == []
        assert said + through(again, items[cut:]) == whole


def test_sentiment_halves_in_a_half_life_and_is_none_after_forty() -> None:
    assert faded(0.8, START, START + 24 * HOUR, 24.0) == 0.4
    assert faded(0.8, START, START + (24 * FORGOTTEN + 1) * HOUR, 24.0) == 0.0
    first = stepped(None, ScoredHeadline(START, START, 0.5, ()), 24.0)
    second = stepped(first, ScoredHeadline(START + 24 * HOUR_NS, START + 24 * HOUR_NS, 0.5, ()), 24.0)
    assert second.value == 0.75
    assert second.count == 1


def test_an_instrument_that_nobody_speaks_of_any_more_takes_no_memory() -> None:
    decay, ends = Decay(24.0), START + FORGOTTEN * 24 * HOUR
    for each in range(50):
        decay.take(ScoredHeadline(START, START, 0.5, (f"A{each}.XTST",)))
    decay.take(ScoredHeadline(ends, ends, 0.5, ("B.XTST",)))
    assert len(decay.states) == 51
    later = ScoredHeadline(ends + HOUR, ends + HOUR, 0.5, ("B.XTST", "A0.XTST"))
    assert decay.take(later)[1][1] == stepped(None, later, 24.0)
    assert list(decay.states) == ["B.XTST", "A0.XTST"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"published": to_rfc3339(LATER + HOUR)}, "time_ahead"),
        ({"received": "2300-01-01T00:00:00Z"}, "malformed_time"),
        ({"headline": "x" * 2_001}, "oversized_headline"),
        ({"instruments": ("<img onerror>",)}, "malformed_instrument"),
        ({"instruments": tuple(f"A{each}.XNAS" for each in range(101))}, "too_many_instruments"),
    ],
)
def test_items_that_cannot_be_used_are_refused_by_their_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractError) as told:
        stage().take(msgspec.structs.replace(item("Good quarter"), **changes), LATER)
    assert told.value.reason == reason


@pytest.mark.parametrize(
    "headline", ["", "\x00\u202e", "\U0001f680" * 400, "a" * 2_000, "<script>1</script>", "A.B" * 600]
)
def test_hostile_headlines_are_scored_like_any_other(headline: str) -> None:
    scored = stage().take(item(headline), LATER)[0]
    assert isinstance(scored, News) and scored.sentiment is not None
    assert scored.headline == headline
    assert math.isfinite(scored.sentiment)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed_message"),
        (b"\xff\xfe", "malformed_message"),
        (b'{"version":"9.0"}', "unsupported_version"),
        (b" " * (MOST_BYTES + 1), "oversized_message"),
    ],
)
def test_records_that_are_no_news_are_refused(value: bytes, reason: str) -> None:
    work = NewsWork(Settings(), TwoWords())
    with pytest.raises(ContractError) as told:
        work.take(Record(("news", 0), 0, value, LATER))
    assert told.value.reason == reason
