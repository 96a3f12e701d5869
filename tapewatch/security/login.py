"""Logging in at Kafka: settings as librdkafka's properties, and what a client says where it is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.logs import printable
from tapewatch.settings.kafka import KafkaSettings

MOST_SAID = 400
SAID_AGAIN_S = 30
"""A client that is refused tries again several times a second; the log says so this often."""

APPLY = "Let an administrator run `tapewatch acl apply`; docs/security.md lists what each service needs."
_BROKEN = "Local: Broker transport failure"
_LOGIN = (KafkaError._AUTHENTICATION, KafkaError._SSL)
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "a topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "a consumer group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "a transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster",
}
_log = logs.get("kafka")


class LoginError(TapewatchError):
    """The broker does not let us in, or is not the one that we trust."""


def properties(kafka: KafkaSettings) -> dict[str, Any]:
    """Properties of a client that logs in as the settings say; none for plain text.

    SettingsError where a key is missing or its file cannot be read.
    """
    protocol = kafka.security_protocol
    if protocol in ("", "plaintext"):
        if kafka.bootstrap and (kafka.password or kafka.password_file or kafka.token_url):
            raise SettingsError(
                "kafka.password is set, but nobody is asked for it",
                "Set kafka.security_protocol, to sasl_ssl for example.",
            )
        return {}
    found: dict[str, Any] = {"security.protocol": protocol}
    if protocol.endswith("ssl"):
        found |= _certificates(kafka)
    if protocol.startswith("sasl"):
        found |= {"sasl.mechanism": kafka.sasl_mechanism}
        found |= _token(kafka) if kafka.sasl_mechanism == "OAUTHBEARER" else _account(kafka)
    return found


def secret(key: str, path: str) -> str:
    """The content of a file that a setting names, without the blanks around it; SettingsError where it has none."""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{key}: {path} cannot be read: {error}", "Mend the path or the file's rights.") from error
    if not text:
        raise SettingsError(f"{key}: {path} is empty", "Write the secret into it.")
    return text


def password(kafka: KafkaSettings) -> str:
    """The account's password: of the file as it is now, else of the settings."""
    found = secret("kafka.password_file", kafka.password_file) if kafka.password_file else kafka.password
    if not found:
        raise SettingsError("kafka.user has no password", "Set kafka.password_file to a file that holds it.")
    return found


def _certificates(kafka: KafkaSettings) -> dict[str, Any]:
    """Whom we trust, and our own certificate."""
    if bool(kafka.cert_file) != bool(kafka.key_file):
        raise SettingsError("kafka.cert_file and kafka.key_file go together", "Set both, or none.")
    for key in ("ca_file", "cert_file", "key_file"):
        if getattr(kafka, key):
            secret(f"kafka.{key}", getattr(kafka, key))
    named = {
        "ssl.ca.location": kafka.ca_file,
        "ssl.certificate.location": kafka.cert_file,
        "ssl.key.location": kafka.key_file,
        "ssl.key.password": secret("kafka.key_password_file", kafka.key_password_file)
        if kafka.key_password_file
        else "",
    }
    return {key: value for key, value in named.items() if value}


def _account(kafka: KafkaSettings) -> dict[str, Any]:
    """User and password."""
    if not kafka.user:
        raise SettingsError("kafka.user is not set", f"Name the account that {kafka.sasl_mechanism} logs in.")
    return {"sasl.username": kafka.user, "sasl.password": password(kafka)}


def _token(kafka: KafkaSettings) -> dict[str, Any]:
    """Where librdkafka gets its tokens from, by OpenID Connect's client credentials."""
    if not (kafka.token_url and kafka.token_client_id and kafka.token_client_secret_file):
        raise SettingsError(
            "OAUTHBEARER needs kafka.token_url, kafka.token_client_id and kafka.token_client_secret_file",
            "Set all three.",
        )
    named = {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": kafka.token_url,
        "sasl.oauthbearer.client.id": kafka.token_client_id,
        "sasl.oauthbearer.client.secret": secret("kafka.token_client_secret_file", kafka.token_client_secret_file),
        "sasl.oauthbearer.scope": kafka.token_scope,
        "sasl.oauthbearer.extensions": kafka.token_extensions,
        "https.ca.location": kafka.token_ca_file,
    }
    return {key: value for key, value in named.items() if value}


class Refusals:
    """What a client is told where its login or the broker's certificate is refused; it is logged now and then.

    last : the newest refusal, until somebody sets it to None; told : who hears of every error too
    """

    def __init__(self, kafka: KafkaSettings, told: Callable[[KafkaError], None] | None = None) -> None:
        self.last: LoginError | None = None
        self._mechanism, self._told = kafka.sasl_mechanism, told
        self._say_again_ns = 0

    def __call__(self, error: KafkaError) -> None:
        """Take an error of the client. A connection that breaks while it logs in was not refused."""
        if self._told is not None:
            self._told(error)
        if error.code() not in _LOGIN or _BROKEN in error.str():
            return
        self.last = _refused(error, self._mechanism)
        if WALL.elapsed() >= self._say_again_ns:
            self._say_again_ns = WALL.elapsed() + SAID_AGAIN_S * NANOS
            _log.error(self.last.message, next=self.last.hint)


def _refused(cause: KafkaError, mechanism: str = "") -> LoginError:
    """The error for people."""
    if cause.code() == KafkaError._SSL:
        hint = "Check kafka.ca_file, that kafka.bootstrap has a name of the broker's certificate, and kafka.cert_file."
    elif mechanism == "OAUTHBEARER":
        hint = "Check kafka.token_url, kafka.token_client_id and kafka.token_client_secret_file."
    else:
        hint = "Check kafka.user, kafka.password_file and kafka.sasl_mechanism."
    return LoginError(f"Kafka refuses the connection: {printable(' '.join(cause.str().split()))[:MOST_SAID]}", hint)


def explained(error: BaseException) -> TapewatchError | None:
    """A refusal of the broker's that names no way out, as an error that does; None for any other."""
    if not isinstance(error, KafkaException) or not error.args or not isinstance(error.args[0], KafkaError):
        return None
    cause = error.args[0]
    if cause.code() in _LOGIN:
        return _refused(cause)
    what = _RIGHTS.get(cause.code())
    return TapewatchError(f"Kafka refuses this account {what}: {cause.str()}", APPLY) if what else None
