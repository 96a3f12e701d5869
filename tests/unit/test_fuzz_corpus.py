"""Everything that reads strangers' bytes, under the kept corpus and under inputs that hypothesis draws."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import frame_targets, guided
from benchmarks.fuzz.soak import AtWork, FuzzResult, HangError, Soak, markdown, one, where
from benchmarks.fuzz.targets import CORPUS, LONGEST, TARGETS, Mutator, Target, corpus
from producers.base.collector import Collector
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import RowType
from tapewatch.errors import TapewatchError

DRAWN = {"task": 40, "control": 15}
"""Mutated inputs of a target in CI, where other than 60."""


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_break_no_promise(name: str) -> None:
    take = TARGETS[name].make()
    kept = corpus(name)
    assert kept, "every target has a corpus"
    for data in kept:
        take(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_inputs_break_no_promise(name: str) -> None:
    take, mutator = TARGETS[name].make(), Mutator(corpus(name), seed=3)
    for _ in range(DRAWN.get(name, 60)):
        take(mutator.draw())


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from([name for name in TARGETS if name not in DRAWN]), data=st.binary(max_size=300))
def test_any_bytes_break_no_promise(name: str, data: bytes) -> None:
    TARGETS[name].make()(data)


def test_corpus_has_a_folder_for_every_target_and_no_other_and_is_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1_000_000


def test_same_seed_draws_the_same_inputs() -> None:
    first, second = (Mutator(corpus("message"), seed=5) for _ in range(2))
    drawn = [first.draw() for _ in range(500)]
    assert drawn == [second.draw() for _ in range(500)]
    assert len(set(drawn)) > 400
    assert max(map(len, drawn)) <= LONGEST


def test_record_that_does_change_its_neighbours_result_is_noticed() -> None:
    """The target itself: a frame of the good instrument, smuggled past the rule that leaves such frames out."""
    target = frame_targets.Neighbours()
    target._alone = lambda value: True  # type: ignore[method-assign]
    rows = frame_targets.second(0)[1]
    smuggled = type(rows)(RowType.QUOTE, rows.instruments, {**rows.columns, "bid_qty": rows.columns["bid_qty"] + 900.0})
    value = frames.encode(smuggled)
    said = b"\n".join(name.encode() + b"=" + text for name, text in FrameHeaders("quote", "other", 1, 1, 0).to_kafka())
    target.take(said + frame_targets.SEPARATOR + value)
    with pytest.raises(AssertionError, match="another instrument's result"):
        for _ in range(frame_targets.EVERY * frame_targets.SECONDS):
            target.take(b"")


def test_worker_tells_what_was_raised_and_where_and_keeps_the_input(tmp_path: Path) -> None:
    def broken(data: bytes) -> None:
        raise KeyError(len(data))

    error = one(broken, b"abc")
    assert error is not None
    assert where(error).startswith("KeyError at test_fuzz_corpus.py:")
    kept = AtWork(tmp_path / "at-work")
    kept.put(b"first and long")
    kept.put(b"second")
    assert AtWork.read(tmp_path / "at-work") == b"second"
    assert issubclass(HangError, Exception)


def test_soak_that_found_something_says_so() -> None:
    result = FuzzResult(False, 5, 1.0, 5, 1, 0, 9, [], [])
    assert "1 crashes" in markdown(result)


@pytest.mark.slow
def test_soak_takes_every_input_and_knows_the_one_that_killed_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deadly(data: bytes) -> None:
        if len(data) % 50 == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    targets = {"message": replace(TARGETS["message"], share=1), "headers": Target("dies", lambda: deadly, 1)}
    monkeypatch.setattr("benchmarks.fuzz.soak.TARGETS", targets)
    monkeypatch.setattr("benchmarks.fuzz.soak.TARGETS", targets)
    soak = Soak(2_000, tmp_path, tmp_path, time.monotonic() + 300)
    soak.run()
    assert soak.tried["message"].done == 1_000
    assert soak.ended["hang"] == 0
    assert soak.ended["crash"] > 0
    assert len((tmp_path / "headers-died").read_bytes()) % 50 == 3
    assert "crash: SIGKILL" in soak.tried["headers"].findings


def test_found_inputs_are_kept_smallest_first_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.fuzz.targets.CORPUS", tmp_path / "corpus")
    (tmp_path / "corpus" / "message").mkdir(parents=True)
    (tmp_path / "found").mkdir()
    for number in range(guided.KEPT + 5):
        (tmp_path / "found" / str(number)).write_bytes(b"x" * (number + 1))
    (tmp_path / "found" / "large").write_bytes(b"y" * (guided.LARGEST + 1))
    assert guided.keep("message", tmp_path / "found") == guided.KEPT
    assert guided.keep("message", tmp_path / "found") == 0
    assert max(map(len, corpus("message"))) <= guided.KEPT


def test_venue_time_beyond_all_dates_is_refused_and_the_feeds_other_rows_go_on() -> None:
    collector = Collector()
    code = collector.code("A.SIMX")
    collector.trades += [
        (code, 5, 7, 100.0, 1.0, 1, 0, "1"),
        (code, 10**22, 7, 100.0, 1.0, 1, 0, "2"),
        (code, 6, 8, 100.0, 1.0, 1, 0, "3"),
    ]
    (rows,) = collector.take()
    assert rows.columns["trade_id"].tolist() == ["1", "3"]
    assert collector.refused == {"out_of_range": 1}
    collector.trades.append((code, 10**22, 7, 100.0, 1.0, 1, 0, "4"))
    assert collector.take() == []


def test_guided_fuzzing_without_its_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "atheris", None)
    with pytest.raises(TapewatchError) as caught:
        guided.fuzz("message", 1, None)
    assert "tapewatch[fuzz]" in caught.value.hint
