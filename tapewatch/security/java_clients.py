"""Logging in at Kafka for clients in Java, such as Spark's: the same settings under the names that they know."""

from pathlib import Path

from tapewatch.errors import SettingsError
from tapewatch.security import login
from tapewatch.settings.kafka import KafkaSettings

_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "OAUTHBEARER": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
}


def properties(kafka: KafkaSettings) -> dict[str, str]:
    """Properties of a Java client that logs in as the settings say; none for plain text.

    SettingsError as for our own clients, and where `kafka.client` says how to log in: those names are librdkafka's.
    """
    given = login.properties(kafka)
    foreign = sorted(name for name in kafka.client if name.startswith(("security.", "sasl.", "ssl.")))
    if foreign:
        raise SettingsError(
            f"kafka.client: {foreign[0]} is not known to clients in Java", "Use kafka.security_protocol and its like."
        )
    if not given:
        return {}
    found = {"security.protocol": kafka.security_protocol.upper()}
    if kafka.security_protocol.endswith("ssl"):
        found |= _certificates(kafka, given)
    if kafka.security_protocol.startswith("sasl"):
        found |= {"sasl.mechanism": kafka.sasl_mechanism, "sasl.jaas.config": _module(kafka, given)}
        if kafka.sasl_mechanism == "OAUTHBEARER":
            package = "org.apache.kafka.common.security.oauthbearer"
            found["sasl.login.callback.handler.class"] = f"{package}.OAuthBearerLoginCallbackHandler"
            found["sasl.oauthbearer.token.endpoint.url"] = kafka.token_url
    return found


def _certificates(kafka: KafkaSettings, given: dict[str, str]) -> dict[str, str]:
    """PEM files as stores; our own key and certificate by their content, since Java wants both in one place."""
    found: dict[str, str] = {}
    if kafka.ca_file:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(Path(kafka.ca_file).resolve())}
    if kafka.cert_file:
        found |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _part(kafka.cert_file, "CERTIFICATE"),
            "ssl.keystore.key": _part(kafka.key_file, "PRIVATE KEY"),
        }
        if "ssl.key.password" in given:
            found["ssl.key.password"] = given["ssl.key.password"]
    return found


def _part(path: str, kind: str) -> str:
    """The blocks of a PEM file whose name ends so."""
    lines, found, inside = Path(path).read_text().splitlines(), [], False
    for line in lines:
        inside = inside or (line.startswith("-----BEGIN ") and line.endswith(f"{kind}-----"))
        if inside:
            found.append(line)
        inside = inside and not line.startswith("-----END ")
    return "\n".join(found)


def _module(kafka: KafkaSettings, given: dict[str, str]) -> str:
    """The login module with who we are, quoted as JAAS wants it."""
    if kafka.sasl_mechanism == "OAUTHBEARER":
        words = {"clientId": kafka.token_client_id, "clientSecret": given["sasl.oauthbearer.client.secret"]}
        words |= {"scope": kafka.token_scope} if kafka.token_scope else {}
    else:
        words = {"username": given["sasl.username"], "password": given["sasl.password"]}
    named = " ".join(f"{name}={_quoted(value)}" for name, value in words.items())
    return f"{_MODULES[kafka.sasl_mechanism]} required {named};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
