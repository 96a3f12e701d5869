"""The wheel: the same bytes from the same files, wherever and whenever it is built."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EPOCH = "1760000000"
TOOLS = ROOT / ".audit/bin/python"


def built(folder: Path) -> Path:
    """A wheel of a copy of the tracked files in this folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    words = [str(TOOLS), "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "out"), "."]
    done = subprocess.run(words, cwd=folder / "source", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next((folder / "out").glob("*.whl"))


@pytest.mark.long
@pytest.mark.skipif(not TOOLS.exists(), reason="needs the tools: make wheel")
def test_the_same_files_give_the_same_wheel_in_any_folder(tmp_path: Path) -> None:
    first, second = built(tmp_path / "one"), built(tmp_path / "another" / "deeper")
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    names = zipfile.ZipFile(first).namelist()
    assert "tapewatch/access/services.py" in names
    assert not [name for name in names if name.startswith(("tests/", "."))]
