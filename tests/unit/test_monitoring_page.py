"""docs/monitoring.md names every metric and every alert rule there is, and nothing else."""

import re

from tapewatch.runtime.monitoring import DECLARED
from tests.unit.declared_metrics import ROOT, declared

PAGE = (ROOT / "docs/monitoring.md").read_text()


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
