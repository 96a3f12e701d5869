"""Map files: which of a foreign record's names are which columns of the contract, for tables, topics and files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from producers.recordings.bar_times import zone_of
from producers.recordings.kiwoom_rows import KOREAN, REST
from tapewatch.contract.instruments import is_instrument_id
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
