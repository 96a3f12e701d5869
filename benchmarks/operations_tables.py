"""Fills the tables of docs/operations.md from docs/results: `python -m benchmarks.operations_tables [--check]`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import DOCS, filled, written

PAGE = DOCS / "operations.md"
NOT_MEASURED = "Not measured yet."


def upgrade_table(result: dict[str, Any]) -> str:
    """Each process with what its replacement took."""
    lines = ["| process | to | ready after, s | longest stall of output around it, s |", "|---|---|--:|--:|"]
    lines += [
        f"| {step['process']} | {_to(step['to'])} | {step['took_s']:.1f} | {step['stall_s']:.1f} |"
        for step in result["steps"]
    ]
    old, new, where, plan = result["old"], result["new"], result["where"], result["plan"]
    recovered = result["recovered"]
    kept = sum(each["snapshot_offset"] > 0 for each in recovered)
    return "\n".join([
        *lines,
        "",
        f"From {old['source']} (build `{old['hash']}`, snapshot format {old['snapshot_format']}) to {new['source']} "
        f"(`{new['hash']}`, format {new['snapshot_format']}), {plan['rows_per_second']:,.0f} rows/s of "
        f"{plan['instruments']} instruments, {result['seconds']:.0f} s: **{result['rows_in']:,} rows in, "
        f"{result['lost']} lost, {result['duplicated']} duplicated, {result['different']} different**; longest stall "
        f"of a partition {result['longest_stall_s']:.1f} s, around an engine {result['longest_engine_stall_s']:.1f} s. "
        f"Transactions by build: {', '.join(f'{count:,} of `{name}`' for name, count in result['commits'].items())}. "
        f"{kept} of {len(recovered)} times a partition was taken up it began with a snapshot, "
        f"{result['unreadable_snapshots']} snapshots could not be used. "
        f"{where['cores']} cores, {where['cpu']}, load {where['load_before']:g} before the run.",
    ])  # fmt: skip


def disaster_table(result: dict[str, Any]) -> str:
    """Each loss with what making it good took."""
    lines = ["| lost | how it came back | s | what says that it is whole |", "|---|---|--:|---|"]
    lines += [
        f"| {each['what']} | {each['how']} | {each['seconds']:.1f} | {each['proved']} |" for each in result["restored"]
    ]
    facts = result["machine"]
    return "\n".join([
        *lines,
        "",
        f"{result['rows']:,} rows and {result['alerts']:,} alerts, {result['log_mib']:,.0f} MiB of topics; starts of "
        f"processes included. {facts['cores']} cores, {facts['cpu']}, load {facts['load_before']:g} before the run.",
    ])  # fmt: skip


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"rolling-upgrade": upgrade_table, "disaster": disaster_table}
"""By name of the place on the page and of the result's file."""


def page(text: str, results: Path) -> str:
    """The page with every table in its place; where there is no result, it says so."""
    for name, table in TABLES.items():
        file = results / f"{name}.json"
        text = filled(text, name, table(json.loads(file.read_text())) if file.exists() else NOT_MEASURED)
    return text


def _to(word: str) -> str:
    return "the new build" if word == "new" else "back to the old one"


def main(words: list[str]) -> int:
    """Write the page, or only say whether it is in step."""
    return written(PAGE, page(PAGE.read_text(), DOCS / "results"), "benchmarks.operations_tables", words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
