"""The canaries' market: names in every partition, events in turn, each announced once and never a stale one."""

import msgspec
import pytest

from producers.canary import CanaryMarket, names_by_partition
from producers.canary.running import STALE_NS, Announcer
from producers.synthetic import Label, Rota
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.canaries import Canary, canary_id, figures, silent_s
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import decode
from tapewatch.contract.partitioner import partition_for
from tapewatch.settings.canaries import PREFIX, is_canary
from tapewatch.settings.delivery import CanarySettings
from tests.unit.canary_messages import injected

START = 1_767_600_000 * NANOS


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_every_partition_holds_as_many_canaries(partitions: int) -> None:
    names = names_by_partition(partitions, 3)
    places = [partition_for(name, partitions) for name in names]
    assert [places.count(each) for each in range(partitions)] == [3] * partitions
    assert places[:partitions] == list(range(partitions))
    assert len(set(names)) == len(names) and all(map(is_instrument_id, names))


def test_rota_gives_each_canary_each_scenario_once_in_a_cycle() -> None:
    rota = Rota(("pump_and_dump", "ramping", "spoofing"), 10.0)
    for instruments in (2, 3, 5):
        cycle = [rota.event(number, instruments) for number in range(3 * instruments)]
        assert len(set(cycle)) == 3 * instruments
        assert [each for _, each in cycle[:instruments]] == list(range(instruments))


def test_rota_refuses_a_scenario_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="unknown scenarios: bluffing"):
        Rota(("bluffing",), 10.0)


def test_events_begin_on_time_in_turn_under_the_canaries_names() -> None:
    names = names_by_partition(2, 2)
    market = CanaryMarket(names, Rota(("pump_and_dump",), 20.0), 3, START, 30.0)
    seen = set()
    for chunk, _ in zip(market.chunks(), range(100), strict=False):
        for rows in chunk.rows:
            seen |= {rows.instruments[code] for code in rows.columns["instrument"]}
    labels = market.labels()
    assert seen == set(names) == {each.id for each in market.instruments}
    assert [each.instrument for each in labels] == [*names[:3]]
    assert [(each.start_ns - START) // NANOS for each in labels] == [50, 70, 90]
    assert [each.strength for each in labels] == pytest.approx([0.6] * 3)


class FakeProducer:
    """What a producer was given."""

    def __init__(self) -> None:
        self.said: list[Canary] = []

    def produce(self, topic: str, value: bytes, *_: object, headers: object, on_delivery: object) -> None:
        self.said.append(decode(Canary, value))

    def poll(self, _: float) -> int:
        return 0


def label(start_ns: int, name: str = "CANARY_1.SIMX") -> Label:
    return Label("pump_and_dump", name, start_ns, start_ns + 60 * NANOS, 0.6, True)


def test_event_is_announced_once_with_the_time_by_which_it_is_due() -> None:
    sent, settings = FakeProducer(), CanarySettings(every_s=300.0, due_s=45.0)
    announcer = Announcer(sent, "canary", 4, settings, ManualClock(START + NANOS))
    for _ in range(3):
        announcer.say([label(START)])
    (said,) = sent.said
    assert said.id == canary_id("canary", "pump_and_dump", "CANARY_1.SIMX", START)
    assert (said.state, said.partition, said.every_s) == ("injected", partition_for("CANARY_1.SIMX", 4), 300.0)
    assert (said.start, said.due) == ("2026-01-05T08:00:00.000000000Z", "2026-01-05T08:00:45.000000000Z")


def test_event_whose_rows_were_sent_late_is_no_canary() -> None:
    sent, clock = FakeProducer(), ManualClock(START + STALE_NS + 1)
    announcer = Announcer(sent, "canary", 4, CanarySettings(), clock)
    announcer.say([label(START), label(START + NANOS, "CANARY_2.SIMX")])
    assert [each.instrument for each in sent.said] == ["CANARY_2.SIMX"]
    assert (announcer.count, announcer.stale) == (1, 1)


def test_only_our_own_names_are_canaries() -> None:
    assert is_canary((PREFIX,), "CANARY_17.SIMX")
    assert not is_canary((PREFIX,), "CANARYUSDT.BINANCE")
    assert not is_canary((PREFIX,), "CANARY-USD.COINBASE")
    assert not is_canary((), "CANARY_17.SIMX")


def test_figures_count_each_canary_once_and_take_recall_of_those_judged() -> None:
    found = msgspec.structs.replace(
        injected(), state="found", decision_s=4.0, stages={"topic": 0.2, "postgres": None}, revision=1
    )
    missed = msgspec.structs.replace(injected(1.0), state="missed", revision=1)
    late = msgspec.structs.replace(injected(2.0), state="late", revision=2)
    made = figures([found, missed, late, injected(3.0)])
    assert (made.injected, made.found, made.late, made.missed) == (4, 1, 1, 1)
    assert made.recall == pytest.approx(1 / 3)
    assert made.stages == {"topic": (0.2, 0.2)}
    assert figures([injected()]).recall is None


def test_next_canary_is_overdue_after_two_turns() -> None:
    assert silent_s(injected(), START + 600 * NANOS) == 0.0
    assert silent_s(injected(), START + 605 * NANOS) == pytest.approx(5.0)
