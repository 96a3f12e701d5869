"""`tapewatch contract`: write JSON Schemas and the AsyncAPI document, or check that those in docs/ are in step."""

import argparse
import json
import sys
from pathlib import Path

from tapewatch.commands import asyncapi
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch contract`."""
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="rewrite the files that are out of step")
    mode.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a file is out of step")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="DIR", help="where they lie (default: docs)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch contract --write"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Compare, and rewrite where asked to; exit status 1 when --check finds a file out of step."""
    files = render()
    stale = out_of_step(args.docs, files)
    if args.write:
        for name in stale:
            _rewrite(args.docs / name, files.get(name))
    left, written = ([], stale) if args.write else (stale, [])
    state = {"documents": sorted(files), "out_of_step": left, "written": written}
    if args.json:
        print(json.dumps(state))
    else:
        _report(args.docs, state)
    return 1 if args.check and stale else 0


def render() -> dict[str, str]:
    """Content of every generated file by its path below docs/."""
    files = {f"schemas/{name}.json": _text(schema) for name, schema in asyncapi.schemas().items()}
    return {"asyncapi.json": _text(asyncapi.document()), **files}


def out_of_step(docs: Path, files: dict[str, str]) -> list[str]:
    """Paths below `docs` that are missing, differ, or are schemas of a message that is no more."""
    wrong = {name for name, text in files.items() if not _holds(docs / name, text)}
    left = {f"schemas/{path.name}" for path in (docs / "schemas").glob("*.json")} - set(files)
    return sorted(wrong | left)


def _text(tree: asyncapi.Json) -> str:
    """Indented JSON, the same bytes every time."""
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _holds(path: Path, text: str) -> bool:
    """Whether the file exists with exactly this text."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _rewrite(path: Path, text: str | None) -> None:
    """Write the file, or remove it where nothing generates it any more."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _report(docs: Path, state: dict[str, list[str]]) -> None:
    """Say what was written or is out of step."""
    for name in state["written"]:
        print(f"written: {docs / name}")
    for name in state["out_of_step"]:
        print(f"out of step with the code: {docs / name}", file=sys.stderr)
    if state["out_of_step"]:
        print("  next: run `tapewatch contract --write` and commit the result", file=sys.stderr)
    else:
        print(f"{len(state['documents'])} documents in {docs} are in step with the code")
