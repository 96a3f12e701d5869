"""`evaluate what-if` over the real topics: unchanged thresholds give the live alerts, changed ones fewer or more; an
alert on accounts among them is proved.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from benchmarks.account_controls import trade_rows
from streams.engine.verification import verify
from tapewatch import cli
from tapewatch.contract import frames, topics
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.engine_feed import Feed, alert_of
from tests.integration.pumped_market import pumped_market
from tests.unit import engine_market as m

COIN = "WHATIF.XPMP"


@pytest.fixture(scope="module")
def feed(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    """A feed over which the engine has raised its alerts, without a snapshot on the way."""
    settings = Settings(
        data=str(tmp_path_factory.mktemp("what-if")),
        kafka=msgspec.structs.replace(Settings().kafka, bootstrap=stack.bootstrap),
    )
    made = Feed(settings, [COIN])
    with made.engine():
        for frame in pumped_market(COIN):
            made.send(frame)
        for number, second in enumerate(range(665, 695, 3)):
            made.send(m.heartbeats(second, second))
            pair = (1, 2) if number % 2 else (2, 1)
            made.record(frames.encode(trade_rows([(COIN, (second + 0.5, 100.0, 9.0, *pair))], m.at(0))), "trade")
        made.send(m.heartbeats(697, 696))
    yield made


@pytest.fixture
def what_if(feed: Feed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command with one `--set`; returns what it printed."""
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", feed.settings.kafka.bootstrap)
    monkeypatch.setenv("TAPEWATCH_ENGINE_GROUP", feed.settings.engine.group)
    monkeypatch.setattr(logging.getLogger("tapewatch"), "handlers", [])

    def run(change: str) -> dict[str, Any]:
        words = ["evaluate", "what-if", "--feed", feed.name, "--set", change, "--json"]
        assert cli.main(["--data", feed.settings.data, *words]) == 0
        return dict(json.loads(capsys.readouterr().out))

    return run


def live(feed: Feed) -> dict[str, str]:
    """Scenario by id of every alert on the topic."""
    found = [alert_of(message) for message in feed.written(topics.ALERTS)]
    return {alert["id"]: alert["scenario"] for alert in found}


def test_unchanged_thresholds_give_the_live_alerts(feed: Feed, what_if: Any) -> None:
    wanted = live(feed)
    assert "pump_and_dump" in wanted.values()
    found = what_if("scenario.excessive_spread.hold_s=30")
    for side in ("old", "new"):
        assert found[side]["alerts"] == len(wanted)
        assert found[side]["by_scenario"] == {name: [*wanted.values()].count(name) for name in sorted(wanted.values())}
    assert found["same"] == len(wanted) and not found["only_old"] and not found["only_new"]


def test_alert_of_the_accounts_tier_is_proved_from_the_log(feed: Feed) -> None:
    (alert,) = [id for id, name in live(feed).items() if name == "wash_trades"]
    proof = verify(feed.settings, alert)
    assert proof.identical and proof.findings[0].same_build


def test_changed_threshold_takes_alerts_away_and_brings_others(feed: Feed, what_if: Any) -> None:
    wanted = live(feed)
    fewer = what_if("scenario.pump_and_dump.min_rise=5")
    assert {one["id"] for one in fewer["only_old"]} == {id for id, name in wanted.items() if name == "pump_and_dump"}
    assert fewer["new"]["alerts"] == len(wanted) - len(fewer["only_old"])
    more = what_if("scenario.unusual_volume.warm_s=60")
    assert more["new"]["alerts"] > more["old"]["alerts"] == len(wanted)
    assert live(feed) == wanted
