"""Cleaning one symbol's bars: rows refused by reason, missing values, outliers, and the columns a window is made of.

Both engines call `clean`, so that their output is the same bit for bit. A row's output is a function of rows no later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streams.spark.raw import COLUMNS, MalformedRow, Raw
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TRAILING, WARM = 250, 60
"""Returns before a bar that say what is usual, and how many there must be at least."""
LEAST_SCALE = 1e-4
FILLED, OUTLIER, CLIPPED = 1, 2, 4
"""Bits of `flags`: a value was missing; the return is an outlier; the bar was clipped."""
WINDOW_COLUMNS = ("open", "high", "low", "close", "volume", "ma_7", "ma_21", "return")
_DOUBLES = [(name, pa.float64()) for name in WINDOW_COLUMNS]
BARS = pa.schema([("symbol", pa.string()), ("at", pa.int64()), *_DOUBLES, ("flags", pa.int8())])
_MISSING = ("", "None", "none", "null", "NULL", "nan", "NaN", "NA", "N/A", "-", "--")
_DAY_NS = 86_400_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_AT = 10**15
"""An integer below is no UTC nanoseconds of any market, but a date as digits or seconds."""
_YEARS = range(1700, 2262)
_IQR = 1.3489795003921634
"""Interquartile range of a standard normal distribution."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to clean.

    bar_s : a bar's length, s; a day's bar is complete at the midnight UTC after its date
    outliers : clip a bar whose return is an outlier to the limit, or keep it and mark it only
    limit : robust z beyond which a log return is an outlier: distance from the median of the trailing 250 returns, in
        their interquartile range / 1.349
    """

    bar_s: int = 86_400
    outliers: Literal["keep", "clip"] = "keep"
    limit: float = 10.0


@dataclass(frozen=True, slots=True)
class CleanBars:
    """One symbol's bars.

    bars : table of BARS, times increasing; close is never NaN, others are where a source does not tell
    refused : every row that is not among them, with its reason, in the order of file and line
    quality : counts, for people and for `quality.json`
    """

    bars: pa.Table
    refused: list[MalformedRow]
    quality: dict[str, Any] = field(default_factory=dict)


def clean(symbol: str, raw: Raw, rule: Rule) -> CleanBars:
    """A symbol's clean bars. Nothing is dropped silently: rows = bars + refused."""
    rows = raw.rows
    when, reasons = _times(rows["time"], rule)
    values = {name: _numbers(rows[name], reasons) for name in COLUMNS if name in rows.column_names}
    _refuse_impossible(values, reasons)
    order = np.argsort(when, kind="stable")
    kept = order[reasons[order] == ""]
    again = np.concatenate([[False], when[kept][1:] == when[kept][:-1]])[: len(kept)]
    reasons[kept[again]] = "repeated time"
    kept = kept[~again]
    known = {name: _known(name, value[kept], rule) for name, value in values.items()}
    last = {name: np.maximum.accumulate(np.where(there, np.arange(len(kept)), -1)) for name, there in known.items()}
    # A volume may stay unknown: closes and highs of an index are worth having without one.
    early = np.any([last[name] < 0 for name in last if name != "volume"], axis=0)
    reasons[kept[early]] = "nothing known yet"
    taken = {name: np.where(at >= 0, values[name][kept][at], np.nan)[~early] for name, at in last.items()}
    filled = {name: ~there[~early] for name, there in known.items()}
    bars, marks = _finished(symbol, when[kept[~early]], taken, np.any(list(filled.values()), axis=0), rule)
    refused = _refused(raw, reasons)
    return CleanBars(bars, refused, _quality(symbol, bars, len(rows) + len(raw.strange), refused, filled, marks))


def _times(column: pa.ChunkedArray, rule: Rule) -> tuple[I8, npt.NDArray[np.object_]]:
    """When each bar was complete, UTC nanoseconds, and `bad time` where that cannot be told."""
    if pa.types.is_integer(column.type):
        when = column.to_numpy().astype(np.int64)
        return when, np.where(when < _LEAST_AT, "bad time", "").astype(object)
    daily = rule.bar_s == 86_400
    texts = column.cast(pa.string()).to_pylist() if not pa.types.is_string(column.type) else column.to_pylist()
    begins = np.array([_nanoseconds(text, daily) for text in texts], dtype=np.int64)
    bad = begins == np.iinfo(np.int64).min
    return np.where(bad, 0, begins + rule.bar_s * 1_000_000_000), np.where(bad, "bad time", "").astype(object)


def _nanoseconds(text: str | None, daily: bool) -> int:
    """A bar's opening, UTC nanoseconds; the least int64 where the text is no time. A day is the date as written."""
    try:
        when = datetime.fromisoformat((text or "").strip().strip("'").replace("/", "-"))
    except ValueError:
        return int(np.iinfo(np.int64).min)
    if when.year not in _YEARS:
        return int(np.iinfo(np.int64).min)
    if daily:
        return (when.date().toordinal() - _EPOCH.date().toordinal()) * _DAY_NS
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _numbers(column: pa.ChunkedArray, reasons: npt.NDArray[np.object_]) -> F8:
    """float64[rows], NaN where a cell is missing; marks `no number` where it is something else."""
    found: F8
    if not pa.types.is_string(column.type):
        found = column.cast(pa.float64()).fill_null(np.nan).to_numpy().astype(np.float64)
    else:
        texts = pc.replace_substring(pc.utf8_trim_whitespace(column), ",", "")
        texts = pc.if_else(pc.is_in(texts, value_set=pa.array(_MISSING)), None, texts)
        try:
            found = texts.cast(pa.float64()).fill_null(np.nan).to_numpy().astype(np.float64)
        except pa.ArrowInvalid:
            found = np.array([_number(text) for text in texts.to_pylist()])
    reasons[np.isinf(found) & (reasons == "")] = "no number"
    return found


