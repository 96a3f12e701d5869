"""docs/monitoring.md names every metric and every alert rule there is, and nothing else."""

import importlib
import re
from pathlib import Path

from tapewatch.monitoring import DECLARED, Metric

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/monitoring.md").read_text()
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


def test_the_page_has_every_metric_with_its_type_labels_and_meaning() -> None:
    on_page = set(re.findall(r"^\| `(?:tapewatch|process)_.*\|$", PAGE, flags=re.MULTILINE))
    there = declared()
    assert sorted(there - on_page) == []
    assert sorted(on_page - there) == []


def test_every_rule_has_its_runbook_on_the_page() -> None:
    rules = (ROOT / "infra/prometheus/rules.yml").read_text()
    names = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"^### (Tapewatch\w+)$", PAGE, flags=re.MULTILINE) == names
    assert re.findall(r"runbook: (\S+)", rules) == [f"docs/monitoring.md#{name.lower()}" for name in names]
    assert len(re.findall(r"labels: \{severity: (?:page|ticket)\}", rules)) == len(names)


def test_rules_ask_only_for_metrics_that_there_are() -> None:
    declared()
    rules = (ROOT / "infra/prometheus/rules.yml").read_text()
    asked = set(re.findall(r"\b(tapewatch_[a-z_]+)", rules))
    assert asked <= DECLARED.keys()
    assert asked


def test_operations_page_leads_to_the_runbook_of_every_rule_and_of_no_other() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    rules = (ROOT / "infra/prometheus/rules.yml").read_text()
    wanted = re.findall(r"- alert: (\w+)\n.*?severity: (\w+)", rules, flags=re.DOTALL)
    listed = re.findall(
        r"^\| (Tapewatch\w+) \| (page|ticket) \| \[monitoring\]\(monitoring\.md#(\w+)\) \|$", page, re.MULTILINE
    )
    assert [(name, severity) for name, severity, _ in listed] == wanted
    assert all(anchor == name.lower() for name, _, anchor in listed)
