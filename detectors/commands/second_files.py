"""Closed seconds as Parquet: what `train ddqn --market` reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detectors.ddqn.seconds import Seconds
from tapewatch.errors import TapewatchError

_QUOTES = ("first_bid", "first_ask", "last_bid", "last_ask")
_COSTS = ("buy_cost", "sell_cost")
_OWN = ("session", "instrument", "has_hours", "second", *_QUOTES, *_COSTS, "tradable", "trend")


def write(path: Path, seconds: Seconds) -> None:
    """Write all rows; every column that is not named here is a feature."""
    session = np.repeat(np.arange(len(seconds.first)), seconds.last - seconds.first + 1)
    columns = {
        "session": pa.array(session.astype(np.int32)),
        "instrument": pa.array(np.array(seconds.instruments, dtype=object)[session]).dictionary_encode(),
        "has_hours": pa.array(seconds.has_hours[session]),
        "second": pa.array(seconds.second),
        **{name: pa.array(seconds.quotes[:, k]) for k, name in enumerate(_QUOTES)},
        **{name: pa.array(seconds.costs[:, k]) for k, name in enumerate(_COSTS)},
        "tradable": pa.array(seconds.tradable),
        "trend": pa.array(seconds.trend),
        **{name: pa.array(seconds.features[:, k]) for k, name in enumerate(seconds.names)},
    }
    pq.write_table(pa.table(columns), path)


def read(path: Path) -> Seconds:
    """Read what `write` wrote; TapewatchError where it is something else."""
    try:
        table = pq.read_table(path)
        missing = [name for name in _OWN if name not in table.column_names]
    except (OSError, pa.ArrowException) as error:
        raise TapewatchError(f"cannot read {path}: {error}", "Give a file of closed seconds, Parquet.") from error
    if missing or not table.num_rows:
        raise TapewatchError(
            f"{path} has no closed seconds: {', '.join(missing) or 'no rows'}", "See docs/ddqn.md for its columns."
        )
    column = {name: table[name].to_numpy() for name in table.column_names if name != "instrument"}
    ends = np.flatnonzero(np.diff(column["session"], append=column["session"][-1] + 1) != 0)
    begins = np.concatenate([[0], ends[:-1] + 1])
    names = tuple(name for name in table.column_names if name not in _OWN)
    texts = table["instrument"].to_pylist()
    return Seconds(
        names,
        tuple(texts[row] for row in begins.tolist()),
        begins.astype(np.int64),
        ends.astype(np.int64),
        column["has_hours"][begins],
        np.ascontiguousarray(np.stack([column[name] for name in names], axis=1), dtype=np.float32),
        column["second"],
        np.stack([column[name] for name in _QUOTES], axis=1),
        np.stack([column[name] for name in _COSTS], axis=1),
        column["tradable"],
        column["trend"],
    )
