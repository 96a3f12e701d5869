"""A coin that is calm for ten minutes, then pumped and dumped."""

from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, trade

COIN = "COIN.XPMP"
CALM_S, PUMP_S = 620, 20


def pumped_market(coin: str = COIN) -> list[list[Event]]:
    """Ten minutes of one trade a second, then a pump on a hundred times the volume, then a dump; by ten seconds."""
    calm = [trade(coin, second + 0.5, 100.0, 1.0, 1 if second % 2 else -1) for second in range(CALM_S)]
    pump = [
        trade(coin, CALM_S + number / 20, 100.0 + number / 20, 5.0, 1) for number in range(PUMP_S * 20)
    ]  # fmt: skip
    dump = [trade(coin, CALM_S + PUMP_S + number / 20, 120.0 - number / 20, 5.0, -1) for number in range(PUMP_S * 20)]
    last = CALM_S + 2 * PUMP_S
    events = in_order(heartbeats(last), calm, pump, dump)
    parts = [
        [event for event in events if event.second - m.START in range(ten, ten + 10)] for ten in range(0, last + 10, 10)
    ]
    return [frame for part in parts for frame in m.frames_of(part)]
