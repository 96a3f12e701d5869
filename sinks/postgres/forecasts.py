"""Predictions, rankings, news and factors into their tables, each id once: the newest record of it wins."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.postgres.batch import JsonRecord
from sinks.postgres.keys import Keys
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Factor, News, Prediction, Ranking, RankingEntry
from tapewatch.contract.rows import EVERY_INSTRUMENT
from tapewatch.rfc3339 import from_rfc3339

Forecast = Prediction | Ranking | News | Factor
Row = tuple[Any, ...]

_PREDICTIONS = (
    "id", "instrument_id", "as_of_ns", "horizon", "target", "name", "model", "reference", "value", "classes", "build",
)  # fmt: skip
_RANKINGS = (
    "id", "instrument_id", "as_of_ns", "name", "place", "reason", "probability", "regime", "regimes", "hourly_return",
    "win_rate", "buys", "sells", "volatility", "volatility_level", "high_line", "low_line", "position", "averages",
    "volumes", "horizon_s", "target_return", "stop_return", "model",
)  # fmt: skip
_NEWS = (
    "id", "source", "published_ns", "received_ns", "language", "headline", "body", "url", "instruments", "sentiment",
    "model", "duplicate_of",
)  # fmt: skip
_FACTORS = (
    "id", "source", "series", "instrument_id", "period", "published_ns", "received_ns", "value", "unit", "revision",
)  # fmt: skip


def instruments(message: Forecast) -> list[str]:
    """The instruments that a row of the message refers to by number."""
    if isinstance(message, Ranking):
        return [*(each.instrument for each in message.ranked), *message.excluded]
    if isinstance(message, News):
        return []
    return [message.instrument] if message.instrument else []


def times(message: Forecast) -> list[str]:
    """The times of a message; the first decides its day."""
    if isinstance(message, News):
        return [message.published, message.received]
    return [message.published_at, message.received] if isinstance(message, Factor) else [message.as_of]


def merge_predictions(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Predictions: one a model, instrument, target, horizon and moment."""
    newest = {each.id: each for each in (messages.decode(Prediction, record.value) for record in records)}
    rows = [
        (p.id, _number(p.instrument, keys), from_rfc3339(p.as_of), p.horizon, p.target, p.name, p.model, p.reference,
         p.value, _json(p.classes), p.build)
        for p in newest.values()
    ]  # fmt: skip
    execute_values(cursor, _merge("predictions", _PREDICTIONS, ("id",)), rows)


def merge_rankings(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Rankings: a row for each place and for each instrument left out."""
    newest = {each.id: each for each in (messages.decode(Ranking, record.value) for record in records)}
    rows = [row for ranking in newest.values() for row in _ranking_rows(ranking, keys)]
    if rows:
        execute_values(cursor, _merge("rankings", _RANKINGS, ("as_of_ns", "id", "instrument_id")), rows)


def _ranking_rows(ranking: Ranking, keys: Keys) -> list[Row]:
    """One row an instrument; a place wins over a reason."""
    as_of = from_rfc3339(ranking.as_of)
    asked = (ranking.horizon_s, ranking.target_return, ranking.stop_return, ranking.model)
    rows: dict[int, Row] = {}
    for name, reason in ranking.excluded.items():
        nothing = (None, "", "{}", *(None,) * 9, "{}", "{}")
        rows[_number(name, keys)] = (None, reason, *nothing, *asked)
    for place, ranked in enumerate(ranking.ranked, 1):
        rows[_number(ranked.instrument, keys)] = (place, "", *_measures(ranked), *asked)
    return [(ranking.id, number, as_of, ranking.name, *row) for number, row in rows.items()]


def _measures(r: RankingEntry) -> Row:
    return (
        r.probability, r.regime, _json(r.regimes), r.hourly_return, r.win_rate, r.buys, r.sells, r.volatility,
        r.volatility_level, r.high_line, r.low_line, r.position, _json(r.averages), _json(r.volumes),
    )  # fmt: skip


def merge_news(cursor: Cursor, _: Keys, records: Sequence[JsonRecord]) -> None:
    """News: a later record of an item, such as the one with its sentiment, takes the place of the one before, but one
    without a sentiment that is sent again not of one that has it.
    """
    newest: dict[str, News] = {}
    for item in (messages.decode(News, record.value) for record in records):
        if item.sentiment is not None or item.id not in newest or newest[item.id].sentiment is None:
            newest[item.id] = item
    rows = [
        (n.id, n.source, from_rfc3339(n.published), from_rfc3339(n.received), n.language, n.headline, n.body, n.url,
         list(n.instruments), n.sentiment, n.model, n.duplicate_of)
        for n in newest.values()
    ]  # fmt: skip
    kept = " WHERE EXCLUDED.sentiment IS NOT NULL OR news.sentiment IS NULL"
    execute_values(cursor, _merge("news", _NEWS, ("id",)) + kept, rows)


def merge_factors(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Factors: a correction has an id of its own."""
    newest = {each.id: each for each in (messages.decode(Factor, record.value) for record in records)}
    rows = [
        (f.id, f.source, f.series, _number(f.instrument or EVERY_INSTRUMENT, keys), f.period,
         from_rfc3339(f.published_at), from_rfc3339(f.received), f.value, f.unit, f.revision)
        for f in newest.values()
    ]  # fmt: skip
    execute_values(cursor, _merge("factors", _FACTORS, ("id",)), rows)


WRITERS: dict[str, Callable[[Cursor, Keys, list[JsonRecord]], None]] = {
    topics.PREDICTIONS: merge_predictions,
    topics.RANKINGS: merge_rankings,
    topics.NEWS: merge_news,
    topics.FACTORS: merge_factors,
}
"""What writes each topic; its table has the topic's name."""


def _merge(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """Insert; a row that is there already is written over."""
    fresh = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in key)
    chosen = f"INSERT INTO {table} ({', '.join(columns)}) VALUES %s"  # noqa: S608 - of constants alone
    return f"{chosen} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {fresh}"


def _number(instrument: str, keys: Keys) -> int:
    return int(keys.instruments([instrument])[0])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
