"""Consumer groups: who works, how far behind, and whether the next one to begin would go on at the right place."""

import re
from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from streams import members
from streams.doctor.brokers import PATIENCE_S, is_reachable
from streams.engine.build import build_hash
from streams.engine.group_position import OffsetVerifier
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery
from streams.paper.group_position import PaperOffsetVerifier
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka, topic_ids
from tapewatch.settings import Settings

BEHIND = 10_000
"""Records; as the rule TapewatchSinkBehind has it."""


def checks(asked: CheckContext) -> Iterator[Check]:
    """Each group of the settings that has committed anything."""
    settings = asked.settings
    if not is_reachable(settings):
        return
    client, reader = kafka.admin(settings), kafka.consumer(settings)
    try:
        listed = client.list_consumer_groups(request_timeout=PATIENCE_S).result()
        if listed.errors:
            raise KafkaException(listed.errors[0])
        there = {each.group_id for each in listed.valid}
        names = [name for name in _groups(settings) if name in there]
        at_work = set[str]()
        if names:
            for name, asked_for in client.describe_consumer_groups(names, request_timeout=PATIENCE_S).items():
                described = asked_for.result()
                at_work |= {name} if described.members else set()
                yield _group(client, reader, name, described)
        else:
            yield good("groups", "none of ours has begun")
        # One that works has proved it, and moves on while we look.
        if settings.engine.group not in at_work:
            yield from _standing(settings, client)
        if settings.paper.group not in at_work:
            yield from _paper_standing(settings, client)
        yield from _search_topics(settings, client)
    except KafkaException as error:
        yield warning(
            "groups", f"cannot be looked at: {error.args[0].str()}",
            "Allow Describe on groups to this user, and see `doctor --part kafka`.",
        )  # fmt: skip
    finally:
        reader.close()


def _groups(settings: Settings) -> list[str]:
    """Groups that the settings name; the Elasticsearch sink has two."""
    search = settings.elasticsearch.group
    return [
        settings.engine.group, settings.paper.group, settings.cases.group, settings.evidence.group,
        settings.forecast.group, settings.news.group, f"{search}-urgent", f"{search}-data",
    ]  # fmt: skip


def _places(client: AdminClient, feeds: tuple[str, ...]) -> list[TopicPartition]:
    """Partitions that a group over these feeds works on."""
    patterns = members.subscribed(feeds)
    return [
        TopicPartition(name, number)
        for name, count in kafka.existing_topics(client).items()
        if any(re.match(pattern, name) for pattern in patterns)
        for number in range(count)
    ]


def _standing(settings: Settings, client: AdminClient) -> Iterator[Check]:
    """What the next engine to begin would end with, before it writes."""
    group, registry = kafka.consumer(settings, settings.engine.group), Registry(settings)
    recovery = Recovery(settings, registry, KafkaModelStore(settings), build_hash())
    try:
        OffsetVerifier(settings, recovery).proved(group, _places(client, settings.engine.feeds))
    except UnansweredError as error:
        yield warning(f"group {settings.engine.group} offsets", error.message, error.hint)
    except TapewatchError as error:
        yield failing(f"group {settings.engine.group} offsets", error.message, error.hint)
    finally:
        recovery.close()
        registry.close()
        group.close()


def _paper_standing(settings: Settings, client: AdminClient) -> Iterator[Check]:
    """The same of the next process of the paper broker."""
    group, reader = kafka.consumer(settings, settings.paper.group), kafka.consumer(settings)
    told = msgspec.structs.replace(settings, paper=msgspec.structs.replace(settings.paper, restore_offsets=False))
    places = _places(client, settings.paper.feeds)
    try:
        PaperOffsetVerifier(told).proved(
            group, reader, places, topic_ids.present(client, {each.topic for each in places})
        )
    except TapewatchError as error:
        yield failing(f"group {settings.paper.group} offsets", error.message, error.hint)
    finally:
        group.close()
        reader.close()


def _search_topics(settings: Settings, client: AdminClient) -> Iterator[Check]:
    """Topics that the Elasticsearch sink would not go on with."""
    for name in (f"{settings.elasticsearch.group}-{lane}" for lane in ("urgent", "data")):
        asked = [ConsumerGroupTopicPartitions(name)]
        places = client.list_consumer_group_offsets(asked, request_timeout=PATIENCE_S)[name].result().topic_partitions
        kept = {place.topic: place.metadata for place in places if place.metadata}
        try:
            topic_ids.check(kept, topic_ids.present(client, kept), name, topic_ids.SEE)
        except topic_ids.TopicRecreatedError as error:
            yield failing(f"group {name} topics", error.message, error.hint)


def _group(client: AdminClient, reader: Consumer, name: str, described: ConsumerGroupDescription) -> Check:
    """One group: members, partitions, records left."""
    asked = [ConsumerGroupTopicPartitions(name)]
    places = client.list_consumer_group_offsets(asked, request_timeout=PATIENCE_S)[name].result().topic_partitions
    left = {(place.topic, place.partition): _left(reader, place) for place in places if place.offset >= 0}
    total, members = sum(left.values()), len(described.members)
    idle = sum(not each.assignment.topic_partitions for each in described.members)
    found = f"{members} members, {len(left)} partitions, {total:,} records behind"
    if total and not members and described.state != ConsumerGroupState.STABLE:
        return warning(f"group {name}", f"{found}: nobody works", "Start its process; the log keeps what waits.")
    if total > BEHIND:
        worst = max(left, key=lambda place: left[place])
        return warning(
            f"group {name}", f"{found}, most in {worst[0]}[{worst[1]}]",
            "See docs/monitoring.md#tapewatchlaggrows; start another member, up to one a partition.",
        )  # fmt: skip
    if idle and members > 1 and idle == members:
        return warning(f"group {name}", f"{found}; no member holds any", "See its processes' logs.")
    return good(f"group {name}", found)


def _left(reader: Consumer, place: TopicPartition) -> int:
    """Records behind a place; marks of transactions count as records."""
    try:
        low, high = reader.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=PATIENCE_S)
    except KafkaException:
        return 0
    return max(0, int(high) - max(int(place.offset), int(low)))
