"""One step for each trade with accounts: the ring takes it in, and the scenarios of the `accounts` tier look at it."""

from collections.abc import Mapping
from types import ModuleType

import msgspec
import numpy as np

from detectors.scenarios.accounts import front_running, matched_orders, painting_the_tape, wash_trades
from detectors.scenarios.accounts.ring import F8, Ring, append
from tapewatch.kernels import kernel

ACCOUNTS: tuple[ModuleType, ...] = (wash_trades, matched_orders, front_running, painting_the_tape)
"""In the order of their bits in a code; new ones come last."""

WASH_TRADES, MATCHED_ORDERS, FRONT_RUNNING, PAINTING_THE_TAPE = (1 << bit for bit in range(4))
"""Bits of a code."""

SIZE = 512
"""Trades that a ring holds; one that was overwritten is not seen any more, whatever the window."""


def set_rules(rules: F8, parameters: Mapping[str, msgspec.Struct]) -> None:
    """Write the parameters of each scenario, by name, into a ring's `rules`."""
    for place, module in enumerate(ACCOUNTS):
        given = msgspec.structs.astuple(parameters[module.NAME])
        rules[place, : len(given)] = given


def create(parameters: dict[str, msgspec.Struct] | None = None, size: int = SIZE) -> Ring:
    """An empty ring with the parameters of each scenario, by name; shipped ones where none are given."""
    rules = np.zeros((len(ACCOUNTS), 16))
    set_rules(rules, {module.NAME: (parameters or {}).get(module.NAME) or module.Parameters() for module in ACCOUNTS})
    numbers = [np.zeros(size) for _ in range(2)]
    accounts = [np.zeros(size, dtype=np.int64) for _ in range(3)]
    return Ring(
        seen=np.zeros(1, dtype=np.int64),
        ts=accounts[0],
        price=numbers[0],
        qty=numbers[1],
        buyer=accounts[1],
        seller=accounts[2],
        rules=rules,
        values=np.full((len(ACCOUNTS), 16), np.nan),
        strengths=np.full(len(ACCOUNTS), np.nan),
    )


@kernel
def on_trade(ring: Ring, ts_ns: int, price: float, qty: float, buyer: int, seller: int) -> int:
    """Take a trade in; returns which scenarios it hits, a bit each (0: none), their evidence in ring.values and
    how strongly in ring.strengths.

    ts_ns : not before the trade before; price, qty : above 0; buyer, seller : `hashed` accounts or UNKNOWN, with which
    no scenario is assessed
    """
    append(ring, ts_ns, price, qty, buyer, seller)
    found = ring.strengths
    found[0] = wash_trades.strength(ring, ring.rules[0], ring.values[0])
    found[1] = matched_orders.strength(ring, ring.rules[1], ring.values[1])
    found[2] = front_running.strength(ring, ring.rules[2], ring.values[2])
    found[3] = painting_the_tape.strength(ring, ring.rules[3], ring.values[3])
    code = 0
    for place in range(found.size):
        if found[place] >= 1.0:
            code |= 1 << place
    return code


def evidence(ring: Ring, bit: int) -> F8:
    """Values and thresholds of one scenario's last hit, float64[16]."""
    values: F8 = ring.values[bit.bit_length() - 1]
    return values
