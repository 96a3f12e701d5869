"""What a live producer records, and that it replays as the same rows."""

import gzip
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from producers.base import tape as tape_module
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.tape import Tape
from producers.base.universe import Listing
from producers.recordings import RecordingOptions, open_recording
from producers.venues import decoders
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tests.eventually import eventually
from tests.unit import fake_venue

AT = 1_700_000_000 * NANOS
SNAPSHOT = DecoderRequest("snapshot", "A")
LISTED = [Listing(name, Instrument(id=f"{name}.FAKE", kind="spot"), 1.5, traits={"quote": "X"}) for name in "ABC"]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoders.DECODERS, "fake", "tests.unit.fake_venue")


def session(path: Path) -> Collector:
    """A live session that is recorded: what its decoder collected."""
    collector = Collector()
    live = fake_venue.FakeDecoder(collector, 2.0)
    tape = Tape(path, "fake", "7", {"scale": 2.0})
    live.follow(LISTED[:2])
    tape.follow(LISTED[:2], AT)
    tape.opened("link-1", ["A", "B"], AT)
    live.opened(["A", "B"], AT)
    messages: list[bytes | str] = [
        b"A 10 1",
        b"A 11 2",
        b"B 5 1",
        b"A 12 9",
        b"\xff\xfe nonsense",
        'B "\\\n 6',
        b"B 6 2",
        b"C 1 1",
    ]
    for number, data in enumerate(messages, 1):
        tape.message("link-1", data, AT + number * NANOS)
        live.message(data, AT + number * NANOS)
    for want in live.wants:
        tape.answer(want, b'snapshot \xe9 "A"', AT + 8 * NANOS)
        live.answer(want, b'snapshot \xe9 "A"', AT + 8 * NANOS)
    tape.follow(LISTED, AT + 9 * NANOS)
    live.follow(LISTED)
    tape.message("link-1", b"C 3 1", AT + 7 * NANOS)  # received before an answer that was taken first
    live.message(b"C 3 1", AT + 7 * NANOS)
    tape.lost("", ["B"], "not answered", AT + 10 * NANOS)
    live.lost(["B"], "not answered", AT + 10 * NANOS)
    tape.note("failed", AT + 10 * NANOS, SNAPSHOT, "timeout")
    live.note("failed", SNAPSHOT, "timeout", AT + 10 * NANOS)
    tape.lost("link-1", ["A", "C"], "silent", AT + 10 * NANOS)
    live.lost(["A", "C"], "link-1: silent", AT + 10 * NANOS)
    tape.close()
    return collector


def flat(parts: Sequence[Rows], row_type: RowType, name: str) -> list[Any]:
    found: list[Any] = []
    for rows in parts:
        if rows.type is row_type:
            column = rows.columns[name]
            found += [rows.instruments[code] for code in column] if name == "instrument" else column.tolist()
    return found


@pytest.mark.parametrize("name", ["session.tape", "session.tape.gz"])
def test_replay_of_a_tape_gives_the_rows_of_the_session(tmp_path: Path, name: str) -> None:
    collector = session(tmp_path / name)
    live = collector.take()
    recording = open_recording([tmp_path / name])
    played = [rows for chunk in recording.chunks() for rows in chunk.rows]
    for row_type, columns in {
        RowType.TRADE: ("instrument", "ts_event", "price", "trade_id"),
        RowType.STATUS: ("instrument", "ts_event", "kind", "detail"),
    }.items():
        for column in columns:
            assert flat(played, row_type, column) == flat(live, row_type, column)
    times = flat(played, RowType.TRADE, "ts_recv")
    assert times == np.maximum.accumulate(times).tolist()
    assert recording.report.records == {"trade": 9, "snapshot": 1}
    assert recording.report.reasons == dict(collector.refused)
    assert [refusal.line for refusal in recording.report.refused] == [8, 9, 11]


def test_tape_in_small_chunks_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session(tmp_path / "a.tape")
    monkeypatch.setattr("producers.recordings.tape.LINES_A_READ", 2)
    found = {}
    for size in (1, 1_000):
        recording = open_recording([tmp_path / "a.tape"], options=RecordingOptions(chunk_rows=size))
        chunks = list(recording.chunks())
        assert [chunk.end_ns for chunk in chunks] == sorted(chunk.end_ns for chunk in chunks)
        found[size] = flat([rows for chunk in chunks for rows in chunk.rows], RowType.TRADE, "price")
    assert found[1] == found[1_000] == [20.0, 22.0, 10.0, 24.0, 12.0, 6.0]


