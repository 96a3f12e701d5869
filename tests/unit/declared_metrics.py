"""Every metric that the product declares."""

import importlib
import re
from pathlib import Path

from tapewatch.runtime.monitoring import DECLARED, Metric

ROOT = Path(__file__).resolve().parents[2]
DECLARES = re.compile(r"^\w+ = (counter|gauge|histogram|counters)\(|: (counter|gauge|histogram)\(", re.MULTILINE)


def row(metric: Metric) -> str:
    """A metric's line of the page's tables."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |"


def declared() -> set[str]:
    """Rows of the metrics of every module of the product that declares any."""
    for package in ("tapewatch", "producers", "streams", "sinks", "console", "infra"):
        for path in (ROOT / package).rglob("*.py"):
            if DECLARES.search(path.read_text()):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {row(metric) for metric in DECLARED.values()}
