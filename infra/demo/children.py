"""The commands a demo runs: started as processes that die with this one, watched, and ended in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.demo.plan import PROGRAM
from infra.embedded import launch
from tapewatch.access.services import service_of
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable

QUOTED_LINES = 8


class Child(msgspec.Struct):
    """A command at work. log : its standard error; output : its standard output; asked : to end, by us."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    output: Path
    asked: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self.process.poll() is not None

    @property
    def has_failed(self) -> bool:
        """Whether it has ended without being asked to, and not well."""
        return not self.asked and self.process.poll() not in (None, 0)

    def end(self, patience_s: float) -> None:
        """Ask it to end, and wait for that; what is left of it after `patience_s` is killed."""
        self.ask()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self) -> None:
        """Ask it to end in order, once: a second signal would interrupt it."""
        if not self.asked and not self.has_ended:
            self.asked = True
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def answer(self) -> bytes:
        """What it printed on standard output."""
        return self.output.read_bytes()

    def failure(self) -> TapewatchError:
        """An error with the end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()[-QUOTED_LINES:]
        quoted = "".join(f"\n    {printable(line)[:300]}" for line in lines)
        status = self.process.returncode
        return TapewatchError(f"{self.name} ended by itself with exit status {status}{quoted}", f"See {self.log}.")


class Family:
    """All children of one demo. Start them from the main thread: the kernel counts its end as ours.

    common : options before every command; logs : folder of their logs; environment : added to ours
    named : each comes to Kafka as the service that it is
    """

    def __init__(self, common: Sequence[str], logs: Path, environment: Mapping[str, str], named: bool) -> None:
        self._common, self._logs, self._named = tuple(common), logs, named
        self._environment = {**os.environ, **environment}
        self._children: list[Child] = []

    def launch(self, name: str, words: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start `tapewatch WORDS`, in a session of its own so that a terminal's Ctrl-C reaches us alone."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log, output = self._logs / f"demo-{name}.log", self._logs / f"demo-{name}.json"
        user = service_of(words) if self._named else ""
        own = {"TAPEWATCH_KAFKA_USER": user} if user else {}
        become = [sys.executable, "-IS", launch.__file__, str(os.getpid()), str(int(signal.SIGKILL)), str(os.geteuid())]
        with log.open("wb") as errors, output.open("wb") as answers:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [*become, *PROGRAM, *self._common, *words],
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=errors,
                env={**self._environment, **own, **(environment or {})},
                start_new_session=True,
            )
        child = Child(name, process, log, output)
        self._children.append(child)
        return child

    def check(self) -> None:
        """TapewatchError where a child has failed."""
        for child in self._children:
            if child.has_failed:
                raise child.failure()

    def ask(self) -> None:
        """Ask all to end in order, without waiting for it."""
        for child in self._children:
            child.ask()

    def stop(self, patience_s: float) -> None:
        """Ask all that still run to end; what is left after `patience_s` is killed."""
        self.ask()
        deadline = WALL.elapsed() + int(patience_s * NANOS)
        for child in self._children:
            child.end(max(0.0, (deadline - WALL.elapsed()) / NANOS))
