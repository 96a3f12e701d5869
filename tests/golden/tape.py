"""A golden tape: one partition's market log as it lies on a broker, with all that an engine must know to read it."""

import lzma
from pathlib import Path

import msgspec

from streams.engine.models import Control
from tapewatch.contract.instruments import Instrument

FOLDER = Path(__file__).parent / "data"
NAMES = ("market", "abuse")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A record. appended : when the broker took it, UTC ns"""

    value: bytes | None
    headers: list[tuple[str, bytes]]
    appended: int


class Tape(msgspec.Struct, frozen=True):
    """A log.

    instruments : that are registered; models : files by hash, beside the shipped ones
    begins : what is in force before the first record, beside what is shipped
    cuts : next offsets of the engine's transactions but the last; snapshot : the cut at which a snapshot is taken
    deep : instruments whose book features are pinned second by second
    """

    instruments: list[Instrument]
    models: dict[str, bytes]
    begins: Control
    records: list[Record]
    cuts: list[int]
    snapshot: int
    deep: list[str]


def read(name: str) -> Tape:
    """A committed tape."""
    return msgspec.msgpack.decode(lzma.decompress((FOLDER / f"{name}.xz").read_bytes()), type=Tape)


def write(name: str, tape: Tape) -> Path:
    """Keep a tape; its file."""
    path = FOLDER / f"{name}.xz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress(msgspec.msgpack.encode(tape), preset=9 | lzma.PRESET_EXTREME))
    return path
