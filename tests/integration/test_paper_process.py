"""The paper broker as a process on a real broker: exactly once over kill -9, commands, restart, settings."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from benchmarks import paper_faults
from benchmarks.paper_log import PaperLog
from streams.paper import replay
from streams.paper.control import standing, tell
from streams.paper.process import Paper
from tapewatch import cli
from tapewatch.contract.messages import PaperCommit
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.proof import audit
from tapewatch.settings import Settings
from tests.integration.at_work import at_work

DEADLINE_S = 180.0


@contextmanager
def broker(settings: Settings, log: PaperLog) -> Iterator[Paper]:
    """A paper broker at work in a thread; on the way out it has worked on everything."""
    paper = Paper(settings)
    with at_work(paper.run) as has_failed:
        yield paper
        _wait_for(settings, log, has_failed)


def told(settings: Settings, log: PaperLog) -> list[list[PaperCommit]]:
    return [each.told for each in replay.books(settings) if each.market[0] == log.topic]


def verdicts(settings: Settings, log: PaperLog) -> list[replay.VerificationResult]:
    registry = Registry(settings)
    registry.refresh()
    try:
        kept = [each for each in replay.books(settings) if each.market[0] == log.topic]
        return [replay.verify(settings, registry, each) for each in kept]
    finally:
        registry.close()


def test_kills_lose_no_order_and_double_none(settings: Settings) -> None:
    # Real processes, killed and started again: about half a minute.
    result = paper_faults.run(settings, "paperkills", kills=4, partitions=2, seed=3)
    assert result.holds, result
    assert result.kills_at_work >= 3
    assert result.records["orders"] > 100
    assert result.records["fills"] > 20


def test_commands_take_effect_at_a_place_that_the_log_names(settings: Settings) -> None:
    own = paper_faults.of_feed(settings, "papercommands")
    log = PaperLog(own, "papercommands", 2)
    tell(own, "stop", "", "a quiet begin", "ann", wait_s=0.0)
    with broker(own, log):
        _steps(log, 20)
        _wait_for(own, log)
        assert {each.running for each in standing(own).partitions} == {"stop"}
        assert sum(each.orders for each in standing(own).partitions) == 0
        started = tell(own, "start", "", "begin", "ann", wait_s=DEADLINE_S)
        assert (started.taken, started.of) == (2, 2)
        _steps(log, 40)
        _wait_for(own, log)
        assert sum(each.orders for each in standing(own).partitions) > 0
        name = log.walks[0].instruments[0].id
        tell(own, "off", name, "results tonight", "ann", wait_s=DEADLINE_S)
        assert standing(own).switched[name] is False  # others may stand there from other tests
        tell(own, "kill", "", "wrong prices", "ben", wait_s=DEADLINE_S)
        _steps(log, 20)
        _wait_for(own, log)
        assert sum(each.standing for each in standing(own).partitions) == 0
    places = [(each.action, each.before) for commit in told(own, log)[0] for each in commit.taken]
    assert [action for action, _ in places][-4:] == ["stop", "start", "off", "kill"]
    assert [before for _, before in places] == sorted(before for _, before in places)
    assert all(each.holds for each in verdicts(own, log))
    entries = audit.entries(audit.folder(own.data_path))
    assert [(each.action, each.subject, each.who) for each in entries] == [
        ("paper.stop", "all", "ann"),
        ("paper.start", "all", "ann"),
        ("paper.off", name, "ann"),
        ("paper.kill", "all", "ben"),
    ]


def test_a_restart_keeps_the_book_of_orders_and_takes_new_settings(settings: Settings) -> None:
    own = paper_faults.of_feed(settings, "paperrestart")
    patient = msgspec.structs.replace(own.paper, lifetime_s=1e6, offset=-40)
    own = msgspec.structs.replace(own, paper=patient)
    log = PaperLog(own, "paperrestart", 1)
    tell(own, "start", "", "trade", "ann", wait_s=0.0)
    with broker(own, log):
        _steps(log, 40)
    before = standing(own)
    assert before.partitions[0].standing > 0
    own = msgspec.structs.replace(own, paper=msgspec.structs.replace(patient, latency_ms=1.0))
    with broker(own, log):
        _steps(log, 40)
    after = standing(own)
    assert after.partitions[0].orders > before.partitions[0].orders
    taken = [each for commit in told(own, log)[0] for each in commit.taken]
    assert [each.settings["latency_ms"] for each in taken if each.settings] == [250.0, 1.0]
    assert all(each.holds for each in verdicts(own, log))


def test_the_command_works_until_nothing_comes_and_tells_what_it_did(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = PaperLog(settings, "papercommand", 1)
    _steps(log, 10)
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.bootstrap())
    monkeypatch.setenv("TAPEWATCH_PAPER_GROUP", "paper-command-line")
    words = [
        "--data",
        settings.data,
        "run",
        "paper",
        "--feed",
        "papercommand",
        "--until-idle",
        "1",
        "--quiet",
        "--json",
    ]
    assert cli.main(words) == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["transactions"] > 0
    assert totals["records"] > 10
    assert cli.main(["--data", settings.data, "paper", "status"]) == 0
    assert "market.papercommand[0]" in capsys.readouterr().out
    assert cli.main(["--data", settings.data, "paper", "verify", "--feed", "papercommand", "--json"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert (verdict["topic"], verdict["next_offset"]) == ("market.papercommand", log.ends()[0])


def test_a_name_that_is_no_instrument_is_refused(settings: Settings) -> None:
    with pytest.raises(TapewatchError, match="not an instrument"):
        tell(settings, "off", "nothing", "a typing error")


def _steps(log: PaperLog, count: int) -> None:
    for _ in range(count):
        log.step()
    log.commit()


def _wait_for(settings: Settings, log: PaperLog, has_failed: Callable[[], bool] = lambda: False) -> None:
    """Until everything is worked on and kept."""
    progress = paper_faults.Progress(settings, log)
    try:
        progress.wait(sum(log.ends()), has_failed)
    finally:
        progress.close()


def test_a_kill_given_while_no_process_runs_holds_before_the_next_market_record(settings: Settings) -> None:
    own = paper_faults.of_feed(settings, "paperdown")
    log = PaperLog(own, "paperdown", 1)
    tell(own, "start", "", "trade", "ann", wait_s=0.0)
    with broker(own, log):
        _steps(log, 40)
    before = standing(own).partitions[0]
    assert before.orders > 0
    tell(own, "kill", "", "nobody watches", "ann", wait_s=0.0)
    _steps(log, 20)
    with broker(own, log):
        pass
    last = [each for commit in told(own, log)[0] for each in commit.taken][-1]
    assert (last.action, last.before) == ("kill", before.next_offset)
    assert standing(own).partitions[0].standing == 0
