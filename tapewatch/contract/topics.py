"""Topics: their names, and how each is kept (retention, compaction, partitions)."""

import re
from dataclasses import dataclass, field

from tapewatch.errors import TapewatchError
from tapewatch.settings import TopicSettings

INSTRUMENTS = "instruments"
MODELS = "models"
FEATURES = "features"
BARS = "bars"
SCORES = "scores"
ALERTS = "alerts"
SIGNALS = "signals"
SHADOW_SIGNALS = "signals.shadow"
CANARIES = "canaries"
CASES = "cases"
CASE_COMMANDS = "case.commands"
CASE_ANSWERS = "case.answers"
SUPPRESSIONS = "suppressions"
LABELS = "labels"
PROPOSALS = "proposals"
PREDICTIONS = "predictions"
COVERAGE = "coverage"
FACTORS = "factors"
NEWS = "news"
PRODUCER_STATE = "producers.state"
COMMITS = "engine.commits"
RANKINGS = "rankings"
DESK_STATE = "desk.state"
SNAPSHOTS = "engine.snapshots"
ORDERS = "orders"
FILLS = "fills"
POSITIONS = "positions"
PAPER_COMMANDS = "paper.commands"
PAPER_COMMITS = "paper.commits"
PAPER_SNAPSHOTS = "paper.snapshots"
REPLAYS = "dlq.replays"
GENERATIONS = "feeds.generations"

FEED_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MARKET_PATTERN = r"^market\.[a-z0-9][a-z0-9-]{0,63}$"
"""Every market topic, and none of their dead-letter topics."""
_MARKET = re.compile(MARKET_PATTERN)

# The engine sends a transaction's records of a partition in one batch, which may be large.
_LARGE = {"max.message.bytes": "16777216"}
_FOREVER = {"retention.ms": "-1", "cleanup.policy": "delete", **_LARGE}
_COMPACTED = {"cleanup.policy": "compact", **_LARGE}
_APPENDED = {"message.timestamp.type": "LogAppendTime"}
_SNAPSHOTS = {
    **_COMPACTED,
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.3",
    "max.compaction.lag.ms": "600000",
}
# A few small records that are replaced many times a second: read whole at each start.
_POSITIONS = {**_COMPACTED, "segment.bytes": "16777216", "max.compaction.lag.ms": "600000"}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created: partitions and Kafka topic properties."""

    name: str
    partitions: int
    properties: dict[str, str] = field(default_factory=dict)


def market(feed: str) -> str:
    """The market topic of a feed; feed names are lower-case letters, digits and hyphens."""
    if not FEED_NAME.fullmatch(feed):
        raise TapewatchError(f"{feed!r} is not a feed name", "Use lower-case letters, digits and hyphens, 64 at most.")
    return f"market.{feed}"


def feed_of(topic: str) -> str:
    """The feed of a market topic."""
    return topic.removeprefix("market.")


def generations_pattern(feed: str) -> str:
    """The market topics of a feed in all its generations, as a consumer subscribes to them."""
    return "^" + market(feed).replace(".", r"\.") + "(-g[0-9]+)?$"


def is_market(topic: str) -> bool:
    """Whether a topic is a feed's market topic."""
    return _MARKET.fullmatch(topic) is not None


def dead_letters(topic: str) -> str:
    """Where refused rows and records of `topic` go."""
    return f"{topic}.dlq"


def retry(reader: str) -> str:
    """What one reader alone takes once more: records that it had refused."""
    return f"retry.{reader}"


def retry_topic(reader: str) -> TopicSpec:
    """How such a topic is made: one partition, so that records keep the order in which they are sent."""
    return TopicSpec(retry(reader), 1, _FOREVER)


def generations_topic() -> TopicSpec:
    """Which later generations feeds have: a few records, the newest of each kept for ever."""
    return TopicSpec(GENERATIONS, 1, _COMPACTED)


def replays_topic() -> TopicSpec:
    """Where it is written down which dead letters were replayed: kept for ever, since none is replayed twice."""
    return TopicSpec(REPLAYS, 1, _FOREVER)


