"""One real Elasticsearch node that a test session owns, and may kill and start again at the same address."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from infra.embedded import elasticsearch, elasticsearch_home, java, launch
from infra.embedded.kafka import free_port
from infra.embedded.layout import Layout
from tests.eventually import eventually, runs


class Node:
    """A node in a folder. java.find_for_search says TapewatchError where no JDK fits."""

    def __init__(self, folder: Path) -> None:
        self._java = str(java.find_for_search().path)
        self._home = elasticsearch_home.ensure(self._java)
        self._layout = Layout(folder)
        for path in (self._layout.logs, self._layout.elasticsearch):
            path.mkdir(parents=True)
        self._port = free_port("elasticsearch_port", 0, 0, 0)
        self.url = elasticsearch.url(self._port)
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process; it ends with ours, however that ends."""
        words = elasticsearch.command(self._layout, self._port, self._java, self._home, heap_mb=512)
        wrapper = [
            sys.executable,
            "-IS",
            launch.__file__,
            str(os.getpid()),
            str(int(signal.SIGKILL)),
            str(os.geteuid()),
        ]
        with (self._layout.logs / "console.log").open("ab") as log:
            self._process = subprocess.Popen([*wrapper, *words], cwd=self._layout.elasticsearch, stdout=log, stderr=log)

    def await_health(self, seconds: float = 120.0) -> None:
        process = self._process
        assert process is not None

        def said() -> str:
            return (self._layout.logs / "console.log").read_text()[-2000:]

        def is_up() -> bool:
            return runs(process, said) and elasticsearch.is_healthy(self.url)

        eventually(is_up, what="Elasticsearch comes up", seconds=seconds, pause=0.1)

    def start(self) -> None:
        self.begin()
        self.await_health()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
