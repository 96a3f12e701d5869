"""Cases by their written rules: which alert joins which case, what keeps it quiet, and that nothing is done twice."""

from typing import Any

import pytest

from detectors.scenarios.catalogue import GENERAL, SILENCES
from streams.cases import inhibition
from streams.cases.case_manager import neighbourhood
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, Case, CaseCommand
from tapewatch.errors import ContractError
from tests.unit.case_scene import Scene, alert, coin, command, of, rule

QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "GBP", "TRY", "KRW", "JPY", "BTC", "ETH", "BNB")


def last(case: Case) -> str:
    return case.history[-1].action


@pytest.mark.parametrize(
    ("name", "reference", "expected"),
    [
        ("BTCUSDT.BINANCE", None, "coin:BTC"),
        ("BTCUSDT-PERP.BINANCE", coin("BTCUSDT-PERP.BINANCE", "USDT", "perpetual"), "coin:BTC"),
        ("KRW-BTC.UPBIT", None, "coin:BTC"),
        ("BTC-ETH.UPBIT", None, "coin:ETH"),
        ("BTC-USD.COINBASE", coin("BTC-USD.COINBASE", "USD"), "coin:BTC"),
        ("USDT-KRW.KRAKEN", coin("USDT-KRW.KRAKEN", "KRW"), "coin:USDT"),
        ("1000PEPEUSDT-PERP.BINANCE", None, "coin:PEPE"),
        ("ETHBTC.BINANCE", None, "coin:ETH"),
        ("USDT.BINANCE", None, "coin:USDT"),
        ("BTCIDR.BINANCE", None, "coin:BTCIDR"),
        ("BTCIDR.BINANCE", coin("BTCIDR.BINANCE", "IDR"), "coin:BTC"),
        ("XAUUSD.XTAI", coin("XAUUSD.XTAI", "USD"), "coin:XAU"),
        ("TSLAUSDT.BINANCE", Instrument(id="TSLAUSDT.BINANCE", currency="USDT"), "share:TSLAUSDT/USDT"),
        ("2330.XTAI", None, "share:2330.XTAI"),
        ("2330.XTAI", Instrument(id="2330.XTAI", currency="TWD"), "share:2330/TWD"),
        ("2330-F202612.XTAF", Instrument(id="2330-F202612.XTAF", currency="TWD", kind="future"), "share:2330/TWD"),
    ],
)
def test_an_instruments_neighbourhood_is_its_base_asset_or_its_symbol(
    name: str, reference: Instrument | None, expected: str
) -> None:
    assert neighbourhood(name, reference) == expected


@pytest.mark.parametrize("quote", QUOTES)
def test_a_coins_neighbourhood_is_the_same_against_every_quote_asset(quote: str) -> None:
    assert neighbourhood(f"SOL{quote}.BINANCE", None) == "coin:SOL"


def test_first_alert_opens_a_case_and_neighbours_within_the_window_join_it() -> None:
    scene = Scene(window_s=600)
    first = scene.alert(instrument="BTCUSDT.BINANCE")
    second = scene.alert(instrument="KRW-BTC.UPBIT", begin=500)
    assert (first.state, first.revision, last(first)) == ("new", 0, "opened")
    assert (second.id, second.revision, last(second)) == (first.id, 1, "alert")
    assert second.instruments == ("BTCUSDT.BINANCE", "KRW-BTC.UPBIT")
    assert second.risk > first.risk


def test_another_neighbourhood_and_another_time_open_other_cases() -> None:
    scene = Scene(window_s=600)
    cases = {scene.alert().id, scene.alert(instrument="2317.XTAI").id, scene.alert(begin=700).id}
    assert len(cases) == 3


def test_an_alert_that_was_taken_late_joins_by_its_own_time() -> None:
    scene = Scene(window_s=600)
    late = scene.alert(begin=2000)
    early = scene.alert(begin=0)
    between = scene.alert("spoofing", begin=1900)
    assert early.id != late.id == between.id


def test_a_full_case_takes_no_other_alert() -> None:
    scene = Scene(most_alerts=2)
    first, second, third = (scene.alert(begin=each) for each in (0, 10, 20))
    assert first.id == second.id != third.id


