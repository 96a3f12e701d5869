"""Test modules stand for themselves: what several need is a module without `test_` in its name."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
IMPORTS = re.compile(
    r"\s*(?:from tests[\w.]*\.test_\w+ import|import tests[\w.]*\.test_\w+|from tests[\w.]* import .*\btest_\w+)"
)


def test_no_module_of_the_tests_imports_a_test_module() -> None:
    pulled = [
        (str(path.relative_to(TESTS)), line)
        for path in TESTS.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if IMPORTS.match(line)
    ]
    assert pulled == []
