"""Brokers: reached, enough of them, and set as the guarantees need it."""

from collections.abc import Callable, Iterator

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.members import SESSION_TIMEOUT_MS
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.runtime import kafka, transactions
from tapewatch.security import login
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses

PATIENCE_S = 8.0
RECORD_BYTES = 16_777_216
CLEANED_MS = 1_000


def is_reachable(settings: Settings) -> bool:
    """Whether the settings name a broker, or the embedded one runs."""
    return bool(settings.kafka.bootstrap) or Addresses.is_running(settings.data_path)


def checks(asked: CheckContext) -> Iterator[Check]:
    """Nothing where no broker is named and none runs."""
    settings = asked.settings
    if not is_reachable(settings):
        yield good("kafka", "none is named and none runs here; `tapewatch up` starts one")
        return
    said: list[KafkaError] = []
    client = kafka.admin(settings, error_cb=said.append)
    try:
        brokers = sorted(client.list_topics(timeout=PATIENCE_S).brokers)
    except KafkaException as error:
        client.poll(0)  # what the client has said meanwhile is told now
        yield _away(settings, said, error.args[0])
        return
    yield good("kafka", f"{len(brokers)} broker{'s' * (len(brokers) != 1)} at {settings.bootstrap()}")
    yield _enough(len(brokers), settings.topics.replication)
    try:
        found = {number: _configuration(client, number) for number in brokers}
    except KafkaException as error:
        yield warning(
            "broker settings", f"cannot be read: {error.args[0].str()}",
            "Allow DescribeConfigs on the cluster to this user, or look at them yourself.",
        )  # fmt: skip
        return
    yield from _settings(found, min(settings.topics.replication, len(brokers)))


def _away(settings: Settings, said: list[KafkaError], last: KafkaError) -> Check:
    """No broker answers, with the first reason that says more than that."""
    telling = [error for error in said if error.code() != KafkaError._ALL_BROKERS_DOWN] or [last]
    error = next((each for each in telling if _advice(each)), telling[0])
    hint = _advice(error) or "Start the brokers, or correct kafka.bootstrap; `tapewatch status` shows the embedded one."
    return failing("kafka", f"{settings.bootstrap()} does not answer: {error.str()}", hint)


def _advice(error: KafkaError) -> str:
    """What to do where an error tells more than that nobody answers; empty for any other."""
    if error.code() == KafkaError._RESOLVE:
        return "The name is unknown here: check kafka.bootstrap."
    refused = login.explained(KafkaException(error))
    return refused.hint if refused else ""


def _enough(brokers: int, replication: int) -> Check:
    if brokers < replication:
        return failing(
            "replication", f"topics.replication is {replication}, there are {brokers} brokers",
            "Start more brokers, or lower topics.replication.",
        )  # fmt: skip
    if replication == 1:
        return warning(
            "replication", "one copy of each record: a lost disk is lost data",
            "On a cluster set topics.replication to 3; on one machine back it up (docs/backup.md).",
        )  # fmt: skip
    return good("replication", f"{replication} copies on {brokers} brokers")


def _configuration(client: AdminClient, number: int) -> dict[str, str]:
    """A broker's settings in force."""
    resource = ConfigResource(ResourceType.BROKER, str(number))
    found = client.describe_configs([resource], request_timeout=PATIENCE_S)[resource].result()
    return {name: str(entry.value) for name, entry in found.items() if entry.value is not None}


def _settings(found: dict[int, dict[str, str]], copies: int) -> Iterator[Check]:
    """Each setting that a promise rests on, over all brokers."""
    at_least = "{} or more"
    in_sync = 2 if copies > 1 else 1
    wanted: list[tuple[str, Callable[[str], bool], str, bool, str]] = [
        ("min.insync.replicas", lambda v: int(v) >= in_sync, at_least.format(in_sync), True,
         "else a record that was acknowledged may lie on one disk"),
        ("unclean.leader.election.enable", lambda v: v == "false", "false", True,
         "else a leader that lacks records may take over"),
        ("transaction.state.log.replication.factor", lambda v: int(v) >= copies, at_least.format(copies), True,
         "else transactions are lost with a broker"),
        ("transaction.state.log.min.isr", lambda v: int(v) >= in_sync, at_least.format(in_sync), True,
         "else transactions may be lost with a disk"),
        ("offsets.topic.replication.factor", lambda v: int(v) >= copies, at_least.format(copies), True,
         "else groups' places are lost with a broker"),
        ("transaction.max.timeout.ms", lambda v: int(v) >= transactions.TIMEOUT_MS,
         at_least.format(transactions.TIMEOUT_MS), True, "else engines get no transactions"),
        ("group.min.session.timeout.ms", lambda v: int(v) <= SESSION_TIMEOUT_MS, f"{SESSION_TIMEOUT_MS} at most", True,
         "else engines cannot join their group"),
        ("group.max.session.timeout.ms", lambda v: int(v) >= SESSION_TIMEOUT_MS, at_least.format(SESSION_TIMEOUT_MS),
         True, "else engines cannot join their group"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", lambda v: int(v) <= CLEANED_MS,
         f"{CLEANED_MS} at most", False, "else a dead engine's transaction holds readers up for longer"),
        ("replica.fetch.max.bytes", lambda v: int(v) >= RECORD_BYTES, at_least.format(RECORD_BYTES), False,
         "else large records are copied one at a time"),
        ("auto.create.topics.enable", lambda v: v == "false", "false", False,
         "else a mistyped name makes a topic with other settings than the contract's"),
    ]  # fmt: skip
    for name, fits, limit, required, reason in wanted:
        values = {number: each[name] for number, each in found.items() if name in each}
        wrong = {number: value for number, value in values.items() if not fits(value)}
        if wrong:
            listed = ", ".join(f"{value} on broker {number}" for number, value in wrong.items())
            yield Check(name, False, required, f"{listed}: {reason}", f"Set {name} to {limit}.")
        elif values:
            yield good(name, ", ".join(sorted(set(values.values()))))
