"""Messages as Kraken sends them, with its documentation's checksum."""

TIME = "2023-10-06T17:35:55.440295Z"
BTC_BIDS = (
    "45283.5 0.10000000,45283.4 1.54582015,45282.1 0.10000000,45281.0 0.10000000,45280.3 1.54592586,"
    "45279.0 0.07990000,45277.6 0.03310103,45277.5 0.30000000,45277.3 1.54602737,45276.6 0.15445238"
)
BTC_ASKS = (
    "45285.2 0.00100000,45286.4 1.54571953,45286.6 1.54571109,45289.6 1.54560911,45290.2 0.15890660,"
    "45291.8 1.54553491,45294.7 0.04454749,45296.1 0.35380000,45297.5 0.09945542,45299.5 0.18772827"
)
BTC_CHECKSUM = 3_310_070_434


def book(kind: str, symbol: str, bids: str, asks: str, crc: int, time: str = TIME) -> bytes:
    sides = [
        ",".join(
            f'{{"price":{price},"qty":{qty}}}' for price, qty in (pair.split() for pair in side.split(",") if pair)
        )
        for side in (bids, asks)
    ]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{crc},"timestamp":"{time}"}}]}}'
    ).encode()


def trades(*numbers: int, kind: str = "update", time: str = TIME) -> bytes:
    data = [
        f'{{"symbol":"BTC/USD","side":"{"buy" if number % 2 else "sell"}","price":105944.20,"qty":0.00027625,'
        f'"ord_type":"limit","trade_id":{number},"timestamp":"{time}"}}'
        for number in numbers
    ]
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(data)}]}}'.encode()


def page(*numbers: int, last: int = 0) -> bytes:
    rows = ",".join(f'["105944.2","0.5",1696613755.4402950,"b","l","",{number}]' for number in numbers)
    return f'{{"error":[],"result":{{"XXBTZUSD":[{rows}],"last":"{last}"}}}}'.encode()
