"""What Binance lists, as instruments of ours."""

from typing import Any

import msgspec

from producers.base.universe import Listing
from tapewatch.contract.instruments import Instrument, Tick, is_instrument_id


class _Filter(msgspec.Struct):
    filterType: str = ""  # noqa: N815
    tickSize: str = ""  # noqa: N815
    stepSize: str = ""  # noqa: N815


class _Symbol(msgspec.Struct):
    symbol: str
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractType: str = ""  # noqa: N815
    baseAsset: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815
    contractSize: float = 1.0  # noqa: N815
    filters: list[_Filter] = []


class _Exchange(msgspec.Struct):
    symbols: list[_Symbol]


class _Day(msgspec.Struct):
    symbol: str
    quoteVolume: str = "0"  # noqa: N815
    baseVolume: str = "0"  # noqa: N815


_EXCHANGE = msgspec.json.Decoder(_Exchange)
_DAYS = msgspec.json.Decoder(list[_Day])


def instrument_id(symbol: str, perpetual: bool) -> str:
    """Our id: BTCUSDT.BINANCE, BTCUSDT-PERP.BINANCE, BTCUSD-PERP.BINANCE, BTCUSDT_250926.BINANCE."""
    return f"{symbol.removesuffix('_PERP')}-PERP.BINANCE" if perpetual else f"{symbol}.BINANCE"


def listings(exchange: bytes, days: bytes | None) -> list[Listing]:
    """The listings in an exchangeInfo answer, ranked by a 24-hour answer; ids that ours cannot be are left out.

    msgspec.MsgspecError where an answer is none of the kind.
    """
    turnover = {day.symbol: _number(day.quoteVolume) or _number(day.baseVolume) for day in _DAYS.decode(days or b"[]")}
    found = []
    for one in _EXCHANGE.decode(exchange).symbols:
        name = instrument_id(one.symbol, one.contractType == "PERPETUAL")
        if not is_instrument_id(name):
            continue
        kind = "perpetual" if one.contractType == "PERPETUAL" else "future" if one.contractType else "spot"
        steps: dict[str, Any] = {each.filterType: each for each in one.filters}
        tick = _number(getattr(steps.get("PRICE_FILTER"), "tickSize", ""))
        lot = _number(getattr(steps.get("LOT_SIZE"), "stepSize", "")) or 1.0
        instrument = Instrument(
            id=name,
            name=one.symbol,
            currency=one.quoteAsset,
            kind=kind,
            ticks=(Tick(0.0, tick),) if tick else (),
            lot=lot,
        )
        status = one.status or one.contractStatus
        traits = {"base": one.baseAsset, "quote": one.quoteAsset, "status": status, "contract": one.contractType}
        found.append(Listing(one.symbol, instrument, turnover.get(one.symbol, 0.0), status == "TRADING", traits))
    return found


def _number(text: str) -> float:
    """The number; 0 where it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if value - value == 0.0 else 0.0
