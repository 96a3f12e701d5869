"""`tapewatch doctor` without servers: files of secrets, brokers' settings, topics' settings, what cannot be reached."""

import importlib
from pathlib import Path

import msgspec
import pytest

from infra.commands import doctor as command
from infra.doctor import secrets
from streams.doctor import brokers, topics
from tapewatch import doctor
from tapewatch.contract.topics import TopicSpec, shared_topics
from tapewatch.doctor import FAIL, OK, PARTS, WARN, Check, CheckContext
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.delivery import ConsoleSettings, ElasticsearchSettings, NotifySettings

SOUND = {
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.max.timeout.ms": "900000",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "replica.fetch.max.bytes": "16777216",
    "auto.create.topics.enable": "false",
}
WRONG = [
    ("min.insync.replicas", "1", FAIL),
    ("unclean.leader.election.enable", "true", FAIL),
    ("transaction.state.log.replication.factor", "1", FAIL),
    ("transaction.state.log.min.isr", "1", FAIL),
    ("offsets.topic.replication.factor", "2", FAIL),
    ("transaction.max.timeout.ms", "5000", FAIL),
    ("group.min.session.timeout.ms", "10000", FAIL),
    ("group.max.session.timeout.ms", "5000", FAIL),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000", WARN),
    ("replica.fetch.max.bytes", "1048576", WARN),
    ("auto.create.topics.enable", "true", WARN),
]


def secret(folder: Path, name: str, mode: int) -> str:
    file = folder / name
    file.write_text("s3cret\n")
    file.chmod(mode)
    return str(file)


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_a_module_that_looks(part: str) -> None:
    assert callable(importlib.import_module(PARTS[part]).checks)


def test_sound_brokers_give_no_finding() -> None:
    found = list(brokers._settings({1: SOUND, 2: SOUND, 3: SOUND}, 3))
    assert {check.state for check in found} == {OK}
    assert {check.name for check in found} == SOUND.keys()


@pytest.mark.parametrize(("name", "value", "state"), WRONG, ids=lambda value: str(value))
def test_setting_that_a_promise_rests_on_is_named_with_its_broker_and_what_to_set(
    name: str, value: str, state: str
) -> None:
    found = [check for check in brokers._settings({1: SOUND, 2: SOUND | {name: value}, 3: SOUND}, 3) if not check.ok]
    assert [(check.name, check.state) for check in found] == [(name, state)]
    assert f"{value} on broker 2" in found[0].found
    assert name in found[0].hint


def test_every_setting_that_is_looked_at_has_a_wrong_value_here() -> None:
    assert {name for name, _, _ in WRONG} == SOUND.keys()


def test_single_broker_may_have_one_copy_of_everything() -> None:
    one = SOUND | {name: "1" for name in SOUND if ("replica" in name and "fetch" not in name) or "isr" in name}
    found = list(brokers._settings({1: one | {"min.insync.replicas": "1"}}, 1))
    assert [check.name for check in found if check.state == FAIL] == []


@pytest.mark.parametrize(
    ("key", "value", "state"),
    [
        ("retention.ms", "3600000", FAIL),
        ("cleanup.policy", "compact", FAIL),
        ("max.message.bytes", "10", FAIL),
        ("retention.bytes", "1000000", WARN),
    ],
)
def test_topic_of_alerts_that_would_lose_some_is_named(key: str, value: str, state: str) -> None:
    (alerts,) = (spec for spec in shared_topics(Settings().topics) if spec.name == "alerts")
    assert list(topics._differing(alerts, dict(alerts.properties))) == []
    (check,) = topics._differing(alerts, alerts.properties | {key: value})
    assert (check.name, check.state) == ("alerts", state)
    assert key in check.found
    assert key in check.hint


