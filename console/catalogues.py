"""The languages' catalogues: which texts the pages say, and which of them a catalogue lacks or holds for nothing.

`python -m console.catalogues` tells; `--write` puts missing texts into the catalogues, empty, and takes stale ones out.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from console import health_checks
from console.web_words import WORDS

WEB = Path(__file__).with_name("web")
FOLDER = WEB / "i18n"
LANGUAGES = ("zh-TW", "ko")

_CALL = re.compile(r"""\bt\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`$]*`)""")
_LISTED = re.compile(r"""\b(?:title|group): ("(?:[^"\\]|\\.)*")""")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def texts() -> set[str]:
    """Every text that a page may say: t("...") of the pages, the navigation's titles, checks' sentences, words."""
    found = set(WORDS)
    for file in sorted(WEB.rglob("*.js")):
        if {"vendor", "node_modules"} & set(file.relative_to(WEB).parts):
            continue
        source = file.read_text(encoding="utf-8")
        found.update(_literal(match) for match in _CALL.findall(source))
    source = (WEB / "pages" / "index.js").read_text(encoding="utf-8")
    found.update(_literal(match) for match in _LISTED.findall(source))
    found.update(_check_texts())
    return found


def _literal(text: str) -> str:
    """The value of a JavaScript string literal."""
    if text.startswith("`"):
        return text[1:-1]
    return str(ast.literal_eval(text))


def _check_texts() -> Iterator[str]:
    """Names, sentences and hints of the health checks: the strings of their module's functions, docstrings left out."""
    tree = ast.parse(Path(health_checks.__file__).read_text(encoding="utf-8"))
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
                yield from (text for text in map(_constant, node.args) if text and text not in ("good", "warn", "bad"))
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.IfExp):
                values = [node.value] if isinstance(node.value, ast.Constant) else [node.value.body, node.value.orelse]
                yield from (text for text in map(_constant, values) if " " in text)
    yield from (*health_checks.START, "Kafka", "PostgreSQL")
    yield from (f"Run `{command}`." for command in health_checks.START.values())


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def catalogue(language: str) -> dict[str, str]:
    """A language's catalogue: translation by English text."""
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return found


def problems(language: str, wanted: set[str]) -> list[str]:
    """What a catalogue lacks, holds for nothing, or says with other placeholders than the English text."""
    known = catalogue(language)
    found = [f"{language} lacks {text!r}" for text in sorted(wanted) if not known.get(text)]
    found += [f"{language} holds {text!r}, which no page says" for text in sorted(known.keys() - wanted)]
    found += [
        f"{language} says {text!r} with other placeholders"
        for text, said in known.items()
        if said and set(_PLACEHOLDER.findall(said)) != set(_PLACEHOLDER.findall(text))
    ]
    return found


def write(language: str, wanted: set[str]) -> None:
    """Put missing texts in, empty, and take stale ones out."""
    known = catalogue(language)
    kept = {text: known.get(text, "") for text in sorted(wanted)}
    (FOLDER / f"{language}.json").write_text(json.dumps(kept, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main() -> int:
    """Tell, or write; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m console.catalogues", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put missing texts in, empty, and take stale ones out")
    args = parser.parse_args()
    wanted = texts()
    for language in LANGUAGES if args.write else ():
        write(language, wanted)
    found = [problem for language in LANGUAGES for problem in problems(language, wanted)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
