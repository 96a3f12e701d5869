"""The list of mutants: how it is drawn, kept, and found again in sources that have changed elsewhere."""

import ast
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.mutants.operators import changes

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("list.tsv")
EQUIVALENT = Path(__file__).with_name("equivalent.tsv")
SEED = 22
_HEAD = "file\tfunction\tline\tof its kind\tbecomes"


class Mutant(NamedTuple):
    """A line of source and what it becomes; it is known by its text and not by its number.

    function : dotted, empty for the module's own lines; nth : among the function's lines of this text, from 1
    """

    file: str
    function: str
    line: str
    nth: int
    becomes: str


def functions(source: str) -> list[str]:
    """The dotted name of the function or class that each line belongs to."""
    named = [""] * len(source.splitlines())

    def name(node: ast.AST, above: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = above
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{above}.{child.name}" if above else child.name
                last = child.end_lineno or child.lineno
                named[child.lineno - 1 : last] = [inside] * (last - child.lineno + 1)
            name(child, inside)

    name(ast.parse(source), "")
    return named


def mutants(file: str, source: str) -> list[Mutant]:
    """Every mutant of a source that compiles and is another program, by line."""
    lines, named, whole = source.splitlines(), functions(source), ast.dump(ast.parse(source))
    seen: Counter[tuple[str, str]] = Counter()
    places = []
    for function, line in zip(named, lines, strict=True):
        seen[function, line.strip()] += 1
        places.append((file, function, line.strip(), seen[function, line.strip()]))
    found: dict[Mutant, None] = {}
    for change in sorted(set(changes(source))):
        text = lines[change.line - 1].encode()
        changed = (text[: change.start] + change.text.encode() + text[change.end :]).decode()
        mutated = [*lines[: change.line - 1], changed, *lines[change.line :]]
        # What a constructor does not set is an error at its first use.
        never_set = change.text == "pass" and named[change.line - 1].endswith("__init__")
        if not never_set and _is_another("\n".join(mutated), whole):
            found[Mutant(*places[change.line - 1], changed.strip())] = None
    return list(found)


def _is_another(source: str, whole: str) -> bool:
    try:
        return ast.dump(ast.parse(source)) != whole
    except SyntaxError:
        return False


def applied(source: str, mutant: Mutant) -> str | None:
    """The source with the mutant in it; None where its line is gone."""
    lines, left = source.splitlines(), mutant.nth
    for number, (function, line) in enumerate(zip(functions(source), lines, strict=True)):
        if function == mutant.function and line.strip() == mutant.line:
            left -= 1
            if not left:
                lines[number] = line[: len(line) - len(line.lstrip())] + mutant.becomes
                return "\n".join(lines) + "\n"
    return None


def draw(sources: Mapping[str, str], count: int, seed: int = SEED) -> list[Mutant]:
    """About `count` mutants, shared out by lines of source, of each line at most one. sources : text by file"""
    total = sum(text.count("\n") for text in sources.values())
    drawn: list[Mutant] = []
    for file, text in sources.items():
        chance = random.Random(f"{seed} {file}")  # noqa: S311 - a draw that can be made again
        of_line: dict[tuple[str, str, int], list[Mutant]] = defaultdict(list)
        for mutant in mutants(file, text):
            of_line[mutant[1:4]].append(mutant)
        wanted = min(round(count * text.count("\n") / total), len(of_line))
        chosen = sorted(chance.sample(range(len(of_line)), wanted))
        lines = list(of_line.values())
        drawn += [chance.choice(lines[number]) for number in chosen]
    return drawn


def written(listed: Iterable[Mutant]) -> str:
    """The list as it is kept: a line a mutant, tabs between."""
    return "\n".join([_HEAD, *("\t".join(map(str, each)) for each in listed)]) + "\n"


def read(path: Path = LIST) -> list[Mutant]:
    """The kept list."""
    rows = (line.split("\t") for line in path.read_text().splitlines()[1:])
    return [_mutant(row) for row in rows]


def equivalent(path: Path = EQUIVALENT) -> dict[Mutant, str]:
    """Mutants that do what the product does, each with the reason."""
    rows = (line.split("\t") for line in path.read_text().splitlines()[1:])
    return {_mutant(row): row[5] for row in rows}


def _mutant(row: list[str]) -> Mutant:
    return Mutant(row[0], row[1], row[2], int(row[3]), row[4])
