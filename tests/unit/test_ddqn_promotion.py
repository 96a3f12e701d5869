"""Promotion: equal players stay out however long one looks, better ones come in, and a deep fall is a veto."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from detectors.ddqn.lanes import BUY, HOLD, SELL
from detectors.ddqn.planted import SECOND, planted
from detectors.ddqn.played import run_sessions
from detectors.ddqn.promotion import NOBODY, Curve, Report, Veto, compared, in_slots, read, unfit
from detectors.ddqn.sequential import PROMOTE, REFUSE, UNDECIDED, Rule, chances, walk
from detectors.ddqn.trading import Rules


def curves(gains: np.ndarray) -> list[Curve]:
    """One an instrument. gains : float64[instruments, rows]"""
    ts = np.arange(1, gains.shape[1] + 1)
    return [Curve(ts, each) for each in gains]


def report_of(better: float = 0.0004, fall: float = 0.0, pairs: int = 400, slot: int = 1, share: float = 0.7) -> Report:
    """A challenger that wins a share of its pairs by `better`, and once falls by `fall`."""
    random = np.random.default_rng(3)
    old = random.normal(0.0, 0.00002, (2, pairs * slot))
    new = old + np.where(np.repeat(random.random(pairs) < share, slot), better, -better) / slot
    new[0, 3] -= fall
    return compared("test", ("aaaa", curves(old)), ("bbbb", curves(new)), slot)


def test_an_equal_player_is_promoted_in_less_than_two_and_a_half_percent_of_all_paths() -> None:
    found = chances(Rule(), 0.5)
    assert found.promoted < 0.025
    assert found.promoted + found.refused + found.undecided == pytest.approx(1.0)


def test_a_worse_player_is_promoted_more_rarely_still() -> None:
    assert chances(Rule(), 0.48).promoted < 0.01


@pytest.mark.parametrize(("share", "power", "pairs"), [(0.55, 0.85, 800), (0.6, 0.99, 220), (0.65, 0.999, 100)])
def test_a_better_player_is_promoted_with_the_power_that_the_page_states(
    share: float, power: float, pairs: int
) -> None:
    found = chances(Rule(), share)
    assert found.promoted > power
    assert found.pairs < pairs


def test_simulated_equal_players_agree_with_the_exact_chances() -> None:
    random = np.random.default_rng(11)
    rule = Rule(pairs=300)
    verdicts = [walk(random.choice([-1, 1], 300), rule).verdict for _ in range(2000)]
    exact = chances(rule, 0.5)
    for name, share in ((PROMOTE, exact.promoted), (REFUSE, exact.refused), (UNDECIDED, exact.undecided)):
        assert verdicts.count(name) / 2000 == pytest.approx(share, abs=4.0 * np.sqrt(share * (1.0 - share) / 2000))


def test_equal_players_in_a_market_whose_swings_come_in_clusters_are_rarely_promoted() -> None:
    # Both toss coins for their positions, independently: nobody is better, but results depend on volatile times.
    random = np.random.default_rng(5)
    players, slots = 1500, 300
    loud = np.exp(np.cumsum(random.normal(0.0, 0.1, (players, slots)), axis=1))
    market = loud * random.standard_t(3, (players, slots))
    sides = random.choice([-1.0, 0.0, 1.0], (2, players, slots))
    outcomes = np.sign((sides[1] - sides[0]) * market).astype(int)
    promoted = sum(walk(each, Rule()).verdict == PROMOTE for each in outcomes)
    assert promoted / players < 0.025


def test_ties_change_nothing_but_the_number_of_pairs() -> None:
    outcomes = np.random.default_rng(2).choice([-1, 1, 1], 200)
    spread = np.zeros(600, dtype=int)
    spread[::3] = outcomes
    first, second = walk(outcomes, Rule()), walk(spread, Rule())
    assert first.verdict == second.verdict == PROMOTE
    assert second.used == 3 * first.used - 2
    assert second.p_value == first.p_value <= 0.025


def test_a_player_that_only_ties_stays_undecided() -> None:
    found = walk(np.zeros(5000, dtype=int), Rule())
    assert (found.verdict, found.used, found.p_value) == (UNDECIDED, 5000, 1.0)


def test_the_most_pairs_end_a_test_that_has_no_answer() -> None:
    found = walk(np.tile([1, -1], 100), Rule(pairs=50))
    assert (found.verdict, found.used) == (UNDECIDED, 50)


def test_what_comes_after_the_decision_does_not_change_it() -> None:
    wins = [1] * 40
    assert walk(wins, Rule()).verdict == walk(wins + [-1] * 500, Rule()).verdict == PROMOTE


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"rates": ()}, {"rates": (0.5,)}, {"worth": 1.0}, {"pairs": 0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        compared("t", ("a", curves(np.ones((1, 2)))), ("b", curves(np.ones((1, 2)))), 1, Rule(**wrong))  # type: ignore[arg-type]


def test_a_slot_holds_the_rows_of_all_instruments_that_close_in_it() -> None:
    one, two = Curve(np.array([1, 10, 11]), np.array([1.0, 2.0, 4.0])), Curve(np.array([5, 20]), np.array([8.0, 16.0]))
    slots, gains = in_slots([one, two], 10)
    assert (slots.tolist(), gains.tolist()) == ([1, 2], [11.0, 20.0])


def test_players_of_different_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same rows"):
        compared("t", ("a", curves(np.ones((1, 3)))), ("b", curves(np.ones((1, 4)))), 1)


def test_a_player_that_wins_is_promoted_and_its_report_can_be_read_again() -> None:
    report = report_of()
    assert report.decision == PROMOTE
    assert report.p_value <= 0.025
    assert read(report.encoded()) == report
    assert unfit(report, "aaaa", "bbbb") == ""


def test_a_winner_that_falls_deep_is_refused() -> None:
    report = report_of(fall=0.2)
    assert report.decision == REFUSE
    assert "worst drawdown" in report.reasons[0]
    assert report.e_values[-1] >= 40.0


def test_a_drawdown_below_the_floor_is_no_veto() -> None:
    report = report_of(fall=0.005)
    assert report.decision == PROMOTE
    assert report.challenger.worst_drawdown > report.champion.worst_drawdown


def test_a_winner_of_small_pairs_that_earns_less_in_all_is_refused() -> None:
    old = np.zeros((1, 60))
    new = np.full((1, 60), 0.0001)
    new[0, 2] = -0.009
    report = compared("t", (NOBODY, curves(old)), ("b", curves(new)), 1)
    assert (report.decision, "earns less" in report.reasons[0]) == (REFUSE, True)


def test_the_same_player_ties_with_itself_and_is_not_promoted() -> None:
    gains = np.random.default_rng(1).normal(0.0, 0.01, (3, 200))
    report = compared("t", ("a", curves(gains)), ("b", curves(gains)), 5)
    assert (report.decision, set(report.outcomes)) == (UNDECIDED, {0})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decision": "promote"}, "does not follow"),
        ({"outcomes": [1] * 60}, "does not follow"),
        ({"version": "2.0"}, "1.x"),
        ({"decision": 3}, "str"),
    ],
)
def test_a_report_that_was_touched_does_not_add_up(changed: dict[str, object], said: str) -> None:
    told = msgspec.json.decode(report_of(fall=0.2).encoded()) | changed
    with pytest.raises(ValueError, match=said):
        read(msgspec.json.encode(told))


def test_a_report_counts_only_for_its_two_players_and_the_usual_rule() -> None:
    report = report_of()
    assert "of the challenger bbbb" in unfit(report, "aaaa", "cccc")
    assert "cccc is in force" in unfit(report, "cccc", "bbbb")
    assert "level" in unfit(msgspec.structs.replace(report, rule=Rule(level=0.2)), "aaaa", "bbbb")
    assert "drawdowns" in unfit(msgspec.structs.replace(report, veto=Veto(margin=9.0)), "aaaa", "bbbb")
    assert "'refuse'" in unfit(report_of(fall=0.2), "aaaa", "bbbb")


def swinger(states: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Long in the planted market's rising half, flat in the other: its second feature falls through the swing."""
    rising, held = states[:, 0] < 0.0, states[:, -9] > 0.0
    wanted = np.where(rising & ~held, BUY, np.where(~rising & held, SELL, HOLD))
    return np.where(masks[np.arange(len(wanted)), wanted], wanted, HOLD)