def test_a_later_revision_updates_its_case_and_an_older_or_equal_one_changes_nothing() -> None:
    scene = Scene()
    opened = scene.alert()
    updated = scene.alert(revision=2, severity="critical")
    assert (updated.id, updated.revision, last(updated)) == (opened.id, 1, "alert_severity")
    assert updated.alerts[0].revision == 2
    assert scene.take(alert(revision=2)) == scene.take(alert(revision=1)) == []


def test_a_later_revision_is_recorded_in_a_closed_case_and_reopens_it_only_by_higher_severity() -> None:
    scene = Scene()
    case = scene.closed(scene.alert())
    recorded = scene.alert(revision=1, state="closed")
    assert (recorded.id, recorded.state, last(recorded)) == (case.id, "closed", "alert_closed")
    reopened = scene.alert(revision=2, severity="critical")
    assert (reopened.id, reopened.state, reopened.disposition, last(reopened)) == (case.id, "reopened", "", "reopened")


def test_an_alert_in_the_cooldown_is_attached_quietly_to_the_closed_case() -> None:
    scene = Scene(cooldown_s=1000)
    case = scene.closed(scene.alert(), seconds=500)
    again = scene.alert(begin=1200)
    assert (again.id, again.state) == (case.id, "closed")
    assert (again.alerts[1].inhibition, again.alerts[1].inhibited) == ("cooldown", case.id)
    other = scene.alert("spoofing", begin=1200)
    assert other.id != case.id
    assert scene.alert(begin=1210).id == case.id


def test_a_more_severe_alert_in_the_cooldown_reopens_the_case() -> None:
    scene = Scene(cooldown_s=1000)
    case = scene.closed(scene.alert(), seconds=500)
    worse = scene.alert(begin=1300, severity="critical")
    assert (worse.id, worse.state, worse.alerts[1].inhibited) == (case.id, "reopened", "")


def test_after_the_cooldown_an_alert_opens_a_new_case() -> None:
    scene = Scene(cooldown_s=1000)
    case = scene.closed(scene.alert(), seconds=500)
    assert scene.alert(begin=1600).id != case.id


def test_cooldown_goes_by_the_logs_time_where_a_replays_lies_years_back() -> None:
    scene = Scene(cooldown_s=1000)
    case = scene.closed(scene.alert(), seconds=90_000_000)
    assert scene.alert(begin=900).id == case.id
    assert scene.alert(begin=5000).id != case.id


def test_a_stronger_alert_of_the_episode_inhibits_a_weaker_one_whichever_came_first() -> None:
    weak, strong = alert("unusual_volume", begin=0), alert(begin=30)
    for order in ((weak, strong), (strong, weak)):
        scene = Scene()
        for each in order:
            case = scene.joined(each)
        assert of(case, weak).inhibited == strong.id
        assert of(case, weak).inhibition == "stronger"
        assert of(case, strong).inhibited == ""


def test_a_less_severe_a_distant_or_a_foreign_alert_inhibits_nothing() -> None:
    sources: list[dict[str, Any]] = [{"severity": "low"}, {"begin": 2000}, {"instrument": "2330-F202612.XTAI"}]
    for source in sources:
        scene = Scene(inhibit_s=300)
        weak = alert("unusual_volume")
        scene.take(weak)
        assert of(scene.alert(**source), weak).inhibited == ""


def test_an_inhibited_alert_raises_again_when_it_grows_more_severe() -> None:
    scene = Scene()
    scene.alert()
    weak = alert("unusual_volume")
    scene.take(weak)
    case = scene.alert("unusual_volume", revision=1, severity="critical")
    assert of(case, weak).inhibited == ""


def test_the_inhibition_table_has_no_circle_and_names_known_scenarios() -> None:
    from detectors.scenarios.library import SCENARIOS
    from streams.engine.detector_config import DetectorConfig

    known = {*SCENARIOS, *DetectorConfig.__struct_fields__, "cross_market"}
    named = {*GENERAL, *SILENCES, *(t for ts in SILENCES.values() for t in ts)}
    assert named <= known
    for source in named:
        assert not any(inhibition.inhibits(source, target) and inhibition.inhibits(target, source) for target in named)


