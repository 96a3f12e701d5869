"""Dead letters for people and programs: counts, single letters, what a replay did. Hostile text is made harmless."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tapewatch.clock import NANOS, WALL
from tapewatch.contract import readable
from tapewatch.contract.dead_letter_messages import DeadLetterReplay
from tapewatch.dlq.letter import Letter
from tapewatch.dlq.routes import Plan
from tapewatch.logs import printable
from tapewatch.rfc3339 import to_rfc3339

WIDTH = 120
ROWS_SHOWN = 20
"""Rows of a letter that a terminal shows; JSON has all."""
EVERY_NS = NANOS // 2


class Progress:
    """One line on standard error that is written over, where a person looks on."""

    def __init__(self) -> None:
        self._said_ns = WALL.elapsed()
        self._open = False

    def read(self, topic: str, done: int, total: int) -> None:
        """Letters of a topic were read."""
        self._say(f"reading {topic}: {done:,} of {total:,}")

    def looked_at(self, done: int, total: int) -> None:
        """Letters were looked at: whether they can be replayed."""
        self._say(f"looking at {done:,} of {total:,}")

    def sent(self, topic: str, done: int, total: int) -> None:
        """Letters of a topic were replayed."""
        self._say(f"replaying {topic}: {done:,} of {total:,}")

    def _say(self, text: str) -> None:
        if sys.stderr.isatty() and WALL.elapsed() - self._said_ns >= EVERY_NS:
            self._said_ns, self._open = WALL.elapsed(), True
            print(f"\r\x1b[K{printable(text)}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line empty."""
        if self._open:
            self._open = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@dataclass(slots=True)
class _Group:
    """Letters of one topic, refuser and reason, and the rows of frames in them. first, last : UTC nanoseconds"""

    letters: int = 0
    rows: int = 0
    replayed: int = 0
    first: int = 2**63 - 1
    last: int = 0


@dataclass(slots=True)
class LetterCounts:
    """Letters counted by topic, who refused them and reason."""

    groups: dict[tuple[str, str, str], _Group] = field(default_factory=dict)

    def add(self, letter: Letter, is_replayed: bool) -> None:
        """Count one."""
        group = self.groups.setdefault((letter.place.topic, letter.by, letter.reason), _Group())
        group.letters += 1
        group.rows += letter.rows
        group.replayed += is_replayed
        group.first, group.last = min(group.first, letter.at), max(group.last, letter.at)

    def trees(self) -> list[dict[str, Any]]:
        """As JSON."""
        return [
            {
                "topic": topic, "by": by, "reason": reason, "letters": group.letters, "rows": group.rows,
                "replayed": group.replayed, "first": to_rfc3339(group.first), "last": to_rfc3339(group.last),
            }
            for (topic, by, reason), group in sorted(self.groups.items())
        ]  # fmt: skip

    def lines(self, now: int) -> list[str]:
        """As a table. now : UTC nanoseconds"""
        if not self.groups:
            return ["no dead letters"]
        rows = [
            {
                "topic": topic, "refused by": by or "?", "reason": reason, "letters": group.letters,
                "rows": group.rows, "replayed": group.replayed, "oldest": _age(now - group.first),
                "newest": _age(now - group.last),
            }
            for (topic, by, reason), group in sorted(self.groups.items())
        ]  # fmt: skip
        return readable.table(rows, WIDTH)


def _age(ns: int) -> str:
    """How long ago, in the largest unit of which there is one."""
    seconds = max(ns, 0) // NANOS
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def tree(letter: Letter, replay: DeadLetterReplay | None) -> dict[str, Any]:
    """A letter as JSON."""
    content = readable.read(letter.value)
    return {
        "id": letter.id,
        "at": to_rfc3339(letter.at),
        "reason": letter.reason,
        "by": letter.by,
        "kind": letter.kind,
        "origin": letter.origin._asdict(),
        "row": letter.row if letter.row >= 0 else None,
        "rows": letter.rows,
        "instrument": letter.instrument,
        "detail": letter.detail,
        "bytes": letter.size,
        "whole": letter.whole,
        "sha256": letter.headers.get("sha256", letter.digest),
        "headers": dict(letter.headers),
        "content": None if content is None else content.rows or content.tree,
        "replayed": None
        if replay is None
        else {
            "at": replay.at, "who": replay.who, "why": replay.why, "audit": replay.audit,
            "sent": {"topic": replay.sent.topic, "partition": replay.sent.partition, "offset": replay.sent.offset},
        },
    }  # fmt: skip


def lines(letter: Letter, replay: DeadLetterReplay | None) -> list[str]:
    """A letter for a terminal."""
    row = f" row {letter.row}" if letter.row >= 0 else ""
    row += f" and {letter.rows - 1:,} more" if letter.rows > 1 else ""
    nowhere = letter.origin.offset < 0
    where = "was no record" if nowhere else f"{letter.origin.partition}.{letter.origin.offset}{row}"
    told = [f"{letter.id}  {to_rfc3339(letter.at)}  {letter.reason}, refused by {letter.by or 'unknown'}"]
    told.append(f"  from {letter.origin.topic} ({where}), {letter.size:,} bytes{'' if letter.whole else ', cut'}")
    told += [f"  {name}: {letter.headers[name]}" for name in _MORE if letter.headers.get(name)]
    if replay is not None:
        sent = f"{replay.sent.topic} {replay.sent.partition}.{replay.sent.offset}"
        told.append(f"  replayed {replay.at} by {replay.who} into {sent}: {replay.why}")
    content = readable.read(letter.value, limit=ROWS_SHOWN)
    shown = [] if content is None else readable.lines(content, WIDTH)
    return [*map(printable, told), *(f"  {line}" for line in shown)]


_MORE = ("detail", "source", "file", "line", "where", "sha256")
"""Headers that are shown where a letter has them."""


def outcome(planned: Plan, is_dry: bool, more: bool) -> dict[str, Any]:
    """What a replay did, or would do, as JSON."""
    return {
        "dry_run": is_dry,
        "replayed": planned.letters,
        "records": len(planned.sendings),
        "by_target": dict(_targets(planned)),
        "before": len(planned.done),
        "refused": [{"id": letter.id, "reason": letter.reason, "why": why} for letter, why in planned.refused],
        "more": more,
    }


def outcome_lines(planned: Plan, is_dry: bool, more: bool) -> list[str]:
    """The same for a terminal."""
    verb = "would be replayed" if is_dry else "replayed"
    told = [f"{planned.letters:,} letters {verb}"]
    told += [f"  {count:,} into {topic}" for topic, count in sorted(_targets(planned).items())]
    if planned.done:
        told.append(f"{len(planned.done):,} were replayed before")
    why = Counter(reason for _, reason in planned.refused)
    told += [f"{count:,} not: {reason}" for reason, count in why.most_common()]
    if any(each.type for each in planned.sendings):
        told.append("rows of sealed seconds change no feature: the stores keep them")
    if more:
        told.append("there are more: run the same command again")
    return list(map(printable, told))


def _targets(planned: Plan) -> Counter[str]:
    """Letters by the topic they go to."""
    found: Counter[str] = Counter()
    for each in planned.sendings:
        found[each.topic] += len(each.letters)
    return found
