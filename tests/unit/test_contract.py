"""The generated contract: valid schemas that accept what we write, a whole AsyncAPI document, and files in step."""

import json
from pathlib import Path

import jsonschema
import pytest

from tapewatch import cli
from tapewatch.commands import asyncapi, contract
from tapewatch.contract import messages
from tapewatch.contract.rows import REQUIRED, RowType
from tests.unit.contract_examples import EXAMPLES

DOCS = Path(__file__).parents[2] / "docs"


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
