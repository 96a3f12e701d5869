"""Fills the tables of docs/performance.md and README from docs/results: `python -m benchmarks.report`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
README = DOCS.parent / "README.md"
QUIET = 1.5
"""README states no result that was measured while more than this was running on the machine (load average)."""

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


def recovery_table(result: Document) -> str:
    """Seconds by instruments and length of log."""
    lines = [
        "| instruments | log behind the snapshot, s | rows | snapshot, MiB | snapshot read, s | log replayed, s "
        "| recovery, s |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {point['instruments']:,} | {point['log_s']} | {point['rows']:,} | {point['snapshot_mib']:,.1f} "
        f"| {point['restore_s']['median']:.2f} | {point['replay_s']['median']:.2f} "
        f"| {point['recovery_s']['median']:.2f} "
        f"({point['recovery_s']['min']:.2f} to {point['recovery_s']['max']:.2f}) |"
        for point in result["points"]
    ]
    return "\n".join([
        *lines,
        "",
        f"All {result['partitions']} partitions by one process, one after the other, every scenario and model on; one "
        f"quote an instrument and second. Medians of {result['runs']} runs. {_where(result)}",
    ])  # fmt: skip


def scale_table(result: Document) -> str:
    """Rates and costs by number of processes, and the profile of each."""
    lines = [
        "| engines | rows/s | speed-up | CPU a row, ns: engines | main threads | broker | cores busy | bound by |",
        "|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    lines += [
        f"| {point['processes']} | {_figure(point['rows_per_s'])} | {point['speedup']:.2f} "
        f"| {_figure(point['engine_ns'])} | {point['main_ns']['median']:,.0f} | {_figure(point['broker_ns'])} "
        f"| {point['cores_busy']['median']:.2f} | {point['bound']} |"
        for point in result["points"]
    ]
    profiles = [
        f"- {point['processes']} engines, CPU seconds: "
        + ", ".join(f"{name} {seconds:.1f}" for name, seconds in point["profile"].items())
        for point in result["points"]
    ]
    given = result["input"]
    return "\n".join([
        *lines,
        "",
        *profiles,
        "",
        f"Medians of {result['runs']} runs, least and most in brackets; {given['rows']:,} quotes of "
        f"{given['instruments']:,} instruments over {given['partitions']} partitions; stages: {result['stages']}. "
        f"{_where(result)}",
    ])  # fmt: skip


def capacity_table(result: Document) -> str:
    """Predicted and measured here, service times, and the four markets."""
    predicted = [
        "| engines | predicted rows/s | measured rows/s | off by |",
        "|--:|--:|--:|--:|",
        *(
            f"| {each['processes']} | {each['predicted_rows_s']:,.0f} | {each['measured_rows_s']:,.0f} "
            f"| {each['off']:+.0%} |"
            for each in result["predicted"]
        ),
    ]
    times = ["| service time | |", "|---|--:|"]
    times += [f"| `{name}` | {value:,.1f} |" for name, value in result["times"].items()]
    columns = [plan["scenario"]["name"] for plan in result["plans"]]
    plans = ["| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    plans += [
        f"| {title} | " + " | ".join(told(plan) for plan in result["plans"]) + " |" for title, told in _PLANNED.items()
    ]
    return "\n".join([*predicted, "", *times, "", *plans])


_PLANNED: dict[str, Callable[[Document], str]] = {
    "rows/s at the peak": lambda plan: f"{plan['scenario']['peak_rows_s']:,.0f}",
    "engine processes": lambda plan: f"{plan['processes']:,}",
    "partitions": lambda plan: f"{plan['partitions']:,}",
    "rows in the heaviest partition": lambda plan: f"{plan['heaviest']:.1%}",
    "a row waits, 99th percentile, ms": lambda plan: "-" if plan["delay_ms"] is None else f"{plan['delay_ms']:,.0f}",
    "cores at work: engines": lambda plan: f"{plan['engine_cores']:,.1f}",
    "producers": lambda plan: f"{plan['producer_cores']:,.1f}",
    "brokers": lambda plan: f"{plan['broker_cores']:,.1f}",
    "broker machines (by)": lambda plan: f"{plan['brokers']} ({plan['bound']})",
    "machines in all": lambda plan: f"{plan['machines']:,}",
    "network of the brokers, MB/s": lambda plan: f"{plan['network_mb_s']:,.0f}",
    "written a day, one copy, GiB": lambda plan: f"{plan['day_gb']:,.0f}",
    "on the brokers' disks, GiB": lambda plan: f"{plan['log_gb']:,.0f}",
    "PostgreSQL sinks for every score row": lambda plan: f"{plan['sink_processes']:,}",
    "cost a month (history: of the run)": lambda plan: f"{plan['cost_month']:,.0f}",
}


TABLES: dict[str, Callable[[Document], str]] = {
    "bench-engine": engine_table,
    "bench-profile": profile_table,
    "bench-peers": peers_table,
    "bench-recovery": recovery_table,
    "bench-scale": scale_table,
    "bench-scale-features": scale_table,
    "capacity": capacity_table,
}
"""What is made of docs/results/NAME.json, for the place `<!-- NAME -->` to `<!-- end NAME -->`."""


def engine_facts(result: Document) -> list[str]:
    """README's rows of `bench engine`."""
    many = result["input"]["instruments"] if "input" in result else next(iter(result["instruments"]))
    command = "`tapewatch bench engine`"
    rate, cost = _figure(result["quotes_per_s"]), _figure(result["cpu_ns_per_quote"])
    return [
        f"| quotes/s through the engine, Kafka to Kafka, {int(many):,} instruments | {rate} | {command} |",
        f"| CPU a quote, ns | {cost} | {command} |",
        f"| memory an instrument, bytes | {_figure(result['bytes_per_instrument'])} | {command} |",
    ]