def test_whoever_reads_the_planted_pattern_takes_the_place_of_one_who_holds() -> None:
    sessions = [replace(planted(seed), instrument=f"P{seed}.SIMX") for seed in (1, 2, 3)]
    rules = Rules(order="market")
    own, idle = run_sessions(sessions, rules, swinger), run_sessions(sessions, rules)
    report = compared("trading", (NOBODY, [ran.curve for ran in idle]), ("b", [ran.curve for ran in own]), 20 * SECOND)
    assert report.decision == PROMOTE
    assert report.challenger.result > 0.0 == report.champion.result


def test_a_curve_is_what_the_account_gained() -> None:
    sessions = [planted(1), planted(2, seconds=600)]
    rules = Rules(order="market")
    for session, ran in zip(sessions, run_sessions(sessions, rules, swinger), strict=True):
        capital = ran.episode.unit_value * rules.capital_units
        assert ran.curve.gains.sum() == pytest.approx(ran.episode.result / capital, rel=1e-4)
        assert ran.curve.drawdown == pytest.approx(ran.episode.drawdown / capital, rel=1e-4)
        assert len(ran.curve.ts) == len(ran.held) == len(session.ts) - 1
        assert (set(ran.held), ran.held[-1]) == ({0.0, 1.0}, 0.0)
        assert np.abs(ran.middle / 100.0 - 1.0).max() < 0.01
