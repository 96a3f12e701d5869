"""Which record of a message holds in PostgreSQL, column by column: newer and older ones, equals, those sent again."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from sinks.postgres import own_trading
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import (
    Alert,
    Case,
    CaseAlert,
    CaseAnswer,
    Coverage,
    Factor,
    Fill,
    Label,
    Message,
    News,
    Order,
    Position,
    Prediction,
    Proposal,
    Ranking,
    RankingEntry,
    Signal,
    Suppression,
    encode,
    stable_id,
)
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import of_its_own
from tests.integration.made_messages import made, row_of
from tests.integration.sink_at_hand import HandSink, Row, hand_sink

NEWEST = {
    "alerts": Alert, "own_orders": Order, "cases": Case, "suppressions": Suppression, "proposals": Proposal,
}  # fmt: skip
HISTORIES = {
    "alerts": "alert_history", "cases": "case_history", "suppressions": "suppression_history",
    "proposals": "proposal_history",
}  # fmt: skip
FIRST = {"own_fills": Fill, "signals": Signal, "labels": Label, "case_answers": CaseAnswer}
LAST = {"predictions": Prediction, "factors": Factor, "news": News}
EACH = {"own_positions": Position, "coverage": Coverage}


@pytest.fixture(scope="module")
def sink(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandSink]:
    with of_its_own(stack, tmp_path_factory.mktemp("data")) as settings, hand_sink(settings) as found:
        yield found


def key_of(table: str) -> str:
    return "command" if table == "case_answers" else "id"


def told(kind: type[Message], table: str, name: str, salt: int, **given: Any) -> Message:
    """A message of that id, with all else of its salt."""
    return made(kind, salt, **({key_of(table): stable_id(table, name)} | given))


def kept(sink: HandSink, table: str, name: str) -> list[Row]:
    return sink.rows(table, f"{key_of(table)} = %s", stable_id(table, name))


def check(sink: HandSink, table: str, name: str, message: Message) -> None:
    """The table holds this message and no other of its id, in every column."""
    (row,) = kept(sink, table, name)
    assert row == row_of(message, row)


@pytest.mark.parametrize(("table", "kind"), NEWEST.items())
def test_a_higher_revision_takes_the_place_of_a_lower_one_in_every_column(
    sink: HandSink, table: str, kind: type[Message]
) -> None:
    older, newer = (told(kind, table, "in turn", salt, revision=salt) for salt in (0, 1))
    if isinstance(newer, Case):
        newer = msgspec.structs.replace(newer, alerts=(made(CaseAlert, 9, inhibited=""),))
    sink.say(older)
    check(sink, table, "in turn", older)
    sink.say(newer)
    check(sink, table, "in turn", newer)
    (row,) = kept(sink, table, "in turn")
    assert {column for column, value in row_of(older, row).items() if value == row[column]} == {"id"}
    sink.say(older)
    check(sink, table, "in turn", newer)
    for number, order in enumerate(((older, newer), (newer, older))):
        both = [msgspec.structs.replace(each, id=stable_id(table, f"at once {number}")) for each in order]
        sink.say(*both)
        check(sink, table, f"at once {number}", both[order.index(newer)])


@pytest.mark.parametrize(("table", "kind"), NEWEST.items())
def test_of_one_revision_the_first_record_holds(sink: HandSink, table: str, kind: type[Message]) -> None:
    same = [told(kind, table, "equals", salt % 10, revision=3) for salt in range(30)]
    sink.say(*same)
    check(sink, table, "equals", same[0])
    sink.say(*same[1:])
    check(sink, table, "equals", same[0])
    if table in HISTORIES:
        (row,) = kept_history(sink, table, "equals")
        assert row["message"] == msgspec.json.decode(encode(same[0]))


def kept_history(sink: HandSink, table: str, name: str) -> list[Row]:
    return sink.rows(HISTORIES[table], "id = %s ORDER BY revision", stable_id(table, name))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("table", "kind"), NEWEST.items())
def test_however_revisions_arrive_the_highest_holds_and_the_history_has_all(
    sink: HandSink, table: str, kind: type[Message], seed: int
) -> None:
    rng, names = random.Random(seed), [f"{seed} {number}" for number in range(3)]
    # By hand: of each id the first record of its highest revision, and of every revision the first record.
    first: dict[tuple[str, int], Message] = {}
    for _ in range(8):
        batch = []
        for _ in range(rng.randint(1, 60)):
            name, revision = rng.choice(names), rng.randint(0, 5)
            batch.append(told(kind, table, name, rng.randrange(10), revision=revision))
            first.setdefault((name, revision), batch[-1])
        sink.say(*batch)
        if rng.random() < 0.3:
            sink.restart()
    for name in names:
        revisions = sorted(revision for of, revision in first if of == name)
        check(sink, table, name, first[name, revisions[-1]])
        if table in HISTORIES:
            history = kept_history(sink, table, name)
            assert [row["revision"] for row in history] == revisions
            for row in history:
                message = first[name, row["revision"]]
                assert row == row_of(message, set(row) - {"message"}) | {
                    "message": msgspec.json.decode(encode(message))
                }


@pytest.mark.parametrize(("table", "kind"), FIRST.items())
def test_of_what_never_changes_the_first_record_holds(sink: HandSink, table: str, kind: type[Message]) -> None:
    # A signal's id follows from its second.
    same = {"ts": made(Signal, 0).ts} if kind is Signal else {}
    records = [told(kind, table, "once", salt, **same) for salt in range(3)]
    another = told(kind, table, "another", 3)
    sink.say(records[0], records[1])
    check(sink, table, "once", records[0])
    sink.say(records[2], another)
    check(sink, table, "once", records[0])
    check(sink, table, "another", another)


@pytest.mark.parametrize(("table", "kind"), LAST.items())
def test_of_what_is_made_anew_the_last_record_holds_in_every_column(
    sink: HandSink, table: str, kind: type[Message]
) -> None:
    records = [told(kind, table, "anew", salt) for salt in range(4)]
    sink.say(records[0])
    check(sink, table, "anew", records[0])
    sink.say(records[1])
    check(sink, table, "anew", records[1])
    (row,) = kept(sink, table, "anew")
    assert {column for column, value in row_of(records[0], row).items() if value == row[column]} == {"id"}
    sink.say(records[2], records[3])
    check(sink, table, "anew", records[3])
    sink.say(records[0])
    check(sink, table, "anew", records[0])


@pytest.mark.parametrize(("table", "kind"), EACH.items())
def test_of_what_has_no_id_every_record_is_a_row(sink: HandSink, table: str, kind: type[Message]) -> None:
    records = [made(kind, salt) for salt in (0, 1, 0)]
    sink.say(*records)
    for record, count in ((records[0], 2), (records[1], 1)):
        found = sink.rows(table, "log_offset = %s", record.cause.offset)  # type: ignore[attr-defined]
        assert found == [row_of(record, found[0])] * count


def test_live_orders_and_fills_have_no_place_in_a_market_log(sink: HandSink) -> None:
    order, fill = (
        told(kind, table, "live", 1, cause=None) for table, kind in (("own_orders", Order), ("own_fills", Fill))
    )
    sink.say(order, fill)
    check(sink, "own_orders", "live", order)
    check(sink, "own_fills", "live", fill)
    assert kept(sink, "own_orders", "live")[0]["log_offset"] is None


def test_coverage_and_factors_of_no_instrument_are_of_every_one(sink: HandSink) -> None:
    stretch, factor = made(Coverage, 5, instrument="*"), told(Factor, "factors", "of all", 5, instrument="")
    sink.say(stretch, factor)
    assert sink.rows("coverage", "log_offset = %s", stretch.cause.offset)[0]["instrument_id"] == "*"
    check(sink, "factors", "of all", factor)


@pytest.mark.parametrize(
    ("sentiments", "holds"),
    [
        ((None, None), 1), ((None, 0.5), 1), ((0.5, None), 0), ((0.5, -0.5), 1), ((0.0, None), 0),
        ((None, 0.5, None), 1), ((0.5, None, -0.5), 2), ((None, 0.5, -0.5, None), 2),
    ],
)  # fmt: skip
def test_news_with_a_sentiment_are_not_written_over_by_news_without(
    sink: HandSink, sentiments: tuple[float | None, ...], holds: int
) -> None:
    items = [told(News, "news", f"{sentiments}", salt, sentiment=each) for salt, each in enumerate(sentiments)]
    sink.say(*items)
    check(sink, "news", f"{sentiments}", items[holds])
    apart = [msgspec.structs.replace(each, id=stable_id("news", f"apart {sentiments}")) for each in items]
    for item in apart:
        sink.say(item)
    check(sink, "news", f"apart {sentiments}", apart[holds])


def ranking_rows(ranking: Ranking) -> list[Row]:
    """A row for each place and for each instrument left out, said by hand."""
    head = {
        "id": ranking.id, "as_of_ns": from_rfc3339(ranking.as_of), "name": ranking.name, "model": ranking.model,
        "horizon_s": ranking.horizon_s, "target_return": ranking.target_return, "stop_return": ranking.stop_return,
    }  # fmt: skip
    fields = [field.name for field in msgspec.structs.fields(RankingEntry) if field.name != "instrument"]
    placed = [
        head | {"instrument_id": each.instrument, "place": place, "reason": ""}
        | {name: getattr(each, name) for name in fields}
        for place, each in enumerate(ranking.ranked, 1)
    ]  # fmt: skip
    empty = dict.fromkeys(fields) | {"regime": "", "regimes": {}, "averages": {}, "volumes": {}}
    names = {row["instrument_id"] for row in placed}
    left_out = [
        head | {"instrument_id": name, "place": None, "reason": reason} | empty
        for name, reason in ranking.excluded.items()
        if name not in names
    ]
    return sorted(placed + left_out, key=lambda row: str(row["instrument_id"]))


def test_a_ranking_is_a_row_for_each_place_and_each_instrument_left_out_and_a_place_comes_before_a_reason(
    sink: HandSink,
) -> None:
    best, second = (made(RankingEntry, salt, instrument=f"R{salt}.XTST") for salt in (1, 2))
    at = made(Ranking, 0).as_of
    one, other = (
        made(
            Ranking, salt, id=stable_id("ranking"), as_of=at, ranked=ranked,
            excluded={"R1.XTST": "not so", "R3.XTST": f"thin {salt}"},
        )
        for salt, ranked in ((1, (best, second)), (2, (msgspec.structs.replace(second, instrument="R1.XTST"), best)))
    )  # fmt: skip
    for said, holds in (((one,), one), ((other,), other), ((other, one), one)):
        sink.say(*said)
        found = sorted(sink.rows("rankings", "id = %s", one.id), key=lambda row: str(row["instrument_id"]))
        rows = {row["instrument_id"]: row for row in ranking_rows(holds)}
        assert [row for row in found if row["instrument_id"] in rows] == list(rows.values())
    empty = made(Ranking, 4, id=stable_id("empty"), ranked=(), excluded={})
    assert sink.say(empty).rows == {"rankings": 1}


def case_alert_row(case: Case, alert: CaseAlert) -> Row:
    times = {f"{name}_ns": getattr(alert, name) for name in ("onset", "decided", "updated")}
    same = ("revision", "scenario", "severity", "state", "inhibited", "inhibition", "score", "probability")
    return (
        {"alert_id": alert.id, "case_id": case.id, "case_revision": case.revision, "instrument_id": alert.instrument}
        | {name: getattr(alert, name) for name in same}
        | {name: from_rfc3339(time) if time else None for name, time in times.items()}
    )


def test_alerts_of_a_case_are_as_its_newest_revision_says(sink: HandSink) -> None:
    early, late = stable_id("early"), stable_id("late")
    first = made(CaseAlert, 1, id=early, revision=7, onset="", decided="", updated="", probability=None)
    older = told(Case, "cases", "of alerts", 1, revision=4, alerts=(first,))
    newer = told(
        Case, "cases", "of alerts", 2, revision=5,
        alerts=(made(CaseAlert, 2, id=early, revision=7, inhibited=""), made(CaseAlert, 3, id=late, revision=9)),
    )  # fmt: skip
    assert isinstance(older, Case) and isinstance(newer, Case)

    def found() -> list[Row]:
        return sink.rows("case_alerts", "case_id = %s ORDER BY revision", older.id)

    sink.say(older)
    assert found() == [case_alert_row(older, first)]
    assert kept(sink, "cases", "of alerts")[0]["raising"] == 0
    for said in ((newer,), (older,), (older, newer), (newer, older)):
        sink.say(*said)
        assert found() == [case_alert_row(newer, each) for each in newer.alerts]
    (row,) = kept(sink, "cases", "of alerts")
    assert (row["alerts"], row["raising"]) == (2, 1)


def test_a_case_without_alerts_and_unfinished_work_leave_their_times_empty(sink: HandSink) -> None:
    case = told(Case, "cases", "empty", 1, revision=0, alerts=(), closed="", closing=None)
    proposal = told(Proposal, "proposals", "empty", 1, revision=0, decided="")
    sink.say(case, proposal)
    check(sink, "cases", "empty", case)
    check(sink, "proposals", "empty", proposal)


def test_reference_data_are_as_last_registered_under_the_number_they_had(sink: HandSink) -> None:
    def registered(*found: Instrument) -> list[dict[str, Any]]:
        sink.take(*(sink.record(msgspec.json.encode(each), topics.INSTRUMENTS) for each in found))
        return sink.rows("instruments", "name = 'REF.XTST'")

    (row,) = registered(made(Instrument, 1, id="REF.XTST"))
    for salts in ((2,), (3, 1)):
        last = made(Instrument, salts[-1], id="REF.XTST")
        (again,) = registered(*(made(Instrument, salt, id="REF.XTST") for salt in salts))
        assert again == {
            "id": row["id"], "name": "REF.XTST", "long_name": last.name, "currency": last.currency, "kind": last.kind,
            "lot": last.lot, "price_limit": last.price_limit, "registered_at_ns": last.registered_at,
            "reference": msgspec.json.decode(msgspec.json.encode(last)),
        }  # fmt: skip


def test_what_was_written_is_counted_by_table(sink: HandSink) -> None:
    said: Sequence[Message] = [
        *(told(Alert, "alerts", "counted", 0, revision=number) for number in (0, 1)),
        told(Order, "own_orders", "counted", 0), told(Case, "cases", "counted", 0), made(Position, 0),
    ]  # fmt: skip
    assert sink.say(*said).rows == {"alerts": 2, "own_orders": 1, "cases": 1, "own_positions": 1}
    assert set(own_trading.TABLES.values()) == {"own_orders", "own_fills", "own_positions"}
