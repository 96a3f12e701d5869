"""Logging in at Kafka: settings as librdkafka's properties, secrets from files, and the table of rights."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.embedded import certificates
from infra.rights_page import PAGE, page
from producers.sources import SOURCES
from streams.commands.config import _redacted
from tapewatch import settings as settings_module
from tapewatch.access.services import SERVICES, SLOW_SOURCES, Right, rights, seen, service_of, topics_of_all
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.security import java_clients, login, renewal
from tapewatch.security.login import explained, properties
from tapewatch.settings import Settings
from tapewatch.settings.environment import environment_of
from tapewatch.settings.kafka import KafkaSettings, of_embedded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("hidden word\n")
    return path


def test_an_account_over_tls_is_what_librdkafka_wants(secret: Path) -> None:
    access = KafkaSettings("b:9093", security_protocol="sasl_ssl", user="engine", password_file=str(secret))
    assert properties(access) == {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "engine",
        "sasl.password": "hidden word",
    }


def test_a_certificate_over_tls_is_what_librdkafka_wants(secret: Path) -> None:
    own = str(secret)
    access = KafkaSettings("b:9093", security_protocol="ssl", ca_file=own, cert_file=own, key_file=own,
                           key_password_file=own)  # fmt: skip
    assert properties(access) == {
        "security.protocol": "ssl",
        "ssl.ca.location": own,
        "ssl.certificate.location": own,
        "ssl.key.location": own,
        "ssl.key.password": "hidden word",
    }


def test_a_token_is_asked_for_where_the_settings_say(secret: Path) -> None:
    found = properties(
        KafkaSettings(
            "b:9093",
            security_protocol="sasl_ssl",
            sasl_mechanism="OAUTHBEARER",
            token_url="https://id.example.org/token",
            token_client_id="engine",
            token_client_secret_file=str(secret),
            token_scope="kafka",
        )
    )
    assert found["sasl.oauthbearer.method"] == "oidc"
    assert found["sasl.oauthbearer.token.endpoint.url"] == "https://id.example.org/token"
    assert found["sasl.oauthbearer.client.secret"] == "hidden word"
    assert "sasl.username" not in found


def test_clients_in_java_get_the_same_under_their_names(secret: Path, tmp_path: Path) -> None:
    secret.write_text('a "quoted\\ word')
    access = KafkaSettings("b:9093", security_protocol="sasl_ssl", user="spark", password_file=str(secret))
    assert java_clients.properties(access) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="spark" password="a \\"quoted\\\\ word";',
    }
    certificates.make_authority(tmp_path)
    own = str(certificates.issue(tmp_path, "spark"))
    found = java_clients.properties(KafkaSettings("b:9093", security_protocol="ssl", cert_file=own, key_file=own))
    key = found["ssl.keystore.key"]
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert key.endswith("-----END PRIVATE KEY-----")
    assert found["ssl.keystore.certificate.chain"].count("-----BEGIN") == 1
    assert java_clients.properties(KafkaSettings("b:9092")) == {}
    with pytest.raises(SettingsError):
        java_clients.properties(KafkaSettings("b:9092", {"security.protocol": "ssl"}))


def test_plain_text_needs_nothing_and_a_password_that_nobody_asks_for_is_refused(secret: Path) -> None:
    assert properties(KafkaSettings("b:9092")) == {}
    with pytest.raises(SettingsError) as refused:
        properties(KafkaSettings("b:9092", password_file=str(secret)))
    assert "kafka.security_protocol" in refused.value.hint


def test_the_environment_gives_a_password_from_a_file_and_nothing_shows_it(secret: Path) -> None:
    given = {"TAPEWATCH_KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "TAPEWATCH_KAFKA_PASSWORD": f"@{secret}"}
    found = settings_module.load(None, given)
    assert found.kafka.password == "hidden word"
    assert _redacted(found)["kafka"]["password"] == "***"
    assert "hidden word" not in str(_redacted(found))


def test_a_process_of_ours_gets_the_way_in_by_its_environment(secret: Path) -> None:
    access = of_embedded(KafkaSettings("b:9093", user="engine"), secret.parent)
    again = settings_module.load(None, environment_of(Settings(kafka=access)))
    assert again.kafka == access


def test_a_new_password_is_told_to_every_live_client_and_to_none_that_is_closed(secret: Path) -> None:
    class Client:
        def __init__(self) -> None:
            self.told: list[tuple[str, str]] = []

        def set_sasl_credentials(self, user: str, password: str) -> None:
            self.told.append((user, password))

    access = KafkaSettings("b:9093", user="engine", password_file=str(secret), reread_s=3600.0)
    one, two, late = Client(), Client(), Client()
    for client in (one, two):
        renewal.follow(client, access, "hidden word")
    renewal.forget(two)
    secret.write_text("another word")
    renewal.look()
    assert (one.told, two.told) == ([("engine", "another word")], [])
    assert renewal.newest(access) == "another word"
    # It was made just after the file changed again, before anybody looked.
    secret.write_text("a third word")
    renewal.follow(late, access, "a third word")
    assert one.told[-1] == ("engine", "a third word")
    # It was made with what another thread read before the change, and comes when everybody has heard of that.
    slow = Client()
    renewal.follow(slow, access, "another word")
    assert slow.told[-1] == ("engine", "a third word")
    secret.unlink()
    renewal.look()
    assert one.told[-1] == ("engine", "a third word")


def test_a_refusal_says_what_to_do() -> None:
    told = explained(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    assert isinstance(told, TapewatchError)
    assert "tapewatch acl apply" in told.hint
    assert explained(KafkaException(KafkaError(KafkaError._TRANSPORT))) is None
    assert explained(ValueError("no")) is None
    said = explained(KafkaException(KafkaError(KafkaError._SSL)))
    assert isinstance(said, login.LoginError)
    assert "kafka.ca_file" in said.hint


def test_rights_name_the_settings_groups_and_the_feeds_that_are_given() -> None:
    own = rights(Settings(), "engine", ["twse"])
    assert Right("group", "tapewatch-engine", "read") in own
    assert Right("transactional_id", "tapewatch-engine-", "write", True) in own
    assert Right("topic", "market.", "read", True) in own
    assert Right("topic", "market.twse.dlq", "write") in own
    assert Right("topic", "market.twse", "write") not in own
    assert Right("topic", "market.", "write", True) not in own
    # Without a feed the ending cannot be said: Kafka knows prefixes only.
    assert Right("topic", "market.", "write", True) in rights(Settings(), "engine")
    with pytest.raises(TapewatchError, match="no service"):
        rights(Settings(), "engines")


def test_nobody_may_write_what_another_is_the_author_of() -> None:
    authors = {"alerts": {"engine"}, "features": {"engine"}, "orders": {"paper", "sink-orders"},
               "cases": {"cases"}, "rankings": {"desk"}}  # fmt: skip
    for topic, allowed in authors.items():
        assert {name for name, service in SERVICES.items() if topic in service.writes} == allowed


def test_every_topic_that_a_service_names_is_one_of_ours() -> None:
    known = {spec.name for spec in topics_of_all(Settings())}
    for name in SERVICES:
        for right in rights(Settings(), name, ["feed"]):
            if right.kind == "topic" and right.operation == "read" and not right.name.startswith("market."):
                assert right.name in known or right.name.endswith(".dlq"), right
    assert {right.name for right in seen(Settings()) if right.kind == "topic"} == {*known, "market."}


def test_a_command_line_tells_its_service() -> None:
    assert {name for name, source in SOURCES.items() if source.pull} == SLOW_SOURCES
    for words, service in (
        (["run", "engine", "--quiet"], "engine"),
        (["sink", "notify"], "sink-notify"),
        (["produce", "news"], "source"),
        (["produce", "binance"], "producer"),
        (["console"], "console"),
        (["models", "list"], ""),
        ([], ""),
    ):
        assert service_of(words) == service


def test_the_page_of_rights_is_what_the_code_generates() -> None:
    assert (ROOT / PAGE).read_text() == page()
