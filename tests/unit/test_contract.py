"""The generated contract: valid schemas that accept what we write, a whole AsyncAPI document, and files in step."""

import json
from pathlib import Path

import jsonschema
import pytest

from tapewatch import asyncapi, cli, messages
from tapewatch.commands import contract
from tapewatch.rows import REQUIRED, RowType

DOCS = Path(__file__).parents[2] / "docs"
CAUSE = messages.Cause("market.twse", 1, 2)
ID = "0" * 32
AT = "2024-01-31T09:00:00.000000001Z"
EXAMPLES: list[messages.Message] = [
    messages.Alert(
        id=ID,
        scenario="pump_and_dump",
        instrument="2330.XTAI",
        onset=AT,
        decided=AT,
        updated=AT,
        state="open",
        revision=0,
        severity="high",
        score=80.0,
        sentence="s",
        data_tier="trades",
        evidence=(messages.Evidence("x", None, 2.0, ">=", "bp"),),
        provenance=messages.Provenance("market.twse", 0, 1, 2, 2, "c", {"m": "h"}, "b"),
    ),
    messages.Canary(
        id=ID,
        state="found",
        revision=1,
        feed="canary",
        partition=0,
        scenario="pump_and_dump",
        instrument="CANARY_1.SIMX",
        start=AT,
        strength=0.6,
        due=AT,
        every_s=300.0,
        alert=ID,
        decision_s=12.0,
        stages={"topic": 0.1, "postgres": None},
        at=AT,
    ),
    messages.Case(
        id=ID,
        revision=1,
        instrument="2330.XTAI",
        state="new",
        risk=3.0,
        opened=AT,
        updated=AT,
        alerts=(messages.CaseAlert(ID, 0),),
        history=(messages.CaseEvent(AT, "ann", "note"),),
    ),
    messages.CaseAnswer(command=ID, case=ID, accepted=False, reason="the case is closed", revision=3, at=AT),
    messages.CaseCommand(id=ID, case=ID, action="close", who="ann", why="r", at=AT, disposition="false_positive"),
    messages.Commit(
        topic="market.twse", partition=0, first_offset=0, next_offset=9, frames=9, rows={"quote": 9}, clock=AT
    ),
    messages.Coverage(instrument="*", start=AT, end=AT, reason="silent", seconds=3, cause=CAUSE),
    messages.Factor(
        id=ID,
        source="twse",
        series="foreign_net_buy",
        instrument="2330.XTAI",
        period="2026-07-31",
        published_at=AT,
        received=AT,
        value=-5.0,
        unit="shares",
    ),
    messages.Fill(
        id=ID, order=ID, mode="paper", instrument="2330.XTAI", side="buy", price=1.0, qty=1.0, at=AT, cause=CAUSE
    ),
    messages.Label(id=ID, kind="alert", subject=ID, label="genuine", who="ann", at=AT),
    messages.News(id=ID, source="s", published=AT, received=AT, language="zh-TW", headline="台積電", sentiment=-0.5),
    messages.Order(
        id=ID,
        revision=0,
        mode="live",
        instrument="2330.XTAI",
        side="sell",
        kind="limit",
        price=1.0,
        qty=2.0,
        state="unknown",
        created=AT,
        updated=AT,
    ),
    messages.PaperCommand(id=ID, action="off", instrument="2330.XTAI", who="ann", why="results", at=AT),
    messages.PaperCommit(
        topic="market.twse",
        partition=0,
        next_offset=9,
        taken=(messages.Taken(7, "kill", "", ID), messages.Taken(8, "settings", settings={"capital": 1.0})),
        running="kill",
        switched={"2330.XTAI": False},
        clock=AT,
    ),
    messages.Position(
        instrument="2330.XTAI",
        ts=AT,
        currency="TWD",
        position=-1000.0,
        cost=-5.0,
        cash=5.0,
        realised=0.0,
        unrealised=-1.0,
        fees=0.5,
        taxes=0.5,
        result=-2.0,
        cause=CAUSE,
    ),
    messages.Prediction(
        id=ID,
        instrument="2330.XTAI",
        as_of=AT,
        horizon="1d",
        target="close",
        name="lstm",
        model="h",
        value=1.0,
        classes={"up": 0.5},
    ),
    messages.Proposal(
        id=ID, kind="promotion", state="proposed", subject="h", content="h", who="ann", why="better", created=AT
    ),
    messages.Ranking(
        id=ID,
        name="r",
        as_of=AT,
        horizon_s=60,
        target_return=0.1,
        stop_return=-0.1,
        model="h",
        ranked=(messages.Ranked("2330.XTAI", 0.5),),
    ),
    messages.Signal(
        id=ID,
        instrument="2330.XTAI",
        ts=AT,
        policy="ddqn",
        model="h",
        action="buy",
        q_values={"buy": 1.0, "sell": None},
        advantage=0.1,
        cause=CAUSE,
    ),
    messages.DeadLetterReplay(
        letter="market.demo.dlq@0.17",
        digest="d",
        reason="unregistered_instrument",
        refused_by="engine",
        instrument="2330.XTAI",
        origin=CAUSE,
        sent=CAUSE,
        at=AT,
        who="ann",
        why="registered since",
        audit="h",
        epoch=1,
    ),
    messages.Suppression(
        id=ID,
        state="proposed",
        scenario="ramping",
        owner="ann",
        reason="index event",
        created=AT,
        starts=AT,
        expires=AT,
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_schema_accepts_what_is_written_and_refuses_it_without_version(example: messages.Message) -> None:
    schema = asyncapi.schemas()[type(example).__name__.lower()]
    jsonschema.Draft202012Validator.check_schema(schema)
    value = json.loads(messages.encode(example))
    jsonschema.validate(value, schema)
    jsonschema.validate({**value, "of_a_later_version": 1}, schema)
    del value["version"]
    with pytest.raises(jsonschema.ValidationError, match="version"):
        jsonschema.validate(value, schema)
    assert messages.decode(type(example), messages.encode(example)) == example


def test_every_kind_has_an_example_here() -> None:
    assert {type(example) for example in EXAMPLES} == set(messages.KINDS.values())


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for item in node for found in references(item)] if isinstance(node, list) else []


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi.document()
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_asyncapi_describes_every_topic_and_every_column() -> None:
    document = asyncapi.document()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses >= {
        "market.{feed}",
        "{topic}.dlq",
        "dlq.replays",
        "feeds.generations",
        "retry.{reader}",
        "features",
        "bars",
        "scores",
        "engine.commits",
        "engine.snapshots",
        "instruments",
        "alerts",
        "signals",
        "predictions",
        "rankings",
        "cases",
        "orders",
        "fills",
        "positions",
        "paper.commands",
        "paper.commits",
        "paper.snapshots",
        "news",
        "coverage",
    }
    for row_type in RowType:
        frame = document["components"]["messages"][f"frame.{row_type.label}"]
        assert frame["payload"]["items"]["required"] == [name for name, _ in REQUIRED[row_type]]


def test_documents_in_the_repository_are_in_step() -> None:
    assert contract.out_of_step(DOCS, contract.render()) == []


def test_check_names_every_file_out_of_step_and_write_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["contract", "--docs", str(tmp_path)]
    assert cli.main([*arguments, "--write"]) == 0
    assert cli.main([*arguments, "--check"]) == 0
    (tmp_path / "schemas" / "alert.json").write_text("{}")
    (tmp_path / "schemas" / "gone.json").write_text("{}")
    (tmp_path / "asyncapi.json").unlink()
    capsys.readouterr()
    assert cli.main([*arguments, "--check"]) == 1
    complaint = capsys.readouterr().err
    assert all(name in complaint for name in ("alert.json", "gone.json", "asyncapi.json", "contract --write"))
    assert cli.main([*arguments, "--write"]) == 0
    assert cli.main([*arguments, "--check", "--json"]) == 0
