"""The desk live, without a broker: minutes are released when every input sealed them; rankings; state that survives."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.coin_features import batch
from detectors.ranking import model as ranking_model
from detectors.regime import model as regime_model
from streams.coin_ranking import minute_buffer, state_records
from streams.coin_ranking.minute_buffer import Bar, BarBuffer
from streams.coin_ranking.ranking import STALE_MINUTES, CoinRanking, Question
from tapewatch.contract import messages
from tests.unit.coin_market import START, coin

A, B, C = ("alpha", 0), ("alpha", 1), ("beta", 0)
QUESTION = Question(0.005, -0.005)


def bar(name: str, offset: int = 0, partition: int = 0, price: float = 100.0) -> Bar:
    return Bar(name, np.array([price, price, price, 1.0, 1.0, 0.0, 0.0]), (partition, offset))


def released(held: BarBuffer, most: int = 100) -> list[tuple[int, list[str]]]:
    return [(minute, [one.instrument for one in bars]) for minute, bars in held.release(held.ready(), most)]


def test_minute_waits_for_every_awaited_input() -> None:
    held = BarBuffer([A, C])
    held.add(A, 5, bar("X.Y"))
    held.seal(A, 5)
    assert released(held) == []
    held.seal(C, 4)
    assert released(held) == []
    held.seal(C, 7)
    assert released(held) == [(5, ["X.Y"])]
    held.add(A, 5, bar("X.Y"))
    assert held.late == 1


@given(st.randoms())
def test_order_is_minute_feed_partition_instrument_however_records_interleave(random) -> None:
    todo = [(source, minute, name) for source in (A, B, C) for minute in (1, 2) for name in ("Z.X", "B.X")]
    random.shuffle(todo)
    held = BarBuffer([A, B, C])
    for source, minute, name in todo:
        held.add(source, minute, bar(f"{source[0][0].upper()}{source[1]}{name}"))
    for source in (A, B, C):
        held.seal(source, 2)
    expected = ["A0B.X", "A0Z.X", "A1B.X", "A1Z.X", "B0B.X", "B0Z.X"]
    assert released(held) == [(1, expected), (2, expected)]


def test_unknown_input_is_awaited_from_where_it_joins() -> None:
    held = BarBuffer([A])
    held.add(C, 1, bar("EARLY.X"))
    held.add(A, 1, bar("A.X"))
    held.seal(A, 2)
    assert released(held) == [(1, ["A.X"])]
    held.seal(C, 2)
    assert held.join() == [C]
    held.add(C, 2, bar("C.X"))
    assert released(held) == [(2, ["C.X"])]
    held.seal(A, 9)
    assert held.ready() == 2


def test_silent_input_is_left_out_and_comes_back_when_it_has_caught_up() -> None:
    held = BarBuffer([A, C])
    held.seal(C, 1)
    held.add(A, 5, bar("A.X"))
    held.seal(A, 5)
    assert held.behind() == [C]
    held.leave_out(C)
    assert released(held) == [(5, ["A.X"])]
    assert held.join() == []
    held.seal(C, 6)
    assert held.join() == [C]
    assert not held.left_out


def test_snapshot_names_the_first_record_that_is_still_needed() -> None:
    held = BarBuffer([A, B])
    held.add(A, 1, bar("A.X", offset=3))
    held.add(A, 2, bar("A.X", offset=4))
    held.add(B, 2, bar("B.X", offset=9, partition=1))
    held.seal(A, 2)
    held.seal(B, 1)
    assert released(held) == [(1, ["A.X"])]
    assert held.needed() == {0: 4, 1: 9}
    again = minute_buffer.restored(
        msgspec.json.decode(msgspec.json.encode(held.stored()), type=minute_buffer.BarBufferState)
    )
    assert (again.sealed, again.released, again.left_out) == (held.sealed, 1, set())


def desk(question: Question = QUESTION, currency: str = "USD") -> CoinRanking:
    return CoinRanking(ranking_model.shipped(), regime_model.shipped(), question, lambda _: currency)


def live(held: CoinRanking, coins: dict[str, batch.History], start: int, stop: int) -> None:
    for row in range(start, stop):
        held.add(START + row, [Bar(name, seen.bars[row], (0, row)) for name, seen in coins.items()])


def made(rows: int) -> dict[str, batch.History]:
    names = {"CALM.X": 0.0003, "LIVELY.X": 0.001}
    return {name: coin(rows, seed=place, volatility=each) for place, (name, each) in enumerate(names.items())}


def test_livelier_coin_stands_first_with_all_its_figures() -> None:
    held = desk(Question(0.005, -0.005, 1.0))
    coins = made(300)
    live(held, coins, 0, 300)
    found = held.ranking(START + 299)
    assert [one.instrument for one in found.ranked] == ["LIVELY.X", "CALM.X"]
    first = found.ranked[0]
    known = batch.watched(coins["LIVELY.X"], held.asked, regime_model.shipped().regimes())
    assert first.probability == ranking_model.shipped().probability(known.inputs)[-1]
    assert first.averages["1h"] == pytest.approx(coins["LIVELY.X"].bars[-60:, 2].mean())
    assert first.volumes["30m"] == pytest.approx(coins["LIVELY.X"].bars[-30:, 3].sum())
    assert first.buys == coins["LIVELY.X"].bars[-60:, 5].sum()
    assert set(first.regimes) == {"1h", "6h", "12h", "24h"}
    assert found.as_of == messages.to_rfc3339((START + 300) * 60 * 10**9)
    assert messages.decode(messages.Ranking, messages.encode(found)) == found


@pytest.mark.parametrize(
    ("question", "currency", "said"),
    [
        (QUESTION, "USD", "below 1,000,000"),
        (QUESTION, "KRW", "below 1,400,000,000"),
        (Question(0.1, -0.1, 5e7), "", "5"),
    ],
)
def test_coin_of_low_turnover_is_left_out_with_the_reason(question: Question, currency: str, said: str) -> None:
    held = desk(question, currency)
    live(held, made(200), 0, 200)
    found = held.ranking(START + 199)
    assert not found.ranked
    assert set(found.excluded) == {"CALM.X", "LIVELY.X"}
    assert all("turnover of a day" in reason and said in reason for reason in found.excluded.values())


def test_young_and_silent_coins_are_left_out_with_the_reason() -> None:
    held = desk()
    live(held, made(30), 0, 30)
    assert held.ranking(START + 29).excluded["CALM.X"] == "30 of the 180 minutes that it needs"
    late = STALE_MINUTES + 1
    assert held.ranking(START + 29 + late).excluded["CALM.X"] == f"no bar for {late} minutes"


def test_desk_restored_from_its_records_goes_on_bit_for_bit() -> None:
    question = Question(0.005, -0.005, 1.0)
    coins, one = made(400), desk(Question(0.005, -0.005, 1.0))
    live(one, coins, 0, 250)
    position = state_records.Position({0: 7}, BarBuffer([A]).stored(), question, one.asked.horizon, 2)
    records = dict(state_records.records(one, position))
    assert msgspec.json.decode(records[state_records.POSITION], type=state_records.Position) == position
    other = desk(question)
    for key, value in records.items():
        if state_records.coin_name(key):
            other.restore(state_records.coin_name(key), *state_records.unpacked(value, other.asked.horizon))
    assert messages.encode(other.ranking(START + 249)) == messages.encode(one.ranking(START + 249))
    for each in (one, other):
        live(each, coins, 250, 400)
    assert messages.encode(other.ranking(START + 399)) == messages.encode(one.ranking(START + 399))


def test_record_of_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="layout"):
        state_records.unpacked(state_records.packed([np.zeros(3)]), 60)
