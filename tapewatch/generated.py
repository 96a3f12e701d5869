"""Files that the code writes itself: one pair of options, `--check` and `--write`, and one answer where they differ."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path


def options(module: str, title: str) -> argparse.ArgumentParser:
    """A parser that wants one of both options. module : as `python -m` takes it"""
    parser = argparse.ArgumentParser(description=title, epilog=f"example: python -m {module} --write")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a file is out of step")
    mode.add_argument("--write", action="store_true", help="write what is out of step")
    return parser


def settle(files: Mapping[Path, str], module: str, write: bool) -> int:
    """Write the texts, or compare the files to them: 1 and a line for each that differs."""
    if write:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        return 0
    wrong = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    sys.stderr.writelines(f"out of step with the code: {path}\n" for path in wrong)
    if wrong:
        sys.stderr.write(f"  next: python -m {module} --write\n")
    return 1 if wrong else 0
