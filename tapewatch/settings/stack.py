"""Where the embedded stack of a data folder can be reached: `stack.json`, written by `tapewatch up`."""

from pathlib import Path

import msgspec

from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

STACK_FILE = "stack.json"

_LOOK_S = 0.02


def started_at(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None once it has ended, a zombie included.

    A process id together with this time names one process for ever; the id alone is given out again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Addresses(msgspec.Struct, frozen=True):
    """Addresses and process ids of a running embedded stack.

    bootstrap : Kafka host:port; postgres_url : SQLAlchemy URL (postgresql+psycopg2://...)
    pids : process id by part (supervisor, kafka, postgres, elasticsearch); started : their start times, see
        `started_at`
    elasticsearch_url : http://..., empty where the stack runs without it
    kafka_accounts : folder of the broker's authority and the accounts' passwords, empty where it asks nobody who he is
    """

    bootstrap: str
    postgres_url: str
    pids: dict[str, int] = {}
    started: dict[str, int] = {}
    elasticsearch_url: str = ""
    kafka_accounts: str = ""

    def lives(self, part: str) -> bool:
        """Whether the process of this part is still the one that was started."""
        return part in self.pids and started_at(self.pids[part]) == self.started.get(part)

    @classmethod
    def running(cls, data: Path, wait_s: float = 0.0) -> "Addresses":
        """The stack of this data folder, waited for `wait_s` seconds; an error that says how to start one otherwise."""
        deadline = WALL.elapsed() + int(wait_s * NANOS)
        while (found := cls._found(data)) is None:
            if WALL.elapsed() >= deadline:
                raise TapewatchError(
                    f"no embedded stack is running in {data}",
                    "Run `tapewatch up`, or set kafka.bootstrap and postgres.url to servers of your own.",
                )
            WALL.sleep(_LOOK_S)
        return found

    @classmethod
    def is_running(cls, data: Path) -> bool:
        """Whether a stack runs in this data folder."""
        return cls._found(data) is not None

    @classmethod
    def _found(cls, data: Path) -> "Addresses | None":
        """What the stack file says, unless its supervisor has ended."""
        try:
            found = msgspec.json.decode((data / STACK_FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        return None if "supervisor" in found.started and not found.lives("supervisor") else found
