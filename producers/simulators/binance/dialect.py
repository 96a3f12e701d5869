"""In what Binance's three markets differ: paths, limits and the fields of their messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from producers.simulators.server import ConnectionRules

SPOT_RULES = ConnectionRules(ping_s=20.0, pong_s=60.0)
FUTURES_RULES = ConnectionRules(ping_s=180.0, pong_s=600.0)


_ANY = r".*"
_PUBLIC = r".*@(trade|bookTicker|depth(@\d+ms)?)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One market.

    name : also its struct in the settings' venues; prefix : of REST paths; futures : depth events hold `pu`
    streams : most streams a connection; messages : most incoming messages a second and connection
    weight : request weight a minute; depths : limits that /depth takes, with their weights; weights : of the other
    paths, the whole list's second; lot : decimals of the market's quantities; decimals : written at least
    routes : what streams (a pattern of their names) are sent by which path before /stream and /ws
    trade, aggregate, ticker, depth : messages without the stream's wrapper
    """

    name: str
    prefix: str
    futures: bool
    streams: int
    messages: int
    weight: int
    rules: ConnectionRules
    depths: Mapping[int, int]
    trade: bytes
    aggregate: bytes
    ticker: bytes
    depth: bytes
    lot: int = 3
    decimals: int = 0
    connections: int = 300
    routes: Mapping[str, str] = field(default_factory=lambda: {"": _ANY})
    weights: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def pair(self, symbol: str) -> str:
        """The pair of a COIN-M symbol; elsewhere the symbol."""
        return symbol.partition("_")[0]


# The second filling-in: event time, ids and levels; the first one is the symbol (and COIN-M's pair).
SPOT = Dialect(
    name="binance",
    prefix="/api/v3",
    futures=False,
    streams=1024,
    messages=5,
    weight=6_000,
    rules=SPOT_RULES,
    depths={5: 5, 10: 5, 20: 5, 50: 5, 100: 5, 500: 25, 1000: 50, 5000: 250},
    trade=b'{"e":"trade","E":%%d,"s":"%(s)b","t":%%d,"p":"%%b","q":"%%b","T":%%d,"m":%%b,"M":true}',
    aggregate=b'{"e":"aggTrade","E":%%d,"s":"%(s)b","a":%%d,"p":"%%b","q":"%%b","f":%%d,"l":%%d,"T":%%d,"m":%%b,"M":true}',
    ticker=b'{"u":%%d,"s":"%(s)b","b":"%%b","B":"%%b","a":"%%b","A":"%%b"}',
    depth=b'{"e":"depthUpdate","E":%%d,"s":"%(s)b","U":%%d,"u":%%d,"b":[%%b],"a":[%%b]}',
    decimals=8,
    weights={"exchangeInfo": (20, 20), "ticker/24hr": (2, 80), "aggTrades": (4, 4), "historicalTrades": (25, 25)},
)
_FUTURES_TRADE = b'{"e":"trade","E":%%d,"T":%%d,"s":"%(s)b","t":%%d,"p":"%%b","q":"%%b","X":"MARKET","m":%%b}'
_FUTURES_AGGREGATE = b'{"e":"aggTrade","E":%%d,"a":%%d,"s":"%(s)b","p":"%%b","q":"%%b","f":%%d,"l":%%d,"T":%%d,"m":%%b}'
_FUTURES_WEIGHTS = {"exchangeInfo": (1, 1), "ticker/24hr": (1, 40), "aggTrades": (20, 20), "historicalTrades": (20, 20)}
_FUTURES_DEPTHS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_SYMBOL, _SYMBOL_AND_PAIR = b'"s":"%(s)b"', b'"s":"%(s)b","ps":"%(p)b"'
USDM = Dialect(
    name="binance_usdm",
    prefix="/fapi/v1",
    futures=True,
    streams=1024,
    messages=10,
    weight=2_400,
    rules=FUTURES_RULES,
    depths=_FUTURES_DEPTHS,
    trade=_FUTURES_TRADE,
    aggregate=_FUTURES_AGGREGATE,
    ticker=b'{"e":"bookTicker","u":%%d,"s":"%(s)b","b":"%%b","B":"%%b","a":"%%b","A":"%%b","T":%%d,"E":%%d}',
    depth=b'{"e":"depthUpdate","E":%%d,"T":%%d,"s":"%(s)b","U":%%d,"u":%%d,"pu":%%d,"b":[%%b],"a":[%%b]}',
    weights=_FUTURES_WEIGHTS,
    # Every path takes every subscription, and sends what is routed to it.
    routes={"": _PUBLIC, "/public": _PUBLIC, "/market": r".*@aggTrade"},
)
COINM = replace(
    USDM,
    name="binance_coinm",
    prefix="/dapi/v1",
    ticker=USDM.ticker.replace(_SYMBOL, _SYMBOL_AND_PAIR),
    depth=USDM.depth.replace(_SYMBOL, _SYMBOL_AND_PAIR),
    lot=0,
    routes=SPOT.routes,
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (SPOT, USDM, COINM)}
