"""The steps of a rolling upgrade, in the order that docs/operations.md gives, over a running site of the fault kit."""

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from infra.chaos.site import Site
from infra.embedded.kafka import HOST
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
