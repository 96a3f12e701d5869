"""Figures with intervals for the cards of the shipped models, from their files and docs/results:
`python -m benchmarks.card_figures --check|--write`.

Shares get exact binomial intervals (Clopper & Pearson 1934), counts over a time exact Poisson ones (Garwood 1936),
wherever the file tells of how many; intervals over seeds and of bootstraps are taken from the results that have them. A
result of another model's hash is left out.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from detectors import registry
from detectors.registry import Figure, ModelFigures, recorded, section
from evaluation import intervals
from tapewatch import generated

MODULE = "benchmarks.card_figures"
ROOT = Path(__file__).resolve().parent.parent
FILE, CARDS, RESULTS = ROOT / "detectors" / "figures.json", ROOT / "docs" / "cards", ROOT / "docs" / "results"

_EXACT, _POISSON = "exact binomial, of {} {}", "exact Poisson, {} in {:.3g} {}"
_CARD = "training, on rows it never saw"
_EVENTS = re.compile(r"^(?P<what>.*) \((?P<count>\d+) events\)$")
_HOURS = re.compile(r"^(?P<what>.*: false alerts an instrument-hour) \((?P<h>[\d.]+) h\)$")
_AT_ALERT = ": event recall at the alert probability"
_ALERTED = "alerted_"
_PEERS = {"autoencoder_crypto": "coins"}
"""Results that are not those of the market of shares."""


def figures(detector: str, data: bytes) -> ModelFigures:
    """All figures of a shipped model that have an interval."""
    known = registry.read(data)
    metrics: Mapping[str, float] = known.model.card.metrics
    found = [*_of_events(metrics), *_of_scenarios(metrics)]
    found += _of_peers(detector, known.hash)
    if detector == "pumps":
        found += [*_of_streams(known.hash), *_of_onsets()]
    if detector == "ddqn":
        found += _of_policy(known.hash)
    if detector == "ranking":
        found += _of_ranking(known.hash)
    if detector == "regime":
        found += _of_regimes(known.hash)
    return ModelFigures(known.hash, tuple(found))


def _share(name: str, share: float, count: int, of: str) -> Figure:
    low, high = (intervals.share(round(share * count), count)[side] for side in ("low", "high"))
    return Figure(name, share, low, high, _EXACT.format(count, of), _CARD)


def _of_events(metrics: Mapping[str, float]) -> Iterator[Figure]:
    """Metrics whose names say of how many events or hours they are."""
    counts: dict[str, int] = {}
    for name in metrics:
        found = _EVENTS.match(name)
        if found:
            counts[found["what"].partition(": ")[0]] = int(found["count"])
    for name, value in metrics.items():
        events, hours = _EVENTS.match(name), _HOURS.match(name)
        if events:
            yield _share(events["what"], value, int(events["count"]), "events")
        elif hours:
            watched = float(hours["h"])
            alerts = round(value * watched)
            rate = intervals.poisson_rate(alerts, watched)
            said = _POISSON.format(alerts, watched, "instrument-hours")
            yield Figure(hours["what"], value, rate["low"], rate["high"], said, _CARD)
        elif name.endswith(_AT_ALERT) and name.removesuffix(_AT_ALERT) in counts:
            yield _share(name, value, counts[name.removesuffix(_AT_ALERT)], "events")


def _of_scenarios(metrics: Mapping[str, float]) -> Iterator[Figure]:
    """Shares of events of a kind that alerted, beside their counts."""
    for name, value in metrics.items():
        kind = name.removeprefix(_ALERTED)
        if name != kind and metrics.get(f"events_{kind}"):
            yield _share(f"{kind}: events that alert", value, int(metrics[f"events_{kind}"]), "events")


def _result(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def _of_peers(detector: str, model: str) -> Iterator[Figure]:
    """Ranking, calibration and false alerts on fresh seeds of the synthetic market."""
    file = _PEERS.get(detector, "anomaly-peers")
    result = _result(file)
    if result["models"].get(detector) != model:
        return
    source = f"[{file}](../results/{file}.json)"
    found = result["detectors"][detector]
    over = f"normal, over {len(result['seeds']['eventful'])} seeds"
    if "groups" in result:
        over = f"Student's t, over {result['groups']} groups of coins"
    for name, value in found.items():
        if isinstance(value, dict) and set(value) == {"mean", "low", "high"} and not name.startswith("false_alerts"):
            low, high = (min(max(value[side], 0.0), 1.0) for side in ("low", "high"))
            yield Figure(name, value["mean"], low, high, over, source)
    alerts, days = int(found["false_alerts"]), float(found["instrument_days"])
    rate = intervals.poisson_rate(alerts, days)
    said = _POISSON.format(alerts, days, "instrument-days")
    yield Figure("false_alerts_per_instrument_day", rate["mean"], rate["low"], rate["high"], said, source)


def _of_streams(model: str) -> Iterator[Figure]:
    """Announced pumps in raw trades."""
    result = _result("pumps")
    if result["models"].get("pumps") != model:
        return
    source = "[pumps](../results/pumps.json)"
    streams, recall = result["streams"], result["recall"]
    said = _EXACT.format(len(streams), "pumps")
    yield Figure("announced pumps found", recall["mean"], recall["low"], recall["high"], said, source)
    rate, days = result["false_alerts_per_symbol_day"], float(result["symbol_days"])
    said = _POISSON.format(result["false_alerts"], days, "symbol-days")
    yield Figure("false alerts a symbol-day", rate["mean"], rate["low"], rate["high"], said, source)


def _of_onsets() -> Iterator[Figure]:
    """The same recipe cross-validated by coin on the published features: other trees than the shipped ones."""
    for window in _result("onset")["windows"]:
        for name, title in (("ap", "AP"), ("f1", "F1")):
            value = window[name]
            yield Figure(
                f"{title} against natural spikes, {window['window_s']} s, cross-validated by coin",
                value["mean"], value["low"], value["high"], f"bootstrap, {window['pumps']} pumps",
                "[onset](../results/onset.json)",
            )  # fmt: skip


def _of_ranking(model: str) -> Iterator[Figure]:
    """What the ranking is worth on weeks that it was not fitted to."""
    result = _result("ranking")
    if result["models"]["ranking"] != model:
        return
    titles = {
        "ece": "calibration error, 15 bins",
        "auc": "AUC",
        "brier_less_base_rate": "Brier score less the base rate's",
    }
    for case in result["ranking"]:
        asked = f"{case['coin']}, {case['target']:.2%} before {case['stop']:.2%}"
        for name, title in titles.items():
            if case[name]:
                yield _over_days(f"{asked}: {title}", case[name], case["days"])


def _of_regimes(model: str) -> Iterator[Figure]:
    """How far the volatility of the next hours differs from bull to bear, by the rule in force and the naive one."""
    result = _result("ranking")
    if result["models"]["regime"] != model:
        return
    days = {case["coin"]: case["days"] for case in result["ranking"]}
    for case in result["regimes"]:
        for rule in dict.fromkeys((case["in_force"], "naive")):
            name = f"{case['coin']}, {case['hours']} h, {rule}: next log volatility, bull less bear"
            yield _over_days(name, case["rules"][rule]["next_log_volatility"], days[case["coin"]])


def _over_days(name: str, value: Mapping[str, float], days: int) -> Figure:
    said = f"bootstrap, {days} days"
    return Figure(name, value["mean"], value["low"], value["high"], said, "[ranking](../results/ranking.json)")


def _of_policy(model: str) -> Iterator[Figure]:
    """Gains of the shipped policy and of simple rules on markets that it never saw."""
    result = _result("ddqn-policy")
    if result["policy"] != model:
        return
    for market, by_name in result["markets"].items():
        for name, one in by_name.items():
            yield Figure(
                f"{market}: {name}, gain in bp of a unit a session",
                one["mean"], one["low"], one["high"], "bootstrap, markets and instruments",
                "[ddqn-policy](../results/ddqn-policy.json)",
            )  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Write the figures and the cards, or check the figures; 1 where --check finds them out of step."""
    args = generated.options(MODULE, "Figures with intervals for the models' cards.").parse_args(words)
    shipped = registry.shipped()
    found = {detector: figures(detector, data) for detector, data in sorted(shipped.items())}
    wanted = msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
    code = generated.settle({FILE: wanted.decode()}, MODULE, args.write)
    return code if args.check else _write_cards(shipped, found)


def _write_cards(shipped: Mapping[str, bytes], found: Mapping[str, ModelFigures]) -> int:
    recorded.cache_clear()
    for detector, data in shipped.items():
        (CARDS / f"{detector}.md").write_text(registry.read(data).markdown(), encoding="utf-8")
        if not section(detector, found[detector].model):
            sys.stderr.write(f"{detector}: no figure has an interval\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
