"""Elasticsearch in the embedded stack: asked for, found, killed and back at the same address, gone with the stack."""

import json
import os
import signal
from pathlib import Path

import pytest

from infra import embedded
from infra.embedded import elasticsearch as node
from infra.embedded import elasticsearch_home, jars, java
from infra.embedded.checks import checks
from infra.embedded.lock import ELASTICSEARCH
from tapewatch.doctor import CheckContext
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.eventually import eventually
from tests.integration.process_family import assert_all_end, family, tapewatch


@pytest.fixture
def jdk():
    try:
        return java.find_for_search()
    except TapewatchError as error:
        pytest.skip(error.message)


# Takes some 12 s: three servers start, and Elasticsearch once more.
def test_killed_elasticsearch_comes_back_at_its_address_and_the_stack_lives_on(jdk, tmp_path):
    try:
        said = json.loads(tapewatch(tmp_path, "up", "--with", "elasticsearch", "--json").stdout)
        before = Addresses.running(tmp_path)
        assert said["elasticsearch_url"] == before.elasticsearch_url == Settings(data=str(tmp_path)).elasticsearch_url()
        assert {part.name for part in node.parts(before) if part.healthy} == set(before.pids)
        assert "elasticsearch" in before.pids

        os.kill(before.pids["elasticsearch"], signal.SIGKILL)

        def again() -> Addresses | None:
            found = Addresses.running(tmp_path)
            return found if found.pids["elasticsearch"] != before.pids["elasticsearch"] else None

        after = eventually(again, what="another Elasticsearch", seconds=120, pause=0.1)
        eventually(lambda: node.is_healthy(after.elasticsearch_url), what="its health", seconds=120, pause=0.1)
        assert after.elasticsearch_url == before.elasticsearch_url
        assert after.pids["kafka"] == before.pids["kafka"]
        assert "Elasticsearch ended by itself" in (tmp_path / "logs" / "supervisor.log").read_text()
        members = family(after.pids["supervisor"])
    finally:
        tapewatch(tmp_path, "down")
    assert_all_end(members, tmp_path)


def test_stack_that_runs_without_it_says_how_to_add_it(stack):
    folder = Path(stack.postgres_url.partition("host=")[2]).parent.parent
    asked = Settings(data=str(folder), embedded=EmbeddedSettings(elasticsearch=True))
    with pytest.raises(TapewatchError) as refusal:
        embedded.start(asked)
    assert "--with elasticsearch" in refusal.value.hint
    with pytest.raises(TapewatchError, match="without Elasticsearch"):
        asked.elasticsearch_url()


def test_java_without_the_modules_is_passed_over_and_refused_by_name(tmp_path, monkeypatch):
    for name, version, modules in (("a", "25.0.1", "java.base@25"), ("b", "17.0.1", "jdk.incubator.vector@17")):
        program = tmp_path / name / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(
            f"#!/bin/sh\nif [ $1 = -version ]; then echo 'openjdk version \"{version}\"' >&2; else echo {modules}; fi\n"
        )
        program.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    with pytest.raises(TapewatchError) as refusal:
        java.find_for_search(folder=tmp_path)
    assert "JDK" in refusal.value.hint
    with pytest.raises(TapewatchError, match="elasticsearch_java"):
        java.find_for_search(str(tmp_path / "a" / "bin" / "java"))
    settings = Settings(data=str(tmp_path), embedded=EmbeddedSettings(elasticsearch=True, elasticsearch_java="/no"))
    lacking = [check.name for check in checks(CheckContext(settings)) if check.required and not check.ok]
    assert "elasticsearch" in lacking


def test_home_is_whole_or_not_there(jdk, tmp_path, monkeypatch):
    elasticsearch_home.ensure(str(jdk.path))
    kept = jars.cache_folder(ELASTICSEARCH)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "tapewatch" / "jars").mkdir(parents=True)
    jars.cache_folder(ELASTICSEARCH).symlink_to(kept)
    with pytest.raises(TapewatchError, match="compile"):
        elasticsearch_home.ensure("/bin/false")
    assert not elasticsearch_home.home().exists()
    assert [path.name for path in elasticsearch_home.home().parent.iterdir()] == [
        f"{elasticsearch_home.home().name}.lock"
    ]
