"""Foreign records as rows of the contract, by a map.

Map files: which of a foreign record's names are which columns of the contract, for tables, topics and files.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from producers.base.collector import Collector
from producers.columns import decimal_float
from producers.recordings.bar_times import BarTimes, zone_of
from producers.recordings.kiwoom_minutes import KOREAN, REST
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.rows import Condition
from tapewatch.errors import TapewatchError

NEEDED: dict[str, tuple[str, ...]] = {
    "bar": ("time", "open", "high", "low", "close", "volume"),
    "trade": ("time", "price", "qty"),
    "quote": ("time", "bid_price", "bid_qty", "ask_price", "ask_qty"),
}
"""Columns that must be named, by row type. `time` is a bar's begin, or the venue's time of a trade or quote."""
ALLOWED: dict[str, tuple[str, ...]] = {
    "bar": ("trades",),
    "trade": ("aggressor_side", "trade_id"),
    "quote": ("last_price", "volume"),
}
"""Columns that may be named too."""

PRESETS: dict[str, dict[str, Any]] = {
    "opt10080": {"columns": KOREAN.columns, "signs": True, "timezone": "Asia/Seoul"},
    "ka10080": {"columns": REST.columns, "signs": True, "timezone": "Asia/Seoul"},
}
"""What a preset sets where the map says nothing: Kiwoom's minute chart, by the names of its two interfaces."""
_SIDES: dict[str, Literal[-1, 0, 1]] = {"1": 1, "-1": -1, "0": 0, "buy": 1, "sell": -1, "B": 1, "S": -1}


class RowMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a record becomes a row.

    type : row type; preset : names, signs and time zone of a known source (opt10080, ka10080)
    instrument : id of every record, or `instrument_column` with `instrument_form` ("{}.XKRX") and `instruments`, which
    names ids one by one and goes before the form
    columns : contract column -> name in the record; time_more : a second name whose text follows time's (date and time)
    timezone : of times without an offset; interval_s : length of a bar; ends : whether a bar's time is its end
    signs : whether prices and quantities carry direction signs, which are taken off
    sides : what aggressor_side is written as -> 1 (buy), -1 (sell) or 0
    """

    type: Literal["bar", "trade", "quote"] = "bar"
    preset: str = ""
    instrument: str = ""
    instrument_column: str = ""
    instrument_form: str = "{}"
    instruments: dict[str, str] = {}
    columns: dict[str, str] = {}
    time_more: str = ""
    timezone: str = ""
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60
    ends: bool = False
    signs: bool = False
    sides: dict[str, Literal[-1, 0, 1]] = msgspec.field(default_factory=lambda: dict(_SIDES))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of a record that is looked at."""
        more = [name for name in (self.instrument_column, self.time_more) if name]
        return tuple(dict.fromkeys([*self.columns.values(), *more]))


def checked(row_map: RowMap) -> RowMap:
    """The map with its preset filled in; TapewatchError where it does not say enough or says what does not exist."""
    row_map = _filled(row_map)
    needed, allowed = NEEDED[row_map.type], ALLOWED[row_map.type]
    missing = [column for column in needed if column not in row_map.columns]
    if missing:
        raise TapewatchError(
            f"the map names no column for {', '.join(missing)}", f"A {row_map.type} needs {', '.join(needed)}."
        )
    unknown = sorted(set(row_map.columns) - {*needed, *allowed})
    if unknown:
        raise TapewatchError(
            f"a {row_map.type} has no column {', '.join(unknown)}", f"Use {', '.join((*needed, *allowed))}."
        )
    if bool(row_map.instrument) == bool(row_map.instrument_column):
        raise TapewatchError("the map names no instrument, or two", "Set either instrument or instrument_column.")
    for instrument in filter(None, (row_map.instrument, *row_map.instruments.values())):
        if not is_instrument_id(instrument):
            raise TapewatchError(f"{instrument!r} is not an instrument id", "Write SYMBOL.VENUE, as in 005930.XKRX.")
    if row_map.instrument_form.count("{}") != 1:
        raise TapewatchError("instrument_form needs one {}", 'Write the market after it, as in "{}.XKRX".')
    zone_of(row_map.timezone)
    return row_map


F = TypeVar("F", bound=msgspec.Struct)


