"""What came out of a site that stands still: topics against the log, tables against topics, webhooks against alerts;
and all of it once more, by a verifier that imports nothing of ours.

What a run came to: one JSON document, and lines for people.
"""

import os
import platform
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from infra.chaos.broken import broken, restored_unasked
from infra.chaos.receiver import receipts
from infra.chaos.site import Site
from tapewatch.contract import topics
from tapewatch.runtime import kafka


class FaultSummary(msgspec.Struct, frozen=True):
    """One kind of fault. times : injected; longest_stall_s : of gaps in committed output that it may have to do with

    lost, duplicated : rows whose second lies in such a fault; beyond_faults_s : longest time in one of those gaps in
    which no fault was open, of any kind that hits committed output
    """

    kind: str
    times: int
    lost: int
    duplicated: int
    longest_stall_s: float
    beyond_faults_s: float


class Webhooks(msgspec.Struct, frozen=True):
    """Alert revisions on the topic and at the receiver. repeats : receipts beyond the first under the same id"""

    alerts: int
    received: int
    missing: int
    many_ids: int
    repeats: int


class Machine(msgspec.Struct, frozen=True):
    """Machine it ran on. load_before : one-minute load average when it began"""

    cpu: str
    cores: int
    memory_gib: float
    load_before: float


class Result(msgspec.Struct, frozen=True):
    """The JSON document of a run.

    rows_in : input rows in the log; faults : injected, by kind; lost, duplicated, different : rows and messages of
    topics, tables, documents and webhooks, over all verifiers
    late : input rows refused because their second was closed or their time absurd; they lie in the dead letters
    longest_stall_s : longest time between committed outputs of a partition; beyond_faults_s : longest time in one such
    gap in which no fault was open
    sound : whether nothing is lost, duplicated or different and everything came to its end
    problems : what did not do its part; not_injected : faults that could not be brought about, with the reason
    injected_late_s : the latest beginning of a fault behind its time; drained_s : until all readers were level
    ended_by_themselves : processes that ended without being asked to, and how often
    counted_again : input rows that the second verifier (tests/foreign) counted; None where it is not installed
    peak_mib : the most memory that a process of each kind had, looked at every few seconds, MiB
    """

    minutes: float
    seed: int
    rows_in: int
    faults: dict[str, int]
    lost: int
    duplicated: int
    different: int
    late: int
    longest_stall_s: float
    beyond_faults_s: float
    by_fault: list[FaultSummary]
    sound: bool
    problems: list[str]
    faults_in_all: int
    not_injected: list[str]
    injected_late_s: float
    drained_s: float
    rows_per_s: float
    webhooks: Webhooks | None
    verified: dict[str, dict[str, int]]
    ended_by_themselves: dict[str, int]
    restarts: dict[str, int]
    where: Machine
    counted_again: int | None = None
    peak_mib: dict[str, int] = {}

    def lines(self) -> list[str]:
        """For people."""
        width = max((len(each.kind) for each in self.by_fault), default=5)
        rows = [f"{'fault':<{width}}  times  lost  duplicated  longest stall, s  beyond the faults, s"]
        for each in self.by_fault:
            counts = f"{each.times:>5}  {each.lost:>4}  {each.duplicated:>10}  {each.longest_stall_s:>16.1f}"
            counts += f"  {each.beyond_faults_s:>20.1f}"
            rows.append(f"{each.kind:<{width}}  {counts}")
        return [
            *rows,
            "",
            f"{self.rows_in:,} rows in; {self.faults_in_all} faults of {len(self.faults)} kinds "
            f"in {self.minutes:g} minutes",
            f"{self.lost:,} lost, {self.duplicated:,} duplicated, {self.different:,} different, {self.late:,} late; "
            f"longest stall {self.longest_stall_s:.1f} s, {self.beyond_faults_s:.1f} s beyond the faults",
            f"the second verifier counted {self.counted_again:,} rows again"
            if self.counted_again is not None
            else "the second verifier is not here",
            "most memory: " + ", ".join(f"{kind} {mib:,} MiB" for kind, mib in self.peak_mib.items()),
            *(f"problem: {problem}" for problem in self.problems),
            *(f"not injected: {reason}" for reason in self.not_injected),
            "sound" if self.sound else "NOT sound",
        ]


