"""What an answer of MIS says: its envelope, its rows as snapshots, and the instruments that it names."""

from dataclasses import dataclass
from math import nan

import msgspec

from producers.base.ladder import Level
from producers.columns import decimal_float
from producers.venues.twse.instruments import LOT, instrument_id, taiwan_instrument
from producers.venues.twse.reports import local_ns, taipei_seconds
from producers.venues.twse.tables import Snapshot, UnreadableError
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument

GOOD, EMPTY_QUERY = "0000", "5001"
UNKNOWN = "unknown_symbol"
LIMIT = 0.1
"""Daily price limit of shares, as a fraction of the previous close."""

_MILLISECOND = 1_000_000
_ABSENT = {"", "-"}
_DELAYED = {"4", "5", "6"}


class MisRow(msgspec.Struct, frozen=True):
    """One row of `msgArray`. Every value is a text; `-` stands for none.

    ex, c : market and code; n : name; d, t : date and time of the last match; tlong : time of the last change, ms
    z, v : last price and lots so far; a, f : ask prices and lots; b, g : bid prices and lots
    y, u : previous close and limit up
    ts : 1 in trial matching; ip : 1, 2 falling or rising fast, 3 closing delayed, 4 to 6 opening or closing delayed
    st, rt : times of halt and resumption
    """

    ex: str = ""
    c: str = ""
    n: str = ""
    d: str = ""
    t: str = ""
    tlong: str = ""
    z: str = "-"
    v: str = "-"
    a: str = "-"
    f: str = "-"
    b: str = "-"
    g: str = "-"
    y: str = "-"
    u: str = "-"
    ts: str = "0"
    ip: str = "0"
    st: str = ""
    rt: str = ""


class _Envelope(msgspec.Struct):
    msgArray: tuple[msgspec.Raw, ...] = ()  # noqa: N815 - MIS's own name
    rtcode: str = ""
    rtmessage: str = ""


@dataclass(frozen=True, slots=True)
class MisAnswer:
    """An answer's rows, as texts of JSON. code, text : MIS's own return code and words"""

    code: str
    text: str
    rows: tuple[bytes, ...]


def read_answer(body: bytes) -> MisAnswer:
    """The envelope of an answer; UnreadableError `not_json` where it is none (its content type always says HTML)."""
    try:
        found = msgspec.json.decode(body.strip(), type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError("not_json", str(error)) from error
    return MisAnswer(found.rtcode, found.rtmessage, tuple(bytes(row) for row in found.msgArray))


def read_row(row: bytes) -> MisRow:
    """A row's texts; UnreadableError `malformed`, or `unknown_symbol` where MIS does not know what it was asked for."""
    try:
        found = msgspec.json.decode(row, type=MisRow)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError("malformed", str(error)) from error
    if not found.c or not found.ex:
        raise UnreadableError(UNKNOWN)
    return found


def snapshot(row: MisRow, received: int) -> Snapshot:
    """A row as a snapshot; UnreadableError where it is no good.

    received : UTC nanoseconds, tells whether a halt has begun or ended
    """
    try:
        instrument = instrument_id(row.c, row.ex)
        event, changed = _times(row)
        volume = _number(row.v) * LOT if row.v not in _ABSENT else 0.0
        last = _number(row.z)
    except ValueError as error:
        raise UnreadableError("bad_value", str(error)) from error
    return Snapshot(
        instrument=instrument,
        event=event,
        sequence=changed // _MILLISECOND,
        volume=volume,
        last=last if last > 0.0 else nan,
        bids=_levels(row.b, row.g),
        asks=_levels(row.a, row.f),
        deep=True,
        trial=_trial(row),
        halted=_halted(row, received),
    )


def instruments_of(body: bytes) -> list[Instrument]:
    """The instruments that an answer names, with name and price limit."""
    found: list[Instrument] = []
    for raw in read_answer(body).rows:
        try:
            row = read_row(raw)
            found.append(taiwan_instrument(instrument_id(row.c, row.ex), row.n, _price_limit(row)))
        except ValueError:
            continue
    return found


def _price_limit(row: MisRow) -> float:
    """A tenth where the limit up lies at or just below it (it is rounded down to a tick), 0 where there is no limit."""
    try:
        close, highest = _number(row.y), _number(row.u)
    except ValueError:
        return 0.0
    share = highest / close - 1.0 if close > 0.0 else nan
    return LIMIT if 0.0 < share <= LIMIT + 1e-9 else 0.0


def _times(row: MisRow) -> tuple[int, int]:
    """Time of what the row shows, and of its last change, UTC ns.

    After the close `tlong` moves on with after-hours trading while price and book are those of `t`.
    """
    changed = int(row.tlong) * _MILLISECOND
    if not row.d or not row.t:
        return changed, changed
    shown = local_ns(row.d, row.t)
    return (changed if abs(changed - shown) < 2 * NANOS else min(shown, changed)), changed


def _number(text: str) -> float:
    """A decimal text; NaN for `-`; ValueError for anything else."""
    return nan if text in _ABSENT else decimal_float(text)


def _levels(prices: str, lots: str) -> tuple[Level, ...]:
    """Levels of `_`-separated texts with a trailing `_`; a price of 0 stands for market orders and is left out."""
    if prices in _ABSENT and lots in _ABSENT:
        return ()
    price_texts, lot_texts = prices.strip("_").split("_"), lots.strip("_").split("_")
    if len(price_texts) != len(lot_texts):
        raise UnreadableError("level_mismatch", f"{len(price_texts)} prices, {len(lot_texts)} sizes")
    try:
        pairs = [
            (decimal_float(price), decimal_float(size) * LOT)
            for price, size in zip(price_texts, lot_texts, strict=True)
            if price not in _ABSENT
        ]
    except ValueError as error:
        raise UnreadableError("bad_value", str(error)) from error
    return tuple(pair for pair in pairs if pair[0] != 0.0)


def _trial(row: MisRow) -> str:
    if row.ts != "1":
        return ""
    return "trial matching, opening or closing delayed" if row.ip in _DELAYED else "trial matching"


def _halted(row: MisRow, received: int) -> str:
    """Until when a halt lasts that is in force at the receipt time, HH:MM:SS; empty where there is none."""
    if row.st in _ABSENT or row.rt in _ABSENT:
        return ""
    seconds = taipei_seconds(received)
    now = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return row.rt if row.st <= now < row.rt else ""
