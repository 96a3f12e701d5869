"""Processes as the chart starts them, on real servers: every probe path answers, and a stop ends each in order. Where
this user may mount (root), each has a container's file system: read-only but for data, cache and temporary files.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tapewatch.kernels import cache_folder
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.integration.in_force import empty_all
from tests.unit.deployed import ROOT
from tests.unit.rendered_chart import Object, rendered

GROUPS = ("ENGINE", "PAPER", "EVIDENCE", "CASES", "NEWS", "CANARY")
"""Settings of consumer groups that the session's other tests use."""


def containers() -> dict[str, Object]:
    """What the laptop's set runs by name, but for the market: a simulated one would flood the session's broker."""
    workloads = [each for each in rendered("laptop") if each["kind"] in ("Deployment", "StatefulSet")]
    found = [each["spec"]["template"]["spec"]["containers"][0] for each in workloads]
    return {each["name"]: each for each in found if "livenessProbe" in each and each["args"][0] != "produce"}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def environment(container: Object, settings: Settings, folder: Path, port: int) -> dict[str, str]:
    """The chart's variables, but for addresses, ports, folders and groups of the test's own."""
    given = {each["name"]: each["value"] for each in container["env"] if each["name"].startswith("TAPEWATCH_")}
    given |= {
        "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "TAPEWATCH_METRICS_PORT": str(port),
        "TAPEWATCH_DATA": str(folder),
    }
    given |= {f"TAPEWATCH_{name}_GROUP": f"chart-{name.lower()}-{uuid.uuid4().hex[:8]}" for name in GROUPS}
    if "TAPEWATCH_POSTGRES_URL" in given:
        secret = folder / "postgres-url"
        secret.write_text(settings.postgres.url)
        given["TAPEWATCH_POSTGRES_URL"] = f"@{secret}"
    if "TAPEWATCH_CONSOLE_PORT" in given:
        given["TAPEWATCH_CONSOLE_PORT"] = str(free_port())
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    temporary = str(folder / "tmp")
    own = {"HOME": temporary, "TMPDIR": temporary, "XDG_CACHE_HOME": str(cache_folder().parent)}
    return ours | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | own | given


def contained(folder: Path) -> list[str]:
    """What starts a command with a container's file system; nothing where this user may not mount."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("read_only_root.sh")
    words = ["unshare", "--mount", "sh", str(script), str(ROOT), str(folder), str(cache_folder()), "--"]
    if not shutil.which(words[0]):
        return []
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return [] if tried.returncode else words


@contextmanager
def started(container: Object, given: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, until the block ends."""
    words = [word.replace("$(POD_NAME)", f"chart-{container['name']}-0") for word in container["args"]]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*contained(folder), sys.executable, "-P", "-m", "tapewatch", *words],
            cwd=folder,
            env=given,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and text of the endpoint; 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def test_every_probe_of_the_chart_answers_and_sigterm_ends_each_process(ours: Settings, tmp_path: Path) -> None:
    empty_all(ours)
    with ExitStack() as running:
        processes: dict[str, tuple[subprocess.Popen[bytes], Object, int]] = {}
        for name, container in containers().items():
            folder, port = tmp_path / name, free_port()
            (folder / "tmp").mkdir(parents=True)
            given = environment(container, ours, folder, port)
            processes[name] = running.enter_context(started(container, given, folder)), container, port

        def said(name: str) -> str:
            return f"{name}: {(tmp_path / name / 'log').read_text()[-3000:]}"

        def lives(name: str) -> bool:
            process, container, port = processes[name]
            runs(process, partial(said, name))
            return ask(port, container["livenessProbe"]["httpGet"]["path"])[0] == 200

        for name, (_, container, port) in processes.items():
            eventually(partial(lives, name), what=f"{name} lives", seconds=120, pause=0.1, told=partial(said, name))
            status, text = ask(port, container["readinessProbe"]["httpGet"]["path"])
            assert (status, text) == (200, "ready\n") or (status == 503 and text.startswith("waits for ")), said(name)
            assert re.search(r'^tapewatch_build_info\{process="\w+",version=', ask(port, "/metrics")[1], re.MULTILINE)
        for process, _, _ in processes.values():
            process.send_signal(signal.SIGTERM)
        for name, (process, _, _) in processes.items():
            assert process.wait(600) in (0, 130), said(name)
