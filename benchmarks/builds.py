"""Another build beside this one: the source tree of a commit, or a copy of this tree with another hash.

The steps of a rolling upgrade, in the order that docs/operations.md gives, over a running site of the fault kit.
"""

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from infra.chaos.site import Site
from infra.embedded.kafka import HOST
from tapewatch import kernels
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

STORES = ("sink-postgres", "sink-elasticsearch", "notify")
ENGINES = ("engine-1", "engine-2")
STAGES = ("paper", "cases", "evidence", "reconcile")
LAST = ("producer",)
READY_S = 180.0


class Step(msgspec.Struct, frozen=True):
    """One process replaced. to : `new`, or `back`; began_ns, ready_ns : asked to end, and its successor ready, UTC ns

    took_s : between them; stall_s : the longest time without committed output that it may have to do with
    """

    process: str
    to: str
    began_ns: int
    ready_ns: int
    took_s: float
    stall_s: float = 0.0


class Upgrade:
    """Over a site whose processes are of the old build. pause_s : load after each step"""

    def __init__(self, site: Site, tree: Path, pause_s: float, say: Callable[[str], None]) -> None:
        self._site, self._tree, self._pause_s, self._say = site, tree, pause_s, say

    def forward(self) -> Iterator[Step]:
        """Tables, sinks, engines, stages, producer: who reads comes before who writes."""
        WALL.sleep(self._pause_s)
        self._site.run_from(self._tree)
        yield from self._each(STORES[:1], self._tree, "new", self._migrate)
        yield from self._each(STORES[1:], self._tree, "new")
        yield from self.engines(self._tree, "new")
        yield from self._each((*STAGES, *LAST), self._tree, "new")

    def engines(self, tree: Path, to: str) -> Iterator[Step]:
        """One engine, and when that is ready, the next."""
        yield from self._each(ENGINES, tree, to)

    def _migrate(self) -> None:
        """The new build's tables, while the sink that fills them is down."""
        if self._site.command(["db", "migrate"])[0]:
            raise TapewatchError("the database was not migrated", f"See {self._site.logs / 'command-db.log'}.")

    def _each(
        self, names: tuple[str, ...], tree: Path, to: str, while_down: Callable[[], None] = lambda: None
    ) -> Iterator[Step]:
        for name in names:
            if name in self._site.processes:
                yield self._replace(name, tree, to, while_down)
                WALL.sleep(self._pause_s)

    def _replace(self, name: str, tree: Path, to: str, while_down: Callable[[], None]) -> Step:
        """Ask it to end, start its successor, wait until that says that it is ready."""
        kept, begun = self._site.processes[name], WALL.now()
        self._site.run_from(tree, name)
        starts = kept.starts
        kept.hold()
        kept.ask()
        self._await(lambda: not kept.pid, f"{name} does not end")
        while_down()
        kept.release()
        self._await(lambda: kept.starts > starts and self._ready(name), f"{name} of the other build is not ready")
        done = WALL.now()
        self._say(f"{name}: {to}, ready after {(done - begun) / NANOS:.1f} s")
        return Step(name, to, begun, done, round((done - begun) / NANOS, 1))

    def _ready(self, name: str) -> bool:
        """Whether its endpoint says that it does its work."""
        link = http.client.HTTPConnection(HOST, self._site.ports[name], timeout=5)
        try:
            link.request("GET", "/readyz")
            return link.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def _await(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = WALL.elapsed() + int(READY_S * NANOS)
        while not holds():
            if WALL.elapsed() > deadline:
                raise TapewatchError(f"{otherwise} within {READY_S:.0f} s", f"See {self._site.logs}; --keep keeps it.")
            WALL.sleep(0.1)


ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tapewatch", "detectors", "streams", "producers", "sinks", "console", "infra", "evaluation")
CHANGED = Path("streams/engine/process.py")
"""Part of the build's hash, not of the kernels': a line more in it gives another build with the same machine code."""

_DESCRIBE = """
from streams.engine.build import build_hash
from streams.engine.snapshots import FORMAT
print(build_hash(), FORMAT)
"""


class Build(msgspec.Struct, frozen=True):
    """What a source tree is. source : commit, or `this tree` or a copy of it; hash : as alerts name it"""

    source: str
    hash: str
    snapshot_format: int


def of_commit(commit: str, folder: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """The source tree of a commit of this repository in a new folder; TapewatchError where there is none."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        raise TapewatchError(f"{ROOT} is no clone, or git is missing", "Leave --from out: a copy of this tree will do.")
    archive, here = folder.with_suffix(".tar"), [git, "-C", str(ROOT)]
    # A former build has fewer folders.
    words = [*here, "ls-tree", "--name-only", commit, "--", *packages]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if not done.returncode:
        words = [*here, "archive", "--format=tar", "-o", str(archive), commit, "--", *done.stdout.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise TapewatchError(f"there is no commit {commit}: {done.stderr.strip()[-200:]}", "See `git log`.")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    return folder


def copied(folder: Path) -> Path:
    """A copy of this tree, one comment longer: another build hash, the same kernels, and their machine code."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    changed = folder / CHANGED
    if b"tapewatch.kernels" in changed.read_bytes():
        raise RuntimeError(f"{CHANGED} has kernels now: choose another file")
    changed.write_text(changed.read_text() + "# Another build.\n")
    _adopt_kernels(folder)
    return folder


def described(tree: Path, source: str) -> Build:
    """A tree's build hash and snapshot format, asked of its own code."""
    words = run(tree, "-c", _DESCRIBE).split()
    return Build(source, words[0], int(words[1]))


def warm(tree: Path) -> None:
    """Compile a tree's kernels, as an operator does before an upgrade."""
    run(tree, "-m", "streams.engine.warm")
    run(tree, "-m", "producers.synthetic.warm")


def run(tree: Path, *words: str) -> str:
    """What Python prints with that tree's packages; TapewatchError quotes it where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-P", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    if done.returncode:
        raise TapewatchError(f"{' '.join(words)[:60]} failed in {tree}: {done.stderr[-400:]}", "Look at that tree.")
    return done.stdout


def _adopt_kernels(tree: Path) -> None:
    """Give the machine code of this tree's kernels to its copy: numba names a folder after the path of its sources."""
    cached = kernels.cache_folder() / "kernels"
    ours = {_named(source.parent): source.parent for name in PACKAGES for source in (ROOT / name).rglob("*.py")}
    for folder in cached.glob("*/*"):
        source = ours.get(folder.name)
        if source is not None:
            theirs = folder.parent / _named(tree / source.relative_to(ROOT))
            shutil.copytree(folder, theirs, dirs_exist_ok=True)


def forget_kernels(tree: Path) -> None:
    """Remove what was cached for a tree that is gone."""
    names = {_named(source.parent) for source in tree.rglob("*.py")}
    for folder in (kernels.cache_folder() / "kernels").glob("*/*"):
        if folder.name in names:
            shutil.rmtree(folder, ignore_errors=True)


def _named(folder: Path) -> str:
    """As numba names the cache of a folder's sources."""
    return f"{folder.name}_{hashlib.sha1(str(folder).encode(), usedforsecurity=False).hexdigest()}"