def test_market_topic_by_the_writers_clock_is_named() -> None:
    spec = TopicSpec("market.x", 4, {"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"})
    found = {"retention.ms": "1000", "cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
    (check,) = topics._differing(spec, found)
    assert check.state == FAIL
    assert "message.timestamp.type=LogAppendTime" in check.hint


def test_secrets_are_there_readable_and_private(tmp_path: Path) -> None:
    settings = Settings(
        data=str(tmp_path),
        elasticsearch=ElasticsearchSettings(api_key_file=secret(tmp_path, "open", 0o644)),
        notify=NotifySettings(key_file=secret(tmp_path, "private", 0o400)),
        console=ConsoleSettings(tls_key=str(tmp_path / "none"), tls_cert=secret(tmp_path, "certificate", 0o644)),
        kafka=KafkaSettings(client={"ssl.key.location": secret(tmp_path, "written", 0o660)}),
    )
    found = by_name(list(secrets.checks(CheckContext(settings))))
    assert {name: check.state for name, check in found.items()} == {
        "elasticsearch.api_key_file": WARN,
        "notify.key_file": OK,
        "console.tls_key": FAIL,
        "console.tls_cert": OK,
        "ssl.key.location": WARN,
    }
    assert "chmod 600" in found["elasticsearch.api_key_file"].hint
    assert "No such file" in found["console.tls_key"].found


def test_proofs_that_anybody_may_enter_are_named(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit").chmod(0o755)
    (tmp_path / "evidence").mkdir(mode=0o700)
    found = by_name(list(secrets.checks(CheckContext(Settings(data=str(tmp_path))))))
    assert found["audit log"].state == WARN
    assert "chmod -R o-rwx" in found["audit log"].hint
    assert "evidence" not in found


def test_settings_file_with_a_password_is_a_secret_too(tmp_path: Path) -> None:
    file = tmp_path / "tapewatch.toml"
    file.write_text('[kafka]\nclient = { "sasl.password" = "s3cret" }\n')
    file.chmod(0o644)
    found = by_name(list(secrets.checks(CheckContext(Settings(data=str(tmp_path)), file))))
    assert found["settings file"].state == WARN
    file.write_text("[topics]\nreplication = 3\n")
    assert "settings file" not in by_name(list(secrets.checks(CheckContext(Settings(data=str(tmp_path)), file))))


def test_variable_that_names_a_file_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEWATCH_POSTGRES_URL", f"@{tmp_path / 'gone'}")
    found = by_name(list(secrets.checks(CheckContext(Settings(data=str(tmp_path))))))
    assert found["TAPEWATCH_POSTGRES_URL"].state == FAIL


def test_machine_that_names_its_own_servers_needs_no_java(tmp_path: Path) -> None:
    settings = Settings(
        data=str(tmp_path),
        kafka=KafkaSettings(bootstrap="127.0.0.1:1"),
        postgres=PostgresSettings(url="postgresql+psycopg2://nobody@127.0.0.1:1/none"),
    )
    assert [check.state for check in doctor.examined(CheckContext(settings), "embedded")] == [OK]


def test_what_nobody_named_is_no_failure(tmp_path: Path) -> None:
    asked = CheckContext(Settings(data=str(tmp_path)))
    found = [check for part in ("kafka", "topics", "groups", "postgres") for check in doctor.examined(asked, part)]
    assert {check.state for check in found} == {OK}


def test_models_that_are_not_what_their_names_say_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / f"{'0' * 16}.json").write_text("{}")
    found = by_name(list(doctor.examined(CheckContext(Settings(data=str(tmp_path))), "models")))
    assert found["shipped models"].state == OK
    assert found["trained models"].state == FAIL
    assert "0" * 16 in found["trained models"].found


def test_document_counts_and_a_failure_is_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import argparse

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPEWATCH_POSTGRES_URL", f"@{tmp_path / 'gone'}")
    args = argparse.Namespace(json=True, part=["secrets"], settings=None)
    assert command.run(args, Settings(data=str(tmp_path))) == 1
    document = msgspec.json.decode(capsys.readouterr().out)
    assert (document["ready"], document["failing"], document["warnings"]) == (False, 1, 0)
    (check,) = document["checks"]
    assert (check["part"], check["state"]) == ("secrets", "fail")
    assert check["hint"]
    monkeypatch.delenv("TAPEWATCH_POSTGRES_URL")
    assert command.run(args, Settings(data=str(tmp_path))) == 0