def _number(text: str | None) -> float:
    """NaN where missing, infinite where it is no number."""
    try:
        return float("nan") if text is None else float(text)
    except ValueError:
        return float("inf")


def _refuse_impossible(values: Mapping[str, F8], reasons: npt.NDArray[np.object_]) -> None:
    for name, value in values.items():
        reason = "negative volume" if name == "volume" else "negative price"
        reasons[(value < 0.0) & (reasons == "")] = reason
    if {"high", "low"} <= values.keys():
        high, low = values["high"], values["low"]
        reasons[(high < low) & (high > 0.0) & (reasons == "")] = "high below low"


def _known(name: str, value: F8, rule: Rule) -> Bools:
    """Where a value is one: a zero is none, but for the volume of a bar shorter than a day."""
    known: Bools = value >= 0.0 if name == "volume" and rule.bar_s < 86_400 else value > 0.0
    return known


def _finished(symbol: str, at: I8, taken: dict[str, F8], filled: Bools, rule: Rule) -> tuple[pa.Table, Bools]:
    """The table of bars, and which closes lie outside their bar's low and high."""
    nothing = np.full(len(at), np.nan)
    columns = {name: taken.get(name, nothing) for name in COLUMNS}
    outside = (columns["close"] > columns["high"]) | (columns["close"] < columns["low"])
    outlier, factor = outliers(columns["close"], rule)
    clipped = factor != 1.0
    for name in ("open", "high", "low", "close"):
        columns[name] = columns[name] * factor
    close = columns["close"]
    columns |= {"ma_7": trailing_mean(close, 7), "ma_21": trailing_mean(close, 21), "return": simple_returns(close)}
    flags = (FILLED * filled + OUTLIER * outlier + CLIPPED * clipped).astype(np.int8)
    arrays = [pa.array([symbol] * len(at), pa.string()), at, *(columns[name] for name in WINDOW_COLUMNS), flags]
    return pa.table(arrays, schema=BARS), outside


def outliers(close: F8, rule: Rule) -> tuple[Bools, F8]:
    """Which log returns are outliers, bool[bars], and what each bar's prices are multiplied by, float64[bars].

    The median and the spread at a bar are those of the 250 returns before it. A factor other than 1 is a clipped bar's:
    its return, taken from the clipped close before it, is brought to the limit; so of a single bad tick neither it nor
    the way back remains, and a lasting move is followed in steps.
    """
    factor = np.ones(len(close))
    logs = np.log(close)
    steps = np.concatenate([[np.nan], np.diff(logs)])[: len(close)]
    before = _pandas().Series(steps).shift(1).rolling(TRAILING, min_periods=WARM)
    median = before.median().to_numpy()
    spread = (before.quantile(0.75) - before.quantile(0.25)).to_numpy() / _IQR
    reach = rule.limit * np.maximum(spread, LEAST_SCALE)
    beyond = np.abs(steps - median) > reach
    if rule.outliers == "clip":
        done = 0
        for first in np.flatnonzero(beyond):
            if first >= done:
                done = _follow(logs, median, reach, factor, int(first))
    return beyond, factor


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise TapewatchError("pandas is not installed", "Install the extra: pip install 'tapewatch[spark]'.") from error
    return pandas


def _follow(logs: F8, median: F8, reach: F8, factor: F8, first: int) -> int:
    """Clip bars from `first` on until one is within reach of the bar before, as clipped, or of the last one that was
    not clipped; the row after it.
    """
    before = last = logs[first - 1]
    for row in range(first, len(logs)):
        apart = logs[row] - last - median[row]
        if min(abs(apart), abs(logs[row] - before - median[row])) <= reach[row]:
            return row + 1
        last = last + median[row] + np.copysign(reach[row], apart)
        factor[row] = np.exp(last - logs[row])
    return len(logs)


def trailing_mean(values: F8, count: int) -> F8:
    """Mean of the newest `count` values, oldest added first; NaN for the first count - 1."""
    found = np.full(len(values), np.nan)
    if len(values) >= count:
        rows = len(values) - count + 1
        total = values[:rows].copy()
        for offset in range(1, count):
            total += values[offset : offset + rows]
        found[count - 1 :] = total / count
    return found


def simple_returns(close: F8) -> F8:
    """Close over the close before, less 1; NaN for the first."""
    return np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])[: len(close)]


def _refused(raw: Raw, reasons: npt.NDArray[np.object_]) -> list[MalformedRow]:
    at = np.flatnonzero(reasons != "")
    rows = raw.rows.take(at).to_pylist()
    found = [
        MalformedRow(row.pop("file"), row.pop("line"), reason, ",".join(map(_cell, row.values())))
        for row, reason in zip(rows, reasons[at], strict=True)
    ]
    return sorted([*raw.strange, *found], key=lambda each: (each.file, each.line))


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _quality(
    symbol: str, bars: pa.Table, rows: int, refused: list[MalformedRow], filled: Mapping[str, Bools], outside: Bools
) -> dict[str, Any]:
    flags = bars["flags"].to_numpy()
    reasons = [each.reason for each in refused]
    at = bars["at"].to_numpy()
    return {
        "symbol": symbol,
        "rows": rows,
        "bars": len(bars),
        "refused": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "filled": {name: int(there.sum()) for name, there in filled.items() if there.any()},
        "outliers": int(np.count_nonzero(flags & OUTLIER)),
        "clipped": int(np.count_nonzero(flags & CLIPPED)),
        "close_outside_bar": int(outside.sum()),
        "first_at": int(at[0]) if len(at) else None,
        "last_at": int(at[-1]) if len(at) else None,
    }
