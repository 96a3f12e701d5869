"""Golden tapes: what comes of fixed logs is what is committed, also after a recovery; and the logs hold everything."""

from functools import cache
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from streams.engine.detector_config import ALL_SCENARIOS
from tapewatch.contract import frames, topics
from tapewatch.contract.checks import Reason
from tapewatch.contract.rows import OPTIONAL, REQUIRED, Condition, OrderAction, RowType, StatusKind
from tapewatch.errors import ContractError, TapewatchError
from tests.golden import __main__ as command
from tests.golden import outputs
from tests.golden.engine import Recovery, Row, topic_of
from tests.golden.tape import FOLDER, NAMES, Tape, read

KEPT = outputs.load()
OF_RECORDS = {
    "unreadable", "oversized", "bad_headers", "unsupported_version", "wrong_schema", "null_value", "bad_control",
    "closed",
}  # fmt: skip
"""Why the engine refuses a whole record."""


@cache
def found(tape: str) -> dict[str, list[Row]]:
    return outputs.of_tape(tape)


@pytest.mark.parametrize("name", KEPT.outputs, ids="-".join)
def test_outputs_are_the_golden_ones(name: outputs.Name) -> None:
    tape, output = name
    told = outputs.differences(name, KEPT.outputs[name], outputs.golden(found(tape).get(output, [])))
    assert not told, "\n".join(told)


@pytest.mark.parametrize("tape", NAMES)
def test_a_tape_has_no_other_outputs_than_golden_ones(tape: str) -> None:
    assert list(found(tape)) == [output for name, output in KEPT.outputs if name == tape]


@pytest.mark.parametrize("how", [each for each in get_args(Recovery) if each])
@pytest.mark.parametrize("tape", NAMES)
def test_an_engine_that_is_taken_up_again_in_the_middle_gives_the_golden_outputs(tape: str, how: Recovery) -> None:
    told = [
        text
        for output, rows in outputs.recovered(tape, how).items()
        for text in outputs.differences((tape, output), KEPT.outputs[tape, output], outputs.golden(rows))
    ]
    assert not told, "\n".join(told)


@cache
def tapes() -> list[Tape]:
    return [read(name) for name in NAMES]


@cache
def sound() -> list[tuple[RowType, pa.RecordBatch]]:
    """Every frame of the tapes that can be read, with its type."""
    readable = []
    for record in (record for tape in tapes() for record in tape.records):
        try:
            batch = frames.read_stream(record.value or b"")
        except ContractError:
            continue
        if batch.schema.metadata:
            readable.append((RowType[batch.schema.metadata[b"tapewatch.type"].decode().upper()], batch))
    return readable


def codes(wanted: RowType, column: str) -> set[int]:
    """What the tapes say in a column."""
    return {code for row_type, batch in sound() if row_type == wanted for code in batch.column(column).to_pylist()}


def test_tapes_hold_every_row_type_column_and_code_of_the_contract() -> None:
    columns: dict[RowType, set[str]] = {row_type: set() for row_type in RowType}
    for row_type, batch in sound():
        columns[row_type] |= set(batch.schema.names)
    assert columns == {
        row_type: {name for name, _ in (*REQUIRED[row_type], *OPTIONAL[row_type])} for row_type in RowType
    }
    assert codes(RowType.STATUS, "kind") == set(StatusKind)
    assert codes(RowType.TRADE, "condition") > set(Condition)
    assert codes(RowType.ORDER, "action") == set(OrderAction)
    assert {instrument.kind for tape in tapes() for instrument in tape.instruments} == {
        "share", "etf", "spot", "perpetual", "index",
    }  # fmt: skip


def test_tapes_hold_every_reason_to_refuse_a_row_or_a_record() -> None:
    commits = [commit for tape in NAMES for commit in found(tape)["engine.commits"]]
    refused = {reason for commit in commits for reason in commit["refused"]}
    # A tape is one partition of a topic of which nobody says how many it has: see test_admission.py.
    placed = {Reason.ACCEPTED, Reason.WRONG_PARTITION}
    assert refused == {reason.label for reason in Reason if reason not in placed} | OF_RECORDS
    assert sum(commit["duplicates"] for commit in commits) == 4
    buried = {letter["reason"] for letter in found("market")[topics.dead_letters(topic_of("market"))]}
    assert refused - buried == {"sealed"}


