"""Every alert rule fires in the fault it is for, and none while all is well: real processes, a real Prometheus."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.prometheus_server import RULES, Firing, Prometheus, awaited, prometheus
from tests.faults.watched_site import Site, site

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="needs Prometheus and promtool: apt-get install prometheus",
)
QUIET_S = 8

SINK_BEHIND = ("TapewatchSinkBehind", "tapewatch-sink-postgres")
AT_ONCE = {
    ("TapewatchEngineDown", "tapewatch-engine"),
    ("TapewatchProcessDown", "tapewatch-producer-canary"),
    ("TapewatchProcessStuck", "tapewatch-reconcile"),
    ("TapewatchLagGrows", "tapewatch-engine"),
    ("TapewatchTransactionsAbort", "tapewatch-engine"),
    ("TapewatchRefusalsBurst", "tapewatch-engine"),
    ("TapewatchSnapshotTooOld", "tapewatch-engine"),
    ("TapewatchFeedSilent", "tapewatch-producer"),
    SINK_BEHIND,
    ("TapewatchOutboxStuck", "tapewatch-sink-notify"),
    ("TapewatchReconcileDifferences", "tapewatch-reconcile"),
    ("TapewatchCanaryMissed", "tapewatch-sink-canary"),
    ("TapewatchCanariesStopped", "tapewatch-sink-canary"),
}
WITH_A_SMALL_DISK = {("TapewatchDiskFills", "tapewatch-producer")}
IN_THE_END = {
    ("TapewatchNoPartitionsHeld", "tapewatch-engine"),
    ("TapewatchSinkDown", "tapewatch-sink-postgres"),
    ("TapewatchBrokerUnreachable", "tapewatch-sink-canary"),
    ("TapewatchNotReady", "tapewatch-sink-notify"),
}


def test_promtool_accepts_the_rules_and_their_unit_tests_pass() -> None:
    for words in (
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "prometheus.yml"],
    ):
        done = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_is_made_for_every_rule_there_is() -> None:
    expected = [name for name, _ in AT_ONCE | WITH_A_SMALL_DISK | IN_THE_END]
    assert sorted(expected) == sorted(re.findall(r"- alert: (\w+)", RULES.read_text()))


def test_each_rule_fires_in_the_fault_it_is_for_and_none_before(tmp_path: Path) -> None:
    with site(tmp_path) as found, prometheus(tmp_path, found.processes) as server:
        found.await_work()
        server.await_quiet(QUIET_S)
        break_at_once(found, server, AT_ONCE | (WITH_A_SMALL_DISK if found.may_mount else set()))
        found.engine.kill()
        found.sink.kill()
        found.kill_servers()
        server.await_firing(IN_THE_END)


def break_at_once(found: Site, server: Prometheus, wanted: Firing) -> None:
    """Faults that do not hide each other: each is one of another process, or of another line between two."""
    injected = found.watcher.shows("tapewatch_canary_injected_total")
    found.canary_engine.kill()
    found.simulator.freeze()
    found.fill_disk()
    found.lose_receiver()
    found.delete_alert()
    found.refuse_snapshots()
    found.slow_database()
    # One canary that no engine looks at, then none at all.
    awaited("a canary more", lambda: found.watcher.shows("tapewatch_canary_injected_total") > injected)
    found.canaries.kill()
    with found.pouring():
        # A lock would keep the sink from telling how far it is behind.
        server.await_firing({SINK_BEHIND})
        with found.alerts_locked():
            server.await_firing(wanted - {SINK_BEHIND})
