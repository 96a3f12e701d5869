"""Messages as Coinbase sends them."""

import json
from typing import Any

TIME = "2026-04-07T14:30:00.123456789Z"
BOOK = [
    ("bid", "68900.00", "1.5"),
    ("bid", "68899.50", "0.75"),
    ("offer", "68901.00", "0.5"),
    ("offer", "68901.50", "1.2"),
]


def message(channel: str, sequence: int, *events: dict[str, Any], time: str = TIME) -> bytes:
    head = {"channel": channel, "client_id": "", "timestamp": time, "sequence_num": sequence}
    return json.dumps(head | {"events": list(events)}).encode()


def book(sequence: int, kind: str, levels: list[tuple[str, str, str]], product: str = "BTC-USD") -> bytes:
    updates = [
        {"side": side, "event_time": TIME, "price_level": price, "new_quantity": qty} for side, price, qty in levels
    ]
    return message("l2_data", sequence, {"type": kind, "product_id": product, "updates": updates})


def past(*numbers: int) -> list[dict[str, str]]:
    common = {"product_id": "BTC-USD", "price": "68900.50", "size": "0.00150000", "time": TIME}
    return [common | {"trade_id": str(number), "side": "BUY" if number % 2 else "SELL"} for number in numbers]


def trades(sequence: int, *numbers: int, kind: str = "update") -> bytes:
    return message("market_trades", sequence, {"type": kind, "trades": past(*numbers)})
