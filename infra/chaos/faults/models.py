"""What is in force changes in the middle of the stream: another model, other thresholds."""

import json
from importlib.util import find_spec
from pathlib import Path

from infra.chaos.faults.kind import MODELS, Fault, Ground, Kind, NotInjectedError, Pause

WHY = ["--why", "fault kit", "--who", "chaos", "--json"]


def promote(site: Ground, fault: Fault, pause: Pause) -> str:
    """The shipped K-means model with an alert distance up to 2 % larger is promoted: a version nobody had before."""
    model = json.loads(_shipped().read_text())
    factor = 1 + 0.02 * fault.draw
    model["alert"] = round(model["alert"] * factor, 6)
    model["alerts"] = [round(each * factor, 6) for each in model["alerts"]]
    file = site.folder / f"{fault.kind}.json"
    file.write_text(json.dumps(model, separators=(",", ":")))
    _run(site, ["models", "promote", str(file), *WHY])
    return f"kmeans, alert distance {model['alert']}"


def apply_config(site: Ground, fault: Fault, pause: Pause) -> str:
    """The ratio at which an anomaly's episode is told again becomes another one."""
    ratio = round(1.2 + fault.draw, 6)
    file = site.folder / "applied.json"
    file.write_text(json.dumps({"kmeans_anomaly": {"update_ratio": ratio}}))
    _run(site, ["config", "apply", str(file), *WHY])
    return f"kmeans_anomaly, update ratio {ratio}"


def _shipped() -> Path:
    found = find_spec("detectors")
    if found is None or found.origin is None:
        raise NotInjectedError("the shipped models are not there")
    return Path(found.origin).parent / "kmeans" / "shipped" / "kmeans.json"


def _run(site: Ground, words: list[str]) -> None:
    status, _ = site.command(words)
    if status:
        raise NotInjectedError(f"`tapewatch {' '.join(words[:2])}` ended with {status}")


KINDS = (
    Kind("promote_model", "another K-means model is promoted in the middle of the stream", MODELS, promote),
    Kind("apply_config", "other thresholds come into force in the middle of the stream", MODELS, apply_config),
)
