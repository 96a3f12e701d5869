"""Topics beside the contract: there, partitioned, copied and kept as it says; and who is registered."""

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType, TopicMetadata

from streams.doctor.brokers import PATIENCE_S, is_reachable
from tapewatch.contract import topics
from tapewatch.contract.canaries import FEED as CANARY_FEED
from tapewatch.contract.topics import TopicSpec
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

NAMED = 5
"""Topics or instruments that a finding names."""


def checks(asked: CheckContext) -> Iterator[Check]:
    """Every topic of ours that there is, against how this build would make it."""
    settings = asked.settings
    if not is_reachable(settings):
        return
    client = kafka.admin(settings)
    try:
        there = client.list_topics(timeout=PATIENCE_S).topics
    except KafkaException as error:
        yield failing("topics", f"not seen: {error.args[0].str()}", "See what `doctor --part kafka` says.")
        return
    specs = {spec.name: spec for spec in _contract(settings, [name for name in there if topics.is_market(name)])}
    ours = {name: spec for name, spec in specs.items() if name in there}
    if not ours:
        yield good("topics", "none yet: the first process of each kind makes its own")
        return
    wrong = [*_shapes(settings, ours, there), *_kept(client, ours)]
    yield good("topics", f"{len(ours)} of the contract's {len(specs)}; the others are made when they are needed")
    yield from wrong
    if topics.INSTRUMENTS in there:
        yield from _registered(settings, [name for name in ours if topics.is_market(name)])


def _contract(settings: Settings, markets: list[str]) -> Iterator[TopicSpec]:
    """How this build makes each topic; feeds are those that there are."""
    chosen = settings.topics
    for make in (
        topics.shared_topics, topics.paper_topics, topics.case_topics, topics.source_topics, topics.canary_topics,
    ):  # fmt: skip
        yield from make(chosen)
    for name in markets:
        yield from topics.market_topics(topics.feed_of(name), chosen)


def _shapes(settings: Settings, ours: dict[str, TopicSpec], there: dict[str, TopicMetadata]) -> Iterator[Check]:
    """Partitions, leaders and copies."""
    for name, spec in ours.items():
        partitions = there[name].partitions.values()
        if any(each.leader < 0 for each in partitions):
            yield failing(name, "a partition has no leader", "Bring the brokers back that have its copies.")
        if spec.partitions == 1 and len(partitions) > 1:
            yield failing(name, f"{len(partitions)} partitions; its order needs one", "Make it anew with one.")
        elif not topics.is_market(name) and len(partitions) < spec.partitions:
            yield warning(
                name, f"{len(partitions)} partitions, topics.market_partitions is {spec.partitions}",
                "It works; more partitions only by making it anew.",
            )  # fmt: skip
        copies = min((len(each.replicas) for each in partitions), default=0)
        if copies < settings.topics.replication:
            yield warning(
                name, f"{copies} copies, topics.replication is {settings.topics.replication}",
                "Reassign its partitions (kafka-reassign-partitions), with more copies.",
            )  # fmt: skip
        behind = sum(len(each.isrs) < len(each.replicas) for each in partitions)
        if behind:
            yield warning(name, f"{behind} partitions lack a copy in sync", "See which broker is away or slow.")


def _kept(client: AdminClient, ours: dict[str, TopicSpec]) -> Iterator[Check]:
    """What each topic's settings say of how long, how large and by whose clock."""
    resources = {ConfigResource(ResourceType.TOPIC, name): spec for name, spec in ours.items()}
    for resource, answer in client.describe_configs(list(resources), request_timeout=PATIENCE_S).items():
        spec = ours[resource.name]
        try:
            found = {key: str(entry.value) for key, entry in answer.result().items()}
        except KafkaException as error:
            yield warning(
                spec.name, f"its settings cannot be read: {error.args[0].str()}",
                "Allow DescribeConfigs on topics to this user.",
            )  # fmt: skip
            return
        yield from _differing(spec, found)


def _differing(spec: TopicSpec, found: dict[str, str]) -> Iterator[Check]:
    """Settings by which something would be lost or refused; others may differ."""
    mend = f"Run kafka-configs --alter --topic {spec.name} --add-config {{}}."
    for key in ("cleanup.policy", "message.timestamp.type"):
        wanted = spec.properties.get(key, found.get(key, ""))
        if key in spec.properties and found.get(key) != wanted:
            yield failing(spec.name, f"{key} is {found.get(key)}, not {wanted}", mend.format(f"{key}={wanted}"))
    wanted_ms, kept_ms = int(spec.properties.get("retention.ms", -1)), int(found.get("retention.ms", -1))
    if found.get("cleanup.policy") == "delete" and kept_ms >= 0 and (wanted_ms < 0 or kept_ms < wanted_ms):
        said = f"retention.ms is {kept_ms}, not {wanted_ms}"
        advice = mend.format(f"retention.ms={wanted_ms}")
        lost = failing if wanted_ms < 0 else warning
        yield lost(spec.name, f"{said}: what is kept for ever is deleted" if wanted_ms < 0 else said, advice)
    size = spec.properties.get("max.message.bytes")
    if size and int(found.get("max.message.bytes", size)) < int(size):
        yield failing(
            spec.name, f"max.message.bytes is {found['max.message.bytes']}, not {size}: transactions would be refused",
            mend.format(f"max.message.bytes={size}"),
        )  # fmt: skip
    if int(found.get("retention.bytes", -1)) >= 0:
        yield warning(
            spec.name, f"retention.bytes is {found['retention.bytes']}: a busy day shortens what is kept",
            mend.format("retention.bytes=-1"),
        )  # fmt: skip


def _registered(settings: Settings, markets: list[str]) -> Iterator[Check]:
    """Who is registered, and whether rows count by the broker's clock."""
    registry = Registry(settings)
    try:
        registry.refresh()
        ids = sorted(registry.instruments)
        unmarked = [each for each in ids if registry.is_unmarked(each)]
        begun = [each for each in ids if registry.since(each) is None]
    finally:
        registry.close()
    if not ids and [name for name in markets if name != topics.market(CANARY_FEED)]:
        yield failing(
            "registration", f"no instrument is registered, and there is {markets[0]}: its rows are refused",
            "Register them: producers do, programs of yours by tapewatch.market_log.registry.register.",
        )  # fmt: skip
        return
    yield good("registration", f"{len(ids)} instruments")
    for name, found, hint in (
        ("unmarked registration", unmarked, "Register them once more: rows then count by the broker's clock."),
        ("unfinished registration", begun, "Whoever needs one finishes it; or register them once more."),
    ):
        if found:
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            yield warning(name, f"{', '.join(found[:NAMED])}{more}: see docs/exactly-once.md#registrations", hint)
