"""Judging canaries: found, missed, late, once each, whatever restarts come between."""

from collections.abc import Iterable

import msgspec

from sinks.canary.ledger import LATE_NS, Ledger
from tapewatch.clock import NANOS
from tapewatch.contract.canaries import Canary, figures
from tapewatch.contract.messages import Alert
from tests.unit.canary_messages import DUE_S, START, alert, injected


class Bench:
    """A ledger whose verdicts are written at once, as the process does, and all that was said."""

    def __init__(self, stages: Iterable[str] = ("topic", "postgres")) -> None:
        self.ledger = Ledger(stages)  # type: ignore[arg-type]
        self.said: list[Canary] = []

    def hear(self, *canaries: Canary) -> None:
        for each in canaries:
            self.said.append(each)
            self.ledger.recall(each)

    def sight(self, found: Alert, at_s: float, timed: bool = True) -> None:
        at = START + int(at_s * NANOS)
        self.ledger.sight(found, at, at, timed)

    def stored(self, stage: str, found: Alert, at_s: float) -> None:
        self.ledger.stored(stage, [found.id], START + int(at_s * NANOS))  # type: ignore[arg-type]

    def judge(self, at_s: float) -> list[Canary]:
        verdicts = self.ledger.verdicts(START + int(at_s * NANOS))
        self.hear(*verdicts)
        return verdicts

    def restarted(self) -> "Bench":
        again = Bench(self.ledger.stages)
        again.hear(*self.said)
        return again


def test_canary_is_found_once_its_alert_is_readable_everywhere() -> None:
    bench = Bench()
    bench.hear(injected())
    bench.sight(alert(20.0), 20.3)
    assert bench.judge(20.4) == []
    assert bench.ledger.awaited("postgres") == [alert(20.0).id]
    bench.stored("postgres", alert(20.0), 20.9)
    (found,) = bench.judge(21.0)
    assert (found.state, found.revision, found.alert, found.absent) == ("found", 1, alert(20.0).id, ())
    assert found.decision_s == 20.0
    assert found.stages == {"topic": 0.3, "postgres": 0.9}
    assert bench.ledger.awaited("postgres") == []


def test_canary_is_judged_once_however_often_it_is_asked_and_restarted() -> None:
    bench = Bench(["topic"])
    bench.hear(injected())
    bench.sight(alert(20.0), 20.3)
    assert len(bench.judge(21.0)) == 1
    assert bench.judge(22.0) == []
    again = bench.restarted()
    again.sight(alert(20.0), 20.3, timed=False)
    assert again.judge(500.0) == []


def test_nothing_is_missed_before_it_is_due() -> None:
    bench = Bench()
    bench.hear(injected())
    assert bench.judge(DUE_S) == []
    (missed,) = bench.judge(DUE_S + 0.001)
    assert (missed.state, missed.alert, missed.in_a_row) == ("missed", "", 1)
    assert missed.absent == ("topic", "postgres")


def test_alert_after_the_time_is_late_and_told_as_a_further_revision() -> None:
    bench = Bench(["topic"])
    bench.hear(injected())
    bench.judge(121.0)
    bench.sight(alert(30.0), 130.0)
    (late,) = bench.judge(131.0)
    assert (late.state, late.revision, late.in_a_row) == ("late", 2, 1)
    assert late.stages == {"topic": 100.0}
    assert bench.judge(132.0) == []
    assert figures(bench.ledger.canaries.values()).recall == 0.0


def test_alert_read_too_late_does_not_count_as_in_time() -> None:
    bench = Bench(["topic"])
    bench.hear(injected())
    bench.sight(alert(100.0), 121.0)
    assert [each.state for each in (*bench.judge(121.5), *bench.judge(121.6))] == ["missed", "late"]


def test_store_that_lacks_a_found_alert_is_named() -> None:
    bench = Bench()
    bench.hear(injected())
    bench.sight(alert(20.0), 20.3)
    (found,) = bench.judge(DUE_S + 1.0)
    assert (found.state, found.absent) == ("found", ("postgres",))
    assert found.stages == {"topic": 0.3, "postgres": None}


def test_alert_that_was_there_before_we_looked_counts_without_times() -> None:
    bench = Bench()
    bench.hear(injected())
    again = bench.restarted()
    again.sight(alert(20.0), 20.3, timed=False)
    (found,) = again.judge(60.0)
    assert (found.state, found.absent) == ("found", ())
    assert found.stages == {"topic": None, "postgres": None}


def test_other_scenario_canary_feed_and_earlier_alert_find_nothing() -> None:
    bench = Bench(["topic"])
    bench.hear(injected(60.0))
    bench.sight(alert(70.0, scenario="spoofing"), 70.0)
    bench.sight(alert(70.0, instrument="CANARY_2.SIMX"), 70.0)
    bench.sight(alert(50.0), 50.0)
    bench.sight(msgspec.structs.replace(alert(75.0, topic="market.other"), id="0" * 32), 75.0)
    (missed,) = bench.judge(181.0)
    assert missed.state == "missed"


def test_misses_are_counted_in_a_row_until_one_is_found_and_across_restarts() -> None:
    bench = Bench(["topic"])
    bench.hear(injected(0.0), injected(10.0, "CANARY_2.SIMX"))
    assert [each.in_a_row for each in bench.judge(140.0)] == [1, 2]
    again = bench.restarted()
    again.hear(injected(150.0, "CANARY_3.SIMX"))
    again.sight(alert(160.0, instrument="CANARY_3.SIMX"), 160.1)
    (found,) = again.judge(161.0)
    assert (found.state, found.in_a_row) == ("found", 2)
    again.hear(injected(400.0, "CANARY_4.SIMX"))
    assert [each.in_a_row for each in again.judge(600.0)] == [1]


def test_later_revisions_of_the_alert_change_no_time() -> None:
    bench = Bench(["topic"])
    bench.hear(injected())
    bench.sight(alert(20.0), 20.3)
    bench.sight(msgspec.structs.replace(alert(20.0), revision=1, state="update"), 40.0)
    assert bench.judge(41.0)[0].stages == {"topic": 0.3}


def test_restart_reads_alerts_from_the_first_canary_that_is_not_judged() -> None:
    bench = Bench(["topic"])
    bench.hear(injected(0.0), injected(300.0, "CANARY_2.SIMX"))
    assert bench.ledger.oldest_open_ns(START + LATE_NS) == START
    bench.sight(alert(20.0), 20.1)
    bench.judge(21.0)
    assert bench.ledger.oldest_open_ns(START + 400 * NANOS) == START + 300 * NANOS


def test_what_is_judged_and_old_is_forgotten_and_what_is_open_is_not() -> None:
    bench = Bench(["topic"])
    bench.hear(injected(0.0), injected(10.0, "CANARY_2.SIMX"))
    bench.sight(alert(20.0), 20.1)
    bench.judge(21.0)
    bench.ledger.forget(START + 1000 * NANOS)
    assert [each.instrument for each in bench.ledger.canaries.values()] == ["CANARY_2.SIMX"]
