"""Mutants: what the operators change, how a mutant is found again, and that one is tried without touching a file."""

import importlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.figures import machine
from benchmarks.mutants import listing, page
from benchmarks.mutants.hook import Hook
from benchmarks.mutants.job import Job, Outcome
from benchmarks.mutants.listing import Mutant
from benchmarks.mutants.targets import BY_FILE, TARGETS

SOURCE = '''\
"""Counts 1."""

LEAST = 3


class Counter:
    def add(self, number: int = 0) -> None:
        if number > LEAST:
            self.sum += number
        if number > 9:
            self.sum += number

    def double(self) -> None:
        self.sum += self.sum
'''


def becomes(source: str) -> set[str]:
    return {mutant.becomes for mutant in listing.mutants("a.py", source)}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x = a < b", {"x = a <= b", "x = a >= b"}),
        ("x = a <= b < c", {"x = a < b < c", "x = a > b < c", "x = a <= b <= c", "x = a <= b >= c"}),
        ("x = a != b", {"x = a == b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a in b", {"x = a not in b"}),
        ("x = (a and b) or c", {"x = (a or b) or c", "x = (a and b) and c"}),
        ("x = (a - b) * c", {"x = (a + b) * c", "x = (a - b) / c"}),
        ("x = 2**a", {"x = 3**a", "x = 1**a", "x = 2*a"}),
        ("x = 'é' if a // b else not c", {"x = 'é' if a * b else not c", "x = 'é' if a // b else c"}),
        ("x = True", {"x = False"}),
        ("x = 0.5", {"x = 1.5", "x = 0.25"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = range(a, b)", {"x = range(b, a)"}),
        ("x += a", {"x -= a", "pass"}),
        ("x.y = a", {"pass"}),
        ("x(a)", {"pass", "return"}),
        ("raise x", {"pass"}),
        ("x = 'SELECT 1 FROM t WHERE a > b'", {"x = 'SELECT 1 FROM t WHERE a >= b'"}),
    ],
)
def test_a_slip_changes_one_piece_of_a_line(line: str, wanted: set[str]) -> None:
    assert becomes(line + "\n") == wanted


@pytest.mark.parametrize(
    "source",
    [
        '"""More than 1 and less than 2."""\n',
        "import a\n",
        "x: a | None\n",
        "log.info('at %d', 1)\n",
        "x = zip(a, b, strict=True)\n",
        "x = f'{a + 1}'\n",
        "x = 'a > b'\n",
        "x = a\n",
        "if TYPE_CHECKING:\n    x = 1\n",
        "class A:\n    def __init__(self):\n        self.x = a\n",
    ],
)
def test_what_does_nothing_is_not_changed(source: str) -> None:
    assert becomes(source) == set()


def test_a_bare_condition_is_turned_around() -> None:
    assert becomes("if a.b:\n    x = c\n") == {"if not a.b:"}
    assert becomes("x = [a for a in b if a]\n") == {"x = [a for a in b if not a]"}


def test_a_mutant_is_found_again_where_other_lines_have_changed() -> None:
    second = Mutant("a.py", "Counter.add", "self.sum += number", 2, "self.sum -= number")
    assert second in listing.mutants("a.py", SOURCE)
    moved = SOURCE.replace("LEAST = 3", "LEAST = 3\nMOST = 4\nself.sum += number").replace("def double", "def twice")
    mutated = listing.applied(moved, second)
    assert mutated is not None
    lines = zip(moved.splitlines(), mutated.splitlines(), strict=True)
    assert [(number, new) for number, (old, new) in enumerate(lines, 1) if old != new] == [
        (13, "            self.sum -= number")
    ]


@pytest.mark.parametrize("gone", ["self.sum += number", "Counter", "if number > 9:\n            self.sum += number"])
def test_a_mutant_whose_line_is_gone_is_not_put_elsewhere(gone: str) -> None:
    second = Mutant("a.py", "Counter.add", "self.sum += number", 2, "pass")
    assert listing.applied(SOURCE.replace(gone, "x"), second) is None


def test_a_draw_is_shared_out_by_lines_and_can_be_made_again() -> None:
    sources = {"a.py": SOURCE, "b.py": SOURCE * 3}
    drawn = listing.draw(sources, 8)
    assert [each.file for each in drawn] == 2 * ["a.py"] + 6 * ["b.py"]
    assert len({each[:4] for each in drawn}) == 8
    assert listing.draw(dict(reversed(sources.items())), 8) == drawn[2:] + drawn[:2]
    assert listing.draw(sources, 8, seed=1) != drawn


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    drawn = listing.draw({"a.py": SOURCE}, 4)
    file = tmp_path / "list.tsv"
    file.write_text(listing.written(drawn))
    assert listing.read(file) == drawn


def test_the_kept_list_has_200_mutants_of_files_with_tests() -> None:
    kept = listing.read()
    assert len(set(kept)) == len(kept) >= 200
    assert {each.file for each in kept} == set(BY_FILE)
    named = {test.partition("::")[0] for target in TARGETS for test in target.tests}
    assert [test for test in named if not (listing.ROOT / test).exists()] == []


def test_every_mutant_that_is_called_equivalent_has_a_reason() -> None:
    assert all(listing.equivalent().values())


def test_an_import_finds_the_mutant_and_the_file_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mutated_for_a_test.py"
    file.write_text("LEAST = 3\n")
    monkeypatch.setattr(sys, "meta_path", [Hook("mutated_for_a_test", file, "LEAST = 4\n"), *sys.meta_path])
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module("mutated_for_a_test")
    del sys.modules["mutated_for_a_test"]
    assert found.LEAST == 4
    assert found.__file__ == str(file)
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "LEAST = 3\n"


def test_a_worker_says_which_mutants_a_test_notices() -> None:
    line = "return 0.0"
    same, other, gone = (
        Mutant("streams/cases/risk.py", "risk", *rest)
        for rest in ((line, 1, line), (line, 1, "return 1.0"), ("return 2.0", 1, "return 3.0"))
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mutants.worker"],
        input=msgspec.json.encode(Job([same, other, gone])),
        capture_output=True,
        cwd=listing.ROOT,
        check=True,
    )
    outcomes = [msgspec.json.decode(line, type=Outcome) for line in done.stdout.splitlines()]
    assert [(each.mutant, each.status) for each in outcomes] == [
        (same, "survived"), (other, "killed"), (gone, "stale")
    ]  # fmt: skip
    assert outcomes[1].by.startswith("tests/unit/test_case_")


def test_the_share_is_of_what_is_not_equivalent() -> None:
    file = TARGETS[0].file
    chosen = [Mutant(file, "f", f"x = {number} | y", 1, "pass") for number in range(8)]
    status = ["killed", "killed", "timeout", "survived", "survived", "killed", "stale"]
    outcomes = [Outcome(mutant, each, 1.0) for mutant, each in zip(chosen, status, strict=False)]
    reasons = {chosen[4]: "nobody reads it", chosen[5]: "not so"}
    found = page.result(chosen, outcomes, reasons, 60.0, machine())
    assert (found.judged, found.killed, found.share) == (5, 4, 0.8)
    assert found.counts == {file: {"killed": 3, "timeout": 1, "survived": 1, "equivalent": 1, "stale": 1, "untried": 1}}
    told = page.tables(found)
    assert "**4 of 5 killed (80.0%), 1 more do what the product does, 1 more whose line is gone" in told
    assert f"| `{file}` f | `x = 3 \\| y` | `pass` | no test notices it |" in told
    assert f"| `{file}` f | `x = 4 \\| y` | `pass` | nobody reads it |" in told


def test_no_listed_mutant_is_stale() -> None:
    chosen = [*listing.read(), *listing.equivalent()]
    sources = {file: (listing.ROOT / file).read_text() for file in {mutant.file for mutant in chosen}}
    assert [each for each in chosen if listing.applied(sources[each.file], each) is None] == []
    assert [each for each in chosen if each.line == each.becomes] == []
