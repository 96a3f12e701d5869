"""`tapewatch evaluate what-if`: alerts over stored history under what is in force and under a change, side by side.

Nothing is written to topics: both run in brokerless tasks over the same records, apart from live alerts.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from evaluation import changes, intervals, pairing
from evaluation.history_features import History, Span
from evaluation.replayed import Episode, Replay, on_stderr, replay
from evaluation.stored_files import FileHistory
from streams.commands.models import reached
from streams.engine import control
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings import Settings

WARM_UP_S = 7200.0
"""Four half-lives of the slowest mean that a scenario uses."""
_DAY_S = 86_400.0
_LISTED = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the change and the history."""
    parser.epilog = (
        "example: tapewatch evaluate what-if --set scenario.pump_and_dump.min_rise=0.03 "
        "--from 2026-01-05T00:00:00Z --to 2026-01-06T00:00:00Z --feed binance"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
        help="scenario.NAME.param=value; several make one what-if",
    )  # fmt: skip
    parser.add_argument(
        "--models", action="append", default=[], metavar="DETECTOR=HASH", help="model in place of the one in force"
    )
    add_history(parser)


def add_history(parser: argparse.ArgumentParser) -> None:
    """Add where the history lies and which part of it counts."""
    for word, what, end in (("from", "alerts decided from here on count", "begin"), ("to", "and before this", "end")):
        parser.add_argument(
            f"--{word}", dest=f"{word}_ns", type=when, default=0, metavar="TIME",
            help=f"{what}: RFC 3339 or a date, UTC, of the log's time (default: the history's {end})",
        )  # fmt: skip
    parser.add_argument("--feed", default="", help="of this feed alone (default: every market topic)")
    parser.add_argument(
        "--market", type=Path, metavar="DIR",
        help="a folder of Parquet files or of pump streams instead of Kafka",
    )  # fmt: skip
    parser.add_argument(
        "--warm-up", type=float, default=WARM_UP_S, metavar="S",
        help=f"log time read before --from where no snapshot lies nearer, s (default: {WARM_UP_S:.0f})",
    )  # fmt: skip


