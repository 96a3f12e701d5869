"""A kind of fault and one fault of it; what a fault may ask of the site it is injected into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from infra.chaos.proxy import Proxy
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

OUTPUT, INPUT, SINKS, MODELS = "output", "input", "sinks", "models"
POSTGRES, ELASTICSEARCH = "postgres", "elasticsearch"

Pause = Callable[[float], bool]
"""Waits so many seconds; False, at once, where the run ends."""

LOOK_S = 0.25


def comes(holds: Callable[[], bool], pause: Pause, seconds: float) -> bool:
    """Whether something comes to hold within so many seconds of the run."""
    deadline = WALL.elapsed() + int(seconds * NANOS)
    while not holds():
        if WALL.elapsed() > deadline or not pause(LOOK_S):
            return holds()
    return True


def asleep(seconds: float) -> bool:
    """A pause for what has to be healed although the run is over."""
    WALL.sleep(seconds)
    return True


class NotInjectedError(TapewatchError):
    """The fault could not be brought about; nothing is left of the attempt."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "Nothing is to be done: the run counts what was injected.")


class BrokenPromiseError(TapewatchError):
    """The site did not do under a fault what is promised of it: the run is not sound."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "See the logs.")


class Process(Protocol):
    """A process of the site that is started again when it dies (infra.chaos.server.Kept is one).

    failures : its ends that nobody asked for, each with the end of its log
    """

    name: str
    failures: list[str]

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def ask(self) -> None:
        """SIGTERM."""
        ...

    def freeze(self) -> None:
        """SIGSTOP."""
        ...

    def thaw(self) -> None:
        """SIGCONT."""
        ...

    def hold(self) -> None:
        """Do not start it again until `release`."""
        ...

    def release(self, *more: str) -> None:
        """Start it again when it is down, with `more` behind its words until the next release."""
        ...


class Ground(Protocol):
    """What faults need of the site (infra.chaos.site.Site has it).

    feed : whose market topic the producer fills
    mischief, record : the producer's files; folder : for files of the kit
    engines_clock : by how much the engines' clock is off (infra.chaos.own_clock)
    """

    feed: str
    mischief: Path
    record: Path
    folder: Path
    engines_clock: Path

    @property
    def direct(self) -> str:
        """Bootstrap addresses of the brokers, past the proxies."""
        ...

    @property
    def postgres_url(self) -> str:
        """SQLAlchemy URL of the database, past the proxy, as its superuser."""
        ...

    @property
    def postgres_folder(self) -> Path | None:
        """The small file system that PostgreSQL's data folder is on; None where it has none of its own."""
        ...

    @property
    def settings(self) -> Settings:
        """Settings with direct addresses."""
        ...

    @property
    def processes(self) -> Mapping[str, Process]:
        """By name."""
        ...

    @property
    def proxies(self) -> Mapping[str, Proxy]:
        """By the name of the server behind each."""
        ...

    def of(self, kind: str) -> Sequence[Process]:
        """Processes of a kind."""
        ...

    def leader(self, topic: str, partition: int) -> str:
        """Name of the broker that leads a partition."""
        ...

    def controller(self) -> str:
        """Name of the broker that leads the controllers' quorum."""
        ...

    def command(self, words: Sequence[str]) -> tuple[int, str]:
        """Run `tapewatch WORDS` with the site's settings: status and standard output."""
        ...


class Fault(msgspec.Struct, frozen=True):
    """One fault of a schedule.

    kind : name of its kind; at_s : when it begins, seconds after the run's start; length_s : how long it lasts
    target : process that it hits, empty where the fault finds its own; draw : 0 to 1, for what it draws
    """

    kind: str
    at_s: float
    length_s: float
    target: str
    draw: float


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    sentence : what is done, for people
    lane : faults of one lane never overlap, those of different lanes may
    of : kind of process that is its target; empty where it finds its own
    shortest_s, longest_s : between which its length is drawn; settle_s : quiet time that its lane gets afterwards
    inject : does all of it, the healing included, whatever happens; returns what was hit, for people;
        NotInjectedError where it cannot be brought about
    """

    name: str
    sentence: str
    lane: str
    inject: Callable[[Ground, Fault, Pause], str]
    of: str = ""
    shortest_s: float = 0.0
    longest_s: float = 0.0
    settle_s: float = 5.0

    @property
    def room_s(self) -> float:
        """What one takes of its lane at most, s."""
        return self.longest_s + self.settle_s
