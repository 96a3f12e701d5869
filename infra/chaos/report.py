"""What a run came to: one JSON document, and lines for people."""

import os
import platform
from pathlib import Path

import msgspec


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
