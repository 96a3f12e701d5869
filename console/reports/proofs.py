"""The result of `tapewatch verify`, as the console keeps it."""

import msgspec


class RecordComparison(msgspec.Struct, frozen=True):
    """What was found for one record of the alert. same_build : this build decided it"""

    revision: int
    identical: bool
    same_build: bool
    differences: list[str] = []


class VerificationResult(msgspec.Struct, frozen=True):
    """A verification: recomputed from what, by which build, with which result; when and by whom.

    problem : why it could not be done at all; empty where it was
    """

    alert: str
    identical: bool
    source: str = ""
    input: str = ""
    build: str = ""
    replayed: int = 0
    bundles: list[str] = []
    damage: list[str] = []
    findings: list[RecordComparison] = []
    problem: str = ""
    at: str = ""
    who: str = ""
