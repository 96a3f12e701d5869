"""The house in figures: modules, lines, circles of imports, what the engine needs, and classes whose name is no noun.

`python -m benchmarks.house` prints them, `--check` fails where a class is called by a bare participle.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import msgspec
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tapewatch", "streams", "detectors", "producers", "sinks", "infra", "console", "evaluation", "benchmarks")
ENGINE = "streams.engine.process"
NOUNS = frozenset(
    {
        "Feed", "Seed", "Speed", "Need", "Shed", "Bed", "Ring", "String", "Listing", "Recording", "Ranking", "Heading",
        "Finding", "Sighting", "Ceiling", "Mapping", "Setting", "Timing", "Warning", "Training", "Trading", "Reading",
        "Rescaling",
    }
)  # fmt: skip
"""Words that end as participles do and are nouns."""
PARTICIPLES = frozenset(
    {
        "Begun", "Bought", "Broken", "Built", "Caught", "Chosen", "Cut", "Done", "Drawn", "Driven", "Fed", "Found",
        "Frozen", "Given", "Gone", "Grown", "Heard", "Held", "Hidden", "Kept", "Known", "Laid", "Learnt", "Left",
        "Lost", "Made", "Meant", "Met", "Put", "Ran", "Read", "Said", "Seen", "Sent", "Shown", "Sold", "Spent", "Split",
        "Spoken", "Stood", "Taken", "Thrown", "Told", "Won", "Written",
    }
)  # fmt: skip
"""Irregular ones, which their ending does not tell."""
_CLASS = re.compile(r"\s*class (\w+)[(:]")


class House(msgspec.Struct):
    """The figures.

    modules, lines : of all Python outside tests/; median, longest : lines of a file; circles : groups of files that
    import each other; closure : modules that the engine's process imports; participles : file and name of classes
    """

    modules: int
    lines: int
    median: int
    longest: int
    circles: int
    closure: int
    participles: list[str]


def is_participle(name: str) -> bool:
    """Whether a class's name is a participle alone, which says nothing of what the class is."""
    word = name.lstrip("_")
    if len(re.findall("[A-Z]", word)) != 1 or word in NOUNS:
        return False
    return word.endswith(("ed", "ing")) or word in PARTICIPLES


def participles(folders: tuple[str, ...]) -> Iterator[str]:
    """File, line and name of every class that is called so."""
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = _CLASS.match(line)
            if found and is_participle(found[1]):
                yield f"{path.relative_to(ROOT)}:{number} {found[1]}"


def measured() -> House:
    """The house as it stands."""
    sizes = [len(path.read_bytes().splitlines()) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    graph = grimp.build_graph(*FOLDERS, cache_dir=None)
    places = {name: place for place, name in enumerate(sorted(graph.modules))}
    arrows = [
        (places[name], places[other]) for name in places for other in graph.find_modules_directly_imported_by(name)
    ]
    rows, columns = np.array(arrows).T
    links = coo_array((np.ones(len(arrows)), (rows, columns)), shape=(len(places), len(places)))
    _, labels = connected_components(links, directed=True, connection="strong")
    return House(
        modules=len(sizes),
        lines=sum(sizes),
        median=int(statistics.median(sizes)),
        longest=max(sizes),
        circles=int((np.bincount(labels) > 1).sum()),
        closure=len(graph.find_upstream_modules(ENGINE)) + 1,
        participles=list(participles((*FOLDERS, "tests"))),
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m benchmarks.house --json")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--check", action="store_true", help="only the names: fail where one is a bare participle")
    args = parser.parse_args()
    if args.check:
        found = list(participles((*FOLDERS, "tests")))
        print(*found, sep="\n", end="\n" if found else "")
        return 1 if found else 0
    house = measured()
    if args.json:
        print(msgspec.json.encode(house).decode())
        return 0
    for name in house.__struct_fields__:
        value = getattr(house, name)
        print(f"{name:<12} {len(value) if isinstance(value, list) else value:>9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
