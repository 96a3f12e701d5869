"""Twelve features of a quote and its distance to eight K-means centres, record by record, in plain Python.

The definitions are those of the engine's features of the same names (docs/features.md) where every quote begins a
new second. The state of an instrument is a dict of numbers and short lists, so that any store can hold it. NaN is None.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = (
    "ret_1s", "ret_5s", "ret_10s", "ewma_vol", "volume_1s", "spread_bps", "spread_ratio", "microprice_dev_bps",
    "depth_imb_1", "ofi_1s",
    "ofi_10s", "vwap_dev_bps",
)  # fmt: skip

OWN_SECOND = ("spread_bps", "microprice_dev_bps", "depth_imb_1")
"""Those of them that need nothing but their own quote."""

_A60, _A300 = 1.0 - 2.0 ** (-1.0 / 60.0), 1.0 - 2.0 ** (-1.0 / 300.0)
_RETURNS = (1, 5, 10)

Numbers = list[float | None]


class Centres:
    """Centres over scaled features. location, scale : of each feature; centres : scaled values; clip : their limit."""

    def __init__(self, file: str) -> None:
        model = json.loads(Path(file).read_text())
        self.location: list[float] = model["location"]
        self.scale: list[float] = model["scale"]
        self.centres: list[list[float]] = model["centres"]
        self.clip: float = model["clip"]

    def distance(self, features: Numbers) -> float | None:
        """Distance to the nearest centre per square root of feature; None where more than half of them are missing."""
        present = [place for place, value in enumerate(features) if value is not None]
        if 2 * len(present) < len(features):
            return None
        clip = self.clip
        scaled = [
            min(max((features[place] - self.location[place]) * self.scale[place], -clip), clip)  # type: ignore[operator]
            for place in present
        ]
        nearest = min(
            sum((value - centre[place]) ** 2 for value, place in zip(scaled, present, strict=True))
            for centre in self.centres
        )
        return math.sqrt(nearest / len(present))


def fresh() -> dict[str, Any]:
    """The state of an instrument before its first quote."""
    return {
        "age": 0, "bid": 0.0, "bid_qty": 0.0, "ask": 0.0, "ask_qty": 0.0, "volume": None, "traded": False, "prices": [],
        "flows": [],
        "ofi10": 0.0, "ewma": 0.0, "spread": None, "notional": 0.0, "shares": 0.0,
    }  # fmt: skip


def step(state: dict[str, Any], quote: Mapping[str, Any]) -> Numbers:
    """Take a quote into the state (changed in place) and return its features in the order of NAMES."""
    age = state["age"]
    bid, bid_qty, ask, ask_qty = quote["bid_price"], quote["bid_qty"], quote["ask_price"], quote["ask_qty"]
    flow = _order_flow(state, bid, bid_qty, ask, ask_qty)
    state["bid"], state["bid_qty"], state["ask"], state["ask_qty"] = bid, bid_qty, ask, ask_qty
    volume = _traded(state, quote["volume"], quote["last_price"])
    mid = 0.5 * (bid + ask)
    price = math.log(mid)
    prices = state["prices"]
    prices.append(price)
    if len(prices) > 11:
        del prices[0]
    returns: Numbers = [price - prices[-1 - lag] if age >= lag else None for lag in _RETURNS]
    moved = returns[0] or 0.0
    state["ewma"] += _A60 * (moved * moved - state["ewma"])
    spread, usual, both = ask - bid, state["spread"], bid_qty + ask_qty
    ratio = spread / usual if age >= 59 and usual else None
    state["spread"] = spread if usual is None else usual + _A300 * (spread - usual)
    flows = state["flows"]
    flows.append(flow)
    state["ofi10"] += flow
    if len(flows) > 10:
        state["ofi10"] -= flows.pop(0)
    state["age"] = age + 1
    vwap = state["notional"] / state["shares"] if state["shares"] > 0.0 else None
    return [
        *returns,
        math.sqrt(state["ewma"]) if age >= 59 else None,
        volume,
        spread / mid * 10_000.0,
        ratio,
        ((ask * bid_qty + bid * ask_qty) / both - mid) / mid * 10_000.0 if both > 0.0 else None,
        (bid_qty - ask_qty) / both if both > 0.0 else None,
        flow,
        state["ofi10"] if age >= 9 else None,
        (mid - vwap) / vwap * 10_000.0 if vwap else None,
    ]


def record(quote: Mapping[str, Any], features: Numbers, distance: float | None) -> dict[str, Any]:
    """What a peer writes for a quote."""
    return {
        "instrument": quote["instrument"],
        "ts": quote["ts"],
        **dict(zip(NAMES, features, strict=True)),
        "distance": distance,
    }


def _order_flow(state: dict[str, Any], bid: float, bid_qty: float, ask: float, ask_qty: float) -> float:
    """Signed depth change at the touch (Cont, Kukanov & Stoikov 2014, eq. 2); 0 on the first quote."""
    if state["age"] == 0:
        return 0.0
    flow = 0.0
    if bid >= state["bid"]:
        flow += bid_qty
    if bid <= state["bid"]:
        flow -= state["bid_qty"]
    if ask <= state["ask"]:
        flow -= ask_qty
    if ask >= state["ask"]:
        flow += state["ask_qty"]
    return flow


def _traded(state: dict[str, Any], volume: float, last: float) -> float | None:
    """Quantity traded since the last quote; None before the first trade of the session."""
    before, state["volume"] = state["volume"], volume
    traded = volume - before if before is not None else 0.0
    if traded > 0.0:
        state["traded"] = True
        state["notional"] += last * traded
        state["shares"] += traded
    return traded if state["traded"] else None
