"""A real Prometheus over processes of ours, with the product's rules at many times their speed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from infra.embedded import launch
from tests.eventually import eventually, runs

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "infra/prometheus/rules.yml"
FASTER = 60
"""Times as fast is what a rule waits for and looks back on; neither is shorter than a few looks."""
LOWER = 40
"""Times as low is how many seconds something may last."""
SHORTEST_S = {"for: ": 3, "[": 4}
DEADLINE_S = 240.0

T = TypeVar("T")
Firing = set[tuple[str, str]]
"""Name and job of each alert; an alert of no process has an empty job."""


def sped_up(rules: str) -> str:
    """The rules with every length of time, in `for`, in ranges and behind a metric in seconds, much shorter."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]]
        return f"{match[1]}{max(round(seconds / FASTER), SHORTEST_S[match[1]])}s"

    changed = re.sub(r"(for: |\[)(\d+)([smh])", shorter, rules)
    return re.sub(r"(_seconds > )(\d+)", lambda match: f"{match[1]}{int(match[2]) / LOWER:g}", changed)


def with_us(words: Sequence[str]) -> list[str]:
    """A command line whose process ends with ours, however that ends."""
    ending = [str(os.getpid()), str(int(signal.SIGKILL)), str(os.geteuid())]
    return [sys.executable, "-IS", launch.__file__, *ending, *words]


class Child:
    """A Python process of this tree that ends with ours. out, log : files of its two outputs

    before : words of a program that becomes it
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        before: Sequence[str] = (),
    ) -> None:
        self.name, self.out, self.log = name, folder / f"{name}.out", folder / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            command = with_us([*before, sys.executable, "-P", *words])
            self._process = subprocess.Popen(command, stdout=out, stderr=log, env=dict(environment), cwd=ROOT)

    @property
    def root(self) -> Path:
        """Its file systems, as it sees them."""
        return Path(f"/proc/{self._process.pid}/root")

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay, and nothing comes over them."""
        self._process.send_signal(signal.SIGSTOP)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-2000:]


class ScrapedProcess(Child):
    """A `tapewatch` process with an endpoint. job : of Prometheus"""

    def __init__(
        self,
        job: str,
        name: str,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        before: Sequence[str] = (),
    ) -> None:
        super().__init__(name, ["-m", "tapewatch", *words, "--metrics", "0"], folder, environment, before)
        self.job = f"tapewatch-{job}"

    @property
    def port(self) -> int:
        """Of its endpoint; waits for it."""
        return int(awaited(f"{self.name} listens", self._port, self.said))

    def _port(self) -> int:
        runs(self._process, self.said)
        found = re.search(r"metrics at http://127\.0\.0\.1:(\d+)/metrics", self.log.read_text())
        return int(found[1]) if found else 0

    def shows(self, metric: str) -> float:
        """The sum of a metric's samples now; 0 where it has none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{metric}[ {{]", line))


class Prometheus:
    """Debian's Prometheus over these processes. Ends with the block."""

    def __init__(self, folder: Path, processes: Sequence[ScrapedProcess]) -> None:
        (folder / "rules.yml").write_text(sped_up(RULES.read_text()))
        self._processes = len(processes)
        self._seen: Firing = set()
        targets: dict[str, list[str]] = defaultdict(list)
        for each in processes:
            targets[each.job].append(f"127.0.0.1:{each.port}")
        # JSON is YAML.
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": found}]} for job, found in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        words = [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(with_us(words), stdout=log, stderr=log)

    def _asked(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def firing(self) -> Firing:
        """Alerts that fire now."""
        found = [each for each in self._asked("alerts")["alerts"] if each["state"] == "firing"]
        return {(each["labels"]["alertname"], each["labels"].get("job", "")) for each in found}

    def fired(self, seconds: int) -> Firing:
        """Alerts that fired at any of the looks of the last seconds."""
        expression = f'count_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'
        labels = [each["metric"] for each in self._asked("query", query=expression)["result"]]
        return {(each["alertname"], each.get("job", "")) for each in labels}

    def answered(self, seconds: int) -> bool:
        """Whether every process answered at every look of the last seconds."""
        expression = f"count_over_time(up[{seconds}s]) >= {seconds - 1} and min_over_time(up[{seconds}s]) == 1"
        return len(self._asked("query", query=expression)["result"]) == self._processes

    def await_start(self) -> None:
        """Until it answers."""

        def answers() -> bool:
            try:
                self.firing()
                return True
            except OSError:
                return False

        awaited("Prometheus answers", answers)

    def await_quiet(self, seconds: int) -> None:
        """Until every process has answered for so long, and no rule has fired meanwhile."""

        def is_quiet() -> bool:
            return self.answered(seconds) and not self.fired(seconds)

        awaited("no rule fires", is_quiet, lambda: f"fired lately: {sorted(self.fired(seconds))}")
        self._seen.clear()

    def await_firing(self, wanted: Firing) -> None:
        """Until all of these have fired, each at its time, since the last quiet."""

        def all_fired() -> bool:
            self._seen |= self.firing()
            return wanted <= self._seen

        awaited("alerts fire", all_fired, lambda: f"still quiet: {sorted(wanted - self._seen)}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(600)


@contextmanager
def prometheus(folder: Path, processes: Sequence[ScrapedProcess]) -> Iterator[Prometheus]:
    """A Prometheus at work over processes that run; it ends with the block."""
    server = Prometheus(folder, processes)
    try:
        server.await_start()
        yield server
    finally:
        server.stop()


def awaited(what: str, is_so: Callable[[], T], told: Callable[[], str] = str) -> T:
    """What `is_so` gives, once it is true."""
    return eventually(is_so, what=what, seconds=DEADLINE_S, pause=0.1, told=told)
