"""TFRecord files without TensorFlow: its framing, and the part of protobuf that a tf.train.Example is made of.

Framing, little-endian, a record: uint64 length, uint32 masked CRC32C of the length, the bytes, uint32 masked CRC32C of
the bytes (tensorflow/core/lib/io/record_writer.h). An Example is a map from name to a list of bytes, floats or int64s
(tensorflow/core/example/feature.proto); names are written in order, so that equal features are equal bytes.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tapewatch.errors import TapewatchError

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Feature = list[bytes] | F4 | I8

_MASK_DELTA = 0xA282EAD8
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_WHOLE = 1 << 64
_SMALL = tuple(bytes([value]) for value in range(0x80))


def _crc32c() -> Any:
    try:
        import google_crc32c
    except ImportError as error:
        raise TapewatchError(
            "google-crc32c is not installed", "Install the extra: pip install 'tapewatch[spark]'."
        ) from error
    return google_crc32c.value


def masked(crc: int) -> int:
    """A CRC32C as it is stored: rotated right by 15 bits, plus a constant, so that a CRC of CRCs stays a good one."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def write(file: BinaryIO, records: Iterable[bytes]) -> int:
    """Write records to an open file; how many there were."""
    crc32c, count = _crc32c(), 0
    for record in records:
        count += 1
        length = _LENGTH.pack(len(record))
        file.writelines((length, _CRC.pack(masked(crc32c(length))), record, _CRC.pack(masked(crc32c(record)))))
    return count


def read(path: Path) -> Iterator[bytes]:
    """The records of a file. TapewatchError where one does not fit its checksums, or the file is cut short."""
    crc32c = _crc32c()
    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            if len(head) < 12 or masked(crc32c(head[:8])) != _CRC.unpack(head[8:])[0]:
                raise _damaged(path, number)
            (length,) = _LENGTH.unpack(head[:8])
            record, tail = file.read(length), file.read(4)
            if len(tail) < 4 or masked(crc32c(record)) != _CRC.unpack(tail)[0]:
                raise _damaged(path, number)
            yield record
            number += 1


def _damaged(path: Path, number: int) -> TapewatchError:
    return TapewatchError(f"{path} is damaged or cut short at record {number}", "Write it again with `tapewatch etl`.")


def encode(features: Mapping[str, Feature]) -> bytes:
    """A serialised Example.

    features : by name; a list of bytes, or an array float32[n] or int64[n]; TypeError for anything else
    """
    entries = (_field(1, _name(name) + _field(2, _feature(features[name]))) for name in sorted(features))
    return _field(1, b"".join(entries))


@cache
def _name(name: str) -> bytes:
    """The key of an entry of the map; a writer has few of them."""
    return _field(1, name.encode())


def _feature(values: Feature) -> bytes:
    if isinstance(values, list):
        return _field(_BYTES_LIST, b"".join(_field(1, value) for value in values))
    if values.dtype == np.float32:
        return _field(_FLOAT_LIST, _field(1, values.astype("<f4").tobytes()))
    if values.dtype == np.int64:
        return _field(_INT64_LIST, _field(1, b"".join(map(_varint, values.tolist()))))
    raise TypeError(f"an Example holds float32 and int64, not {values.dtype}")


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LEN) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number as its two's complement of 64 bits."""
    if 0 <= value < len(_SMALL):
        return _SMALL[value]
    value %= _WHOLE
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def decode(record: bytes) -> dict[str, Feature]:
    """The features of an Example, however a writer ordered or packed them. ValueError where the bytes are none."""
    found: dict[str, Feature] = {}
    for number, features in _fields(record):
        for entry_number, entry in _fields(features) if number == 1 else ():
            if entry_number == 1:
                parts = dict(_fields(entry))
                found[bytes(parts.get(1, b"")).decode()] = _values(parts.get(2, b""))
    return found


def _values(feature: bytes) -> Feature:
    for kind, values in _fields(feature):
        if kind == _BYTES_LIST:
            return [value for number, value in _fields(values) if number == 1]
        if kind == _FLOAT_LIST:
            return np.frombuffer(b"".join(value for _, value in _fields(values)), dtype="<f4").astype(np.float32)
        if kind == _INT64_LIST:
            return np.array(list(_varints(b"".join(value for _, value in _fields(values)))), dtype=np.int64)
    return []


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Field numbers and their bytes; a number stands as it was written (varint or fixed), so that it can be packed."""
    at = 0
    while at < len(message):
        tag, at = _take_varint(message, at)
        begin, kind = at, tag & 7
        if kind == _LEN:
            length, begin = _take_varint(message, at)
            at = begin + length
        elif kind == _VARINT:
            _, at = _take_varint(message, at)
        elif kind in (_I64, _I32):
            at += 8 if kind == _I64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("a field goes beyond its message")
        yield tag >> 3, message[begin:at]


def _take_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % _WHOLE, at
    raise ValueError("a number without an end")


def _varints(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _take_varint(packed, at)
        yield value - _WHOLE if value >= _WHOLE >> 1 else value
