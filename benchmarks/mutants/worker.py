"""Tries mutants of one file: a job on standard input, an outcome a line on standard output.

The process imports what the tests import and what does not lead to the mutated file, once. Each mutant then has a fork
of its own, which imports the rest with the mutant among it, and runs the tests until the first that fails.
"""

import ast
import contextlib
import importlib
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import msgspec
import pytest

from benchmarks.mutants.hook import Hook
from benchmarks.mutants.job import Job, Outcome, TrialResult
from benchmarks.mutants.listing import ROOT, Mutant, applied
from benchmarks.mutants.targets import BY_FILE, Target
from tapewatch.errors import TapewatchError
from tapewatch.settings.stack import Addresses

MEMORY = 6 * 2**30
"""What a mutant may allocate, bytes: one that grows without end must not take the machine with it."""
FIRST_S = 600.0
"""Longest time of the tests without a mutant, s."""
PATIENCE = 3.0
"""A mutant may take so many times as long as the tests do without one, and GRACE_S more; then it counts as noticed."""
GRACE_S = 20.0
ANYWHERE = "*"
"""Stands for the modules that a file may import by names that are no words of its text."""


class _FirstFailure:
    """A plugin that keeps the first test that failed."""

    def __init__(self) -> None:
        self.by = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's setup, call or teardown is over."""
        if report.failed:
            self.by = self.by or report.nodeid


def main() -> int:
    """Work off the job, and say each outcome to people too; 1 where the tests do not pass without a mutant."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    target = BY_FILE[job.mutants[0].file]
    source = (ROOT / target.file).read_text()
    with tempfile.TemporaryDirectory(prefix="tapewatch-mutants-") as folder:
        trial = _Trial(target, job.stack, Path(folder))
        began = perf_counter()
        whole = trial.run(source, FIRST_S)
        if whole is None or whole.code:
            why = whole.by if whole else f"they take more than {FIRST_S:.0f} s"
            print(f"the tests of {target.file} do not pass without a mutant: {why}", file=sys.stderr)
            return 1
        limit = PATIENCE * (perf_counter() - began) + GRACE_S
        _import_others(whole.imported, target.module)
        for mutant in job.mutants:
            outcome = _outcome(mutant, source, trial, limit)
            print(msgspec.json.encode(outcome).decode(), flush=True)
            told = f"{mutant.file} {mutant.function}: {mutant.line} -> {mutant.becomes}"
            print(f"{outcome.status}, {outcome.seconds:.1f} s: {told}", file=sys.stderr, flush=True)
    return 0


def _outcome(mutant: Mutant, source: str, trial: "_Trial", limit_s: float) -> Outcome:
    mutated = applied(source, mutant)
    if mutated is None:
        return Outcome(mutant, "stale", 0.0)
    began = perf_counter()
    tried = trial.run(mutated, limit_s)
    seconds = round(perf_counter() - began, 1)
    if tried is None:
        return Outcome(mutant, "timeout", seconds)
    return Outcome(mutant, "killed" if tried.code else "survived", seconds, tried.by)


class _Trial:
    """Runs of a target's tests, each in a fork."""

    def __init__(self, target: Target, stack: Addresses | None, folder: Path) -> None:
        self._target, self._stack, self._folder = target, stack, folder

    def run(self, source: str, limit_s: float) -> TrialResult | None:
        """The tests with the module's text replaced; None where they do not end in time."""
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            os.close(reads)
            self._be_the_child(source, writes)
        os.close(writes)
        try:
            with os.fdopen(reads, "rb") as pipe:
                ready, _, _ = select.select([pipe], [], [], limit_s)
                said = pipe.readline() if ready else None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            shutil.rmtree(self._folder / "work", ignore_errors=True)
        if said is None:
            return None
        # A process that dies without a word has noticed too.
        return msgspec.json.decode(said, type=TrialResult) if said else TrialResult(-1, "", [])

    def _be_the_child(self, source: str, writes: int) -> None:
        """Run the tests, say how they ended, and leave without another word."""
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            quiet = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(quiet, number)
            sys.meta_path.insert(0, Hook(self._target.module, ROOT / self._target.file, source))
            if self._stack:
                _share(self._stack)
            noticing = _FirstFailure()
            words = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", f"--rootdir={ROOT}",
                     f"--basetemp={self._folder / 'work'}", *self._target.tests]  # fmt: skip
            code = int(pytest.main(words, plugins=[noticing]))
            os.write(writes, msgspec.json.encode(TrialResult(code, noticing.by, list(sys.modules))) + b"\n")
        finally:
            os._exit(0)


def _share(stack: Addresses) -> None:
    """Whoever asks for servers of a session is given these."""
    from infra import embedded

    vars(embedded)["session"] = lambda settings: contextlib.nullcontext(stack)


def _import_others(imported: list[str], module: str) -> None:
    """Import, in their order, the modules that do not lead to the mutated one, nor are tests."""
    ours = {name: path for name in imported if (path := _source_of(name)) is not None}
    leading = _leading_to(module, ours)
    for name in imported:
        if name.partition(".")[0] in ("__main__", "tests", "conftest") or name in leading:
            continue
        # What cannot be imported by its name alone is imported by whoever needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if module in sys.modules:
        raise TapewatchError(f"{module} is imported before it is mutated", "Look for who imports it.")


def _source_of(name: str) -> Path | None:
    """The file of a module of ours; None for every other."""
    place = ROOT.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


def _leading_to(module: str, ours: dict[str, Path]) -> set[str]:
    """The modules that import a module, or import one that does; itself too, and what imports by names made up as it
    goes.
    """
    imports = {name: {*_imports(path), *_with_packages(name)} - {name} for name, path in ours.items()}
    leading = {module, ANYWHERE}
    while more := {name for name, others in imports.items() if name not in leading and others & leading}:
        leading |= more
    return leading


def _imports(path: Path) -> Iterator[str]:
    """Every name that may be a module which a file imports, wherever in it, packages around it too."""
    text = path.read_text()
    if "import_module" in text:
        yield ANYWHERE
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        for name in names:
            yield from _with_packages(name)


def _with_packages(name: str) -> Iterator[str]:
    """A module's name, and before it those of the packages around it."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


if __name__ == "__main__":
    sys.exit(main())