def peers_facts(result: Document) -> list[str]:
    """README's rows of `bench peers`."""
    return [
        f"| faster than {name} {run['version']} ({run['guarantee']}) | {result['ratios'][name]:,.0f} times "
        "| `tapewatch bench peers` |"
        for name, run in result["peers"].items()
    ]


def separation_facts(result: Document) -> list[str]:
    """README's rows of `python -m benchmarks.separation`."""
    command = f"`python -m benchmarks.separation --seeds {min(result['seeds'])}-{max(result['seeds'])}`"
    return [
        f"| injected pumps that alert | {_share(result['pump_recall'])} of {result['pumps']} | {command} |",
        f"| news jumps that alert | {_share(result['news_alert_share'])} of {result['news']} | {command} |",
        f"| median delay from a pump's start, s | {result['median_delay_s']:.0f} | {command} |",
    ]


FACTS: dict[str, Callable[[Document], list[str]]] = {
    "bench-engine": engine_facts,
    "bench-peers": peers_facts,
    "separation": separation_facts,
}
"""What README states of docs/results/NAME.json."""


def facts_table(results: dict[str, Document]) -> str:
    """README's table: of every result that was measured on a quiet machine."""
    lines = ["| figure | | command |", "|---|--:|---|"]
    where = ""
    for name, rows in FACTS.items():
        result = results.get(name)
        if result is None:
            continue
        load = result.get("machine", {}).get("load_before", 0.0)
        if load > QUIET:
            sys.stderr.write(f"{name}: measured at a load of {load}, not stated in README; measure again\n")
            continue
        lines += rows(result)
        where = _where(result) if "machine" in result else where
    return "\n".join([*lines, "", f"In brackets: least and most of the runs, or the 95 % interval. {where}".rstrip()])


def filled(page: str, name: str, table: str) -> str:
    """The page with the table between its marks; ValueError where they are missing."""
    start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no place for {name}")
    return f"{before}{start}\n{table}\n{end}{after}"


def written(page: Path, after: str, module: str, words: Sequence[str]) -> int:
    """Write a page that `module` makes; with `--check` among the words only say whether it is in step. Exit status."""
    if "--check" not in words:
        page.write_text(after)
        return 0
    if page.read_text() == after:
        return 0
    sys.stderr.write(f"{page} is not what its results give: run `python -m {module}`\n")
    return 1


def main() -> int:
    """Fill every table whose result is there."""
    names = {*TABLES, *FACTS}
    paths = {name: DOCS / "results" / f"{name}.json" for name in sorted(names)}
    results = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    for name, table in TABLES.items():
        if name in results:
            path = DOCS / ("capacity.md" if name == "capacity" else "performance.md")
            path.write_text(filled(path.read_text(), name, table(results[name])))
    README.write_text(filled(README.read_text(), "figures", facts_table(results)))
    return 0


def _figure(figure: Document) -> str:
    return f"{figure['median']:,.0f} ({figure['min']:,.0f} to {figure['max']:,.0f})"


def _share(share: Document) -> str:
    """A share with its 95 % interval."""
    return f"{share['mean']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


def _where(result: Document) -> str:
    """Machine and versions in a sentence."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    facts = f"{machine['cores']} cores of {machine['cpu']}, load {machine['load_before']} before it"
    return f"{facts}, Python {machine['python']}; {packages}."


if __name__ == "__main__":
    sys.exit(main())
