"""TFRecord files as TensorFlow writes and reads them, without it."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("google_crc32c")

from streams.spark import tfrecord
from tapewatch.errors import TapewatchError

FEATURES: dict[str, tfrecord.Feature] = {
    "symbol": [b"2330"],
    "bar": np.array([1.5, -2.0], np.float32),
    "at": np.array([1357171200000000000, -1, 300], np.int64),
}
WRITTEN = bytes.fromhex(
    "4c00000000000000f5d4a2a00a4a0a1f0a02617412191a170a15808090dbc080e9ea12ffffffffffffffffff01ac02"
    "0a130a03626172120c120a0a080000c03f000000c00a120a0673796d626f6c12080a060a0432333330ce78322d"
)
"""What tf.io.TFRecordWriter of TensorFlow 2.21 writes for an Example of FEATURES."""


def test_a_file_is_byte_for_byte_what_tensorflow_writes(tmp_path):
    path = tmp_path / "one.tfrecord"
    with path.open("wb") as file:
        assert tfrecord.write(file, [tfrecord.encode(FEATURES)]) == 1
    assert path.read_bytes() == WRITTEN


def test_what_tensorflow_wrote_is_read_back(tmp_path):
    path = tmp_path / "one.tfrecord"
    path.write_bytes(WRITTEN)
    (found,) = map(tfrecord.decode, tfrecord.read(path))
    assert found.keys() == FEATURES.keys()
    assert found["symbol"] == FEATURES["symbol"]
    assert all(np.array_equal(found[name], FEATURES[name]) for name in ("at", "bar"))


def test_the_checksum_is_crc32c_masked_as_the_format_says():
    import google_crc32c

    # RFC 3720, B.4: 32 bytes of zeros; the mask turns right by 15 bits and adds a constant.
    crc = google_crc32c.value(bytes(32))
    assert crc == 0x8A9136AA
    assert tfrecord.masked(crc) == ((0x8A9136AA >> 15 | (0x8A9136AA & 0x7FFF) << 17) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("place", [0, 8, 20, len(WRITTEN) - 1])
def test_a_changed_byte_anywhere_is_noticed(tmp_path, place):
    path = tmp_path / "one.tfrecord"
    path.write_bytes(WRITTEN[:place] + bytes([WRITTEN[place] ^ 1]) + WRITTEN[place + 1 :])
    with pytest.raises(TapewatchError, match="damaged or cut short at record 0"):
        list(tfrecord.read(path))


@pytest.mark.parametrize("length", [5, 14, len(WRITTEN) - 2])
def test_a_file_that_ends_early_is_noticed(tmp_path, length):
    path = tmp_path / "one.tfrecord"
    path.write_bytes(WRITTEN + WRITTEN[:length])
    with pytest.raises(TapewatchError, match="damaged or cut short at record 1"):
        list(tfrecord.read(path))


def test_values_that_are_not_packed_are_read_too():
    feature = b"\x12\x0a" + b"\x0d\x00\x00\x80\x3f" + b"\x0d\x00\x00\x00\x40"  # a FloatList of two fixed32 fields
    entry = b"\x0a\x01x" + b"\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    found = tfrecord.decode(b"\x0a" + bytes([len(features)]) + features)
    x = found["x"]
    assert isinstance(x, np.ndarray)
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("record", [b"\x0a\x05\x01", b"\x0b", b"\xff" * 11])
def test_bytes_that_are_no_message_are_refused(record):
    with pytest.raises(ValueError, match=r"field goes beyond|wire type|number without"):
        tfrecord.decode(record)


def test_other_types_than_float32_and_int64_are_refused():
    wrong: Any = np.zeros(1)
    with pytest.raises(TypeError, match="float64"):
        tfrecord.encode({"x": wrong})
