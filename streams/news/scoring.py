"""What follows from a piece of news: the same again with its sentiment, and factors of the instruments it speaks of.

No broker, no clock, no I/O: the state is a function of the news and factors that it was told, in their order.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from detectors.sentiment.decay import Decay, ScoredHeadline, State
from detectors.sentiment.same import DuplicateIndex, Headline
from detectors.sentiment.scorer import Scorer
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import Factor, News, stable_id
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import stamp, to_rfc3339
from tapewatch.settings.forecasts import NewsSettings

SOURCE = "news"
SENTIMENT = "news_sentiment"
COUNT = "news_count"
"""Source and series of the factors."""

MOST_HEADLINE = 2_000
"""Characters of a headline; the producers cut at 500."""
MOST_INSTRUMENTS = 100
MOST_KNOWN = 100_000
"""Ids that are remembered: an item that comes again after so many others is scored again, under the same id."""


class ScorerSource(Protocol):
    """Finds the scorer of a headline."""

    def of(self, headline: str, language: str) -> Scorer:
        """There is one for every headline. language : BCP 47 tag"""
        ...


class NewsScoring:
    """Scores each item once."""

    def __init__(self, settings: NewsSettings, scorers: ScorerSource) -> None:
        self._scorers = scorers
        self._same = DuplicateIndex(settings.same_h)
        self._decay = Decay(settings.half_life_h)
        self._known: dict[str, None] = {}

    def take(self, news: News, appended: int) -> list[News | Factor]:
        """What follows; nothing from an item that bears a sentiment already, such as this stage's own, or that was
        scored before. ContractError for one that cannot be used.

        appended : UTC nanoseconds, when the record was written
        """
        times = _checked(news, appended)
        if news.id in self._known:
            return []
        if news.sentiment is not None:
            self.recall_news(news)
            return []
        scorer = self._scorers.of(news.headline, news.language)
        score = min(1.0, max(-1.0, float(scorer.score([news.headline], news.language)[0])))
        headline = _headline(news, times, score)
        original = news.duplicate_of or self._same.original(headline)
        scored = msgspec.structs.replace(news, sentiment=score, model=scorer.hash, duplicate_of=original)
        self._remember(scored, headline)
        if original:
            return [scored]
        published, received = times
        item = ScoredHeadline(published, max(published, received), score, tuple(dict.fromkeys(news.instruments)))
        return [scored, *(factor for name, state in self._decay.take(item) for factor in _factors(name, state))]

    def recall_news(self, scored: News) -> None:
        """An item that was scored, in the order of the log."""
        if scored.sentiment is not None:
            times = stamp(scored.published), stamp(scored.received)
            self._remember(scored, _headline(scored, times, scored.sentiment))

    def recall_factor(self, factor: Factor) -> None:
        """A factor that was said, in the order of the log."""
        if factor.source == SOURCE and factor.series == SENTIMENT:
            at = stamp(factor.published_at)
            self._decay.put(factor.instrument, State(at, factor.value, stamp(factor.period), factor.revision + 1))

    def _remember(self, scored: News, headline: Headline) -> None:
        self._known[scored.id] = None
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        if not scored.duplicate_of:
            self._same.add(headline)


def _checked(news: News, appended: int) -> tuple[int, int]:
    """When it was published and received, UTC ns; ContractError where it cannot be used."""
    try:
        published, received = stamp(news.published), stamp(news.received)
    except ValueError as error:
        raise ContractError("malformed_time", str(error)) from error
    if max(published, received) > appended + MAX_SKEW_NS:
        raise ContractError(
            "time_ahead", f"published {news.published}, received {news.received}: later than the record"
        )
    if len(news.headline) > MOST_HEADLINE:
        raise ContractError("oversized_headline", f"a headline of {len(news.headline)} characters")
    if len(news.instruments) > MOST_INSTRUMENTS:
        raise ContractError("too_many_instruments", f"{len(news.instruments)} instruments")
    for name in news.instruments:
        if not is_instrument_id(name):
            raise ContractError("malformed_instrument", f"{name[:80]!r} is not an instrument id")
    return published, received


def _headline(news: News, times: tuple[int, int], score: float) -> Headline:
    return Headline(news.id, news.language, news.headline, max(times), frozenset(news.instruments), score)


def _factors(instrument: str, state: State) -> Sequence[Factor]:
    """An instrument's sentiment and the hour's count; each headline of an hour is one revision more."""
    period, at, revision = to_rfc3339(state.hour), to_rfc3339(state.at), state.count - 1
    return [
        Factor(
            id=stable_id(SOURCE, series, instrument, period, revision),
            source=SOURCE,
            series=series,
            instrument=instrument,
            period=period,
            published_at=at,
            received=at,
            value=value,
            revision=revision,
        )
        for series, value in ((SENTIMENT, state.value), (COUNT, float(state.count)))
    ]
