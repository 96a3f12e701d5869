"""A child process that is kept alive: killed or frozen on purpose, started again by the site's watch."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.embedded import launch
from tapewatch.clock import NANOS, WALL

PAUSE_S = 0.5
"""How long a dead process stays dead: a supervisor needs a moment to notice."""

FAST_ENDS = 5
SLOW_PAUSE_S = 5.0
"""A process that ends by itself more often than that within a minute is started less often."""

QUOTED = 300


class SupervisedProcess:
    """One process of the site.

    name, kind : of the process; several may be of one kind
    command : words to start it with, asked for anew at each start, so that it may prepare something first
    folder : working folder; log : file for what it says
    death_signal : what the kernel sends it when the kit dies; uid : whom it runs as
    """

    def __init__(
        self,
        name: str,
        kind: str,
        command: Callable[[], Sequence[str]],
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        uid: int | None = None,
    ) -> None:
        self.name, self.kind, self.folder, self.log = name, kind, folder, log
        self._command, self._environment = command, environment
        self._death_signal, self._uid = death_signal, uid
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._held = self._frozen = self._ours = False
        self._more: tuple[str, ...] = ()
        self._due_ns = 0
        self._own_ends_ns: list[int] = []
        self.starts = 0
        self.failures: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    @property
    def held(self) -> bool:
        """Whether it stays down until it is released."""
        return self._held

    @property
    def frozen(self) -> bool:
        """Whether it stands still by our doing."""
        return self._frozen

    def kill(self) -> None:
        """SIGKILL. The watch starts it again unless it is held."""
        self._send(signal.SIGKILL)

    def ask(self) -> None:
        """SIGTERM: it ends in order, and is started again unless it is held."""
        self._send(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it keeps its sockets and says nothing."""
        with self._lock:
            self._signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        with self._lock:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def hold(self) -> None:
        """Do not start it again until `release`."""
        self._held = True

    def release(self, *more: str) -> None:
        """Let the watch start it again, with `more` behind its words until the next release."""
        self._more = more
        self._held = False

    def tend(self) -> None:
        """Notice a death; start it where it is due. Only the site's watch thread calls it: its end counts as ours."""
        with self._lock:
            process = self._process
            if process is not None and process.poll() is not None:
                self._bury(process.returncode)
            if self._process is None and not self._held and WALL.elapsed() >= self._due_ns:
                self._start()

    def end(self, deadline_ns: int) -> None:
        """Ask it to end for good, once, and force it at the deadline. A process that stands still is thawed first.

        deadline_ns : by the clock's `elapsed`
        """
        self.hold()
        self.thaw()
        with self._lock:
            if not self._ours:
                self.ask()
            process = self._process
        if process is None:
            return
        try:
            process.wait(max(0.05, (deadline_ns - WALL.elapsed()) / NANOS))
        except subprocess.TimeoutExpired:
            process.send_signal(self._death_signal)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()

    def said(self, lines: int = 3) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(line[:QUOTED] for line in text.strip().splitlines()[-lines:])

    def _send(self, number: signal.Signals) -> None:
        with self._lock:
            self._ours = True
            self._frozen = self._frozen and number != signal.SIGKILL
            self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _bury(self, status: int | None) -> None:
        """Write a death down, and say when the next start is due."""
        now = WALL.elapsed()
        pause = PAUSE_S
        if not self._ours:
            self.failures.append(f"{self.name} ended by itself with status {status}: {self.said()}")
            self._own_ends_ns = [at for at in self._own_ends_ns if now - at < 60 * NANOS] + [now]
            pause = PAUSE_S if len(self._own_ends_ns) <= FAST_ENDS else SLOW_PAUSE_S
        self._process, self._ours, self._frozen = None, False, False
        self._due_ns = now + int(pause * NANOS)

    def _start(self) -> None:
        words = [*self._command(), *self._more]
        uid = os.geteuid() if self._uid is None else self._uid
        become = [sys.executable, "-IS", launch.__file__, str(os.getpid()), str(int(self._death_signal)), str(uid)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [*become, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if self._environment is None else dict(self._environment),
                start_new_session=True,
            )
        self.starts += 1