def dead_letter_topic(name: str) -> TopicSpec:
    """How a dead-letter topic is made: one partition, so that letters lie in the order in which they were refused."""
    return TopicSpec(name, 1, _FOREVER)


def market_topics(feed: str, settings: TopicSettings, partitions: int = 0) -> list[TopicSpec]:
    """A feed's market topic (broker append time, so that a record's age against a registration is a fact of the log)
    and its dead letters.
    """
    name = market(feed)
    kept = {"retention.ms": str(settings.market_retention_hours * 3_600_000), **_LARGE}
    return [
        TopicSpec(name, partitions or settings.market_partitions, {**kept, **_APPENDED}),
        dead_letter_topic(dead_letters(name)),
    ]


def shared_topics(settings: TopicSettings) -> list[TopicSpec]:
    """Every topic that does not belong to one feed."""
    hours = {"retention.ms": str(settings.market_retention_hours * 3_600_000), **_LARGE}
    many = settings.market_partitions
    return [
        TopicSpec(INSTRUMENTS, 1, {**_COMPACTED, **_APPENDED}),
        TopicSpec(MODELS, 1, {**_COMPACTED, **_APPENDED}),
        generations_topic(),
        TopicSpec(FEATURES, many, hours),
        TopicSpec(BARS, many, hours),
        TopicSpec(SCORES, many, hours),
        TopicSpec(ALERTS, many, _FOREVER),
        TopicSpec(SIGNALS, many, _FOREVER),
        TopicSpec(SHADOW_SIGNALS, many, hours),
        TopicSpec(ORDERS, many, _FOREVER),
        TopicSpec(FILLS, many, _FOREVER),
        TopicSpec(COVERAGE, many, _FOREVER),
        TopicSpec(COMMITS, many, hours),
        TopicSpec(RANKINGS, 1, hours),
        TopicSpec(PREDICTIONS, many, _FOREVER),
        TopicSpec(DESK_STATE, 1, {**_COMPACTED, "max.compaction.lag.ms": "600000"}),
        TopicSpec(SNAPSHOTS, many, _SNAPSHOTS),
    ]


def source_topics(settings: TopicSettings) -> list[TopicSpec]:
    """Topics of slow sources: factors, news and their dead letters, and how far each source has come."""
    names = (FACTORS, NEWS)
    return [
        *(TopicSpec(name, 1, _FOREVER) for name in names),
        *(dead_letter_topic(dead_letters(name)) for name in names),
        TopicSpec(PRODUCER_STATE, 1, _POSITIONS),
    ]


def canary_topics(settings: TopicSettings) -> list[TopicSpec]:
    """How canaries fared: a few records an hour, kept for ever."""
    return [TopicSpec(CANARIES, 1, _FOREVER)]


def case_topics(settings: TopicSettings) -> list[TopicSpec]:
    """Topics of the desk's work and what it refused, all kept for ever: the records lie in the order in which they were
    said.
    """
    names = (CASES, CASE_COMMANDS, CASE_ANSWERS, SUPPRESSIONS, LABELS, PROPOSALS)
    refused = (dead_letters(ALERTS), dead_letters(CASE_COMMANDS))
    return [TopicSpec(name, 1, _FOREVER) for name in (*names, *refused)]


_OF_PAPER = (INSTRUMENTS, SIGNALS, COMMITS, ORDERS, FILLS)


def paper_topics(settings: TopicSettings) -> list[TopicSpec]:
    """Every topic of the paper broker, and those of the engine that it reads."""
    hours = {"retention.ms": str(settings.market_retention_hours * 3_600_000), **_LARGE}
    many = settings.market_partitions
    return [
        *(spec for spec in shared_topics(settings) if spec.name in _OF_PAPER),
        TopicSpec(POSITIONS, many, hours),
        TopicSpec(PAPER_COMMANDS, 1, _FOREVER),
        TopicSpec(PAPER_COMMITS, many, hours),
        TopicSpec(PAPER_SNAPSHOTS, many, _SNAPSHOTS),
    ]
