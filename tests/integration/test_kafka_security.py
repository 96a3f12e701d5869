"""Kafka with TLS, accounts and rights: who comes in and how, what a refusal says, and a password changed on the way."""

import os
import stat
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from infra.chaos.faults.stranger import append_bomb_batch
from infra.embedded import jars, java
from producers.live import SyntheticFeed, run_synthetic
from producers.synthetic import SyntheticConfig
from tapewatch.access import acls
from tapewatch.access.services import Right
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.security import java_clients
from tapewatch.security.login import LoginError
from tests.eventually import eventually, runs
from tests.integration.secure_stack import REAUTH_MS, Secure, environment, ran, running, words

# Seconds of start-up: a broker with TLS and rights is another one than the session's.
pytestmark = pytest.mark.slow

REAUTH_S = 1.2 * REAUTH_MS / 1000
TURNS = 3 if os.environ.get("TAPEWATCH_TEST_LONG") else 1
NAMES = """
import java.io.FileReader;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;

public class Names {
    public static void main(String[] words) throws Exception {
        Properties given = new Properties();
        given.load(new FileReader(words[1]));
        given.put("bootstrap.servers", words[0]);
        try (Admin client = Admin.create(given)) {
            client.listTopics().names().get().forEach(System.out::println);
        }
    }
}
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    with running(tmp_path_factory.mktemp("secure")) as stack:
        yield stack


@pytest.fixture
def topic(secure: Secure) -> str:
    """A topic that the accounts `engine` and `producer` may write to and read."""
    name = f"t{uuid.uuid4().hex[:8]}"
    kafka.create_topics(secure.settings, [TopicSpec(name, 1)])
    rights = [Right("topic", name, operation) for operation in ("read", "write")]
    changes = [acls.Change(user, acls.principal(user), rights, []) for user in ("engine", "producer")]
    acls.carry_out(secure.settings, changes)
    return name


def said(settings, topic: str, value: bytes) -> list[bytes]:
    """What the topic holds after this was sent."""
    producer = kafka.producer(settings)
    producer.produce(topic, value)
    assert producer.flush(15) == 0
    found: list[bytes] = []
    kafka.read_all(settings, topic, lambda message: found.append(message.value()))
    return found


def test_passwords_and_keys_can_be_read_by_their_owner_alone(secure: Secure) -> None:
    files = [*secure.folder.glob("*.password"), *secure.folder.glob("*.pem")]
    assert len(files) > 15
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(secure.folder.stat().st_mode) == 0o700
    secrets = [file.read_text().strip() for file in secure.folder.glob("*.password")]
    for pid in secure.addresses.pids.values():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in command for secret in secrets)


def test_a_client_without_a_name_is_not_let_in(secure: Secure) -> None:
    nobody = msgspec.structs.replace(
        secure.settings, kafka=msgspec.structs.replace(secure.settings.kafka, bootstrap=secure.addresses.bootstrap)
    )
    with pytest.raises(kafka.BrokerAwayError):
        kafka.existing_topics(kafka.admin(nobody), 3.0)


@pytest.mark.parametrize("way", ["password", "token", "certificate"])
def test_an_account_comes_in_by(way: str, secure: Secure, topic: str) -> None:
    access = {"password": secure.of, "token": secure.by_token, "certificate": secure.by_certificate}[way]
    assert said(access("engine"), topic, way.encode()) == [way.encode()]


@pytest.mark.parametrize("way", ["password", "token", "certificate"])
def test_a_batch_that_cannot_be_unpacked_is_passed_over_by(way: str, secure: Secure, topic: str) -> None:
    access = {"password": secure.of, "token": secure.by_token, "certificate": secure.by_certificate}[way]
    append_bomb_batch(secure.settings, topic)
    assert said(access("engine"), topic, b"behind")[1:] == [b"behind"]


@pytest.mark.long
def test_a_client_in_java_comes_in_by_the_same_settings(secure: Secure, topic: str, tmp_path) -> None:
    access = secure.of("engine").kafka
    file = tmp_path / "client.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in java_clients.properties(access).items()))
    program = tmp_path / "Names.java"
    program.write_text(NAMES)
    words = [
        str(java.find("").path),
        "-Xmx128m",
        "-cp",
        f"{jars.ensure()}/*",
        str(program),
        access.bootstrap,
        str(file),
    ]
    listed = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    if "jdk.compiler" in listed.stderr:
        pytest.skip("this Java runtime cannot compile")
    assert topic in listed.stdout.split(), listed.stderr


def test_a_wrong_password_is_named_and_so_is_its_file(secure: Secure, tmp_path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")
    ended = ran(secure.of("engine", password_file=str(wrong)), tmp_path, "run", "engine", "--until-idle", "1")
    assert ended.returncode == 1
    assert "Kafka refuses the connection" in ended.stderr
    assert "kafka.password_file" in ended.stderr
    assert "guessed" not in ended.stderr


def test_a_broker_of_another_authority_is_not_trusted(secure: Secure, tmp_path) -> None:
    from infra.embedded import certificates

    other = certificates.make_authority(tmp_path)
    with pytest.raises(LoginError) as refused:
        kafka.existing_topics(kafka.admin(secure.of("engine", ca_file=str(other))))
    assert "certificate" in refused.value.message
    assert "kafka.ca_file" in refused.value.hint


def test_a_wrong_client_secret_is_said_by_the_token_endpoint(secure: Secure, tmp_path) -> None:
    wrong = tmp_path / "secret"
    wrong.write_text("guessed")
    settings = secure.by_token("engine")
    settings = msgspec.structs.replace(
        settings, kafka=msgspec.structs.replace(settings.kafka, token_client_secret_file=str(wrong))
    )
    with pytest.raises(LoginError) as refused:
        kafka.existing_topics(kafka.admin(settings))
    assert "kafka.token_client_secret_file" in refused.value.hint


def test_a_missing_right_is_named_at_the_start_and_nothing_is_lost(secure: Secure, tmp_path) -> None:
    feed = f"f{uuid.uuid4().hex[:8]}"
    own = Right("topic", topics.ALERTS, "write")
    sent = run_synthetic(
        secure.of("producer"),
        SyntheticFeed(
            config=SyntheticConfig(instruments=4, warmup_s=20.0), seed=3, feed=feed, back_date_s=20, seconds=1
        ),
        stop=threading.Event(),
        rate=True,
        say=lambda _: None,
    )
    command = ("run", "engine", "--feed", feed, "--instance", "one", "--until-idle", "2", "--quiet", "--json")
    acls.carry_out(secure.settings, [acls.Change("engine", "User:engine", [], [own])])
    try:
        refused = ran(secure.of("engine"), tmp_path, *command)
    finally:
        acls.carry_out(secure.settings, [acls.Change("engine", "User:engine", [own], [])])
    assert refused.returncode == 1
    assert "lacks rights of engine: write topic alerts" in refused.stderr
    assert "tapewatch acl apply --service engine=engine" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = ran(secure.of("engine"), tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["rows"] == sum(sent.rows.values()) + sent.heartbeats


def test_a_transactional_id_that_is_not_ones_own_is_named(secure: Secure, tmp_path) -> None:
    settings = secure.of("engine")
    other = msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, group="another"))
    refused = ran(other, tmp_path, "run", "engine", "--until-idle", "1", "--quiet")
    assert refused.returncode == 1
    assert "another" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_rights_are_given_told_and_taken_by_command(secure: Secure, tmp_path) -> None:
    name = f"engine-{uuid.uuid4().hex[:6]}"
    admin = secure.of("admin")
    give = ("acl", "apply", "--service", f"engine={name}", "--feed", "twse")
    planned = ran(admin, tmp_path, *give, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    wanted = {Right(**each) for each in msgspec.json.decode(planned.stdout)["changes"][0]["given"]}
    assert Right("topic", "market.twse.dlq", "write") in wanted
    assert Right("topic", "market.twse", "write") not in wanted
    client = kafka.admin(admin)
    assert not acls.has(client, f"User:{name}")
    assert ran(admin, tmp_path, *give).returncode == 0
    assert acls.has(client, f"User:{name}") == wanted
    moved = ran(admin, tmp_path, "acl", "apply", "--service", f"paper={name}", "--feed", "twse", "--prune")
    assert moved.returncode == 0, moved.stderr
    assert Right("topic", topics.ALERTS, "write") not in acls.has(client, f"User:{name}")
    refused = ran(secure.of("engine"), tmp_path, "acl", "apply", "--service", f"engine={name}")
    assert refused.returncode == 1
    assert "an account that may alter rights" in refused.stderr


def test_a_password_changed_under_a_running_producer_and_engine_loses_nothing(secure: Secure, tmp_path) -> None:
    feed, stop = f"f{uuid.uuid4().hex[:8]}", threading.Event()
    log = tmp_path / "engine.log"
    command = words("run", "engine", "--feed", feed, "--instance", "two", "--until-idle", "30", "--quiet", "--json")
    variables = environment(secure.of("engine"), tmp_path / "engine") | {"TAPEWATCH_LOG_LEVEL": "info"}
    market = SyntheticConfig(instruments=4, warmup_s=5.0)
    show = SyntheticFeed(config=market, seed=5, feed=feed, back_date_s=5, seconds=300, partitions=2)

    def told(text: str) -> bool:
        runs(engine, log.read_text)
        return text in log.read_text()

    with log.open("wb") as errors, ThreadPoolExecutor(1) as beside:
        engine = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=errors)
        try:
            sending = beside.submit(
                run_synthetic, secure.of("producer"), show, stop=stop, rate=True, say=lambda _: None
            )
            eventually(
                lambda: sending.done() or told(f"'market.{feed}[1]'"),
                what="the engine has partitions", seconds=180, pause=0.1,
            )  # fmt: skip
            for _ in range(TURNS):
                before = [(secure.folder / f"{name}.password").read_text() for name in ("engine", "producer")]
                turned = ran(secure.of("admin"), tmp_path, "acl", "rotate", "engine", "producer",
                             "--folder", str(secure.folder))  # fmt: skip
                assert turned.returncode == 0, turned.stderr
                after = [(secure.folder / f"{name}.password").read_text() for name in ("engine", "producer")]
                assert not set(before) & set(after)
                # Longer than a session lasts: what is open has to prove itself with the new password.
                WALL.sleep(REAUTH_S)
            stop.set()
            sent = sending.result(600)
            output = engine.communicate(timeout=600)[0]
        except subprocess.TimeoutExpired:
            pytest.fail(f"the engine did not end:\n{log.read_text()}")
        finally:
            stop.set()
            engine.kill()
    assert engine.returncode == 0, log.read_text()
    assert msgspec.json.decode(output)["rows"] == sum(sent.rows.values()) + sent.heartbeats
    assert "the password was renewed" in log.read_text()
    with pytest.raises(LoginError):
        old = tmp_path / "old"
        old.write_text(before[0])
        kafka.existing_topics(kafka.admin(secure.of("engine", password_file=str(old))))


def test_settings_that_do_not_fit_are_refused_before_anything_is_asked(secure: Secure) -> None:
    for more, named in (
        ({"user": ""}, "kafka.user"),
        ({"password_file": "/nowhere/at/all"}, "kafka.password_file"),
        ({"cert_file": "/some.pem"}, "kafka.key_file"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "kafka.token_url"),
        ({"security_protocol": "plaintext"}, "kafka.security_protocol"),
    ):
        with pytest.raises(TapewatchError) as refused:
            kafka.admin(secure.of("engine", **more))
        assert named in refused.value.message + refused.value.hint
