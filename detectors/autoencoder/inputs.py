"""What the autoencoder sees of a feature row: sixteen inputs without units of quantity, scaled and squashed."""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

SOURCES = (
    "ret_5s", "ret_30s", "ret_60s", "rv_60s", "volume_z", "trades_z", "imbalance_z",
    "imbalance_60s", "spread_ratio", "depth_imb_1", "depth_imb_5", "depth_imb_10", "quote_rate_1s", "quote_rate_60s",
    "depth_added_10s", "depth_removed_10s", "ofi_10s", "volume_60s",
)  # fmt: skip
"""Features of the engine that the inputs are made of, in the order in which `index` of `prepare` points to them."""

INPUTS = (
    "ret_5s",
    "ret_30s",
    "ret_60s",
    "rv_60s",
    "volume_z",
    "trades_z",
    "imbalance_z",
    "imbalance_60s",
    "spread_ratio",
    "depth_imb_1",
    "depth_imb_5",
    "depth_imb_10",
    "quote_rate_1s / (quote_rate_60s + 0.5)",
    "(depth_added_10s - depth_removed_10s) / churn",
    "ofi_10s / churn",
    "churn / (churn + volume_60s)",
)
"""churn is depth_added_10s + depth_removed_10s."""

COUNT = len(INPUTS)
KNEE = np.float32(10.0)
"""A scaled input x becomes KNEE x / (KNEE + |x|): linear near 0, never beyond the knee."""

_ZERO, _HALF = np.float32(0.0), np.float32(0.5)


@inlined
def _ratio(a: float, b: float) -> float:
    """A / b; NaN where b is not positive."""
    return a / b if b > _ZERO else np.float32(np.nan)  # type: ignore[return-value]  # float32 in compiled code


@inlined
def _raw(columns: F4, row: int, index: I8, out: F4, lane: int) -> None:
    """The unscaled inputs of one row."""
    for j in range(12):
        out[j, lane] = columns[index[j], row]
    out[12, lane] = _ratio(columns[index[12], row], columns[index[13], row] + _HALF)
    added, removed = columns[index[14], row], columns[index[15], row]
    churn = added + removed
    out[13, lane] = _ratio(added - removed, churn)
    out[14, lane] = _ratio(columns[index[16], row], churn)
    out[15, lane] = _ratio(churn, churn + columns[index[17], row])


@inlined
def prepare(columns: F4, first: int, count: int, index: I8, scaling: F4, out: F4) -> None:
    """Scaled and squashed inputs of `count` rows from `first` on.

    columns : float32[features, rows], as the engine holds a sealed second; index : int64[18], the columns of SOURCES
    scaling : float32[2, 16], location and factor; out : float32[16, count or more]; NaN where a source is missing
    """
    for lane in range(count):
        _raw(columns, first + lane, index, out, lane)
    for j in range(COUNT):
        location, factor, values = scaling[0, j], scaling[1, j], out[j]
        for lane in range(count):
            x = (values[lane] - location) * factor
            values[lane] = KNEE * x / (KNEE + abs(x))
