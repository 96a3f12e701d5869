"""Rights as the broker keeps them (ACLs): what an account has, what it lacks for a service, and giving it that."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tapewatch.access.services import Kind, Operation, Right, rights, seen
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.security import login
from tapewatch.settings import Settings

TIMEOUT_S = 30
_KINDS: dict[Kind, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS: dict[Operation, AclOperation] = {
    "read": AclOperation.READ,
    "write": AclOperation.WRITE,
    "create": AclOperation.CREATE,
    "describe": AclOperation.DESCRIBE,
}
_KIND_OF = {value: key for key, value in _KINDS.items()}
_OPERATION_OF = {value: key for key, value in _OPERATIONS.items()}


class Change(msgspec.Struct, frozen=True):
    """What an account gets or loses. service : whose rights it is to have"""

    service: str
    principal: str
    given: list[Right]
    taken: list[Right]


def principal(user: str) -> str:
    """An account as rights name it."""
    return f"User:{user}"


def has(client: AdminClient, account: str) -> set[Right]:
    """The rights that an account has by name, of the kinds that we give. TapewatchError where the broker refuses."""
    wanted = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, account, None, AclOperation.ANY, AclPermissionType.ALLOW
    )
    try:
        found = client.describe_acls(wanted, request_timeout=TIMEOUT_S).result()
    except KafkaException as error:
        raise _refused(error) from error
    return {
        Right(
            _KIND_OF[each.restype],
            each.name,
            _OPERATION_OF[each.operation],
            each.resource_pattern_type == ResourcePatternType.PREFIXED,
        )
        for each in found
        if each.restype in _KIND_OF and each.operation in _OPERATION_OF and each.host == "*"
    }


def plan(
    settings: Settings,
    accounts: Mapping[str, str],
    feeds: Sequence[str] = (),
    prune: bool = False,
    reads: Sequence[str] = (),
) -> list[Change]:
    """What would change so that each account may do what its service needs.

    accounts : principal by service; prune : it loses what the service does not need; reads : topics of others, which
    each may read too
    """
    client, found = kafka.admin(settings), []
    more = [Right("topic", name, "read") for name in reads]
    for service, account in accounts.items():
        wanted, there = {*rights(settings, service, feeds), *seen(settings), *more}, has(client, account)
        found.append(Change(service, account, sorted(wanted - there), sorted(there - wanted) if prune else []))
    return found


def carry_out(settings: Settings, changes: Iterable[Change]) -> None:
    """Give first, then take: nobody stands without a right that he keeps. TapewatchError where the broker refuses."""
    client, wanted = kafka.admin(settings), list(changes)
    given = [_binding(change.principal, right) for change in wanted for right in change.given]
    taken = [_filter(change.principal, right) for change in wanted for right in change.taken]
    try:
        for act, each in ((client.create_acls, given), (client.delete_acls, taken)):
            for future in act(each, request_timeout=TIMEOUT_S).values() if each else ():
                future.result()
    except KafkaException as error:
        raise _refused(error) from error


def _binding(account: str, right: Right) -> AclBinding:
    return AclBinding(*_words(account, right))


def _filter(account: str, right: Right) -> AclBindingFilter:
    return AclBindingFilter(*_words(account, right))


def _words(account: str, right: Right) -> tuple[object, ...]:
    pattern = ResourcePatternType.PREFIXED if right.prefix else ResourcePatternType.LITERAL
    kind, operation = _KINDS[right.kind], _OPERATIONS[right.operation]
    return (kind, right.name, pattern, account, "*", operation, AclPermissionType.ALLOW)


def _refused(error: KafkaException) -> TapewatchError:
    said = login.explained(error)
    if said is not None:
        return TapewatchError(said.message, "Log in with an account that may alter rights (ALTER on the cluster).")
    return TapewatchError(f"Kafka does not keep rights: {error}", "Set authorizer.class.name on the brokers.")
