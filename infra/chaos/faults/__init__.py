"""Every kind of fault, one function each that begins, waits and heals; and how one is injected and accounted for."""

import msgspec

from infra.chaos.faults import brokers, input, models, network, processes, stores, stranger
from infra.chaos.faults.kind import BrokenPromiseError, Fault, Ground, Kind, NotInjectedError, Pause
from tapewatch.clock import WALL, Clock

FAMILIES = (processes, brokers, stores, network, input, stranger, models)
KINDS = {kind.name: kind for family in FAMILIES for kind in family.KINDS}


class Outcome(msgspec.Struct, frozen=True):
    """What became of a fault.

    target : what was hit, in words; began_ns, ended_ns : UTC nanoseconds, the healing included
    problem : why it was not injected, empty where it was: only then it counts
    broken : what the site did not do as promised, empty where it did
    """

    fault: Fault
    target: str
    began_ns: int
    ended_ns: int
    problem: str
    broken: str = ""


def inject(site: Ground, fault: Fault, pause: Pause, clock: Clock = WALL) -> Outcome:
    """Bring a fault about and take it back; whatever goes wrong is the outcome's problem, and nothing is raised."""
    began, target, problem, broken = clock.now(), "", "", ""
    try:
        target = KINDS[fault.kind].inject(site, fault, pause)
    except NotInjectedError as error:
        problem = error.message
    except BrokenPromiseError as error:
        broken = error.message
    except Exception as error:  # the site is being broken on purpose: anything may fail, and the run goes on
        problem = f"{type(error).__name__}: {error}"
    return Outcome(fault, target, began, clock.now(), problem, broken)


__all__ = ["FAMILIES", "KINDS", "Fault", "Ground", "Kind", "NotInjectedError", "Outcome", "Pause", "inject"]
