"""Each family of faults on a small site of real processes, sockets and disks: what it does, and that it heals."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from infra.chaos import own_clock
from infra.chaos.faults import KINDS, inject, processes, stranger
from infra.chaos.faults.kind import BrokenPromiseError, Fault, NotInjectedError
from infra.chaos.faults.stores import full
from infra.chaos.proxy import Proxy
from infra.chaos.server import SupervisedProcess
from infra.embedded.layout import Layout
from tapewatch.clock import NANOS, WALL, WallClock
from tapewatch.contract import frames
from tapewatch.errors import ContractError
from tapewatch.settings import Settings
from tests.eventually import eventually

DEADLINE_S = 60.0


class SmallSite:
    """Processes that sleep, an echo behind a proxy, and a producer that answers orders where it is told to."""

    feed, direct, postgres_url = "small", "", ""
    settings = Settings()

    def __init__(self, folder: Path) -> None:
        self.folder, self.mischief, self.record = folder, folder / "orders", folder / "record"
        self.engines_clock = folder / "clock"
        self.postgres_folder: Path | None = None
        self.commands: list[list[str]] = []
        self.status = 0
        self.processes = {
            name: SupervisedProcess(name, kind, lambda: ["/bin/sleep", "600"], folder, folder / f"{name}.log")
            for name, kind in (("engine-1", "engine"), ("producer", "producer"), ("sink-postgres", "sink"))
        }
        self.tend()
        self.echo = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._echo, daemon=True).start()
        self.proxies = {"postgres": Proxy(0, self.echo.getsockname()[1]).start()}

    def _echo(self) -> None:
        while True:
            try:
                served, _ = self.echo.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(served,), daemon=True).start()

    @staticmethod
    def _serve(served: socket.socket) -> None:
        try:
            while data := served.recv(100):
                served.sendall(data)
        except OSError:
            pass

    def tend(self) -> None:
        for kept in self.processes.values():
            kept.tend()

    def of(self, kind: str) -> list[SupervisedProcess]:
        return [kept for kept in self.processes.values() if kept.kind == kind]

    def leader(self, topic: str, partition: int) -> str:
        return "broker-1"

    def controller(self) -> str:
        return "broker-1"

    def command(self, words: Sequence[str]) -> tuple[int, str]:
        self.commands.append(list(words))
        return self.status, ""

    def answer(self) -> list[dict[str, object]]:
        """Answer every order there is; returns them."""
        orders = [json.loads(line) for line in self.mischief.read_text().splitlines()] if self.mischief.exists() else []
        lines = [json.dumps({"do": each["do"], "id": each["id"]}, separators=(",", ":")) + "\n" for each in orders]
        self.mischief.with_name("orders.done").write_text("".join(lines))
        return orders

    def close(self) -> None:
        for kept in self.processes.values():
            kept.hold()
            kept.thaw()
            kept.kill()
        for proxy in self.proxies.values():
            proxy.close()
        self.echo.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SmallSite]:
    made = SmallSite(tmp_path)
    yield made
    made.close()


def fault(kind: str, target: str = "", draw: float = 0.25, length_s: float = 0.01) -> Fault:
    return Fault(kind, 12.5, length_s, target, draw)


def at_once(seconds: float) -> bool:
    return True


def over(seconds: float) -> bool:
    return False


def briefly(seconds: float) -> bool:
    time.sleep(min(seconds, 0.2))
    return True


def until(holds: Callable[[], bool]) -> None:
    eventually(holds, what="it holds", seconds=DEADLINE_S, pause=0.01)


def state(kept: SupervisedProcess) -> str:
    """The process's state as the kernel tells it: S sleeps, T is stopped, Z is dead."""
    return (Path("/proc") / str(kept.pid) / "stat").read_text().rpartition(")")[2].split()[0]


