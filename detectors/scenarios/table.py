"""Every scenario of the library written out: its section of the configuration and its part of the kernel.

Generated from `library.py` by `python -m detectors.scenarios.table_source --write`.
"""

import msgspec
import numpy as np
import numpy.typing as npt

# A field would hide its module by name.
from detectors.scenarios import advancing_the_bid as advancing_the_bid_
from detectors.scenarios import excessive_spread as excessive_spread_
from detectors.scenarios import fused_anomaly as fused_anomaly_
from detectors.scenarios import kmeans_anomaly as kmeans_anomaly_
from detectors.scenarios import layering as layering_
from detectors.scenarios import marking_the_close as marking_the_close_
from detectors.scenarios import marking_the_open as marking_the_open_
from detectors.scenarios import momentum_ignition as momentum_ignition_
from detectors.scenarios import pinging as pinging_
from detectors.scenarios import price_floor_ceiling as price_floor_ceiling_
from detectors.scenarios import pump_and_dump as pump_and_dump_
from detectors.scenarios import quote_stuffing as quote_stuffing_
from detectors.scenarios import ramping as ramping_
from detectors.scenarios import reference_price as reference_price_
from detectors.scenarios import spoofing as spoofing_
from detectors.scenarios import squeeze as squeeze_
from detectors.scenarios import sweeping as sweeping_
from detectors.scenarios import trash_and_cash as trash_and_cash_
from detectors.scenarios import unusual_order_size as unusual_order_size_
from detectors.scenarios import unusual_price as unusual_price_
from detectors.scenarios import unusual_trade_size as unusual_trade_size_
from detectors.scenarios import unusual_volume as unusual_volume_
from detectors.scenarios import wash_like_prints as wash_like_prints_
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


class Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of every scenario, in the order of their numbers."""

    kmeans_anomaly: kmeans_anomaly_.Parameters = kmeans_anomaly_.Parameters()
    pump_and_dump: pump_and_dump_.Parameters = pump_and_dump_.Parameters()
    spoofing: spoofing_.Parameters = spoofing_.Parameters()
    layering: layering_.Parameters = layering_.Parameters()
    quote_stuffing: quote_stuffing_.Parameters = quote_stuffing_.Parameters()
    momentum_ignition: momentum_ignition_.Parameters = momentum_ignition_.Parameters()
    ramping: ramping_.Parameters = ramping_.Parameters()
    trash_and_cash: trash_and_cash_.Parameters = trash_and_cash_.Parameters()
    marking_the_open: marking_the_open_.Parameters = marking_the_open_.Parameters()
    marking_the_close: marking_the_close_.Parameters = marking_the_close_.Parameters()
    reference_price: reference_price_.Parameters = reference_price_.Parameters()
    advancing_the_bid: advancing_the_bid_.Parameters = advancing_the_bid_.Parameters()
    price_floor_ceiling: price_floor_ceiling_.Parameters = price_floor_ceiling_.Parameters()
    excessive_spread: excessive_spread_.Parameters = excessive_spread_.Parameters()
    sweeping: sweeping_.Parameters = sweeping_.Parameters()
    pinging: pinging_.Parameters = pinging_.Parameters()
    unusual_price: unusual_price_.Parameters = unusual_price_.Parameters()
    unusual_volume: unusual_volume_.Parameters = unusual_volume_.Parameters()
    unusual_trade_size: unusual_trade_size_.Parameters = unusual_trade_size_.Parameters()
    unusual_order_size: unusual_order_size_.Parameters = unusual_order_size_.Parameters()
    wash_like_prints: wash_like_prints_.Parameters = wash_like_prints_.Parameters()
    squeeze: squeeze_.Parameters = squeeze_.Parameters()
    fused_anomaly: fused_anomaly_.Parameters = fused_anomaly_.Parameters()


@kernel
def strengths(  # noqa: C901 - one branch a scenario
    scenario: int, x: F8, first: int, end: int, classes: I8, rules: F8, values: F8, found: F8
) -> None:
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
    elif scenario == 2:
        for row in range(first, end):
            found[row] = spoofing_.strength(x[row], rules[classes[row], 2], values[row])
    elif scenario == 3:
        for row in range(first, end):
            found[row] = layering_.strength(x[row], rules[classes[row], 3], values[row])
    elif scenario == 4:
        for row in range(first, end):
            found[row] = quote_stuffing_.strength(x[row], rules[classes[row], 4], values[row])
    elif scenario == 5:
        for row in range(first, end):
            found[row] = momentum_ignition_.strength(x[row], rules[classes[row], 5], values[row])
    elif scenario == 6:
        for row in range(first, end):
            found[row] = ramping_.strength(x[row], rules[classes[row], 6], values[row])
    elif scenario == 7:
        for row in range(first, end):
            found[row] = trash_and_cash_.strength(x[row], rules[classes[row], 7], values[row])
    elif scenario == 8:
        for row in range(first, end):
            found[row] = marking_the_open_.strength(x[row], rules[classes[row], 8], values[row])
    elif scenario == 9:
        for row in range(first, end):
            found[row] = marking_the_close_.strength(x[row], rules[classes[row], 9], values[row])
    elif scenario == 10:
        for row in range(first, end):
            found[row] = reference_price_.strength(x[row], rules[classes[row], 10], values[row])
    elif scenario == 11:
        for row in range(first, end):
            found[row] = advancing_the_bid_.strength(x[row], rules[classes[row], 11], values[row])
    elif scenario == 12:
        for row in range(first, end):
            found[row] = price_floor_ceiling_.strength(x[row], rules[classes[row], 12], values[row])
    elif scenario == 13:
        for row in range(first, end):
            found[row] = excessive_spread_.strength(x[row], rules[classes[row], 13], values[row])
    elif scenario == 14:
        for row in range(first, end):
            found[row] = sweeping_.strength(x[row], rules[classes[row], 14], values[row])
    elif scenario == 15:
        for row in range(first, end):
            found[row] = pinging_.strength(x[row], rules[classes[row], 15], values[row])
    elif scenario == 16:
        for row in range(first, end):
            found[row] = unusual_price_.strength(x[row], rules[classes[row], 16], values[row])
    elif scenario == 17:
        for row in range(first, end):
            found[row] = unusual_volume_.strength(x[row], rules[classes[row], 17], values[row])
    elif scenario == 18:
        for row in range(first, end):
            found[row] = unusual_trade_size_.strength(x[row], rules[classes[row], 18], values[row])
    elif scenario == 19:
        for row in range(first, end):
            found[row] = unusual_order_size_.strength(x[row], rules[classes[row], 19], values[row])
    elif scenario == 20:
        for row in range(first, end):
            found[row] = wash_like_prints_.strength(x[row], rules[classes[row], 20], values[row])
    elif scenario == 21:
        for row in range(first, end):
            found[row] = squeeze_.strength(x[row], rules[classes[row], 21], values[row])
    elif scenario == 22:
        for row in range(first, end):
            found[row] = fused_anomaly_.strength(x[row], rules[classes[row], 22], values[row])
