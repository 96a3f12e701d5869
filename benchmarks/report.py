"""Fills the tables of docs/performance.md from the results in docs/results: `python -m benchmarks.report`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
Document = dict[str, Any]


def engine_table(result: Document) -> str:
    """Rates and costs by number of instruments."""
    lines = [
        "| instruments | quotes | quotes/s | CPU a quote, ns | engine process, MiB |",
        "|--:|--:|--:|--:|--:|",
    ]
    for count, size in sorted(result["instruments"].items(), key=lambda item: int(item[0])):
        lines.append(
            f"| {int(count):,} | {size['input']['rows']:,} | {_figure(size['quotes_per_s'])} "
            f"| {_figure(size['cpu_ns_per_quote'])} "
            f"| {_figure(size['engine_rss_mib'])} |"
        )
    memory = result["bytes_per_instrument"]
    return "\n".join([
        *lines,
        "",
        f"Medians of {result['runs']} runs, least and most in brackets; stages: {result['stages']}. An instrument "
        f"takes {_figure(memory) if memory else 'an unmeasured number of'} bytes of resident memory, "
        f"{result['state_bytes_per_instrument']:,} of "
        f"them state. {_where(result)}",
    ])  # fmt: skip


def profile_table(result: Document) -> str:
    """Nanoseconds by stage."""
    stages, total = result["ns_per_quote"], result["total"]
    lines = ["| stage | CPU a quote, ns | share |", "|---|--:|--:|"]
    lines += [f"| {name} | {value:,.0f} | {value / total:.0%} |" for name, value in stages.items()]
    sizes = result["bytes_per_quote"]
    return "\n".join([
        *lines,
        f"| sum | {total:,.0f} | |",
        "",
        f"{result['input']['instruments']:,} instruments; {sizes['in']:.0f} bytes in and {sizes['out']:.0f} bytes out "
        "a quote. "
        f"{_where(result)}",
    ])  # fmt: skip


def peers_table(result: Document) -> str:
    """Rates and ratios."""
    lines = [
        "| | version | guarantee | quotes | quotes/s | CPU a quote, ns | tapewatch is faster by |",
        "|---|---|---|--:|--:|--:|--:|",
        f"| tapewatch | {result['versions']['tapewatch']} | exactly-once | {result['input']['rows']:,} "
        f"| {result['quotes_per_s']:,.0f} "
        f"| {result['cpu_ns_per_quote']:,.0f} | |",
    ]
    for name, run in result["peers"].items():
        lines.append(
            f"| {name} | {run['version']} | {run['guarantee']} | {run['quotes']:,} | {run['quotes_per_s']:,.0f} "
            f"| {run['cpu_ns_per_quote']:,.0f} | {result['ratios'][name]:,.0f} times |"
        )
    return "\n".join([*lines, "", _where(result)])


TABLES: dict[str, Callable[[Document], str]] = {
    "bench-engine": engine_table,
    "bench-profile": profile_table,
    "bench-peers": peers_table,
}
"""What is made of docs/results/NAME.json, for the place `<!-- NAME -->` to `<!-- end NAME -->`."""


def filled(page: str, name: str, table: str) -> str:
    """The page with the table between its marks; ValueError where they are missing."""
    start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no place for {name}")
    return f"{before}{start}\n{table}\n{end}{after}"


def main() -> int:
    """Fill every table whose result is there."""
    path = DOCS / "performance.md"
    page = path.read_text()
    for name, table in TABLES.items():
        result = DOCS / "results" / f"{name}.json"
        if result.exists():
            page = filled(page, name, table(json.loads(result.read_text())))
    path.write_text(page)
    return 0


def _figure(figure: Document) -> str:
    return f"{figure['median']:,.0f} ({figure['min']:,.0f} to {figure['max']:,.0f})"


def _where(result: Document) -> str:
    """Machine and versions in a sentence."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    facts = f"{machine['cores']} cores of {machine['cpu']}, load {machine['load_before']} before it"
    return f"{facts}, Python {machine['python']}; {packages}."


if __name__ == "__main__":
    sys.exit(main())
