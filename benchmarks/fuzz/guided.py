"""Coverage-guided fuzzing of one target by atheris (extra `fuzz`): `python -m benchmarks.fuzz.guided TARGET`.

Inputs that reach new code are kept in a folder; those that break the target's promise end the run and are written to
the working folder, as libFuzzer does. `--keep` adds what was found to the corpus of the repository, smallest first.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

from tapewatch.errors import TapewatchError

KEPT = 12
"""Found inputs that a target's corpus takes at most, beside its seeds."""
LARGEST = 4_096
"""A larger found input is not kept, bytes."""


def main(words: list[str] | None = None) -> int:
    """Fuzz; does not return before the time is over."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz.guided",
        description=__doc__,
        epilog="example: python -m benchmarks.fuzz.guided upbit --seconds 120 --found found/",
    )
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--found", type=Path, default=None, help="folder for inputs that reach new code")
    parser.add_argument("--keep", action="store_true", help="add what lies in --found to the corpus, and end")
    args = parser.parse_args(words)
    if args.keep:
        if args.found is None:
            parser.error("--keep needs --found")
        print(f"{keep(args.target, args.found)} inputs added", file=sys.stderr)
        return 0
    fuzz(args.target, args.seconds, args.found)
    return 0


def fuzz(name: str, seconds: int, found: Path | None) -> None:
    """Run libFuzzer over a target, from the corpus on."""
    try:
        import atheris
    except ImportError as error:
        raise TapewatchError(
            "coverage-guided fuzzing needs atheris", "Install the extra: pip install 'tapewatch[fuzz]'."
        ) from error
    with atheris.instrument_imports(include=["tapewatch", "producers", "streams", "msgspec"]):
        from benchmarks.fuzz.targets import CORPUS, TARGETS
    if name not in TARGETS:
        raise TapewatchError(f"there is no target {name!r}", f"Targets: {', '.join(TARGETS)}.")
    folder = found or Path(tempfile.mkdtemp(prefix="tapewatch-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        sys.argv[0],
        str(folder),
        str(CORPUS / name),
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=4096",
    ]
    atheris.Setup(words, TARGETS[name].make())
    atheris.Fuzz()


def keep(name: str, found: Path) -> int:
    """Copy the smallest found inputs into the corpus; how many."""
    from benchmarks.fuzz.targets import CORPUS, corpus

    known, target = set(corpus(name)), CORPUS / name
    room = KEPT - len(list(target.glob("found-*")))
    fresh = sorted(
        (path.read_bytes() for path in found.iterdir() if path.is_file()), key=lambda data: (len(data), data)
    )
    chosen = [data for data in fresh if data not in known and len(data) <= LARGEST][: max(room, 0)]
    for data in chosen:
        (target / f"found-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
    return len(chosen)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TapewatchError as error:
        print(f"fuzz: {error.message}\n  next: {error.hint}", file=sys.stderr)
        sys.exit(1)
