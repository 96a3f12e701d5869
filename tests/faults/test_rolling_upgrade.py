"""Two engines of one build are replaced by another build's, one after the other, while a market flows: nothing is lost,
twice there or different. The whole site, sinks and stages too: `python -m benchmarks.rolling_upgrade`.
"""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message

from benchmarks import builds
from streams.engine.build import build_hash
from streams.verifying.feed import Report, verify_feed
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults import engine_runs as runs

pytestmark = pytest.mark.slow  # four engine processes over a real broker

FEED = "rolling"
PARTITIONS, SECONDS, EVERY_S = 2, 60, 2.0
RECOVERED = re.compile(r"partition recovered .*offset=(\d+) snapshot_offset=(\d+)")


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    tree = builds.copied(tmp_path_factory.mktemp("build") / "tree")
    yield tree
    builds.forget_kernels(tree)


@pytest.fixture(scope="module")
def upgraded(stack: Addresses, tmp_path_factory: pytest.TempPathFactory, old_tree: Path) -> runs.Engines:
    """A group whose members a and b were of the old build and are of this one, over a market that never stopped."""
    site = Settings(data=str(tmp_path_factory.mktemp("rolling")), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    shape = {"seconds": SECONDS, "partitions": PARTITIONS, "instruments": 12, "flushes": 2}
    engines = runs.Engines(site, FEED, "rolling", batch_frames=4, log_level="info")
    stop = threading.Event()

    def go_on() -> None:
        epoch = 1
        while not stop.wait(EVERY_S):
            epoch += 1
            runs.write_market(site, FEED, **shape, epoch=epoch)

    runs.write_market(site, FEED, **shape)
    market = threading.Thread(target=go_on)
    try:
        for name in ("a", "b"):
            engines.start(name, tree=old_tree)
        engines.wait_for_members(2)
        market.start()
        for name in ("a", "b"):
            engines.wait(engines.position() + 100)
            engines.end(name)
            engines.start(name)
            engines.wait_for_members(2)
        engines.wait(engines.position() + 100)
        stop.set()
        market.join()
        engines.wait(sum(runs.end(site, FEED, partition) for partition in range(PARTITIONS)))
    finally:
        stop.set()
        engines.stop()
    return engines


@pytest.fixture(scope="module")
def report(upgraded: runs.Engines) -> Report:
    group = msgspec.structs.replace(upgraded.settings.engine, group=upgraded.group)
    return verify_feed(msgspec.structs.replace(upgraded.settings, engine=group), FEED, quiet=True)


def test_nothing_is_lost_doubled_or_different_over_an_upgrade(report: Report) -> None:
    assert (report.lost, report.duplicated, report.different) == (0, 0, 0)
    assert report.sound


def test_both_builds_decided_and_the_new_one_last(upgraded: runs.Engines, old_tree: Path) -> None:
    old = builds.described(old_tree, "").hash
    by_build: Counter[str] = Counter()
    last: dict[int, str] = {}

    def take(message: Message) -> None:
        said = msgspec.json.decode(message.value() or b"{}")
        if said["topic"] == topics.market(FEED):
            by_build[said["build"]] += 1
            last[said["partition"]] = said["build"]

    kafka.read_all(upgraded.settings, topics.COMMITS, take)
    assert old != build_hash()
    assert by_build.keys() == {old, build_hash()}
    assert set(last.values()) == {build_hash()}


def test_new_build_goes_on_from_the_old_ones_snapshots(upgraded: runs.Engines) -> None:
    said = "".join(upgraded.said(name) for name in ("a", "b"))
    begun = [int(match[2]) for match in RECOVERED.finditer(said) if int(match[1])]
    assert begun
    assert max(begun) > 0
    assert "snapshot cannot be used" not in said


@pytest.mark.long  # the whole site, some minutes
def test_rehearsal_of_the_whole_site_is_sound(tmp_path: Path) -> None:
    out = tmp_path / "rehearsal.json"
    words = [sys.executable, "-m", "benchmarks.rolling_upgrade", "--pause", "3", "--rate", "800", "--back"]
    done = subprocess.run([*words, "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(out.read_text())
    assert (result["lost"], result["duplicated"], result["different"]) == (0, 0, 0)
    assert len(result["steps"]) >= 10
