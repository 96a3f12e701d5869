"""Fills the table of docs/reliability.md from docs/results/chaos.json: `python -m benchmarks.chaos_table [--check]`."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import DOCS, filled, written

NAME = "chaos"
PAGE, RESULT = DOCS / "reliability.md", DOCS / "results" / "chaos.json"
NOT_MEASURED = "Not measured yet."


def table(result: dict[str, Any]) -> str:
    """Each kind of fault with what it did, and the sums."""
    lines = [
        "| fault | times | lost | duplicated | longest stall, s | beyond the faults, s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for each in result["by_fault"]:
        counts = f"{each['times']} | {each['lost']} | {each['duplicated']} | {each['longest_stall_s']:.1f}"
        counts += f" | {each['beyond_faults_s']:.1f}"
        lines.append(f"| `{each['kind']}` | {counts} |")
    where = result["where"]
    return "\n".join([
        *lines,
        f"| **all** | **{result['faults_in_all']}** | **{result['lost']}** | **{result['duplicated']}** "
        f"| **{result['longest_stall_s']:.1f}** | **{result['beyond_faults_s']:.1f}** |",
        "",
        f"{result['rows_in']:,} rows in, {result['minutes']:g} minutes, seed {result['seed']}: {result['lost']} lost, "
        f"{result['duplicated']} duplicated, {result['different']} different, {result['late']} late. "
        f"{where['cores']} cores, {where['cpu']}, {where['memory_gib']:.0f} GiB, "
        f"load {where['load_before']:g} before the run.",
        "",
        "Lost, duplicated, different by verifier: " + "; ".join(
            f"{name} {found['lost']}, {found['duplicated']}, {found['different']}"
            for name, found in result["verified"].items()
        ) + ".",
    ])  # fmt: skip


def page(text: str, result: Path) -> str:
    """The page with the table of the result in its place; without a result it says so."""
    return filled(text, NAME, table(json.loads(result.read_text())) if result.exists() else NOT_MEASURED)


def main(words: list[str]) -> int:
    """Write the page, or only say whether it is in step."""
    return written(PAGE, page(PAGE.read_text(), RESULT), "benchmarks.chaos_table", words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