def test_a_suppressed_alert_lies_in_a_closed_case_without_risk_and_inhibits_nobody() -> None:
    scene = Scene()
    kept = scene.suppressed(scenario="pump_and_dump")
    case = scene.alert()
    assert (case.state, case.disposition, case.risk, case.priority) == ("closed", "suppressed", 0.0, 4)
    assert (case.alerts[0].inhibited, case.alerts[0].inhibition) == (kept.id, "suppression")
    assert scene.alert(begin=20).id == case.id
    loud = scene.alert("unusual_volume")
    assert (loud.state, loud.alerts[0].inhibited) == ("new", "")


def test_a_rule_holds_within_its_time_by_the_alerts_decision_alone() -> None:
    scene = Scene(window_s=1)
    scene.suppressed(scenario="", venue="XTAI", starts=100, expires=200)
    quiet = [bool(scene.alert(begin=begin).alerts[-1].inhibited) for begin in (89, 90, 189.999, 190)]
    assert quiet == [False, True, True, False]


def test_a_rule_below_a_severity_lets_a_severe_revision_through_and_reopens_the_case() -> None:
    scene = Scene()
    scene.suppressed(scenario="pump_and_dump", below="critical")
    quiet = scene.alert()
    loud = scene.alert(revision=1, severity="critical")
    assert (quiet.state, loud.id, loud.state, loud.disposition) == ("closed", quiet.id, "reopened", "")


def test_a_proposed_or_rejected_rule_suppresses_nothing() -> None:
    scene = Scene()
    assert not scene.tell("suppress", suppression=None).accepted
    only = rule("pump_and_dump")
    assert scene.tell("suppress", suppression=only).accepted
    assert scene.alert().state == "new"
    assert scene.tell("end_suppression", subject=only.id).accepted
    assert scene.desk.rules[only.id].state == "rejected"
    assert scene.alert(begin=5000).state == "new"


def test_an_ended_rule_keeps_quiet_what_it_kept_quiet() -> None:
    scene = Scene(window_s=1)
    kept = scene.suppressed(scenario="pump_and_dump", expires=1000)
    assert scene.tell("end_suppression", subject=kept.id, seconds=500).accepted
    assert scene.alert(begin=400).state == "closed"
    assert scene.alert(begin=500).state == "new"


def test_a_new_alert_withdraws_a_close_that_waits() -> None:
    scene = Scene()
    case = scene.alert()
    assert scene.tell("close", case, disposition="false_positive").accepted
    joined = scene.alert("spoofing", begin=50)
    assert (joined.id, joined.closing, last(joined)) == (case.id, None, "close_withdrawn")
    assert not scene.tell("approve", case, who="bob").accepted


def test_an_alert_with_an_impossible_time_or_name_is_no_alert() -> None:
    impossible: list[dict[str, Any]] = [{"decided": "2024-13-01T00:00:00Z"}, {"updated": "2300-01-01T00:00:00Z"}]
    for fields in impossible:
        with pytest.raises(ContractError, match=r"2024-13|2300"):
            Scene().take(alert(**fields))
    with pytest.raises(ContractError, match="instrument"):
        Scene().take(alert(instrument="<img onerror>"))


def test_what_came_out_makes_the_same_desk_and_a_repeat_of_everything_writes_nothing() -> None:
    scene = Scene()
    taken: list[Alert | CaseCommand] = [
        alert(),
        alert("unusual_volume"),
        alert(revision=1, severity="critical"),
        command("note", "0" * 32),
    ]
    for each in taken:
        scene.take(each)
    scene.closed(next(iter(scene.desk.shelf.cases.values())))
    scene.suppressed(scenario="spoofing")
    taken += [alert("spoofing", begin=300), alert(begin=400)]
    for each in taken[-2:]:
        scene.take(each)
    again = scene.restored()
    assert [again.take(each) for each in taken] == [[]] * len(taken)
    following = alert("layering", begin=500)
    assert again.take(following) == scene.desk.take(following)
