"""Messages as Upbit sends them."""

import json

MS = 1_700_000_000_000


def book(ms: int = MS, ask: str = "1.16539E8", bid: str = "1.16538E8", stream: str = "REALTIME") -> bytes:
    units = f'[{{"ask_price":{ask},"bid_price":{bid},"ask_size":0.02054761,"bid_size":0.08120946}}]'
    head = f'"type":"orderbook","code":"KRW-BTC","timestamp":{ms},"total_ask_size":2.5,"total_bid_size":1.6'
    return f'{{{head},"orderbook_units":{units},"stream_type":"{stream}","level":0}}'.encode()


def trade(number: int, price: str = "46769000.0", side: str = "BID", stream: str = "REALTIME", ms: int = MS) -> bytes:
    return (
        f'{{"type":"trade","code":"KRW-BTC","timestamp":{ms},"trade_timestamp":{ms},"trade_price":{price},'
        f'"trade_volume":0.00185096,"ask_bid":"{side}","sequential_id":{number},"stream_type":"{stream}"}}'
    ).encode()


def ticker(ms: int = MS, state: str = "ACTIVE") -> bytes:
    return (
        f'{{"type":"ticker","code":"KRW-BTC","timestamp":{ms},"trade_price":1.16538E8,"acc_trade_volume":12.5,'
        f'"market_state":"{state}","stream_type":"REALTIME"}}'
    ).encode()


def past(*numbers: int, ms: int = MS) -> bytes:
    rows = [
        {"market": "KRW-BTC", "timestamp": ms, "trade_price": 5e7, "trade_volume": 0.5, "ask_bid": "ASK"}
        | {"sequential_id": number}
        for number in numbers
    ]
    return json.dumps(rows).encode()
