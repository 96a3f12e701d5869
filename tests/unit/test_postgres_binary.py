"""Rows in the binary COPY format, read back by the format's own rules."""

import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.backoff import Backoff
from sinks.postgres.binary import absent, pack, texts_of
from sinks.postgres.partitions import partition_name
from sinks.postgres.tables import DAY, Table
from sinks.postgres.writer import Parts
from tapewatch.errors import ContractError

TABLE = Table("t", "at", (("at", "i8"), ("code", "i2"), ("value", "f8")), ("word", "note"))


def fields(data: bytes) -> list[list[bytes | None]]:
    """Every row's fields: int16 count, then int32 length (-1 NULL) and bytes of each."""
    rows, at = [], 0
    while at < len(data):
        (count,), at = struct.unpack_from(">h", data, at), at + 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,), at = struct.unpack_from(">i", data, at), at + 4
            row.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        rows.append(row)
    return rows


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * DAY),
            st.integers(-(2**15), 2**15 - 1),
            st.floats(allow_nan=False),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_packed_rows_read_back_as_they_were(rows):
    at, code, value, words = zip(*rows, strict=True)
    columns = {"at": np.array(at), "code": np.array(code), "value": np.array(value)}
    packed = pack(TABLE, columns, [texts_of(pa.array(words, type=pa.utf8())), absent(len(rows))])
    found = fields(packed.data)
    assert packed.rows == len(rows)
    assert [struct.unpack(">q", row[0] or b"")[0] for row in found] == list(at)
    assert [struct.unpack(">h", row[1] or b"")[0] for row in found] == list(code)
    assert [struct.unpack(">d", row[2] or b"")[0] for row in found] == list(value)
    assert [row[3] for row in found] == [None if word is None else word.replace("\0", "?").encode() for word in words]
    assert all(row[4] is None for row in found)
    assert set(packed.days) == {time // DAY for time in at}


def test_texts_keep_their_rows_when_some_are_taken():
    texts = texts_of(pa.array(["a", None, "", "dé"])).take(np.array([3, 1, 0]))
    columns = {"at": np.arange(3), "code": 1, "value": 0.5}
    found = fields(pack(TABLE, columns, [texts, absent(3, 0)]).data)
    assert [row[3] for row in found] == ["dé".encode(), None, b"a"]
    assert [row[4] for row in found] == [b"", b"", b""]


def test_texts_of_a_sliced_array_are_those_of_the_slice():
    found = texts_of(pa.array(["aa", "b", "cc"]).slice(1))
    columns = {"at": np.arange(2), "code": 1, "value": 0.5}
    assert [row[3] for row in fields(pack(TABLE, columns, [found, absent(2)]).data)] == [b"b", b"cc"]


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_parts_are_read_as_one_file(parts: list[bytes], size: int) -> None:
    file, pieces = Parts(parts), []
    while piece := file.read(size):
        pieces.append(piece)
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert file.read(size) == b""


def test_frame_over_too_many_days_is_refused():
    columns = {"at": np.arange(1001) * DAY, "code": 0, "value": 0.0}
    with pytest.raises(ContractError) as refused:
        pack(TABLE, columns, [absent(1001), absent(1001)])
    assert refused.value.reason == "too_many_days"


def test_partition_is_named_after_its_day():
    assert partition_name("quotes", 19_676) == "quotes_d20231115"


def test_waits_grow_to_their_limit_and_start_over_after_success():
    backoff = Backoff(first_s=1.0, longest_s=4.0)
    for least in (0.5, 1.0, 2.0, 2.0):
        assert least <= backoff.wait_s() <= 2 * least
    backoff.reset()
    assert backoff.wait_s() <= 1.0
