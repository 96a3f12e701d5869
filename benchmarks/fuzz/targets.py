"""What is fuzzed: a name, what it proves, and a function of bytes that raises where the promise is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import frame_targets, message_targets, recording_targets, venue_targets

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "fuzz" / "corpus"
"""A folder a target."""

Take = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """promise : what holds for every input; make : gives the function that takes one; share : of a soak's inputs, in
    parts; dearer ones get fewer
    """

    promise: str
    make: Callable[[], Take]
    share: int


TARGETS: dict[str, Target] = {
    **{
        f"recording-{kind}": Target(
            f"a file of kind {kind} gives rows, refusals or an error", recording_targets.replay(kind), 5
        )
        for kind in recording_targets.KINDS
    },
    **{
        name: Target(f"{name}: a session's messages give rows or refusals", venue_targets.session(name), 20)
        for name in venue_targets.VENUES
    },
    "control": Target("a control row's detail is applied or refused", message_targets.control, 3),
    "task": Target("no record changes another instrument's result", frame_targets.task, 40),
    "readable": Target("a record is shown or not, by `tail`", message_targets.show, 100),
    "admission": Target(
        "a record is admitted, dropped or refused; its clock is believed", frame_targets.admission, 200
    ),
    "frame": Target("a frame opens or is refused with a reason", frame_targets.decoder, 300),
    "headers": Target("a record's headers are read or refused", frame_targets.headers, 2000),
    "ipc": Target("positions found in Arrow metadata lie within the frame", frame_targets.metadata, 3000),
    "message": Target("a JSON message is read or refused", message_targets.message, 4157),
}
"""The dearest first: so that a soak does not end with one of them alone."""


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target, by file name."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
