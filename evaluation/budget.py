"""`tapewatch evaluate budget`: thresholds that keep the alert budget over stored history, as TOML for `config apply`.

It applies nothing: a person reads the file, tries it with `evaluate what-if`, and applies it with a reason.

The report of `evaluate budget`: what each multiple of the thresholds would open, and alerts before and after.

Which thresholds of a scenario decide how often it alerts, and a configuration with them multiplied.
"""

import argparse
import html
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from detectors.scenarios.catalogue import SENSITIVE
from evaluation import intervals, spending
from evaluation import pump_page as page
from evaluation.changes import keys_of
from evaluation.history_features import History, Span
from evaluation.replayed import Replay, on_stderr, replay, silent
from evaluation.what_if import add_history, finish, in_force, opened
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

Multiples = Mapping[tuple[str, str], float]
"""By class of instruments (empty for all) and scenario."""


def scenarios(config: DetectorConfig) -> list[str]:
    """Scenarios whose thresholds can be multiplied."""
    return [name for name in config.__struct_fields__ if parameters(config, name)]


def parameters(config: DetectorConfig, scenario: str) -> tuple[str, ...]:
    """The parameters that are multiplied; none for what is no scenario."""
    section = getattr(config, scenario)
    if not isinstance(section, msgspec.Struct):
        return ()
    known = section.__struct_fields__
    return tuple(name for name in SENSITIVE.get(scenario, ()) if name in known)


def by_class(config: DetectorConfig) -> bool:
    """Whether a configuration can differ by class of instruments."""
    return "classes" in config.__struct_fields__


def changes(config: DetectorConfig, multiples: Multiples) -> dict[str, Any]:
    """What `config apply` is given: only the sections that differ, values to four significant digits."""
    tree: dict[str, Any] = {}
    whole = msgspec.to_builtins(config)
    for (kind, scenario), multiple in multiples.items():
        standing = whole[scenario] | (whole["classes"].get(kind, {}).get(scenario, {}) if kind else {})
        values = {
            name: float(f"{multiple * standing[name]:.4g}") for name in parameters(config, scenario) if multiple != 1.0
        }
        if values and kind:
            tree.setdefault("classes", {}).setdefault(kind, {})[scenario] = values
        elif values:
            tree[scenario] = values
    return tree


def multiplied(config: DetectorConfig, multiples: Multiples) -> DetectorConfig:
    """The configuration with every named scenario's thresholds multiplied."""
    whole = msgspec.to_builtins(config)
    return msgspec.convert(merged(whole, changes(config, multiples)), DetectorConfig)


def merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with those of `over` on top."""
    found = dict(tree)
    for key, value in over.items():
        known = found.get(key)
        found[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found


_SHOWN = 12
"""Scenarios drawn at most, those that open most first; the table has all."""


def write_report(folder: Path, document: dict[str, Any]) -> Path:
    """Write budget.html; returns its path. document : what the command prints as JSON"""
    parts = [_summary(document)]
    drawn = sorted(document["scenarios"], key=lambda one: -int(one["alerts_at_steps"][0]))[:_SHOWN]
    if drawn:
        plt = page.pyplot()
        parts += [_ladder(plt, document, drawn), _before_and_after(plt, drawn), _scenarios(document)]
    else:
        parts.append("<p>Over this history no scenario opened an alert: there is nothing to set.</p>\n")
    parts.append(_proposal(document))
    return page.write(folder, "budget.html", "Alert budget: thresholds proposed", parts)


def _summary(document: Mapping[str, Any]) -> str:
    rows: list[list[object]] = [
        ["history", document["history"]],
        ["span", f"{document['from']} to {document['to']}"],
        ["instrument-days", f"{document['instrument_days']:.3g}"],
        ["budget, alerts an instrument-day", f"{document['per_instrument_day']:g}"],
    ]
    for side, title in (("in_force", "in force"), ("proposed", "as proposed")):
        found = document[side]
        rate = found["alerts_per_instrument_day"]
        shown = f": {rate['mean']:.3g} an instrument-day ({rate['low']:.3g} to {rate['high']:.3g})" if rate else ""
        rows.append([f"{title} ({found['configuration']})", f"{found['alerts']} alerts{shown}"])
    return page.table(["what", ""], rows)


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['scenario']}, {one['class']}" if one["class"] else str(one["scenario"])


def _ladder(plt: Any, document: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]]) -> str:
    """Alerts of each scenario over the multiples tried, a cross where the proposal lies."""
    figure, axes = plt.subplots(figsize=(10, 4.5))
    for one in drawn:
        (line,) = axes.plot(document["steps"], one["alerts_at_steps"], "o-", ms=3, lw=1, label=_label(one))
        axes.plot(one["multiple"], one["alerts_proposed"], "x", ms=9, mew=2, color=line.get_color())
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xlabel("multiple of the thresholds in force; x: proposed")
    axes.set_ylabel("alerts over the history")
    axes.legend(fontsize=8)
    return page.picture(figure, "What each multiple opens")


def _before_and_after(plt: Any, drawn: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = plt.subplots(figsize=(10, 0.45 * len(drawn) + 1.2))
    for shift, key, title in ((-0.2, "alerts_in_force", "in force"), (0.2, "alerts_proposed", "as proposed")):
        axes.barh([place + shift for place in range(len(drawn))], [one[key] for one in drawn], 0.38, label=title)
    axes.set_yticks(range(len(drawn)), [_label(one) for one in drawn])
    axes.invert_yaxis()
    axes.set_xlabel("alerts over the history")
    axes.legend()
    return page.picture(figure, "Alerts before and after")


def _scenarios(document: Mapping[str, Any]) -> str:
    rows = [
        [
            _label(one),
            f"{one['multiple']:g}",
            one["alerts_in_force"],
            one["alerts_proposed"],
            "the last step tried still opens more than its part" if one["at_end_of_ladder"] else "",
        ]
        for one in document["scenarios"]
    ]
    return page.table(["scenario", "multiple", "alerts in force", "as proposed", ""], rows)


def _proposal(document: Mapping[str, Any]) -> str:
    """The keys that would change."""
    rows = [[key, document["replaces"][key], value] for key, value in keys_of(document["proposal"])]
    if not rows:
        return "<p>The thresholds in force keep the budget: nothing to change.</p>\n"
    note = "`tapewatch config apply FILE --why TEXT` brings them into force; `tapewatch evaluate what-if` tries them."
    return page.table(["key", "in force", "proposed"], rows) + f"<p>{html.escape(note)}</p>\n"


_DAY_S = 86_400.0
Say = Callable[[int, int], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the budget and the history."""
    parser.epilog = "example: tapewatch evaluate budget --per-instrument-day 2 --feed binance > thresholds.toml"
    parser.add_argument(
        "--per-instrument-day", type=float, default=0.0, metavar="X",
        help="alerts an instrument and day (default: the setting alerts.per_instrument_day)",
    )  # fmt: skip
    parser.add_argument(
        "--loosest", type=float, default=1.0, metavar="X",
        help="least multiple of the thresholds in force that is tried; below 1 loosens them (default: 1)",
    )  # fmt: skip
    add_history(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Propose thresholds and print them."""
    budget = args.per_instrument_day or settings.alerts.per_instrument_day
    if not budget > 0.0 or not args.loosest > 0.0:
        raise TapewatchError("budget and multiple must be above 0", "Mend the arguments.")
    shelf, models, config = in_force(settings, need_kafka=args.market is None)
    history, span = opened(args, settings, shelf)
    try:
        document = proposed(history, span, config, (shelf, models), budget, args.loosest, on_stderr())
    finally:
        history.close()
    return finish(args, document, lambda folder: write_report(folder, document), text)


def proposed(
    history: History,
    span: Span,
    config: DetectorConfig,
    models: tuple[ModelStore, Mapping[str, str]],
    budget: float,
    loosest: float = 1.0,
    say: Say = silent,
) -> dict[str, Any]:
    """The proposal and what it gives over the same history.

    budget : alerts an instrument and day of all scenarios together, in each class
    """
    steps = spending.ladder(loosest)
    names = scenarios(config)
    tried = [multiplied(config, {("", name): step for name in names}) for step in steps]
    found = counts(history, span, [config, *tried], models, say)
    standing, *ladder = found.episodes
    kinds = _kinds(history, found, config)
    multiples = _chosen(ladder, kinds, steps, budget * found.watched_s / _DAY_S, names)
    wanted = multiplied(config, multiples)
    under = counts(history, span, [wanted], models, say)
    days = found.watched_s / _DAY_S
    return {
        "evaluate": "budget",
        "history": history.where,
        "from": to_rfc3339(span.start_ns),
        "to": to_rfc3339(span.end_ns),
        "begins": found.begins,
        "instrument_days": days,
        "per_instrument_day": budget,
        "in_force": _rate(len(standing), days) | {"configuration": config.hash},
        "proposed": _rate(len(under.episodes[0]), days) | {"configuration": wanted.hash},
        "scenarios": [
            {
                "class": kind,
                "scenario": name,
                "multiple": float(f"{multiple:.4g}"),
                "alerts_in_force": _count(standing, kinds, kind, name),
                "alerts_proposed": _count(under.episodes[0], kinds, kind, name),
                "at_end_of_ladder": multiple >= steps[-1],
                "alerts_at_steps": [_count(episodes, kinds, kind, name) for episodes in ladder],
            }
            for (kind, name), multiple in sorted(multiples.items())
        ],
        "steps": list(steps),
        "proposal": changes(config, multiples),
        "replaces": _replaced(config, changes(config, multiples)),
        "rows": found.rows,
    }


def counts(
    history: History,
    span: Span,
    configs: Sequence[DetectorConfig],
    models: tuple[ModelStore, Mapping[str, str]],
    say: Say = silent,
) -> Replay:
    """The alerts of the history under each configuration."""
    shelf, names = models

    def force(config: DetectorConfig) -> Callable[[], ActiveModels]:
        return lambda: ActiveModels(shelf, names, config)

    return replay(history.partitions(span), [force(config) for config in configs], span, say)


def _kinds(history: History, found: Replay, config: DetectorConfig) -> dict[str, str]:
    """Class by instrument, where thresholds can differ by class and there is more than one; else nothing."""
    if not by_class(config):
        return {}
    kinds = {name: history.kind(name) for name in found.instruments}
    return kinds if len(set(kinds.values())) > 1 else {}


def _chosen(
    ladder: Sequence[Sequence[Any]], kinds: Mapping[str, str], steps: Sequence[float], allowed: float, names: list[str]
) -> dict[tuple[str, str], float]:
    """The multiple of every scenario that alerts, by class. allowed : alerts of all scenarios over the history"""
    by_step: list[Counter[tuple[str, str]]] = [spending.counted(episodes, kinds) for episodes in ladder]
    loosest: dict[str, dict[str, float]] = defaultdict(dict)
    for (kind, name), count in by_step[0].items():
        if name in names:
            loosest[kind][name] = float(count)
    members = Counter(kinds.values())
    chosen = {}
    for kind, wants in loosest.items():
        part = allowed * members[kind] / len(kinds) if kinds else allowed
        for name, share in spending.shares(wants, part).items():
            found = [counter[kind, name] for counter in by_step]
            chosen[kind, name] = spending.multiple(found, steps, share)
    return chosen


def _count(episodes: Sequence[Any], kinds: Mapping[str, str], kind: str, name: str) -> int:
    return spending.counted(episodes, kinds)[kind, name]


def _rate(alerts: int, days: float) -> dict[str, Any]:
    return {"alerts": alerts, "alerts_per_instrument_day": intervals.poisson_rate(alerts, days) if days > 0 else None}


def _replaced(config: DetectorConfig, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """The value in force of every key of the proposal."""
    standing = dict(keys_of(msgspec.to_builtins(config)))
    return {key: standing.get(key, standing.get(".".join(key.split(".")[-2:]))) for key, _ in keys_of(proposal)}


def text(document: dict[str, Any]) -> str:
    """The proposal as a TOML file with its reasons as comments."""
    budget, standing, wanted = document["per_instrument_day"], document["in_force"], document["proposed"]
    lines = [
        f"# alert budget: {budget:g} an instrument and day, over {document['instrument_days']:.3g} instrument-days of",
        f"# {document['history']}, {document['from'][:19]}Z to {document['to'][:19]}Z",
        f"# in force ({standing['configuration']}): {_said(standing)}",
        f"# as proposed: {_said(wanted)}",
        "# try it with `tapewatch evaluate what-if`; `tapewatch config apply FILE --why TEXT` brings it into force",
    ]
    lines += [
        f"# {one['scenario']}: the last step tried still opens more than its part" for one in document["scenarios"]
        if one["at_end_of_ladder"]
    ]  # fmt: skip
    section = ""
    for key, value in keys_of(document["proposal"]):
        table, _, name = key.rpartition(".")
        if table != section:
            section = table
            lines += ["", f"[{table}]"]
        lines.append(f"{name} = {value}  # {document['replaces'][key]} in force")
    return "\n".join(
        lines if document["proposal"] else [*lines, "# the thresholds in force keep it: nothing to change"]
    )


def _said(side: Mapping[str, Any]) -> str:
    rate = side["alerts_per_instrument_day"]
    shown = f", {rate['mean']:.3g} an instrument-day ({rate['low']:.3g} to {rate['high']:.3g})" if rate else ""
    return f"{side['alerts']} alerts{shown}"