def test_a_killed_process_dies_by_our_doing_and_is_started_again(site: SmallSite) -> None:
    engine = site.processes["engine-1"]
    before = engine.pid
    outcome = inject(site, fault("kill_engine", "engine-1"), at_once)
    assert (outcome.problem, outcome.target) == ("", "engine-1")

    def started_again() -> bool:
        site.tend()
        return engine.pid not in (0, before)

    until(started_again)
    assert engine.failures == []


def test_a_process_that_is_down_cannot_be_killed_and_the_fault_does_not_count(site: SmallSite) -> None:
    engine = site.processes["engine-1"]
    engine.hold()
    engine.kill()
    until(lambda: not engine.pid)
    assert inject(site, fault("kill_engine", "engine-1"), at_once).problem == "engine-1 was not running"


def test_a_frozen_process_stands_still_for_its_time_and_goes_on(site: SmallSite) -> None:
    engine, seen = site.processes["engine-1"], []

    def pause(seconds: float) -> bool:
        until(lambda: state(engine) == "T")
        seen.append(seconds)
        return True

    assert inject(site, fault("freeze_engine", "engine-1", length_s=9.0), pause).problem == ""
    assert seen == [9.0]
    until(lambda: state(engine) == "S")


def test_a_frozen_process_goes_on_though_its_fault_breaks_down(site: SmallSite) -> None:
    def pause(seconds: float) -> bool:
        raise OSError("the kit is broken")

    outcome = inject(site, fault("freeze_engine", "engine-1"), pause)
    assert outcome.problem == "OSError: the kit is broken"
    until(lambda: state(site.processes["engine-1"]) == "S")


def test_a_slow_sink_stands_still_and_works_in_turn(site: SmallSite) -> None:
    sink, states = site.processes["sink-postgres"], list[str]()

    def pause(seconds: float) -> bool:
        wanted = "T" if len(states) % 2 == 0 else "S"
        until(lambda: state(sink) == wanted)
        states.append(wanted)
        return True

    assert inject(site, fault("slow_sink", "sink-postgres", length_s=6.0), pause).problem == ""
    assert states == ["T", "S"] * 3


def test_programs_clock_is_off_by_what_a_file_says_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WallClock, "now", WallClock.now)  # is put back after the test
    path, told = tmp_path / "clock", list[int]()

    def program(name: str, **_: object) -> None:
        assert (name, sys.argv) == ("tapewatch", ["own_clock.py", "run", "engine"])
        for seconds in (-3300, 0, 90):
            own_clock.set_clock(path, seconds)
            told.append(round((WALL.now() - time.time_ns()) / NANOS))

    monkeypatch.setattr("runpy.run_module", program)
    monkeypatch.setattr(sys, "argv", ["own_clock.py", str(path), "run", "engine"])
    own_clock.set_clock(path, 0)
    own_clock.main()
    assert told == [-3300, 0, 90]


@pytest.mark.parametrize(("ends", "broken"), [([7, 7, 9], ""), ([7] * 3, "no engine wrote a snapshot in 0 s")])
def test_engines_clock_is_an_hour_back_until_a_snapshot_was_written(
    site: SmallSite, monkeypatch: pytest.MonkeyPatch, ends: list[int], broken: str
) -> None:
    seen, left = [], iter(ends)

    def written(_: object) -> int:
        seen.append(int.from_bytes(site.engines_clock.read_bytes(), "little", signed=True) / NANOS)
        return next(left, ends[-1])

    monkeypatch.setattr(processes, "_written", written)
    outcome = inject(site, fault("step_engine_clock", length_s=0.3), briefly)
    assert outcome.problem == ""
    assert outcome.broken.startswith(broken)
    assert bool(outcome.broken) == bool(broken)
    assert set(seen) == {-3300.0}
    assert site.engines_clock.read_bytes() == bytes(8)