def where() -> Machine:
    """The machine as it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return Machine(
        cpu=next(names, platform.processor() or platform.machine()),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        load_before=round(os.getloadavg()[0], 2),
    )


VERIFY_S = 1500.0
TREE = Path(__file__).parents[2]
"""The source tree, where this is one: the second verifier lies among its tests and in no wheel."""
QUOTED = 3


class Difference(msgspec.Struct, frozen=True):
    """One row that is not as it should be. kind : lost, duplicated or different; second : RFC 3339, may be empty"""

    kind: str
    second: str


class Verdict(msgspec.Struct, frozen=True):
    """All verifiers together. by_verifier : counts of each; differences : the first few, with their seconds

    counted_again : input rows that the second verifier counted; None where it is not here
    """

    rows_in: int
    counted_again: int | None
    lost: int
    duplicated: int
    different: int
    late: int
    webhooks: Webhooks | None
    by_verifier: dict[str, dict[str, int]]
    differences: list[Difference]
    problems: list[str]


def judge(site: Site, say: Callable[[str], None]) -> Verdict:
    """Run every verifier over what is there now."""
    problems: list[str] = []
    counts: dict[str, Counter[str]] = {}
    only = [] if site.has_search else ["--only", "postgres"]
    say("verifying topics against the log that was written, and tables and documents against topics")
    with ThreadPoolExecutor(2) as both:
        # Side by side: either leaves a core idle while it waits for a broker or a store.
        words = ["reconcile", "--rows", "--feed", site.feed, "--json", *only]
        stored = both.submit(_document, site, problems, words)
        feed = _document(site, problems, ["verify", "--feed", site.feed, "--record", str(site.record), "--json"])
        rows = stored.result()
    counts["topics"] = _counted(feed)
    counts["tables"], counts["documents"] = _of_store(rows, "postgres"), _of_store(rows, "elasticsearch")
    counts["alerts"] = _of_alerts(_document(site, problems, ["reconcile", "--json", *only]))
    counts["mended"] = Counter(lost=restored_unasked(site.logs / "reconcile.log", broken(site.folder)))
    webhooks = _webhooks(site) if "notify" in site.processes else None
    if webhooks is not None:
        counts["webhooks"] = Counter(lost=webhooks.missing, duplicated=webhooks.many_ids)
    again = _second_verifier(site, problems, say)
    if again is not None:
        counts["foreign"] = _counted(again)
    total: Counter[str] = sum(counts.values(), Counter())
    refused = feed.get("refused", {})
    return Verdict(
        rows_in=int(feed.get("rows", 0)) + sum(refused.values()),
        counted_again=None if again is None else int(again.get("rows", 0)),
        lost=total["lost"],
        duplicated=total["duplicated"],
        different=total["different"],
        late=sum(count for reason, count in refused.items() if reason == "late" or reason.startswith("absurd_ts")),
        webhooks=webhooks,
        by_verifier={
            name: {key: found[key] for key in ("lost", "duplicated", "different")} for name, found in counts.items()
        },
        differences=_differences(feed),
        problems=problems,
    )


def _document(site: Site, problems: list[str], words: list[str]) -> dict[str, Any]:
    """The JSON document that a verifier of ours prints; empty, and a problem, where it prints none."""
    return _read(site, problems, words[0], " ".join(words[:2]), *site.command(words, VERIFY_S))


def _second_verifier(site: Site, problems: list[str], say: Callable[[str], None]) -> dict[str, Any] | None:
    """What the second verifier prints; None where it is not here: it comes with the source tree, and needs duckdb."""
    if not (TREE / "tests" / "foreign").is_dir() or find_spec("duckdb") is None:
        say("the second verifier is left out: it needs the source tree and duckdb")
        return None
    say("verifying all of it again, by the second verifier")
    chosen = site.settings
    words = ["--bootstrap", site.direct, "--feed", site.feed, "--group", chosen.engine.group]
    words += ["--postgres", site.postgres_url, "--scratch", str(site.folder)]
    if site.has_search:
        words += ["--elasticsearch", site.search_url, "--prefix", chosen.elasticsearch.prefix]
    status, printed = site.program([sys.executable, "-m", "tests.foreign", *words], "foreign", TREE, VERIFY_S)
    return _read(site, problems, "foreign", "python -m tests.foreign", status, printed)


def _read(site: Site, problems: list[str], name: str, called: str, status: int, printed: str) -> dict[str, Any]:
    """What a verifier printed, as a document; a problem where it found differences, or printed none."""
    try:
        found = msgspec.json.decode(printed)
    except msgspec.DecodeError:
        log = site.logs / f"command-{name}.log"
        said = " | ".join(log.read_text(errors="replace").strip().splitlines()[-QUOTED:])[-600:]
        problems.append(f"`{called}` ended with {status}: {said}")
        return {}
    if status:
        (site.logs / f"{name}.json").write_text(printed)
        problems.append(f"`{called}` found differences: see {name}.json among the logs")
    return dict(found)


def _counted(document: dict[str, Any]) -> Counter[str]:
    """Lost, duplicated and different, as the verifiers call them; what is doubled in a store is duplicated."""
    return Counter(
        lost=int(document.get("lost", 0)),
        duplicated=int(document.get("duplicated", document.get("doubled", 0))),
        different=int(document.get("different", 0)),
    )


def _of_store(document: dict[str, Any], store: str) -> Counter[str]:
    """The same, over what one store keeps."""
    found: Counter[str] = Counter()
    for table in document.get("tables", []):
        if table["store"] == store:
            found.update(_counted(table))
    return found


def _of_alerts(document: dict[str, Any]) -> Counter[str]:
    """Alerts that a store lacks are lost; any other difference is one."""
    found: Counter[str] = Counter()
    for store in document.get("stores", {}).values():
        for kind, count in store["differences"].items():
            found["lost" if kind == "missing" else "different"] += int(count)
    return found


def _differences(document: dict[str, Any]) -> list[Difference]:
    """The places that the verifier of topics names."""
    places = (place for table in document.get("tables", []) for place in table.get("places", []))
    return [Difference(place["kind"], place["second"]) for place in places]


def _webhooks(site: Site) -> Webhooks:
    """Every revision of every alert has to have come, under one id."""
    sent: set[tuple[str, int]] = set()

    def take(message: Any) -> None:
        alert = msgspec.json.decode(message.value(), type=_Alert)
        sent.add((alert.id, alert.revision))

    kafka.read_all(site.settings, topics.ALERTS, take)
    ids: dict[tuple[str, int], set[str]] = {}
    found = [receipt for receipt in receipts(site.webhooks) if receipt.alert]
    for receipt in found:
        ids.setdefault((receipt.alert, receipt.revision), set()).add(receipt.id)
    return Webhooks(
        alerts=len(sent),
        received=len(ids),
        missing=len(sent - ids.keys()),
        many_ids=sum(len(each) > 1 for each in ids.values()),
        repeats=len(found) - sum(len(each) for each in ids.values()),
    )


class _Alert(msgspec.Struct):
    """What the count needs of an alert."""

    id: str
    revision: int
