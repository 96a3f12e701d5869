"""What the run and the processes that try mutants say to each other."""

import msgspec

from benchmarks.mutants.listing import Mutant
from tapewatch.settings.stack import Addresses


class Job(msgspec.Struct, frozen=True):
    """Mutants of one file for one process. stack : running servers, where the tests need them"""

    mutants: list[Mutant]
    stack: Addresses | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a mutant. by : the test that failed, empty where none did or none had begun"""

    mutant: Mutant
    status: str
    seconds: float
    by: str = ""


class TrialResult(msgspec.Struct, frozen=True):
    """How a run of the tests ended. code : pytest's; imported : modules that were imported, in their order"""

    code: int
    by: str
    imported: list[str]