def test_instruments_are_those_that_were_followed(tmp_path: Path) -> None:
    session(tmp_path / "a.tape")
    recording = open_recording([tmp_path / "a.tape"])
    assert [one.id for one in recording.instruments] == ["A.FAKE", "B.FAKE", "C.FAKE"]
    assert recording.instruments[0].kind == "spot"


def test_fingerprint_depends_on_the_content(tmp_path: Path) -> None:
    session(tmp_path / "a.tape")
    session(tmp_path / "b.tape")
    (tmp_path / "c.tape").write_bytes((tmp_path / "a.tape").read_bytes().replace(b"A 10 1", b"A 10 2"))
    prints = [open_recording([tmp_path / f"{name}.tape"]).fingerprint for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_lines_are_json_and_bodies_that_are_no_text_base64(tmp_path: Path) -> None:
    session(tmp_path / "a.tape.gz")
    lines = [json.loads(line) for line in gzip.decompress((tmp_path / "a.tape.gz").read_bytes()).splitlines()]
    assert lines[0] == {"tape": 1, "venue": "fake", "parser": "7", "settings": {"scale": 2.0}}
    assert lines[3] == {"kind": "message", "at": AT + NANOS, "link": "link-1", "body": "A 10 1"}
    assert lines[7] == {"kind": "message", "at": AT + 5 * NANOS, "link": "link-1", "base64": "//4gbm9uc2Vuc2U="}
    assert lines[11]["want"] == {"kind": "snapshot", "symbol": "A", "start": 9, "upto": -1}


def test_tape_that_breaks_off_plays_up_to_there(tmp_path: Path) -> None:
    session(tmp_path / "a.tape")
    whole = (tmp_path / "a.tape").read_bytes()
    (tmp_path / "b.tape").write_bytes(whole[: whole.index(b"A 12 9") + 3])
    recording = open_recording([tmp_path / "b.tape"])
    rows = [rows for chunk in recording.chunks() for rows in chunk.rows]
    assert flat(rows, RowType.TRADE, "price") == [20.0, 22.0, 10.0]
    assert recording.report.reasons == {"malformed_line": 1}


def test_existing_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.tape").write_text("mine")
    with pytest.raises(TapewatchError, match="exists"):
        Tape(tmp_path / "a.tape", "fake")
    with pytest.raises(TapewatchError, match="cannot write"):
        Tape(tmp_path / "nowhere" / "a.tape", "fake")
    assert (tmp_path / "a.tape").read_text() == "mine"


def test_unknown_venue_and_later_version_are_told(tmp_path: Path) -> None:
    Tape(tmp_path / "a.tape", "elsewhere").close()
    with pytest.raises(TapewatchError, match="elsewhere"):
        list(open_recording([tmp_path / "a.tape"]).chunks())
    (tmp_path / "b.tape").write_text('{"tape":2,"venue":"fake"}\n')
    with pytest.raises(TapewatchError, match="version 2"):
        open_recording([tmp_path / "b.tape"])


class _SlowFile:
    """A disk that writes nothing until it is let, and fails where it is told."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.written = 0
        self.full = False

    def write(self, data: bytes) -> int:
        if data.startswith(b'{"tape"'):
            return len(data)
        assert self.let.wait(600)
        if self.full:
            raise OSError(28, "No space left on device")
        self.written += 1
        return len(data)

    def flush(self) -> None: ...

    def __enter__(self) -> "_SlowFile":
        return self

    def __exit__(self, *error: object) -> None: ...


def test_slow_disk_makes_messages_wait_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _SlowFile()
    monkeypatch.setattr(tape_module, "_created", lambda path: disk)
    monkeypatch.setattr(tape_module, "WAITING_BYTES", 1_000)
    tape = Tape(tmp_path / "a.tape", "fake")
    done = threading.Event()

    def bring() -> None:
        for number in range(50):
            tape.message("link", b"x" * 100, AT + number)
        done.set()

    bringing = threading.Thread(target=bring)
    bringing.start()
    eventually(lambda: tape.behind, what="the tape is behind", pause=0.001)
    assert not done.is_set()
    disk.let.set()
    bringing.join(600)
    tape.close()
    assert disk.written == 50


def test_full_disk_ends_the_recording_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _SlowFile()
    disk.full = True
    disk.let.set()
    monkeypatch.setattr(tape_module, "_created", lambda path: disk)
    tape = Tape(tmp_path / "a.tape", "fake")
    tape.answer(DecoderRequest("snapshot", "A"), b"x", AT)
    with pytest.raises(TapewatchError, match="No space left"):
        tape.close()
    with pytest.raises(TapewatchError, match="No space left"):
        tape.message("link", b"x", AT)