@pytest.mark.slow  # seconds of waiting
def test_a_spare_engine_that_does_not_join_is_held_again_and_the_fault_does_not_count(site: SmallSite) -> None:
    spare = SupervisedProcess(
        "engine-3", "spare", lambda: ["/bin/sleep", "600"], site.folder, site.folder / "engine-3.log"
    )
    spare.hold()
    site.processes["engine-3"] = spare
    site.direct = "127.0.0.1:1"
    outcome = inject(site, fault("rebalance"), lambda seconds: False)
    assert "did not join" in outcome.problem
    assert spare.held


def test_a_partition_holds_bytes_back_and_lets_them_go_afterwards(site: SmallSite) -> None:
    client = socket.create_connection(("127.0.0.1", site.proxies["postgres"].port), DEADLINE_S)

    def pause(seconds: float) -> bool:
        client.sendall(b"late")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(4)
        client.settimeout(DEADLINE_S)
        raise OSError("the kit is broken")

    assert "broken" in inject(site, fault("part_from_postgres"), pause).problem
    assert client.recv(4) == b"late"


def test_a_cut_resets_connections_and_new_ones_come(site: SmallSite) -> None:
    port = site.proxies["postgres"].port
    client = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    assert inject(site, fault("cut_from_postgres"), at_once).problem == ""
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()


def test_what_the_site_does_not_have_is_not_injected(site: SmallSite) -> None:
    for kind in ("kill_elasticsearch", "part_from_elasticsearch", "fill_disk"):
        assert inject(site, fault(kind), at_once).problem, kind


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, b"size=8m") != 0:
        pytest.skip(f"no tmpfs may be mounted here: {os.strerror(ctypes.get_errno())}")
    yield disk
    libc.umount2(os.fsencode(disk), 2)


def test_a_full_disk_takes_no_byte_and_has_its_size_back_afterwards(small_disk: Path) -> None:
    (small_disk / "before").write_bytes(b"x" * 1_000_000)
    size = os.statvfs(small_disk).f_blocks
    with full(small_disk), pytest.raises(OSError, match="No space left"):
        (small_disk / "during").write_bytes(b"x" * 2_000_000)
    (small_disk / "during").unlink()
    assert os.statvfs(small_disk).f_blocks == size
    (small_disk / "after").write_bytes(b"x" * 2_000_000)


def test_the_disk_has_its_size_back_though_its_fault_breaks_down(site: SmallSite, small_disk: Path) -> None:
    (small_disk / "before").write_bytes(b"x" * 1_000_000)
    site.postgres_folder, size = small_disk, os.statvfs(small_disk).f_blocks

    def pause(seconds: float) -> bool:
        assert os.statvfs(small_disk).f_bavail == 0
        raise OSError("the kit is broken")

    assert "broken" in inject(site, fault("fill_disk"), pause).problem
    assert os.statvfs(small_disk).f_blocks == size


def test_a_folder_that_is_no_tmpfs_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(NotInjectedError), full(tmp_path):
        pass


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("duplicate_frames", {"do": "duplicate", "frames": 3}),
        ("reorder_frames", {"do": "reorder", "frames": 3}),
        ("poison_frames", {"do": "poison", "frames": 3}),
    ],
)
def test_an_order_to_the_producer_counts_once_it_is_answered(
    site: SmallSite, kind: str, order: dict[str, object]
) -> None:
    outcome = inject(site, fault(kind), lambda seconds: bool(site.answer()) or True)
    assert outcome.problem == ""
    assert [{key: each[key] for key in order} for each in site.answer()] == [order]


def test_an_order_that_nobody_answers_does_not_count(site: SmallSite) -> None:
    assert inject(site, fault("duplicate_frames"), over).problem == "the producer did not take the order"


@pytest.mark.parametrize(("draw", "by_s"), [(0.0, 4.0), (0.75, -2.25)])
def test_a_clock_that_jumped_is_put_right_at_the_end(site: SmallSite, draw: float, by_s: float) -> None:
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.02):
            site.answer()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        outcome = inject(site, fault("jump_clock", draw=draw), lambda seconds: not stop.wait(0.02))
    finally:
        stop.set()
        thread.join()
    assert outcome.problem == ""
    assert [each["by_s"] for each in site.answer()] == [by_s, -by_s]


