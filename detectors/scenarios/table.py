"""Every scenario of the library written out: its section of the configuration and its part of the kernel.

Generated from `library.py` by `python -m detectors.scenarios.table_source --write`.
"""

import msgspec
import numpy as np
import numpy.typing as npt

# A field hides its module by name.
from detectors.scenarios import (
    kmeans_anomaly as kmeans_anomaly_,
)
from detectors.scenarios import (
    pump_and_dump as pump_and_dump_,
)
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


class Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of every scenario, in the order of their numbers."""

    kmeans_anomaly: kmeans_anomaly_.Parameters = kmeans_anomaly_.Parameters()
    pump_and_dump: pump_and_dump_.Parameters = pump_and_dump_.Parameters()


@kernel
def strengths(scenario: int, x: F8, first: int, end: int, classes: I8, rules: F8, values: F8, found: F8) -> None:
    """How strong `scenario` is in rows first..end of a block of observations.

    x : float64[rows, observation.COUNT]; classes : int64[rows], instrument class of each row; rules : float64[classes,
    scenarios, parameters]
    values : float64[rows, 16] out, evidence and thresholds; found : float64[rows] out, strengths
    """
    # One loop for each scenario: a branch inside one loop would cost every row.
    if scenario == 0:
        for row in range(first, end):
            found[row] = kmeans_anomaly_.strength(x[row], rules[classes[row], 0], values[row])
    elif scenario == 1:
        for row in range(first, end):
            found[row] = pump_and_dump_.strength(x[row], rules[classes[row], 1], values[row])
