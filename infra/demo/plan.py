"""What a demo runs: which feed it fills, with which commands, and where their logs and labels lie."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

PROGRAM = (sys.executable, "-P", "-m", "tapewatch")
ROWS_PER_INSTRUMENT = 10.0
"""Rows a second and instrument of the synthetic market."""
PARTITIONS = 2
"""Of the synthetic market's topic: few make full frames, which is what a small machine needs."""


class Wishes(msgspec.Struct, frozen=True):
    """What the user asked for.

    seconds : length of the show, s: of the synthetic market after its back-dated part, or of the replay; 0 for no limit
    instruments : of the synthetic market; recording : files to replay instead; speed : as `produce replay` takes it
    settings_file : settings file named on the command line; keep : leave the stack running at the end
    live_sim : run every live source too, each against its simulated venue; console : open the web console
    """

    seconds: int = 0
    seed: int = 1
    instruments: int = 200
    recording: tuple[Path, ...] = ()
    speed: str = "max"
    kind: str = ""
    keep: bool = False
    live_sim: bool = False
    console: bool = True
    settings_file: Path | None = None


class Plan(msgspec.Struct, frozen=True):
    """Feed, folder and commands of one demo.

    feed : the feed it fills; folder : its own folder below the data folder; instruments : how many it has
    produce : the producer's command, without program and common options; common : options before every command
    """

    feed: str
    folder: Path
    instruments: int
    produce: tuple[str, ...]
    common: tuple[str, ...]

    @property
    def topic(self) -> str:
        """The market topic."""
        return topics.market(self.feed)

    @property
    def labels(self) -> Path:
        """Manipulation injected so far."""
        return self.folder / "labels.csv"

    @property
    def look_alikes(self) -> Path:
        """Injected so far: what only looks like manipulation."""
        return self.folder / "labels-look-alikes.csv"


def plan(settings: Settings, wishes: Wishes) -> Plan:
    """The plan. TapewatchError where a recording cannot be read.

    A synthetic market gets a new feed each time, a recording always the same one: a second showing adds nothing.
    """
    named = ("--settings", str(wishes.settings_file.resolve())) if wishes.settings_file else ()
    common = (*named, "--data", str(settings.data_path))
    if wishes.recording:
        return _replay(settings, wishes, common)
    now = to_rfc3339(WALL.now())
    feed = "demo-" + "".join(character for character in now[:19] if character.isdigit())
    folder = settings.data_path / "demo" / feed
    rate = ROWS_PER_INSTRUMENT * wishes.instruments
    words = ["produce", "synthetic", "--demo", "--await-engine", "--feed", feed, "--seed", str(wishes.seed), "--json"]
    words += ["--instruments", str(wishes.instruments), "--rows-per-second", str(rate)]
    words += ["--partitions", str(PARTITIONS), "--labels", str(folder / "labels.csv")]
    words += ["--seconds", str(wishes.seconds)] if wishes.seconds else []
    return Plan(feed, folder, wishes.instruments, tuple(words), common)


def _replay(settings: Settings, wishes: Wishes, common: tuple[str, ...]) -> Plan:
    """The plan of a replay, whose feed the producer names."""
    words = ["produce", "replay", *(str(file.resolve()) for file in wishes.recording)]
    words += ["--kind", wishes.kind] if wishes.kind else []
    told = json.loads(answer([*PROGRAM, *common, *words, "--describe"]))
    feed = str(told["feed"])
    command = (*words, "--feed", feed, "--speed", wishes.speed, "--json")
    return Plan(feed, settings.data_path / "demo" / feed, len(told["instruments"]), command, common)


def answer(command: Sequence[str]) -> str:
    """What one of our commands prints. TapewatchError with its own words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = [line.removeprefix("tapewatch: ").strip() for line in done.stderr.strip().splitlines()]
        hint = next((line.removeprefix("next: ") for line in said if line.startswith("next: ")), "")
        message = next((line for line in reversed(said) if not line.startswith("next: ")), "no recording was read")
        raise TapewatchError(message, hint)
    return done.stdout