def test_a_model_is_promoted_that_nobody_had_before_and_the_engine_can_read(site: SmallSite) -> None:
    assert inject(site, fault("promote_model", draw=0.5), at_once).problem == ""
    (words,) = site.commands
    assert words[:2] == ["models", "promote"]
    program = (
        "import sys; from detectors import registry; read = lambda path: registry.read(open(path, 'rb').read()); "
        "print(read(sys.argv[1]).detector, read(sys.argv[1]).model.alert, read(sys.argv[2]).model.alert)"
    )
    asked = [sys.executable, "-c", program, words[2], "detectors/kmeans/shipped/kmeans.json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    detector, promoted, before = done.stdout.split()
    assert detector == "kmeans"
    assert float(promoted) == pytest.approx(1.01 * float(before), rel=1e-5)


def test_a_command_that_fails_does_not_count(site: SmallSite) -> None:
    site.status = 1
    assert inject(site, fault("promote_model"), at_once).problem == "`tapewatch models promote` ended with 1"
    assert inject(site, fault("apply_config"), at_once).problem == "`tapewatch config apply` ended with 1"


def test_a_database_put_back_is_what_it_was_and_its_writers_stand_still_meanwhile(site: SmallSite) -> None:
    server = site.processes["postgres"] = SupervisedProcess(
        "postgres", "postgres", lambda: ["/bin/sleep", "600"], site.folder, site.folder / "postgres.log"
    )
    cluster = Layout(site.folder).cluster
    cluster.mkdir(parents=True)
    (cluster / "table").write_text("early")
    site.tend()
    starts: list[tuple[int, int]] = []

    def up() -> bool:
        site.tend()
        return bool(server.pid and site.processes["sink-postgres"].pid)

    def pause(seconds: float) -> bool:
        if seconds != 7.0:  # while something is waited for
            site.tend()
            return True
        until(up)
        starts.append((server.starts, site.processes["sink-postgres"].starts))
        (cluster / "table").write_text("late")
        (cluster / "index").write_text("late")
        return True

    assert inject(site, fault("roll_back_postgres", length_s=7.0), pause).problem == ""
    assert {path.name: path.read_text() for path in cluster.iterdir()} == {"table": "early"}
    until(up)
    # Once more before the pause, and once behind it; the engine was left alone.
    assert starts == [(2, 2)]
    assert (server.starts, site.processes["sink-postgres"].starts, site.processes["engine-1"].starts) == (3, 3, 1)
    assert not (site.folder / "earlier").exists()


def test_what_the_site_did_not_do_as_promised_is_no_fault_that_was_not_injected(site: SmallSite) -> None:
    def pause(seconds: float) -> bool:
        raise BrokenPromiseError("a row is there twice")

    outcome = inject(site, fault("part_from_postgres"), pause)
    assert (outcome.problem, outcome.broken) == ("", "a row is there twice")


def test_a_bomb_is_small_and_refused_for_what_it_would_be() -> None:
    frame = stranger.bomb()
    assert len(frame) < 100_000
    with pytest.raises(ContractError) as refusal:
        frames.check_size(frame)
    assert refusal.value.reason == "oversized"


def test_a_storm_is_a_quarter_of_a_million_rows_of_as_many_instruments() -> None:
    names: set[str] = set()
    for value in stranger.storm():
        batch = frames.read_stream(value)
        names.update(batch.column(0).dictionary_decode().to_pylist())
    assert len(names) == 262_144


def test_every_kind_of_process_fault_names_a_kind_of_process_that_the_site_has() -> None:
    assert {kind.of for kind in KINDS.values()} == {"", "engine", "producer", "sink", "stage"}