def test_tapes_bring_the_engine_and_the_desk_to_life() -> None:
    """Every topic of the engine, stretches not watched for every reason, models that change, cases of every state."""
    market = found("market")
    assert set(market) > {
        *(topics.ALERTS, topics.SIGNALS, topics.SHADOW_SIGNALS, topics.COVERAGE, topics.COMMITS, topics.SNAPSHOTS),
        *("features/features", "features/sealed", "scores/scores", "bars/bars", "bars/sealed-minutes"),
    }
    assert {stretch["reason"] for stretch in market[topics.COVERAGE]} == {"silent", "gap", "halt"}
    assert len({commit["configuration"] for commit in market[topics.COMMITS]}) == 2
    assert len({rows["models"] for rows in market["scores/scores"]}) == 2
    shadowed = ["ddqn.shadow" in commit["models"] for commit in market[topics.COMMITS]]
    assert shadowed == [False, True, False, False]
    alerts = [alert for tape in NAMES for alert in found(tape)[topics.ALERTS]]
    # A squeeze takes a quarter of an hour.
    assert {alert["scenario"] for alert in alerts} == set(ALL_SCENARIOS) - {"squeeze"}
    tiers = {tier for alert in alerts for tier in alert["data_tier"].split(", ")}
    assert tiers == {"quotes", "trades", "book", "accounts", "benchmark"}
    assert {alert["state"] for alert in alerts} == {"open", "update", "closed"}
    cases = [case for tape in NAMES for case in found(tape)[topics.CASES]]
    assert {case["state"] for case in cases} == {"new", "assigned", "in_review", "escalated", "closed", "reopened"}
    assert {alert["inhibition"] for case in cases for alert in case["alerts"]} == {
        "", "stronger", "cooldown", "suppression",
    }  # fmt: skip


def test_golden_files_are_small_and_changed_by_the_command_alone() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.stat().st_size > 300_000} == set()
    assert KEPT.body == KEPT.head.digest, "edited by hand: python -m tests.golden --write --why ..."
    changelog = command.CHANGELOG.read_text(encoding="utf-8")
    assert command.names(changelog, KEPT.head.why), f"the changelog has no entry: {KEPT.head.why}"


def test_writing_needs_a_reason() -> None:
    with pytest.raises(TapewatchError) as refusal:
        command.main(["--write", "--why", " "])
    assert "--why" in refusal.value.hint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "## [Unreleased]\n\n### Changed\n\n- a\n\n## [1]\n",
            "## [Unreleased]\n\n### Changed\n\n- b c\n- a\n\n## [1]\n",
        ),
        (
            "## [Unreleased]\n\n### Added\n\n- a\n\n## [1]\n",
            "## [Unreleased]\n\n### Added\n\n- a\n\n### Changed\n\n- b c\n\n## [1]\n",
        ),
        ("## [Unreleased]\n\n## [1]\n- a\n", "## [Unreleased]\n\n### Changed\n\n- b c\n\n## [1]\n- a\n"),
        ("## [Unreleased]\n\n### Added\n\n- b\n  c\n", "## [Unreleased]\n\n### Added\n\n- b\n  c\n"),
    ],
)
def test_reason_becomes_an_entry_of_the_changelog_once(before: str, after: str) -> None:
    assert command.noted(before, "b c") == after


def test_a_difference_names_columns_and_the_values_of_the_first_excerpt() -> None:
    kept = outputs.golden([{"a": 1, "b": {"c": [n / 10]}} for n in range(9)])
    changed = outputs.golden([{"a": 1, "b": {"c": [0.3]}, "d": None} for _ in range(8)])
    assert outputs.differences(("t", "o"), kept, kept) == []
    assert outputs.differences(("t", "o"), kept, changed) == [
        "t/o: not the golden output",
        "  8 rows, golden 9",
        "  other values in: a, b",
        "  new columns: d",
        "  first excerpt that differs, row 0:",
        "    b.c.0 is 0.3, golden 0.0",
        "    d is null, golden absent",
    ]


@pytest.mark.parametrize(
    ("rows", "letters", "kept"),
    [(0, 10, []), (1, 9000, [0]), (2, 10, [0, 1]), (30, 900, [0, 29]), (24, 10, list(range(24))), (70, 1, 24)],
)
def test_excerpt_goes_from_the_first_row_to_the_last(rows: int, letters: int, kept: list[int] | int) -> None:
    chosen = list(outputs.golden([{"a": n, "b": "x" * letters} for n in range(rows)]).excerpt)
    assert chosen[-1:] == [rows - 1][:rows]
    assert (len(chosen) if isinstance(kept, int) else chosen) == kept


def test_what_is_kept_reads_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {("t", "o"): outputs.golden([{"a": float("nan"), "b": "\u00e9"}, {"a": 1e-320, "b": None}])}
    monkeypatch.setattr(outputs, "KEPT", tmp_path / "kept.jsonl")
    outputs.keep(wanted, "because")
    assert outputs.load().outputs == wanted
    assert outputs.load().head.why == "because"
