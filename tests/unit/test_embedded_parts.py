"""Pinned jars, ports, Java versions and server options of the embedded stack."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from infra.embedded import java, kafka, lock, postgres
from infra.embedded.jars import cache_folder, missing
from infra.embedded.layout import Layout
from infra.embedded.lock import Jar
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings
from tapewatch.settings.stack import Addresses, started_at

HELLO = Jar("org.example:hello:1.0", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 5)


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path)
    made.create()
    return made


def listening(port=0):
    server = socket.create_server((kafka.HOST, port))
    return server, server.getsockname()[1]


def test_every_pinned_jar_has_a_version_a_sum_and_a_name_of_its_own():
    pinned = lock.KAFKA.read()
    assert len({jar.name for jar in pinned}) == len(pinned)
    assert all(len(jar.sha256) == 64 and jar.size > 0 and all(jar.parts) for jar in pinned)
    assert lock.KAFKA.roots[0] in {jar.coordinate for jar in pinned}


@pytest.mark.parametrize(("content", "good"), [(b"hello", True), (b"hellO", False), (b"hello!", False), (None, False)])
def test_jar_is_taken_only_with_its_pinned_bytes(tmp_path, content, good):
    if content is not None:
        (tmp_path / HELLO.name).write_bytes(content)
    assert HELLO.matches(tmp_path / HELLO.name) is good


def test_all_jars_are_missing_from_an_empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tapewatch" / "jars" / lock.KAFKA.digest()
    assert missing() == lock.KAFKA.read()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16', 21),
        ("Segmentation fault", 0),
    ],
)
def test_feature_release_is_read_from_what_java_says(said, version):
    assert java.feature_release(said) == version


def test_free_ports_differ_and_are_taken_again_at_the_next_start(layout):
    ports = kafka.choose_ports(EmbeddedSettings(), layout)
    assert ports.broker != ports.controller
    assert kafka.choose_ports(EmbeddedSettings(), layout) == ports


def test_port_of_the_last_start_is_passed_over_when_somebody_else_has_it(layout):
    ports = kafka.choose_ports(EmbeddedSettings(), layout)
    server, _ = listening(ports.broker)
    with server:
        assert kafka.choose_ports(EmbeddedSettings(), layout).broker != ports.broker


def test_fixed_port_in_use_is_refused_by_the_name_of_its_setting(layout):
    server, taken = listening()
    with server, pytest.raises(TapewatchError, match=r"embedded\.kafka_port"):
        kafka.choose_ports(EmbeddedSettings(kafka_port=taken), layout)


def test_broker_listens_on_loopback_alone_and_takes_a_10_mb_message(layout):
    lines = kafka.write_properties(layout, kafka.Ports(20001, 20002), {}).read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    listeners = properties["listeners"].split(",")
    assert all(listener.partition("://")[2].startswith("127.0.0.1:") for listener in listeners)
    assert int(properties["message.max.bytes"]) > 10_000_000
    assert properties["auto.create.topics.enable"] == "false"
    assert properties["transaction.abort.timed.out.transaction.cleanup.interval.ms"] == "1000"


def test_heap_limit_of_the_settings_reaches_the_broker(layout):
    words = kafka.command(layout, kafka.Ports(20001, 20002), "java", Path("jars"), 300, {})
    assert "-Xmx300m" in words


def test_database_listens_on_no_network_and_its_url_names_the_socket_folder():
    with tempfile.TemporaryDirectory() as short:
        layout = Layout(Path(short) / "a b")
        assert "listen_addresses=" in postgres.command(layout)
        assert postgres.url(layout).startswith("postgresql+psycopg2://")
        assert "a%20b" in postgres.url(layout)


def test_server_does_not_inherit_client_variables(monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("SOMETHING", "else")
    assert "PGPORT" not in postgres.environment()
    assert "SOMETHING" in postgres.environment()


def test_addresses_of_a_process_id_given_out_again_do_not_count_as_running(tmp_path):
    now = started_at(os.getpid())
    assert now is not None
    alive = Addresses("h:1", "u", {"supervisor": os.getpid()}, {"supervisor": now})
    reused = Addresses("h:1", "u", {"supervisor": os.getpid()}, {"supervisor": now - 1})
    assert alive.lives("supervisor")
    assert not reused.lives("supervisor")
    assert not alive.lives("kafka")
