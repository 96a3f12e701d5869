"""What each of our services needs at Kafka, and no more: the one table that rights, docs and tests are made from.

Names may hold a setting ({engine.group}) or end in * (every name that begins so). {feed} stands for the feeds that
rights are given for; without any it is all of them, which for writing is more than a service needs.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from tapewatch.contract import topics
from tapewatch.dlq.retry import READERS
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.settings import Settings

MARKET, FEED, REFUSED = "market.*", "market.{feed}", "market.{feed}.dlq"
OUTPUTS = (topics.FEATURES, topics.BARS, topics.SCORES, topics.ALERTS, topics.SIGNALS)
READER = "tapewatch-reader"
"""The group that is named by who reads topics whole; nothing is kept in it."""

Kind = Literal["topic", "group", "transactional_id"]
Operation = Literal["read", "write", "create", "describe"]


class Right(msgspec.Struct, frozen=True, order=True):
    """An operation on what has this name, or on all whose names begin so."""

    kind: Kind
    name: str
    operation: Operation
    prefix: bool = False

    def __str__(self) -> str:
        """As people read it: `write topic alerts`, `read topic market.*`."""
        return f"{self.operation} {self.kind.replace('_', ' ')} {self.name}{'*' if self.prefix else ''}"


class Service(msgspec.Struct, frozen=True):
    """A service's rights, beside the names and partitions of our topics, which every service may look up.

    runs : its commands; reads, writes, makes : topics; groups : consumer groups that it works in; looks : groups whose
    offsets it looks up; ids : transactional ids
    """

    runs: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def _dead(*names: str) -> tuple[str, ...]:
    return tuple(map(topics.dead_letters, names))


_POSTGRES = (
    *(topics.INSTRUMENTS, *OUTPUTS, topics.COVERAGE, topics.ORDERS, topics.FILLS, topics.POSITIONS),
    *(topics.PREDICTIONS, topics.RANKINGS, topics.NEWS, topics.FACTORS, topics.CASES, topics.CASE_ANSWERS),
    *(topics.SUPPRESSIONS, topics.LABELS, topics.PROPOSALS, topics.retry(dead_letters.POSTGRES)),
)
_ELASTICSEARCH = (
    *(*OUTPUTS, topics.CASES, topics.CANARIES, topics.PREDICTIONS, topics.POSITIONS, topics.COMMITS),
    topics.retry(dead_letters.ELASTICSEARCH),
)
_CASES = topics.retry(dead_letters.CASES)
_NEWS = topics.retry(dead_letters.NEWS)
_FEED = (FEED, REFUSED)
_ENDS = (*OUTPUTS, topics.COVERAGE, topics.SHADOW_SIGNALS)

SERVICES: dict[str, Service] = {
    "producer": Service(
        "produce replay, synthetic, canary and live venues",
        reads=(*_FEED, topics.INSTRUMENTS, topics.MODELS, topics.GENERATIONS),
        writes=(*_FEED, topics.INSTRUMENTS, topics.CANARIES),
        makes=_FEED,
        looks=("{engine.group}",),
    ),
    "source": Service(
        "produce of slow sources: news, daily bars, SQL tables, the bridge",
        reads=(
            *(*_FEED, topics.INSTRUMENTS, topics.MODELS, topics.PRODUCER_STATE, topics.NEWS, topics.FACTORS),
            topics.GENERATIONS,
        ),
        writes=(
            *(*_FEED, topics.INSTRUMENTS, topics.PRODUCER_STATE, topics.NEWS, topics.FACTORS),
            *_dead(topics.NEWS, topics.FACTORS),
        ),
        makes=_FEED,
        groups=("tapewatch-*",),
        ids=("tapewatch-source-*",),
    ),
    "engine": Service(
        "run engine, run spark",
        reads=(
            *(MARKET, topics.INSTRUMENTS, topics.MODELS, topics.SNAPSHOTS, topics.GENERATIONS),
            topics.COMMITS,
        ),
        writes=(*_ENDS, topics.COMMITS, topics.SNAPSHOTS, topics.MODELS, topics.INSTRUMENTS, REFUSED),
        makes=(REFUSED,),
        groups=("{engine.group}",),
        ids=("{engine.group}-*",),
    ),
    "paper": Service(
        "run paper",
        reads=(
            *(MARKET, topics.INSTRUMENTS, topics.SIGNALS, topics.COMMITS, topics.PAPER_COMMANDS),
            topics.PAPER_SNAPSHOTS,
        ),
        writes=(topics.ORDERS, topics.FILLS, topics.POSITIONS, topics.PAPER_COMMITS, topics.PAPER_SNAPSHOTS),
        groups=("{paper.group}",),
        ids=("{paper.group}-*",),
    ),
    "desk": Service(
        "run desk",
        reads=(MARKET, topics.BARS, topics.DESK_STATE, topics.INSTRUMENTS, topics.GENERATIONS),
        writes=(topics.DESK_STATE, topics.RANKINGS),
        looks=("tapewatch-desk-*",),
        ids=("tapewatch-desk-*",),
    ),
    "cases": Service(
        "run cases",
        reads=(
            *(topics.ALERTS, topics.CASE_COMMANDS, topics.CASES, topics.SUPPRESSIONS, topics.CASE_ANSWERS),
            *(topics.INSTRUMENTS, _CASES),
        ),
        writes=(
            *(topics.CASES, topics.SUPPRESSIONS, topics.CASE_ANSWERS),
            *_dead(topics.ALERTS, topics.CASE_COMMANDS, _CASES),
        ),
        groups=("{cases.group}",),
        ids=("{cases.group}",),
    ),
    "evidence": Service(
        "run evidence",
        reads=(MARKET, topics.ALERTS, topics.SNAPSHOTS, topics.INSTRUMENTS, topics.MODELS, topics.GENERATIONS),
        groups=("{evidence.group}",),
        looks=("{engine.group}",),
    ),
    "forecast": Service(
        "run forecast, train all",
        reads=(topics.BARS, topics.PREDICTIONS, topics.INSTRUMENTS),
        writes=(topics.PREDICTIONS, topics.SIGNALS),
        groups=("{forecast.group}",),
        ids=("{forecast.group}-*", "tapewatch-train-all"),
    ),
    "news": Service(
        "run news",
        reads=(topics.NEWS, topics.FACTORS, topics.INSTRUMENTS, _NEWS),
        writes=(topics.NEWS, topics.FACTORS, *_dead(topics.NEWS, _NEWS)),
        groups=("{news.group}",),
        ids=("{news.group}",),
    ),
    "sink-postgres": Service(
        "sink postgres",
        reads=(MARKET, *_POSTGRES),
        writes=_dead(*_POSTGRES),
        makes=_dead(*_POSTGRES),
        looks=("tapewatch-sink-postgres",),
    ),
    "sink-elasticsearch": Service(
        "sink elasticsearch",
        reads=(MARKET, topics.INSTRUMENTS, *_ELASTICSEARCH),
        writes=_dead(*_ELASTICSEARCH),
        makes=_dead(*_ELASTICSEARCH),
        groups=("{elasticsearch.group}-*",),
    ),
    "sink-notify": Service(
        "sink notify",
        reads=(topics.ALERTS, topics.CANARIES, topics.CASES),
        looks=("tapewatch-sink-notify",),
    ),
    "sink-orders": Service(
        "sink orders", reads=(topics.ORDERS, topics.FILLS, topics.INSTRUMENTS), writes=(topics.ORDERS, topics.FILLS)
    ),
    "sink-canary": Service(
        "sink canary",
        reads=(topics.ALERTS, topics.CANARIES),
        writes=(topics.CANARIES,),
        looks=("{canary.group}-watch",),
        ids=("{canary.group}",),
    ),
    "console": Service(
        "console",
        reads=(
            *(MARKET, topics.SCORES, topics.ALERTS, topics.SIGNALS, topics.RANKINGS, topics.CANARIES, topics.CASES),
            *(topics.COMMITS, topics.PAPER_COMMITS, topics.LABELS, topics.PROPOSALS, topics.CASE_ANSWERS),
            *(topics.INSTRUMENTS, topics.MODELS),
        ),
        writes=(
            *(topics.CASE_COMMANDS, topics.LABELS, topics.PROPOSALS, topics.PAPER_COMMANDS, topics.MODELS),
            FEED,
        ),
        looks=("tapewatch-console", "tapewatch-console-*"),
    ),
    "operator": Service(
        "models, config, paper, cases, tail, dlq, verify, reconcile, coverage, partitions, rescale, export, backfill",
        reads=(
            *(MARKET, *_POSTGRES, *_dead(*_POSTGRES), *_ELASTICSEARCH, *_dead(*_ELASTICSEARCH), _CASES, _NEWS),
            *(topics.MODELS, topics.SNAPSHOTS, topics.SHADOW_SIGNALS, topics.PRODUCER_STATE, topics.DESK_STATE),
            *(topics.PAPER_COMMANDS, topics.PAPER_COMMITS, topics.PAPER_SNAPSHOTS, topics.CASE_COMMANDS),
            *(topics.REPLAYS, topics.GENERATIONS, *_dead(topics.CASE_COMMANDS, _CASES, _NEWS)),
        ),
        writes=(
            *(FEED, topics.MODELS, topics.PAPER_COMMANDS, topics.CASE_COMMANDS, topics.PROPOSALS, topics.LABELS),
            *(topics.REPLAYS, topics.GENERATIONS, topics.SNAPSHOTS, *map(topics.retry, READERS)),
        ),
        makes=_FEED,
        looks=("tapewatch-*", "{engine.group}", "{paper.group}"),
        ids=("dlq-replay-*",),
    ),
}

SLOW_SOURCES = frozenset({"kafka", "news", "twse-daily", "yahoo-daily", "yahoo-history", "kiwoom-history", "sql"})
"""What `produce` fetches by a ledger; all else it sends as `producer`."""


def service_of(words: Sequence[str]) -> str:
    """The service that a command line runs, such as `run engine`; empty where it is none.

    >>> service_of(["sink", "postgres", "--json"])
    'sink-postgres'
    """
    command, what = (*words, "", "")[:2]
    if command == "produce":
        return "source" if what in SLOW_SOURCES else "producer"
    name = {"run": "engine" if what == "spark" else what, "sink": f"sink-{what}", "console": "console"}.get(command, "")
    return name if name in SERVICES else ""


def topics_of_all(settings: Settings) -> list[topics.TopicSpec]:
    """How every topic is made that does not belong to one feed."""
    chosen = settings.topics
    retries = [topics.retry_topic(reader) for reader in READERS]
    specs = [
        *(*topics.shared_topics(chosen), *topics.source_topics(chosen), *topics.canary_topics(chosen)),
        *(*topics.case_topics(chosen), *topics.paper_topics(chosen), topics.replays_topic(), *retries),
        *(topics.dead_letter_topic(topics.dead_letters(spec.name)) for spec in retries),
    ]
    return list({spec.name: spec for spec in specs}.values())


def rights(settings: Settings, service: str, feeds: Sequence[str] | None = ()) -> list[Right]:
    """A service's own rights, sorted; `seen` are those of all. TapewatchError for a service that does not exist.

    feeds : that it works on; none means every feed; None leaves out what depends on them
    """
    if service not in SERVICES:
        raise TapewatchError(f"there is no service {service!r}", f"Name one of {', '.join(SERVICES)}.")
    wanted = SERVICES[service]
    table: list[tuple[Kind, Operation, tuple[str, ...]]] = [
        ("topic", "read", wanted.reads),
        ("topic", "write", wanted.writes),
        ("topic", "create", wanted.makes),
        ("group", "read", wanted.groups),
        ("group", "describe", wanted.looks),
        ("transactional_id", "write", wanted.ids),
    ]
    return sorted(
        {
            Right(kind, name, operation, prefix)
            for kind, operation, names in table
            for name, prefix in _names(names, settings, feeds)
        }
    )


def seen(settings: Settings) -> list[Right]:
    """What every service may look up: that our topics are there, and nothing of what is in them."""
    names = sorted({spec.name for spec in topics_of_all(settings)})
    return [
        *(Right("topic", name, "describe") for name in names),
        Right("topic", "market.", "describe", prefix=True),
        Right("group", READER, "describe"),
    ]


def _names(patterns: Sequence[str], settings: Settings, feeds: Sequence[str] | None) -> Iterator[tuple[str, bool]]:
    """Names and whether they are prefixes."""
    sections = {name: getattr(settings, name) for name in settings.__struct_fields__}
    for pattern in patterns:
        if "{feed}" in pattern and feeds is not None and not feeds:
            yield "market.", True
            continue
        for feed in (feeds or ()) if "{feed}" in pattern else ("",):
            name = pattern.format(feed=feed, **sections)
            yield name.rstrip("*"), name.endswith("*")
