"""The record of a training run: a folder of plain JSON, each file written whole, from which the run is taken up again.

runs/2024-03-15-9f2c.../run.json          what was trained on what
                        steps/lstm.json   a model that is finished: its hash, figures, cost and forecasts
                        log.jsonl         a line an event, as it happened
                        published.json    what went to the topic
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from detectors.forecast.series import Forecast
from tapewatch.clock import WALL, Clock
from tapewatch.durable_files import place
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339


class RunDescription(msgspec.Struct, frozen=True):
    """What a run is.

    as_of : day, nothing later was learnt from; data : where it is from; data_hash : of all of it
    seed : of everything drawn; build : fingerprint of the program
    """

    as_of: str
    data: str
    data_hash: str
    seed: int
    build: str

    @property
    def id(self) -> str:
        """The folder's name: the same data, seed and program give the same run."""
        return f"{self.as_of}-{self.data_hash[:8]}-{self.build[:8]}-{self.seed}"


class Step(msgspec.Struct, frozen=True):
    """What became of one model.

    state : trained; left_out where the data are too little for it; failed
    model : content hash; file : in the registry; cpu_s, wall_s : what training cost; figures : as a listing shows
    """

    name: str
    state: Literal["trained", "left_out", "failed"]
    reason: str = ""
    model: str = ""
    file: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    finished: str = ""
    figures: dict[str, Any] = {}
    forecasts: tuple[Forecast, ...] = ()


class Publication(msgspec.Struct, frozen=True):
    """What went to the topic. ids : of the predictions; models : content hash by name"""

    at: str
    ids: tuple[str, ...]
    models: dict[str, str]


class Run:
    """The folder of one run. root : folder of all runs"""

    def __init__(self, root: Path, described: RunDescription, clock: Clock = WALL) -> None:
        self.described = described
        self.folder = root / described.id
        self._clock = clock

    def begin(self) -> None:
        """Make the folder, and say what the run is."""
        place(self.folder / "run.json", msgspec.json.format(msgspec.json.encode(self.described)))

    def step(self, name: str) -> Step | None:
        """A model's step where it is finished; None where it is not, or its model's file is gone."""
        path = self._path(name)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Step)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return None if found.state == "trained" and not Path(found.file).is_file() else found

    def keep(self, step: Step) -> None:
        """Write a model's step: if we die before, the step is done again; after, never."""
        place(self._path(step.name), msgspec.json.encode(step))

    def forget(self, name: str) -> None:
        """Let a step be done again."""
        self._path(name).unlink(missing_ok=True)

    def log(self, event: str, **told: Any) -> None:
        """Add a line to the run's log."""
        line = msgspec.json.encode({"at": to_rfc3339(self._clock.now()), "event": event, **told})
        with (self.folder / "log.jsonl").open("ab") as file:
            file.write(line + b"\n")

    @property
    def published(self) -> Publication | None:
        """What of this run went to the topic; None where nothing did."""
        path = self.folder / "published.json"
        return msgspec.json.decode(path.read_bytes(), type=Publication) if path.is_file() else None

    def keep_published(self, published: Publication) -> None:
        """Remember what went to the topic."""
        place(self.folder / "published.json", msgspec.json.encode(published))

    def _path(self, name: str) -> Path:
        return self.folder / "steps" / f"{name}.json"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let one process at a time train. TapewatchError where another one does"""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TapewatchError("another `train all` is at work here", "Wait for it, or stop it.") from error
        yield
