"""Logging in at Kafka with aiokafka, by the same settings as librdkafka."""

import ssl
from collections.abc import Mapping
from typing import Any

from tapewatch.errors import TapewatchError
from tapewatch.security import login
from tapewatch.settings.kafka import KafkaSettings

PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Mechanisms by which a password is shown."""


def properties(kafka: KafkaSettings) -> dict[str, Any]:
    """Arguments of an aiokafka client that logs in as the settings say, with the password as its file has it now.

    TapewatchError for a way that it cannot go.
    """
    client = {**login.properties(kafka), **kafka.client}
    protocol, mechanism = protocol_of(client)
    found: dict[str, Any] = {"security_protocol": protocol.upper()}
    if protocol.endswith("ssl"):
        found["ssl_context"] = context(client)
    if protocol.startswith("sasl"):
        found["sasl_mechanism"] = mechanism
    if mechanism in PASSWORDS:
        found["sasl_plain_username"] = client.get("sasl.username", "")
        found["sasl_plain_password"] = client.get("sasl.password", "")
    elif mechanism:
        from tapewatch.security.tokens import Tokens

        found["sasl_oauth_token_provider"] = Tokens(client)
    return found


def protocol_of(client: Mapping[str, str]) -> tuple[str, str]:
    """Protocol and mechanism, empty for none, from librdkafka's properties. TapewatchError for what aiokafka lacks."""
    protocol = client.get("security.protocol", "plaintext").lower()
    if protocol in ("plaintext", "ssl"):
        return protocol, ""
    mechanism = client.get("sasl.mechanism", client.get("sasl.mechanisms", ""))
    if protocol not in ("sasl_ssl", "sasl_plaintext") or mechanism not in (*PASSWORDS, "OAUTHBEARER"):
        raise TapewatchError(
            f"aiokafka cannot log in by {protocol} {mechanism}".rstrip(),
            "It knows ssl, and sasl_ssl or sasl_plaintext with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.",
        )
    return protocol, mechanism


def context(client: Mapping[str, str]) -> ssl.SSLContext:
    """Certificates as librdkafka's properties name them."""
    made = ssl.create_default_context(cafile=client.get("ssl.ca.location") or None)
    if client.get("ssl.certificate.location"):
        made.load_cert_chain(
            client["ssl.certificate.location"],
            client.get("ssl.key.location") or None,
            client.get("ssl.key.password") or None,
        )
    return made
