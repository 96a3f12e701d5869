"""The second verifier shares no line with what it verifies."""

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "foreign"
ELSEWHERE = {"confluent_kafka", "duckdb", "numpy", "psycopg2", "pyarrow"}
STANDARD = {
    *("argparse", "collections", "dataclasses", "hashlib", "json", "pathlib", "sys", "tempfile", "time", "typing"),
    "urllib",
}


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield node.module or ""
        elif isinstance(node, ast.Name):
            assert node.id not in ("__import__", "importlib"), f"{path.name} imports by name"


def test_second_verifier_imports_clients_and_its_own_folder_alone() -> None:
    files = sorted(FOLDER.rglob("*.py"))
    assert len(files) > 5
    for path in files:
        for module in imported(path):
            own = module == "tests.foreign" or module.startswith("tests.foreign.")
            assert own or module.partition(".")[0] in ELSEWHERE | STANDARD, f"{path.name} imports {module}"
