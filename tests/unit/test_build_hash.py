"""What the fingerprint of a build covers: the engine's imports, and nothing else."""

from pathlib import Path

import grimp
import pytest

from streams.engine.build import ENGINE, PACKAGES, ROOT, closure


def _tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.slow
def test_closure_is_what_an_import_graph_by_somebody_else_says() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    names = {ENGINE, *graph.find_upstream_modules(ENGINE)}
    packages = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    names |= packages | {each for name in packages for each in graph.find_upstream_modules(name)}
    found = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in closure(ROOT, ENGINE)}
    assert found == names


def test_every_way_to_import_is_followed(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "streams/__init__.py": "",
            "streams/engine/__init__.py": "from streams.engine.door import X\n",
            "streams/engine/door.py": "X = 1\n",
            "streams/engine/process.py": "import tapewatch.a\nfrom detectors import (\n    b,  # c\n    d as e,\n)\n",
            "tapewatch/__init__.py": "",
            "tapewatch/a.py": "def late() -> None:\n    from streams.engine.late import x as y, z\n",
            "streams/engine/late.py": "import streams.engine.process\n",
            "detectors/__init__.py": "",
            "detectors/b.py": "import numpy\n",
            "detectors/c.py": "",
            "detectors/d/__init__.py": "",
            "detectors/d/report.py": "",
        },
    )
    assert sorted(closure(root, ENGINE)) == [
        "detectors/__init__.py",
        "detectors/b.py",
        "detectors/d/__init__.py",
        "streams/__init__.py",
        "streams/engine/__init__.py",
        "streams/engine/door.py",
        "streams/engine/late.py",
        "streams/engine/process.py",
        "tapewatch/__init__.py",
        "tapewatch/a.py",
    ]


def test_what_decides_is_in_the_closure_and_what_only_reports_is_not() -> None:
    found = closure(ROOT, ENGINE)
    assert {"streams/engine/second_close.py", "detectors/scenarios/library.py", "tapewatch/contract/frames.py"} <= set(
        found
    )
    assert not [path for path in found if path.startswith(("streams/spark/", "streams/commands/", "tapewatch/dlq/"))]
