"""Consumer groups: who works, and how far behind."""

from collections.abc import Iterator

from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from streams.doctor.brokers import PATIENCE_S, is_reachable
from tapewatch import kafka
from tapewatch.doctor import Asked, Check, good, warning
from tapewatch.settings import Settings

BEHIND = 10_000
"""Records; as the rule TapewatchSinkBehind has it."""


def checks(asked: Asked) -> Iterator[Check]:
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
        if not names:
            yield good("groups", "none of ours has begun")
            return
        for name, described in client.describe_consumer_groups(names, request_timeout=PATIENCE_S).items():
            yield _group(client, reader, name, described.result())
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
