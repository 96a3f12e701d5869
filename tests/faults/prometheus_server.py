"""A real Prometheus over processes of ours, with the product's rules at sixty times their speed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.embedded import launch
from tapewatch.settings import Settings

RULES = Path(__file__).resolve().parents[2] / "infra/prometheus/rules.yml"
FASTER = 60
DEADLINE_S = 240.0

Firing = set[tuple[str, str]]
"""Name and job of each alert."""


def sped_up(rules: str) -> str:
    """The rules with every length of time, in `for`, in ranges and behind a metric in seconds, a sixtieth as long."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]]
        return f"{match[1]}{max(round(seconds / FASTER), 1)}s"

    changed = re.sub(r"(for: |\[)(\d+)([smh])", shorter, rules)
    return re.sub(r"(_seconds > )(\d+)", lambda match: f"{match[1]}{int(match[2]) / FASTER:g}", changed)


def with_us(words: Sequence[str]) -> list[str]:
    """A command line whose process ends with ours, however that ends."""
    ending = [str(os.getpid()), str(int(signal.SIGKILL)), str(os.geteuid())]
    return [sys.executable, "-IS", launch.__file__, *ending, *words]


class Watched:
    """A process of ours with an endpoint. job : of Prometheus"""

    def __init__(self, job: str, words: Sequence[str], settings: Settings, folder: Path, **more: object) -> None:
        self.job, self.log = f"tapewatch-{job}", folder / f"{job}.log"
        told = {
            "TAPEWATCH_DATA": settings.data,
            "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "TAPEWATCH_POSTGRES_URL": settings.postgres.url,
            **{f"TAPEWATCH_{name}": str(value) for name, value in more.items()},
        }
        command = [sys.executable, "-P", "-m", "tapewatch", *words, "--metrics", "0"]
        root = Path(__file__).resolve().parents[2]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                with_us(command), stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **told}, cwd=root
            )

    @property
    def port(self) -> int:
        """Of its endpoint; waits for it."""
        return int(eventually(f"{self.job} listens", self._port, lambda: self.log.read_text()[-2000:]))

    def _port(self) -> int:
        found = re.search(r"metrics at http://127\.0\.0\.1:(\d+)/metrics", self.log.read_text())
        return int(found[1]) if found else 0

    def look(self, path: str = "/metrics") -> str:
        """What the endpoint says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


class Prometheus:
    """Debian's Prometheus over these processes. Ends with the block."""

    def __init__(self, folder: Path, processes: Sequence[Watched]) -> None:
        (folder / "rules.yml").write_text(sped_up(RULES.read_text()))
        jobs = [
            {"job_name": each.job, "static_configs": [{"targets": [f"127.0.0.1:{each.port}"]}]} for each in processes
        ]
        # JSON is YAML.
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        words = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(with_us(words), stdout=log, stderr=log)

    def firing(self) -> Firing:
        """Alerts that fire now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/alerts", timeout=30) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {
            (each["labels"]["alertname"], each["labels"].get("job", "")) for each in found if each["state"] == "firing"
        }

    def await_ready(self) -> None:
        """Until it answers."""

        def answers() -> bool:
            try:
                self.firing()
                return True
            except OSError:
                return False

        eventually("Prometheus answers", answers)

    def await_firing(self, wanted: Firing) -> None:
        """Until all of these have fired, each at its time."""
        missing = set(wanted)

        def all_fired() -> bool:
            missing.difference_update(self.firing())
            return not missing

        eventually("alerts fire", all_fired, lambda: f"still quiet: {sorted(missing)}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def prometheus(folder: Path, processes: Sequence[Watched]) -> Iterator[Prometheus]:
    """A Prometheus at work; it ends with the block, and so do the processes."""
    server = None
    try:
        server = Prometheus(folder, processes)
        server.await_ready()
        yield server
    finally:
        for each in processes:
            each.kill()
        if server is not None:
            server.stop()


def eventually(what: str, is_so: Callable[[], object], told: Callable[[], str] = lambda: "") -> object:
    """What `is_so` gives, once it is true; an assertion after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:.0f} s; {told()}"
        time.sleep(0.1)
    return found


def values(text: str) -> Mapping[str, float]:
    """Samples of the text format: name with labels to value."""
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line and not line.startswith("#")
    }
