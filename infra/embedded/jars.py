"""The servers' jars in the user's cache: fetched once by ordinary clients, each checked against the lock file.

Progress of a first start: a bar on stderr where a person looks on, nothing else.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

from rich.console import Console, RenderableType
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.embedded.layout import locked
from infra.embedded.lock import KAFKA, Jar, Lock
from tapewatch.errors import TapewatchError


class Report(Protocol):
    """Takes what is going on."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Say that `stage` has come to `done` of `total` bytes; total 0 where the end is not known."""
        ...


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Report nothing."""


@contextmanager
def shown() -> Iterator[Report]:
    """A bar on stderr for as long as the block lasts; plain lines where stderr is no terminal."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as bars:
            yield bars
    else:
        yield _lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    """One line a stage: a spinner, and a bar with bytes where these are known."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), _Amount(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int = 0, total: int = 0) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    progress.update(task, total=1, completed=1)
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done)

        yield report


class _Amount(ProgressColumn):
    """A bar with bytes, for a stage that is counted in bytes."""

    def render(self, task: Task) -> RenderableType:
        """Draw it."""
        if task.total is None or task.total <= 1:
            return Text()
        bar = ProgressBar(total=task.total, completed=task.completed, width=40)
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(f"{task.completed / 1e6:.1f}/{task.total / 1e6:.1f} MB"))
        return row


def _lines(console: Console) -> Report:
    """One line when a stage begins."""
    seen: set[str] = set()

    def report(stage: str, done: int = 0, total: int = 0) -> None:
        if stage not in seen:
            seen.add(stage)
            console.print(f"{stage} ...", highlight=False)

    return report


CONNECTIONS = 8


def cache_root() -> Path:
    """XDG_CACHE_HOME or ~/.cache, then tapewatch."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "tapewatch"


def cache_folder(lock: Lock = KAFKA) -> Path:
    """Where the jars of this lock file lie: jars/<hash of the lock file> in the cache."""
    return cache_root() / "jars" / lock.digest()


def missing(lock: Lock = KAFKA, folder: Path | None = None) -> list[Jar]:
    """Pinned jars that are not in the cache, or not with their pinned bytes."""
    return [jar for jar in lock.read() if not jar.matches((folder or cache_folder(lock)) / jar.name)]


def ensure(lock: Lock = KAFKA, report: Report = silent) -> Path:
    """The folder with all jars, fetched if need be. TapewatchError where they cannot be had.

    Two first starts at once fetch once: the second waits. The folder appears complete or not at all.
    """
    folder = cache_folder(lock)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not missing(lock):
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
            fetched = Path(scratch) / "jars"
            fetched.mkdir()
            _fetch(lock, fetched, Path(scratch), report)
            shutil.rmtree(folder, ignore_errors=True)
            fetched.rename(folder)
    return folder


def _fetch(lock: Lock, target: Path, scratch: Path, report: Report) -> None:
    """Fill `target` by jgo, else by Maven, and check it."""
    causes = []
    for client in (_with_jgo, _with_maven):
        try:
            client(lock, target, scratch, report)
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            causes.append(f"{client.__name__.removeprefix('_with_')}: {error}")
        else:
            wrong = missing(lock, target)
            if not wrong:
                return
            causes.append(f"sha256 differs from the lock file: {', '.join(jar.name for jar in wrong)}")
    raise TapewatchError(
        f"{lock.name}'s jars could not be fetched: " + "; ".join(causes),
        "Check the network, and `pip install 'tapewatch[embedded]'`; "
        "a mirror goes into jgo's own settings file or Maven's, and jars fetched elsewhere into "
        f"{cache_folder(lock)}.",
    )


def _stage(lock: Lock) -> str:
    """What goes on, for the progress report."""
    return f"fetching {lock.name}'s jars"


def _with_jgo(lock: Lock, target: Path, scratch: Path, report: Report) -> None:
    """Fetch every pinned jar by jgo's resolver, several at a time; repositories as the user's jgo settings say."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext
    from jgo.maven._resolver import PythonResolver

    jars = lock.read()
    counter = _counter(report, _stage(lock), sum(jar.size for jar in jars))
    resolver = PythonResolver(progress_callback=counter)
    repositories = GlobalSettings.load().repositories or None
    context = MavenContext(repo_cache=scratch / "m2", remote_repos=repositories, resolver=resolver, timeout=60)

    def fetch(jar: Jar) -> None:
        group, artifact, version = jar.parts
        path = context.project(group, artifact).at_version(version).artifact().resolve()
        path.rename(target / jar.name)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(fetch, jars))


def _counter(
    report: Report, stage: str, total: int
) -> Callable[[str, int], AbstractContextManager[Callable[[int], None]]]:
    """Count the bytes of all files together, in the form of jgo's progress callback."""
    done, guard = 0, threading.Lock()

    @contextmanager
    def file(name: str, size: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            nonlocal done
            with guard:
                done += count
                report(stage, done, total)

        yield advance

    return file


def _with_maven(lock: Lock, target: Path, scratch: Path, report: Report) -> None:
    """Fetch every pinned jar by Maven, with the mirrors of the user's Maven settings; nothing transitive."""
    maven = shutil.which("mvn")
    if maven is None:
        raise FileNotFoundError("mvn is not on the PATH")
    report(f"{_stage(lock)} with Maven")
    pom = scratch / "pom.xml"
    pom.write_text(_pom(lock.read()))
    words = ["-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    done = subprocess.run([maven, *words], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode != 0:
        raise RuntimeError(done.stdout.strip().splitlines()[0] if done.stdout.strip() else done.stderr.strip())


def _pom(jars: list[Jar]) -> str:
    """A project that depends on the pinned jars alone."""
    everything = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "".join(
        f"<dependency><groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version>{everything}</dependency>"
        for group, artifact, version in (jar.parts for jar in jars)
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>tapewatch</groupId><artifactId>jars</artifactId>"
        f"<version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )
