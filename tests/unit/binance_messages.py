"""Messages as Binance sends them, and trades as it sends them again."""

SYMBOL, NAME = "BTCUSDT", "BTCUSDT.BINANCE"
START = 1_760_000_000


def quote(number: int) -> bytes:
    data = f'{{"u":{number},"s":"{SYMBOL}","b":"100.00","B":"2","a":"100.01","A":"3"}}'
    return f'{{"stream":"btcusdt@bookTicker","data":{data}}}'.encode()


def trade(number: int, at: int, price: str = "100.00") -> bytes:
    data = f'{{"e":"trade","E":{at},"s":"{SYMBOL}","t":{number},"p":"{price}","q":"1.0","T":{at},"m":false,"M":true}}'
    return f'{{"stream":"btcusdt@trade","data":{data}}}'.encode()


def fetched(first: int, last: int, kept: int) -> bytes:
    """Trades first to last, a second apart at a price of their own; the venue has those from `kept` on."""
    rows = [
        f'{{"id":{n},"price":"250.00","qty":"9.0","time":{(START + n) * 1000},"isBuyerMaker":false}}'
        for n in range(max(first, kept), last + 1)
    ]
    return f"[{','.join(rows)}]".encode()
