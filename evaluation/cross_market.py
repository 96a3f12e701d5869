"""`tapewatch evaluate cross-market`: pairs of instruments over stored history, wherever in it each of them lies.

The two of a pair may come from different partitions and feeds: each goes through a brokerless engine for its features,
and the seconds are joined by the log's time. Nothing is written to topics.

The report of `evaluate cross-market`: every alert with the paths and net volumes of both instruments.

Returns and volumes of single instruments by second, out of a stored history, whatever partitions they lie in.
"""

import argparse
import html
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios import cross, cross_seconds, episode
from evaluation import history_features
from evaluation import pump_page as page
from evaluation.changes import with_values
from evaluation.history_features import History, Partition, Span
from evaluation.replayed import on_stderr, silent
from evaluation.what_if import add_history, finish, in_force, opened
from streams.engine import alerts
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import alert_id
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings import Settings

COLUMNS = ("ret_1s", "volume_1s", "signed_volume_1s")

Parts = dict[str, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]]


@dataclass(frozen=True, slots=True)
class Track:
    """One instrument. seconds : int64[n], of the epoch, increasing; rows : float64[n, 3], COLUMNS"""

    seconds: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float64]


def read(
    history: History, span: Span, wanted: Collection[str], say: Callable[[int, int], None] = silent
) -> tuple[dict[str, Track], int]:
    """The tracks of the wanted instruments, and how many rows were read.

    An instrument of several feeds is taken from the first that has it. TapewatchError where one has no sealed second.
    """
    found: Parts = {}
    count = 0
    for partition in history.partitions(span):
        mine, rows = _read(partition, span, wanted, say, count)
        count += rows
        for name, parts in mine.items():
            found.setdefault(name, parts)
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise TapewatchError(
            f"the history has no second of {', '.join(missing)}", "Name instruments that trade in it, as in `coverage`."
        )
    return {
        name: Track(*(np.concatenate([part[place] for part in parts]) for place in (0, 1)))
        for name, parts in found.items()
    }, count


