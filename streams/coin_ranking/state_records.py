"""The desk's state as records of the compacted topic `desk.state`: one a coin, one of the position, one of what is out.

All of a snapshot is written in one transaction, so that a reader of committed records finds one that is whole.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.coin_features import state
from detectors.coin_features.state import Coin
from streams.coin_ranking.minute_buffer import BarBufferState
from streams.coin_ranking.ranking import CoinRanking, Question

POSITION, RELEASED = b"position", b"released"
_COIN = b"coin/"
_CODEC = "zstd"


class Position(msgspec.Struct, frozen=True):
    """Where a snapshot stands.

    offsets : by partition of `bars`, where to read on; waiting : the inputs; question, horizon : what was asked
    coins : how many there are
    """

    offsets: dict[int, int]
    waiting: BarBufferState
    question: Question
    horizon: int
    coins: int


class ReleasedMinute(msgspec.Struct, frozen=True):
    """The newest minute whose ranking is out."""

    minute: int


def records(desk: CoinRanking, position: Position) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a snapshot."""
    for name, coin in desk.coins.items():
        yield _COIN + name.encode(), packed([*coin, *desk.shown(name)])
    yield POSITION, msgspec.json.encode(position)


def coin_name(key: bytes) -> str:
    """The coin of a record; empty where it is no coin's."""
    return key[len(_COIN) :].decode() if key.startswith(_COIN) else ""


def packed(parts: list[npt.NDArray[np.float64]]) -> bytes:
    """Arrays as bytes."""
    plain = b"".join(part.tobytes() for part in parts)
    return len(plain).to_bytes(8, "little") + bytes(pa.compress(plain, codec=_CODEC, asbytes=True))


def unpacked(data: bytes, horizon: int) -> tuple[Coin, state.MinuteOutput]:
    """A coin and what its newest minute gave. ValueError where the bytes are not of this layout."""
    size = int.from_bytes(data[:8], "little")
    coin, seen = state.new_coin(horizon), state.new_seen()
    parts = [*coin, *seen]
    if size != sum(part.nbytes for part in parts):
        raise ValueError("another layout of a coin's state")
    plain = np.frombuffer(pa.decompress(data[8:], decompressed_size=size, codec=_CODEC, asbytes=True)).copy()
    cuts = np.cumsum([part.size for part in parts])[:-1]
    for part, values in zip(parts, np.split(plain, cuts), strict=True):
        part[...] = values.reshape(part.shape)
    return coin, seen
