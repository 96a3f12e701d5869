"""SCRAM accounts of a broker, and the files that their passwords lie in."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from tapewatch.errors import TapewatchError
from tapewatch.security import login

MECHANISM = ScramMechanism.SCRAM_SHA_512
ITERATIONS = 8192
TIMEOUT_S = 15


def new_password() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def write_password(path: Path, password: str) -> None:
    """Put a password into a file that its owner alone may read; a reader sees the old one or the new one, whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
    scratch.replace(path)


def known(client: AdminClient) -> set[str]:
    """Names of the accounts there are."""
    try:
        found = client.describe_user_scram_credentials(request_timeout=TIMEOUT_S).result()
    except KafkaException as error:
        raise _refused(error) from error
    return set(found)


def put(client: AdminClient, passwords: Mapping[str, str]) -> None:
    """Make accounts, or change their passwords. TapewatchError where the broker refuses."""
    info = ScramCredentialInfo(MECHANISM, ITERATIONS)
    wanted = [UserScramCredentialUpsertion(name, info, word.encode()) for name, word in passwords.items()]
    _alter(client, wanted)


def remove(client: AdminClient, names: list[str]) -> None:
    """Take accounts away."""
    _alter(client, [UserScramCredentialDeletion(name, MECHANISM) for name in names])


def _alter(client: AdminClient, wanted: list[object]) -> None:
    if not wanted:
        return
    try:
        for future in client.alter_user_scram_credentials(wanted, request_timeout=TIMEOUT_S).values():
            future.result()
    except KafkaException as error:
        raise _refused(error) from error


def _refused(error: KafkaException) -> TapewatchError:
    return login.explained(error) or TapewatchError(f"Kafka does not keep accounts: {error}", "See the broker's log.")