def _read(
    partition: Partition, span: Span, wanted: Collection[str], say: Callable[[int, int], None], before: int
) -> tuple[Parts, int]:
    """One partition."""
    found: Parts = {}
    count = [0]

    def counted(rows: int, clock_ns: int) -> None:
        count[0] = rows
        say(before + rows, clock_ns)

    for columns in history_features.tables(partition, span, counted):
        for name in wanted:
            mine = columns["instrument"] == name
            if mine.any():
                rows = np.stack([columns[column][mine].astype(np.float64) for column in COLUMNS], axis=1)
                # A row is stamped with the end of its second.
                found.setdefault(name, []).append((columns["ts"][mine] // NANOS - 1, rows))
    return found, count[0]


_DRAWN = 40
"""Alerts drawn at most, the strongest first; the table has all."""
_BEFORE_S, _AFTER_S = 150, 60


def write_report(folder: Path, document: dict[str, Any], tracks: dict[str, Track]) -> Path:
    """Write cross-market.html; returns its path. document : what the command prints as JSON"""
    found = document["alerts"]
    parts = [
        page.table(
            ["what", ""],
            [
                ["history", document["history"]],
                ["span", f"{document['from']} to {document['to']}"],
                *([f"{one} and {other}", ""] for one, other in document["pairs"]),
                *document["parameters"].items(),
            ],
        ),
        f"<p>{len(found)} alerts</p>\n",
    ]
    if found:
        rows = [[one["decided"], one["severity"], f"{one['score']:.0f}", one["sentence"]] for one in found]
        parts.append(page.table(["decided", "severity", "score", ""], rows))
        plt = page.pyplot()
        strongest = sorted(found, key=lambda one: -float(one["score"]))[:_DRAWN]
        parts += [_case(plt, one, tracks) for one in strongest]
    else:
        parts.append(f"<p>{html.escape('No pair was pushed as the parameters ask.')}</p>\n")
    return page.write(folder, "cross-market.html", "Cross-market: one pushed for the sake of another", parts)


def _case(plt: Any, one: dict[str, Any], tracks: dict[str, Track]) -> str:
    """Paths in percent, and net bought volume of a second, around the decision."""
    decided = from_rfc3339(one["decided"]) // NANOS
    figure, axes = plt.subplots(3, 1, figsize=(10, 5), sharex=True, height_ratios=(3, 1, 1))
    for place, name in enumerate((one["pushed"], one["follower"]), start=1):
        track = tracks[name]
        near = (track.seconds >= decided - _BEFORE_S) & (track.seconds < decided + _AFTER_S)
        seconds, rows = track.seconds[near] - decided, track.rows[near]
        path = 100.0 * np.cumsum(np.nan_to_num(rows[:, 0]))
        axes[0].plot(seconds, path, lw=1, label=f"{name} ({'pushed' if place == 1 else 'follower'})")
        axes[place].bar(seconds, np.nan_to_num(rows[:, 2]), width=1.0, color=f"C{place - 1}")
        axes[place].set_ylabel("net units")
    axes[0].axvline(0.0, color="#c0392b", lw=0.8)
    axes[0].set_ylabel("path, %")
    axes[0].legend(fontsize=8)
    axes[2].set_xlabel("s from the decision")
    return page.picture(figure, f"{one['decided'][:19]}Z {one['pushed']} and {one['follower']}")


WINDOW_S = 90
_CHUNK_S = 4 * 3600
"""Seconds whose observations are held at once."""
_THRESHOLDS = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the pairs, the parameters and the history."""
    parser.epilog = (
        "example: tapewatch evaluate cross-market --pair BTCUSDT.BINANCE,BTCUSDT-PERP.BINANCE --feed binance"
    )
    parser.add_argument(
        "--pair", action="append", required=True, type=pair, metavar="A,B", dest="pairs",
        help="two instruments; either may be the one that is pushed; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="sets",
        help="a parameter of cross_market in place of the shipped one",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=int, default=WINDOW_S, metavar="S",
        help=f"seconds within which it all happens, 60 to 120 (default: {WINDOW_S})",
    )  # fmt: skip
    add_history(parser)


def pair(text: str) -> tuple[str, str]:
    """Two instrument ids, parted by a comma."""
    names = tuple(part.strip() for part in text.split(","))
    if len(names) != 2 or names[0] == names[1] or not all(is_instrument_id(name) for name in names):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair: write two instrument ids, A.VENUE,B.VENUE")
    return names[0], names[1]


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Look at every pair, both ways, and print the alerts."""
    if not 60 <= args.window <= 120:
        raise TapewatchError(f"--window {args.window} is not between 60 and 120", "Leave it out.")
    rule = with_values(cross.Parameters(), args.sets)
    shelf, _, _ = in_force(settings, need_kafka=args.market is None)
    history, span = opened(args, settings, shelf)
    try:
        tracks, rows = read(history, span, {name for both in args.pairs for name in both}, on_stderr())
    finally:
        history.close()
    ways = [way for one, other in args.pairs for way in ((one, other), (other, one))]
    found = [each for way in ways for each in episodes(tracks, way, span, rule, args.window)]
    document = {
        "evaluate": "cross-market",
        "history": history.where,
        "from": to_rfc3339(span.start_ns),
        "to": to_rfc3339(span.end_ns),
        "pairs": [list(both) for both in args.pairs],
        "window_s": args.window,
        "parameters": msgspec.to_builtins(rule),
        "seconds": {name: len(track.seconds) for name, track in sorted(tracks.items())},
        "alerts": sorted(found, key=lambda one: (one["decided"], one["pushed"], one["follower"])),
        "rows": rows,
    }
    return finish(args, document, lambda folder: write_report(folder, document, tracks), text)


def episodes(
    tracks: dict[str, Track], way: tuple[str, str], span: Span, rule: cross.Parameters, window: int
) -> Iterator[dict[str, Any]]:
    """The alerts of one ordered pair that are decided in the span, the pushed instrument first."""
    numbers = np.array(msgspec.structs.astuple(rule))
    e = np.zeros(episode.FIELDS)
    said: dict[str, Any] = {}
    for second, strength, values in _hits(tracks, way, numbers, window):
        # Between hits only two seconds change anything: the next one, which ends their row, and the one that closes.
        _let_pass(e, second, numbers, said)
        kind = int(episode.step(e, strength, second, 0, numbers))
        if kind == episode.OPENED:
            if said:
                yield from _inside(said, span)
            said = _described(way, e, strength, values)
        elif kind == episode.UPDATED:
            said |= _judged(way, strength, values) | {"revisions": said["revisions"] + 1}
    if said:
        _let_pass(e, max(int(track.seconds[-1]) + 1 for track in tracks.values()), numbers, said)
        yield from _inside(said, span)


def _hits(
    tracks: dict[str, Track], way: tuple[str, str], numbers: Any, window: int
) -> Iterator[tuple[int, float, Any]]:
    """Seconds that hit, with strength and evidence."""
    pushed, other = (tracks[name] for name in way)
    begin = int(max(pushed.seconds[0], other.seconds[0]))
    end = int(min(pushed.seconds[-1], other.seconds[-1])) + 1
    back = window + math.ceil(numbers[cross.WARM_S]) + 4 * 1800
    for start in range(begin, end, _CHUNK_S):
        # What is usual has a half-life of half an hour: what lies four of them before a chunk hardly counts.
        first, last = max(begin, start - back), min(end, start + _CHUNK_S)
        seen = [cross_seconds.observed(first, last, each.seconds, each.rows) for each in (pushed, other)]
        strengths, values = cross_seconds.strengths(seen[0], seen[1], window, numbers)
        for row in np.flatnonzero(strengths[start - first :] >= 1.0) + (start - first):
            yield first + int(row), float(strengths[row]), values[row].copy()


def _let_pass(e: Any, second: int, numbers: Any, said: dict[str, Any]) -> None:
    """Show an episode the seconds without a hit before `second`, as far as they change it."""
    if not episode.is_live(e):
        return
    quiet = int(e[episode.LAST_HIT]) + 1
    if quiet < second:
        kinds = [episode.step(e, 0.0, quiet, 0, numbers)]
        ends = max(
            e[episode.LAST_HIT] + numbers[episode.QUIET_S], e[episode.DECIDED] + numbers[episode.COOLDOWN_S] - 1.0
        )
        closes = max(math.ceil(ends), quiet + 1)
        if e[episode.OPEN] > 0.0 and closes < second:
            quiet = closes
            kinds.append(episode.step(e, 0.0, closes, 0, numbers))
        if episode.CLOSED in kinds:
            said["closed"] = to_rfc3339((quiet + 1) * NANOS)


def _described(way: tuple[str, str], e: Any, strength: float, values: Any) -> dict[str, Any]:
    """An alert as it opens."""
    onset, decided = (int(e[place]) * NANOS for place in (episode.ONSET, episode.DECIDED))
    return {
        "id": alert_id(cross.NAME, ">".join(way), onset),
        "scenario": cross.NAME,
        "pushed": way[0],
        "follower": way[1],
        "onset": to_rfc3339(onset),
        "decided": to_rfc3339(decided),
        "closed": None,
        "revisions": 0,
    } | _judged(way, strength, values)


def _judged(way: tuple[str, str], strength: float, values: Any) -> dict[str, Any]:
    """What a revision says anew."""
    score = alerts.strength(strength, 1.0)
    return {
        "score": score,
        "severity": alerts.severity(score),
        "sentence": cross.sentence(values.tolist(), " and ".join(way), False),
        "evidence": [
            {
                "feature": name,
                "value": _number(values[at]),
                "threshold": _number(values[at + _THRESHOLDS]),
                "unit": unit,
            }
            for at, (name, unit) in enumerate(zip(cross.VALUES, cross.UNITS, strict=True))
        ],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _inside(said: dict[str, Any], span: Span) -> list[dict[str, Any]]:
    """The alert, where it is decided in the span."""
    return [said] if to_rfc3339(span.start_ns) <= said["decided"] < to_rfc3339(span.end_ns) else []


def text(document: dict[str, Any]) -> str:
    """The result as lines."""
    lines = [f"{document['history']}, {document['from'][:19]}Z to {document['to'][:19]}Z, {document['rows']:,} rows"]
    lines += [f"  {name}: {count:,} sealed seconds" for name, count in document["seconds"].items()]
    found: Sequence[dict[str, Any]] = document["alerts"]
    lines.append(f"{len(found)} alerts")
    lines += [f"  {one['decided'][:19]}Z  {one['severity']} {one['score']:.0f}  {one['sentence']}" for one in found]
    return "\n".join(lines)
