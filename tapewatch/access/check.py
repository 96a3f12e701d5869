"""Whether this process may do what its service needs, asked of the broker before the work begins."""

from collections.abc import Iterable

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from tapewatch import logs
from tapewatch.access.services import Right, rights
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.security.login import LoginError
from tapewatch.settings import Settings

TIMEOUT_S = 15
NAMED = 6
ATTEMPTS, AGAIN_S = 4, 0.5
_ANY = ("read", "describe")
_MOVING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._TIMED_OUT,
)
_log = logs.get("kafka")


class RightsError(TapewatchError):
    """The account may not do what its service needs."""


def check(settings: Settings, service: str) -> None:
    """RightsError names what is missing; LoginError where the broker does not let us in.

    Where nobody logs in nothing is asked; a broker or stack that is away is left to the service, which waits for it.
    Transactional ids cannot be asked about: their first use tells.
    """
    try:
        access = msgspec.structs.replace(
            settings, embedded=msgspec.structs.replace(settings.embedded, wait_s=0.0)
        ).kafka_login()
    except TapewatchError:
        return
    if access.security_protocol in ("", "plaintext"):
        return
    client = kafka.admin(settings)
    try:
        there, wanted = kafka.existing_topics(client), rights(settings, service, None)
        missing = [*_topics(client, there, wanted), *_groups(client, wanted)]
    except LoginError:
        raise
    except (KafkaException, kafka.BrokerAwayError) as error:
        _log.warning("rights are not checked: the broker does not answer", problem=str(error))
        return
    if missing:
        named = "; ".join(map(str, missing[:NAMED]))
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        who = access.user or access.token_client_id or "of this certificate"
        raise RightsError(
            f"the Kafka account {who} lacks rights of {service}: {named}{more}",
            f"Let an administrator run `tapewatch acl apply --service {service}={access.user or 'NAME'}`.",
        )


def _topics(client: AdminClient, there: Iterable[str], wanted: Iterable[Right]) -> list[Right]:
    """Rights on topics that are missing. A prefix is asked about at those that there are."""
    names = sorted(there)
    asked = [
        (right, name)
        for right in wanted
        if right.kind == "topic" and right.operation != "create"
        for name in _meant(right, names)
    ]
    if not asked:
        return []
    collection = TopicCollection(sorted({name for _, name in asked}))
    futures = client.describe_topics(collection, include_authorized_operations=True, request_timeout=TIMEOUT_S)
    allowed: dict[str, set[str]] = {}
    for name, future in futures.items():
        try:
            allowed[name] = {each.name.lower() for each in future.result().authorized_operations or ()}
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                allowed[name] = set()
            elif error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return sorted({right for right, name in asked if right.operation not in allowed.get(name, {right.operation})})


def _meant(right: Right, names: list[str]) -> list[str]:
    """The topics that a right is about."""
    return [name for name in names if name.startswith(right.name)] if right.prefix else [right.name]


def _groups(client: AdminClient, wanted: Iterable[Right]) -> list[Right]:
    """Rights on groups that are missing; a group that does not exist yet tells only whether it may be looked up."""
    asked = {right.name: right for right in wanted if right.kind == "group" and not right.prefix}
    if not asked:
        return []
    allowed: dict[str, set[str]] = {}
    for _ in range(ATTEMPTS):
        waiting = [name for name in asked if name not in allowed]
        if not waiting:
            break
        allowed |= _allowed(client, waiting)
        WALL.sleep(0.0 if len(allowed) == len(asked) else AGAIN_S)
    return [right for name, right in asked.items() if right.operation not in allowed.get(name, {right.operation})]


def _allowed(client: AdminClient, names: list[str]) -> dict[str, set[str]]:
    """Operations by group; none for one whose coordinator is not there yet, which a new broker's is not at once."""
    found: dict[str, set[str]] = {}
    futures = client.describe_consumer_groups(names, include_authorized_operations=True, request_timeout=TIMEOUT_S)
    for name, future in futures.items():
        try:
            operations = future.result().authorized_operations
            found[name] = {each.name.lower() for each in operations or ()} or set(_ANY)
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
                found[name] = set()
            elif code == KafkaError.GROUP_ID_NOT_FOUND:
                found[name] = set(_ANY)
            elif not (error.args[0].retriable() or code in _MOVING):
                raise
    return found
