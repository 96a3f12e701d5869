"""Champion against challenger: paired results on the same stretches of the same market, a verdict, and its report.

A stretch is a slot of time over all instruments together, since what moves one of them moves the others; slots do not
overlap and are judged in the order of time. So each is new: the past does not say who wins it unless one is better.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.ddqn.sequential import PROMOTE, REFUSE, Rule, Walk, walk
from detectors.model_file import content_hash, first_problem

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

NOBODY = "hold"
"""Named as the champion where no policy is in force: who does what one does without a policy."""


class Veto(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a challenger that wins is refused for all the same.

    margin : share by which its drawdown, the worst or the mean one, may exceed the champion's
    floor : drawdown, as a share of capital, up to which nobody is refused
    """

    margin: float = 0.25
    floor: float = 0.01


class Curve(NamedTuple):
    """A player on one instrument.

    ts : int64[rows], increasing, when each result stood; gains : float64[rows], change of equity since the row before,
    as a share of the capital it began with
    """

    ts: I8
    gains: F8

    @property
    def drawdown(self) -> float:
        """Largest fall from a peak, as a share of the capital it began with."""
        equity = np.concatenate([[0.0], np.cumsum(self.gains)])
        return float((np.maximum.accumulate(equity) - equity).max())


class Player(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side. policy : content hash, or NOBODY; result : gained by the pairs judged; drawdowns : shares of capital"""

    policy: str
    result: float
    worst_drawdown: float
    mean_drawdown: float


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a promotion rests on; what was decided can be found again from the rest.

    data : names and sha256 of what was played; slot : length of a pair; seeds : of everything drawn, by what it was
    outcomes : 1 the challenger earned more in the pair, -1 less, 0 the same; gains : in each, of champion, challenger
    e_values : wealth after each pair; decision : `promote`, `refuse` or `undecided`; reasons : why
    """

    environment: str
    champion: Player
    challenger: Player
    data: dict[str, Any]
    slot: str
    seeds: dict[str, int]
    rule: Rule
    veto: Veto
    outcomes: list[int]
    gains: list[tuple[float, float]]
    e_values: list[float]
    p_value: float
    decision: str
    reasons: list[str]
    command: str = ""
    version: str = "1.0"

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return content_hash(self.encoded())


def in_slots(curves: Sequence[Curve], slot: int) -> tuple[I8, F8]:
    """Slots that have rows, int64[slots] in the order of time, and what was gained in each by all instruments together.

    slot : length, in the unit of the curves' times; a row belongs to the slot that its time closes
    """
    ts, gains = (np.concatenate([getattr(curve, name) for curve in curves]) for name in ("ts", "gains"))
    slots, places = np.unique(-(-ts // slot), return_inverse=True)
    sums: F8 = np.bincount(places, weights=gains, minlength=len(slots)).astype(np.float64)
    return slots, sums


def compared(
    environment: str,
    champion: tuple[str, Sequence[Curve]],
    challenger: tuple[str, Sequence[Curve]],
    slot: int,
    rule: Rule | None = None,
    veto: Veto | None = None,
) -> Report:
    """The verdict on two players of the same instruments and rows; ValueError where they played different ones.

    champion, challenger : content hash, or NOBODY, and a curve an instrument
    """
    rule, veto = rule or Rule(), veto or Veto()
    if rule.problem():
        raise ValueError(rule.problem())
    slots, old = in_slots(champion[1], slot)
    others, new = in_slots(challenger[1], slot)
    if not np.array_equal(slots, others):
        raise ValueError("champion and challenger have not played the same rows")
    # To twelve digits: the same trades summed in another order are a tie.
    outcomes = np.sign(np.round(new - old, 12)).astype(np.int64)
    gains = list(zip(old.round(12).tolist(), new.round(12).tolist(), strict=True))
    went = walk(outcomes, rule)
    first, second = (
        _player(one, total) for one, total in ((champion, old[: went.used]), (challenger, new[: went.used]))
    )
    decision, reasons = decided(went, first, second, veto)
    return Report(
        environment, first, second, {}, str(slot), {}, rule, veto, outcomes[: went.used].tolist(),
        gains[: went.used], went.e_values.round(6).tolist(), went.p_value, decision, reasons,
    )  # fmt: skip


def decided(went: Walk, champion: Player, challenger: Player, veto: Veto) -> tuple[str, list[str]]:
    """The verdict of the test, unless a challenger that won it falls deeper than allowed, or earned less in all."""
    if went.verdict != PROMOTE:
        why = "it does not win often enough" if went.verdict == REFUSE else "the pairs ended before an answer"
        return went.verdict, [why]
    against = []
    for name in ("worst", "mean"):
        own, old = (getattr(player, f"{name}_drawdown") for player in (challenger, champion))
        allowed = max(old * (1.0 + veto.margin), veto.floor)
        if own > allowed:
            against.append(f"{name} drawdown {own:.4f}, more than {allowed:.4f} (the champion's {old:.4f})")
    if challenger.result < champion.result:
        against.append(f"wins often but earns less: {challenger.result:.4f} against {champion.result:.4f}")
    return (REFUSE, against) if against else (PROMOTE, [f"wins its pairs, p = {went.p_value:.4f} whenever one stops"])


def _player(one: tuple[str, Sequence[Curve]], gained: F8) -> Player:
    falls = [curve.drawdown for curve in one[1]]
    return Player(one[0], float(gained.sum()), max(falls), float(np.mean(falls)))


def read(data: bytes) -> Report:
    """A report from its file; ValueError (msgspec.ValidationError is one) where it is none or does not add up.

    The test is walked again over the outcomes, and the outcomes taken again from the gains.
    """
    report = msgspec.json.decode(data, type=Report)
    if report.version.partition(".")[0] != "1" or report.rule.problem():
        raise ValueError(report.rule.problem() or f"contract version {report.version!r} is not 1.x")
    went = walk(report.outcomes, report.rule)
    signs = [int(np.sign(round(new - old, 12))) for old, new in report.gains]
    found = decided(went, report.champion, report.challenger, report.veto)[0] if report.outcomes else ""
    if signs != report.outcomes or found != report.decision or went.used != len(report.outcomes):
        raise ValueError("the decision does not follow from the pairs")
    return report


def unfit(report: Report, champion: str, challenger: str, rule: Rule | None = None, veto: Veto | None = None) -> str:
    """Why a report does not let `challenger` take the place of `champion`; empty where it does.

    champion, challenger : content hash, or NOBODY; rule, veto : the least strict that count, by default the usual ones
    """
    rule, veto = rule or Rule(), veto or Veto()
    return first_problem(
        {
            f"it is of the challenger {report.challenger.policy}, not {challenger}": report.challenger.policy
            != challenger,
            f"it is against {report.champion.policy}, but {champion} is in force": report.champion.policy != champion,
            f"it was judged by a level of {report.rule.level:g}, above {rule.level:g}": report.rule.level > rule.level,
            "it allows deeper drawdowns than the usual rule": report.veto.margin > veto.margin
            or report.veto.floor > veto.floor,
            f"its decision is {report.decision!r}: {'; '.join(report.reasons)}": report.decision != PROMOTE,
        }
    )