def when(text: str) -> int:
    """UTC ns of an RFC 3339 time or an ISO date."""
    try:
        return from_rfc3339(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return int(aware.timestamp()) * NANOS + aware.microsecond * 1000


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run both over the history and print what differs."""
    if not args.sets and not args.models:
        raise TapewatchError("nothing is changed", "Name a change with --set or --models.")
    shelf, models, config = in_force(settings, need_kafka=args.market is None)
    wanted = changes.with_settings(config, args.sets)
    chosen = models | changes.model_changes(_full(args.models, settings, shelf), shelf, models)
    history, span = opened(args, settings, shelf)
    try:
        found = replay(
            history.partitions(span),
            [lambda: ActiveModels(shelf, models, config), lambda: ActiveModels(shelf, chosen, wanted)],
            span,
            on_stderr(),
        )
    finally:
        history.close()
    document = _document(found, span, history.where, (config, wanted), (models, chosen))
    return finish(args, document, lambda folder: _report(folder, document, found), text)


def finish(
    args: argparse.Namespace,
    document: Any,
    report: Callable[[Path], Path],
    lines: Callable[[Any], str],
) -> int:
    """Write the document where it was asked for."""
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        print(report(args.report), file=sys.stderr)
    print(encoded.decode() if args.json else lines(document))
    return 0


def _report(folder: Path, document: dict[str, Any], found: Replay) -> Path:
    from evaluation.what_if_report import write_report

    return write_report(folder, document, found)


def in_force(settings: Settings, need_kafka: bool) -> tuple[ModelStore, dict[str, str], DetectorConfig]:
    """Where models are found, and which models and configuration are in force; as shipped where Kafka is not needed and
    does not answer.
    """
    shelf, standing = reached(settings, must=need_kafka)
    return shelf, control.models_in_force(standing), control.config_in_force(standing)


def opened(args: argparse.Namespace, settings: Settings, shelf: ModelStore) -> tuple[History, Span]:
    """The history and the span of it that counts."""
    if args.market is not None and args.feed:
        raise TapewatchError("--feed is of Kafka, --market of files", "Give one of them.")
    if args.market is not None:
        history: Any = FileHistory(args.market)
    else:
        from evaluation.stored_topics import TopicHistory

        history = TopicHistory(settings, shelf, args.feed)
    first, last = history.extent if not (args.from_ns and args.to_ns) else (args.from_ns, args.to_ns)
    span = Span(args.from_ns or first, args.to_ns or last + 2 * NANOS, args.warm_up)
    if span.start_ns >= span.end_ns or args.warm_up < 0.0:
        raise TapewatchError("--from lies behind --to, or --warm-up below 0", "Mend the arguments.")
    return history, span


def _full(wanted: Sequence[str], settings: Settings, shelf: ModelStore) -> list[str]:
    """`detector=hash` with the whole hash, the file put on the shelf; a beginning of it will do."""
    full = []
    for one in wanted:
        detector, equals, model = one.partition("=")
        name = shelf.put(control.find(settings, shelf, model.strip())) if equals else model
        full.append(f"{detector}{equals}{name}")
    return full


def _document(
    found: Replay,
    span: Span,
    where: str,
    configs: tuple[DetectorConfig, DetectorConfig],
    models: tuple[dict[str, str], dict[str, str]],
) -> dict[str, Any]:
    old, new = found.episodes
    pairs = pairing.paired(old, new, span.end_ns)
    days = found.watched_s / _DAY_S
    before, after = models
    return {
        "evaluate": "what-if",
        "history": where,
        "from": to_rfc3339(span.start_ns),
        "to": to_rfc3339(span.end_ns),
        "begins": found.begins,
        "changes": changes.differences(*configs),
        "models": {
            name: {"old": before.get(name), "new": after[name]} for name in after if before.get(name) != after[name]
        },
        "instrument_days": days,
        "old": counted(old, days) | {"configuration": configs[0].hash},
        "new": counted(new, days) | {"configuration": configs[1].hash},
        "only_old": [described(episode) for episode in pairs.only_old],
        "only_new": [described(episode) for episode in pairs.only_new],
        "changed": [
            described(after) | {"before": _before(before), "earlier_s": (before.decided_ns - after.decided_ns) / NANOS}
            for before, after in pairs.changed
        ],
        "same": pairs.same,
        "rows": found.rows,
        "rows_per_s": round(len(found.episodes) * found.rows / max(found.seconds, 1e-9)),
    }


def counted(episodes: Sequence[Episode], days: float) -> dict[str, Any]:
    """How many, by scenario and severity, and how many an instrument and day with a Poisson interval."""
    return {
        "alerts": len(episodes),
        "by_scenario": dict(sorted(Counter(each.first.scenario for each in episodes).items())),
        "by_severity": dict(sorted(Counter(each.first.severity for each in episodes).items())),
        "alerts_per_instrument_day": intervals.poisson_rate(len(episodes), days) if days > 0.0 else None,
    }


def described(episode: Episode) -> dict[str, Any]:
    """An alert of the list."""
    first = episode.first
    return {
        "id": first.id,
        "scenario": first.scenario,
        "instrument": first.instrument,
        "onset": first.onset,
        "decided": first.decided,
        "severity": first.severity,
        "score": first.score,
        "sentence": first.sentence,
    }


def _before(episode: Episode) -> dict[str, Any]:
    first = episode.first
    return {"id": first.id, "decided": first.decided, "severity": first.severity, "score": first.score}


def text(document: dict[str, Any]) -> str:
    """The result as lines."""
    said = {**document["changes"], **{f"model {name}": both for name, both in document["models"].items()}}
    lines = [f"{key}: {both['old']} -> {both['new']}" for key, both in said.items()] or ["nothing differs"]
    lines += [f"{document['history']}, {document['from'][:19]}Z to {document['to'][:19]}Z, {document['rows']:,} rows"]
    lines += [f"  {name}: begun {begin}" for name, begin in document["begins"].items()]
    for name in ("old", "new"):
        side = document[name]
        rate = side["alerts_per_instrument_day"]
        by = ", ".join(f"{count} {scenario}" for scenario, count in side["by_scenario"].items()) or "none"
        shown = f"; {rate['mean']:.3g} an instrument-day ({rate['low']:.3g} to {rate['high']:.3g})" if rate else ""
        lines.append(f"{name}: {side['alerts']} alerts ({by}){shown}")
    for name, title in (("only_old", "only before"), ("only_new", "only after"), ("changed", "in both, changed")):
        lines += [f"{title}: {len(document[name])}", *(f"  {_line(one)}" for one in document[name][:_LISTED])]
        if len(document[name]) > _LISTED:
            lines.append(f"  and {len(document[name]) - _LISTED} more: --json lists all")
    return "\n".join([*lines, f"in both, as before: {document['same']}"])


def _line(one: dict[str, Any]) -> str:
    before = one.get("before")
    was = f"  (was {before['decided'][:19]}Z {before['severity']} {before['score']:.0f})" if before else ""
    who = f"{one['scenario']:<16} {one['instrument']:<18}"
    return f"{one['decided'][:19]}Z  {who} {one['severity']} {one['score']:.0f}{was}"