def read_map(path: Path, kind: type[F]) -> F:
    """A map file (TOML) as `kind`; TapewatchError names the key that is unknown or wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise TapewatchError(
            f"cannot read {path}: {error.strerror}", "Name an existing map file with --map."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TapewatchError(f"{path} is not valid TOML: {error}", "Mend the file.") from error
    except msgspec.ValidationError as error:
        raise TapewatchError(f"{path}: {error}", "See the example in docs/venues/sql.md.") from error


def _filled(row_map: RowMap) -> RowMap:
    """The map with what its preset sets; the map's own words go before."""
    if not row_map.preset:
        return row_map if row_map.timezone else msgspec.structs.replace(row_map, timezone="UTC")
    preset = PRESETS.get(row_map.preset)
    if preset is None:
        raise TapewatchError(f"there is no preset {row_map.preset!r}", f"Use one of {', '.join(PRESETS)}.")
    return msgspec.structs.replace(
        row_map,
        columns={**preset["columns"], **row_map.columns},
        signs=preset["signs"],
        timezone=row_map.timezone or preset["timezone"],
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS_AWAY = 1_000


class RowError(Exception):
    """A record that is no row. reason : null_value, malformed_time, malformed_instrument, not_exact_float, bad_bar,
    price_not_positive, bad_quantity, crossed_quote or unknown_code
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class RowMapper:
    """Turns records (name -> value, as a database driver or a JSON or CSV reader gives them) into rows."""

    def __init__(self, row_map: RowMap) -> None:
        self.map = checked(row_map)
        self._columns = self.map.columns
        self._times = BarTimes((), zone_of(self.map.timezone))
        self._zone = zone_of(self.map.timezone)
        self._ids: dict[str, str] = dict(self.map.instruments)
        self._values: Callable[[Mapping[str, Any]], tuple[Any, ...]] = {
            "bar": self._bar,
            "trade": self._trade,
            "quote": self._quote,
        }[self.map.type]

    def require(self, present: Collection[str]) -> None:
        """TapewatchError where names of the map are not among those present; it says which might be meant."""
        for name in self.map.names:
            if name not in present:
                near = difflib.get_close_matches(name, list(present), n=1)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise TapewatchError(f"there is no column {name!r}", f"{hint}There are: {', '.join(present)}.")

    def instrument(self, record: Mapping[str, Any]) -> str:
        """The record's instrument id; RowError where there is none."""
        if self.map.instrument:
            return self.map.instrument
        text = str(self._there(record, self.map.instrument_column)).strip()
        found = self._ids.get(text)
        if found is None:
            found = self.map.instrument_form.format(text.upper())
            if not is_instrument_id(found):
                raise RowError("malformed_instrument", text[:80])
            self._ids[text] = found
        return found

    def event_time(self, record: Mapping[str, Any]) -> int:
        """When what the record tells was so, UTC nanoseconds: the end of a bar; RowError where it is no time."""
        time = self._time(record)
        if self.map.type == "bar" and not self.map.ends:
            return time + self.map.interval_s * NANOS
        return time

    def add(self, collector: Collector, record: Mapping[str, Any], received: int) -> None:
        """Add the record's row; RowError where it is none, and nothing is added. received : ts_recv, UTC nanoseconds"""
        instrument, event = self.instrument(record), self.event_time(record)
        values = self._values(record)
        row = (collector.code(instrument), event, received)
        if self.map.type == "bar":
            interval_s = self.map.interval_s
            collector.bars.append((*row, event - interval_s * NANOS, interval_s, *values))
        elif self.map.type == "trade":
            collector.trades.append((*row, *values))
        else:
            collector.quotes.append((*row, *values))

    def _bar(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        opening, high, low, close = (self._number(record, name) for name in ("open", "high", "low", "close"))
        volume = self._number(record, "volume")
        trades = self._number(record, "trades") if "trades" in self._columns else 0.0
        if not 0.0 < low <= min(opening, close) or not max(opening, close) <= high:
            raise RowError("bad_bar", f"open {opening} high {high} low {low} close {close}")
        if volume < 0.0 or trades < 0.0 or trades % 1.0:
            raise RowError("bad_quantity", f"volume {volume} trades {trades}")
        return opening, high, low, close, volume, int(trades)

    def _trade(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        price, qty = self._number(record, "price"), self._number(record, "qty")
        _positive(price)
        if qty <= 0.0:
            raise RowError("bad_quantity", f"{qty}")
        side = 0
        if "aggressor_side" in self._columns:
            text = str(self._there(record, self._columns["aggressor_side"])).strip()
            if text not in self.map.sides:
                raise RowError("unknown_code", text[:80])
            side = self.map.sides[text]
        number = record.get(self._columns["trade_id"]) if "trade_id" in self._columns else None
        return price, qty, side, int(Condition.REGULAR), None if number is None else str(number)

    def _quote(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        bid, bid_qty = self._number(record, "bid_price"), self._number(record, "bid_qty")
        ask, ask_qty = self._number(record, "ask_price"), self._number(record, "ask_qty")
        last, volume = (
            self._number(record, name) if name in self._columns else float("nan") for name in ("last_price", "volume")
        )
        _positive(bid)
        _positive(ask)
        if bid_qty < 0.0 or ask_qty < 0.0 or volume < 0.0:
            raise RowError("bad_quantity", f"{bid_qty} {ask_qty} {volume}")
        if bid > ask:
            raise RowError("crossed_quote", f"{bid} {ask}")
        return bid, bid_qty, ask, ask_qty, last, volume

    def _time(self, record: Mapping[str, Any]) -> int:
        value = self._there(record, self._columns["time"])
        text = str(value)
        if self.map.time_more:
            text = f"{text} {self._there(record, self.map.time_more)}"
        time = self._moment(value) if isinstance(value, datetime) else self._times.one(text)
        if time <= 0:
            raise RowError("malformed_time", text[:80])
        return time

    def _moment(self, value: datetime) -> int:
        aware = value if value.tzinfo else value.replace(tzinfo=self._zone)
        away = aware.astimezone(UTC) - _EPOCH
        return (away.days * 86_400 + away.seconds) * NANOS + away.microseconds * _MICROS_AWAY

    def _number(self, record: Mapping[str, Any], column: str) -> float:
        name = self._columns[column]
        value = self._there(record, name)
        if isinstance(value, float):
            text = repr(value)
        elif isinstance(value, Decimal):
            text = format(value, "f")
        else:
            text = str(value).strip()
        if self.map.signs:
            text = text.lstrip("+-").replace(",", "")
        try:
            return decimal_float(text)
        except (ValueError, ArithmeticError):
            raise RowError("not_exact_float", f"{name} {text[:80]}") from None

    @staticmethod
    def _there(record: Mapping[str, Any], name: str) -> Any:
        value = record.get(name)
        if value is None or value == "":
            raise RowError("null_value", name)
        return value


def _positive(price: float) -> None:
    if not price > 0.0:
        raise RowError("price_not_positive", f"{price}")
