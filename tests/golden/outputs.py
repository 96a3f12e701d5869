"""Everything that comes of a tape, and how it is kept: rows as lines of JSON, of which a digest, one of each column,
and a few lines to read are committed (data/outputs.jsonl).

Numbers are written as the shortest text that reads back as the same float64, so that equal digests mean equal bits.
Nothing is rounded, since nothing here rests on a library's order of sums (BLAS, torch): kernels compiled for a plain
x86-64 give the same as those for a newer one. Only another C library's logarithm might not.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tests.golden import book, desk, engine, store
from tests.golden.engine import Row
from tests.golden.tape import FOLDER, NAMES, Tape, read

KEPT = FOLDER / "outputs.jsonl"
LETTERS, FEWEST, MOST = 2400, 2, 24
"""How much of an output is kept to be read: about so many letters, at least and at most so many rows."""
SHOWN = 8
"""Columns and values that a difference names at most."""

ABSENT = "absent"

Name = tuple[str, str]
"""Tape and output."""


class Golden(msgspec.Struct, frozen=True):
    """An output as it is kept. columns : digest by name; excerpt : some rows by number, as lines"""

    rows: int
    digest: str
    columns: dict[str, str]
    excerpt: dict[int, str]


def of_tape(name: str) -> dict[str, list[Row]]:
    """The rows of every output of a committed tape."""
    tape = read(name)
    records = engine.written(name, tape)
    cases, said = desk.work(tape, records)
    return engine.outputs(records) | book.outputs(tape) | cases | store.outputs(name, tape, [*records, *said])


def recovered(name: str, how: engine.Recovery) -> dict[str, list[Row]]:
    """The engine's outputs where it dies in the middle of a tape and is taken up again."""
    tape: Tape = read(name)
    return engine.outputs(engine.written(name, tape, how))


def line(row: object) -> str:
    """The canonical text of a row or a value."""
    return json.dumps(row, ensure_ascii=False)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def golden(rows: Sequence[Row]) -> Golden:
    """What is kept of an output."""
    lines = [line(row) for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _digest(line(row.get(name)) for row in rows)[:8] for name in names}
    return Golden(len(lines), _digest(lines), columns, {number: lines[number] for number in _chosen(lines)})


def _chosen(lines: Sequence[str]) -> list[int]:
    """Numbers of the rows that are kept, from the first to the last evenly."""
    wanted = LETTERS * len(lines) // (sum(map(len, lines)) or 1)
    count = min(max(wanted, FEWEST), MOST, len(lines))
    return [place * (len(lines) - 1) // max(count - 1, 1) for place in range(count)]


def differences(name: Name, kept: Golden, found: Golden) -> list[str]:
    """What a reader should know first of an output that is not the golden one; nothing where it is."""
    if kept == found:
        return []
    told = [f"{'/'.join(name)}: not the golden output"]
    if kept.rows != found.rows:
        told.append(f"  {found.rows} rows, golden {kept.rows}")
    changed = [column for column, digest in kept.columns.items() if found.columns.get(column, digest) != digest]
    for what, columns in (
        ("other values in", changed),
        ("new columns", [column for column in found.columns if column not in kept.columns]),
        ("columns are gone", [column for column in kept.columns if column not in found.columns]),
    ):
        if columns:
            more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
            told.append(f"  {what}: {', '.join(columns[:SHOWN])}{more}")
    for number, text in kept.excerpt.items():
        if number in found.excerpt and found.excerpt[number] != text:
            told.append(f"  first excerpt that differs, row {number}:")
            told += _values(json.loads(text), json.loads(found.excerpt[number]))
            break
    return told


def _values(kept: Row, found: Row) -> list[str]:
    """The values of a row that differ."""
    was, now = dict(_leaves(kept)), dict(_leaves(found))
    changed = [name for name in {**was, **now} if was.get(name, ABSENT) != now.get(name, ABSENT)]
    return [f"    {name} is {now.get(name, ABSENT)}, golden {was.get(name, ABSENT)}" for name in changed[:SHOWN]]


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The single values within a row, each under its path."""
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, line(value)


class Head(msgspec.Struct, frozen=True):
    """The first line of what is kept. why : as the changelog says it; digest : of all other lines"""

    why: str
    digest: str


class GoldenFile(msgspec.Struct, frozen=True):
    """What is committed. body : digest of the lines behind the head as they are"""

    head: Head
    body: str
    outputs: dict[Name, Golden]


def load() -> GoldenFile:
    """What is committed."""
    first, *lines = KEPT.read_text(encoding="utf-8").splitlines()
    found: dict[Name, Golden] = {}
    for text in lines:
        told = json.loads(text)
        name = told["tape"], told["output"]
        if "row" in told:
            found[name].excerpt[told["row"]] = line(told["is"])
        else:
            found[name] = Golden(told["rows"], told["sha256"], told["columns"], {})
    return GoldenFile(msgspec.json.decode(first, type=Head), _digest(lines), found)


def keep(found: Mapping[Name, Golden], why: str) -> None:
    """Commit to what was found: an output a line, and behind it its excerpt."""
    lines: list[str] = []
    for (tape, output), each in found.items():
        where = {"tape": tape, "output": output}
        lines.append(line(where | {"rows": each.rows, "sha256": each.digest, "columns": each.columns}))
        lines += [line(where | {"row": number, "is": json.loads(text)}) for number, text in each.excerpt.items()]
    head = msgspec.json.encode(Head(why, _digest(lines))).decode()
    KEPT.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def compute() -> dict[Name, Golden]:
    """Every output of every tape as it is now."""
    return {(tape, output): golden(rows) for tape in NAMES for output, rows in of_tape(tape).items()}
