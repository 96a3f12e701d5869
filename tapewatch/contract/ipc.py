"""Reading Arrow IPC metadata in place: where a record batch's buffers lie, and how much a stream would be once it is
read, without building Arrow objects.

Follows the Arrow columnar format's encapsulated messages (a continuation marker, the metadata's length, a flatbuffer,
the body). Every position is checked against the buffer's end, so that a hostile frame yields an error code, never a
read outside of it.
"""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import kernel

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

OK, TRUNCATED, NOT_A_DICTIONARY, NOT_A_BATCH, WRONG_SHAPE, HAS_NULLS, BAD_CODES = 0, 1, 2, 3, 4, 5, 6
TOO_MANY_ROWS, TOO_MUCH_DATA, TOO_MANY_VALUES, TOO_MUCH_METADATA, FOREIGN_KIND, SEVERAL_BATCHES = 7, 8, 9, 10, 11, 12
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_MAX_ROWS = 65_536

MAX_DATA = 32 * 1024 * 1024
"""Bytes of all buffers of a stream, unpacked; 65,536 books take 22.8 million."""
MAX_VALUES = 4 * 1024 * 1024
"""Values of all columns and dictionaries of a stream, nested ones and those without bytes too; 65,536 books have 3.2
million.
"""
MAX_METADATA = 65_536
"""Bytes of a message's metadata, and of what a stream's metadata says once everything that it shares is written out."""
_COLUMN_BYTES, _PAIR_BYTES = 64, 32
"""What a column and a pair of key and value count at least, beside their texts."""
MAX_COLUMNS = MAX_METADATA // _COLUMN_BYTES

_FLAT, _OTHER = 1, 2
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[[2, 3, 5, 6, 7, 8, 9, 10, 11, 18, 20]] = _FLAT
_KINDS[[1, 4, 12, 13, 15, 16, 17, 19, 21]] = _OTHER
"""By Arrow's number of a type: numbers, times and texts; nulls, bytes, lists, structs and maps. The others (unions,
views, runs) may name one value again and again, so that what they hold has no bound.
"""
_TIMESTAMP = 10
_VERSION_5 = 4
"""As Arrow numbers the versions of its metadata."""


@kernel
def _u16(buffer: Bytes, at: int) -> int:
    """Little-endian unsigned 16-bit integer; 0 outside of the buffer."""
    if at < 0 or at + 2 > buffer.size:
        return 0
    return int(np.int64(buffer[at]) | (np.int64(buffer[at + 1]) << 8))


@kernel
def _i32(buffer: Bytes, at: int) -> int:
    """Little-endian signed 32-bit integer; -1 outside of the buffer."""
    if at < 0 or at + 4 > buffer.size:
        return -1
    value = np.int64(0)
    for shift in range(4):
        value |= np.int64(buffer[at + shift]) << (8 * shift)
    return int(value - (np.int64(1) << 32) if value >= np.int64(1) << 31 else value)


@kernel
def _i64(buffer: Bytes, at: int) -> int:
    """Little-endian signed 64-bit integer; -1 outside of the buffer."""
    if at < 0 or at + 8 > buffer.size:
        return -1
    value = np.int64(0)
    for shift in range(8):
        value |= np.int64(buffer[at + shift]) << (8 * shift)
    return int(value)


@kernel
def _field(buffer: Bytes, table: int, index: int) -> int:
    """Position of a flatbuffer table's field; 0 where it is absent."""
    vtable = table - _i32(buffer, table)
    if vtable < 0 or 4 + 2 * index + 2 > _u16(buffer, vtable):
        return 0
    offset = _u16(buffer, vtable + 4 + 2 * index)
    return table + offset if offset else 0


@kernel
def _indirect(buffer: Bytes, at: int) -> int:
    """Follow an unsigned flatbuffer offset."""
    return at + _i32(buffer, at)


@kernel
def _message(buffer: Bytes, start: int, kind: int, out: Longs) -> int:
    """Open the message at `start`: out[0] header table, out[1] body start, out[2] body end. 0 if it is of that kind."""
    if start + 8 > buffer.size or _i32(buffer, start) != -1:
        return TRUNCATED
    length = _i32(buffer, start + 4)
    if length <= 0 or start + 8 + length > buffer.size:
        return TRUNCATED
    table = start + 8 + _i32(buffer, start + 8)
    type_at, header_at, body_at = _field(buffer, table, 1), _field(buffer, table, 2), _field(buffer, table, 3)
    if type_at == 0 or type_at >= buffer.size or buffer[type_at] != kind or header_at == 0:
        return NOT_A_BATCH
    body = _i64(buffer, body_at) if body_at else 0
    out[0], out[1] = _indirect(buffer, header_at), start + 8 + length
    # Compare without adding, so that huge values cannot wrap around.
    if body < 0 or body > buffer.size - out[1]:
        return TRUNCATED
    out[2] = out[1] + body
    return OK


@kernel
def _buffer_at(buffer: Bytes, batch: int, index: int, body: Longs, least: int) -> int:
    """Start of a record batch's buffer, at least `least` bytes long and inside the body; -1 otherwise."""
    vector = _field(buffer, batch, 2)
    if vector == 0:
        return -1
    vector = _indirect(buffer, vector)
    if index >= _i32(buffer, vector):
        return -1
    offset, length = _i64(buffer, vector + 4 + 16 * index), _i64(buffer, vector + 12 + 16 * index)
    # Compare without adding, so that huge values cannot wrap around.
    room = body[2] - body[1]
    if offset < 0 or offset > room or length < least or length > room - offset:
        return -1
    return int(body[1] + offset)


@kernel
def _nodes_without_null(buffer: Bytes, batch: int, count: int) -> bool:
    """Whether the first `count` field nodes hold no null."""
    vector = _field(buffer, batch, 1)
    if vector == 0:
        return False
    vector = _indirect(buffer, vector)
    if _i32(buffer, vector) < count:
        return False
    for node in range(count):  # noqa: SIM110 - kernels know no generators
        if _i64(buffer, vector + 12 + 16 * node) != 0:
            return False
    return True


@kernel
def scan_dictionary(buffer: Bytes, start: int, info: Longs) -> int:
    """Find the dictionary of a frame whose schema message ends at `start`.

    info : int64[6] out, how many texts it holds, start and end of its message, position of its record batch's table,
    start and end of its body
    Returns 0, or the reason why the frame cannot be read in place.
    """
    body = info[3:6]
    code = _message(buffer, start, _DICTIONARY_BATCH, body)
    if code != OK:
        return code
    info[1], info[2] = start, body[2]
    inner = _field(buffer, body[0], 1)
    if inner == 0:
        return NOT_A_DICTIONARY
    inner = _indirect(buffer, inner)
    length_at = _field(buffer, inner, 0)
    info[0], info[3] = _i64(buffer, length_at) if length_at else 0, inner
    if info[0] > _MAX_ROWS or _field(buffer, inner, 3) != 0 or not _nodes_without_null(buffer, inner, 1):
        return NOT_A_DICTIONARY
    return OK


@kernel
def texts_at(buffer: Bytes, info: Longs) -> int:
    """Where the texts of a dictionary's message lie; `buffer` is the message.

    info : int64[6] out, how many texts, position of their int32[texts + 1] offsets, position of their bytes, of no
    use, of no use, end of the body
    """
    code = scan_dictionary(buffer, 0, info)
    if code != OK:
        return code
    if info[0] < 0 or info[0] > buffer.size:
        return NOT_A_DICTIONARY
    info[1] = _buffer_at(buffer, info[3], 1, info[3:6], 4 * (info[0] + 1))
    info[2] = _buffer_at(buffer, info[3], 2, info[3:6], 0)
    return OK if info[1] >= 0 and info[2] >= 0 else NOT_A_DICTIONARY


@kernel
def scan(
    buffer: Bytes, start: int, names: int, data: Longs, width: Longs, required_nodes: int, offsets: Longs, info: Longs
) -> int:
    """Find the required columns of the record batch whose message begins at `start`, behind the dictionary's.

    names : how many texts the dictionary holds; codes are checked to lie in it
    data, width : int64[columns], index of each column's value buffer and its bytes a row (tapewatch.contract.frames)
    offsets : int64[columns] out, byte position of each column's values
    info : int64[6] out, rows in [0]; then scratch
    Returns 0, or the reason why the frame cannot be read in place.
    """
    body = info[3:6]
    code = _message(buffer, start, _RECORD_BATCH, body)
    if code != OK:
        return code
    batch = body[0]
    length_at = _field(buffer, batch, 0)
    rows = _i64(buffer, length_at) if length_at else 0
    if rows <= 0 or rows > _MAX_ROWS or _field(buffer, batch, 3) != 0:
        return WRONG_SHAPE
    if not _nodes_without_null(buffer, batch, required_nodes):
        return HAS_NULLS
    info[0] = rows
    for column in range(data.size):
        offsets[column] = _buffer_at(buffer, batch, data[column], body, rows * width[column])
        if offsets[column] < 0:
            return WRONG_SHAPE
    codes = buffer[offsets[0] : offsets[0] + 4 * rows].view(np.int32)
    for row in range(rows):
        if codes[row] < 0 or codes[row] >= names:
            return BAD_CODES
    # One record batch, then nothing but the end-of-stream marker.
    rest = buffer.size - body[2]
    if rest != 0 and not (rest == 8 and _i32(buffer, body[2]) == -1 and _i32(buffer, body[2] + 4) == 0):
        return WRONG_SHAPE
    return OK


@kernel
def batch_places(buffer: Bytes, start: int, info: Longs) -> int:
    """Where a stream's first record batch can be given another body; `start` is where its schema message ends.

    info : int64[6] out, start of the record batch's message, of its body, end of the body, where the body's length
    stands, number of buffers, where the first of their (offset, length) pairs stands
    """
    body = info[3:6]
    code = _message(buffer, start, _DICTIONARY_BATCH, body)
    if code != OK:
        return code
    at = body[2]
    code = _message(buffer, at, _RECORD_BATCH, body)
    if code != OK:
        return code
    vector = _field(buffer, body[0], 2)
    length_at = _field(buffer, at + 8 + _i32(buffer, at + 8), 3)
    if vector == 0 or length_at == 0:
        return WRONG_SHAPE
    vector = _indirect(buffer, vector)
    info[0], info[1], info[2] = at, body[1], body[2]
    info[3], info[4], info[5] = length_at, _i32(buffer, vector), vector + 4
    return OK


@kernel
def _text_bytes(buffer: Bytes, table: int, index: int) -> int:
    """How long a flatbuffer table's text is; 0 where it has none."""
    at = _field(buffer, table, index)
    return max(_i32(buffer, _indirect(buffer, at)), 0) if at else 0


@kernel
def _pairs_bytes(buffer: Bytes, table: int, index: int) -> int:
    """What a flatbuffer table's pairs of key and value take; counted until it is too much."""
    at = _field(buffer, table, index)
    if at == 0:
        return 0
    vector, total = _indirect(buffer, at), 0
    for pair in range(_i32(buffer, vector)):
        entry = _indirect(buffer, vector + 4 + 4 * pair)
        total += _PAIR_BYTES + _text_bytes(buffer, entry, 0) + _text_bytes(buffer, entry, 1)
        if total > MAX_METADATA:
            break
    return total


@kernel
def _put_columns(buffer: Bytes, table: int, index: int, is_nested: bool, waiting: Longs) -> bool:
    """Add a table's columns to those that wait, nested ones as negative positions; False where they are too many.

    waiting : int64[1 + MAX_COLUMNS], how many wait, then where they stand
    """
    at = _field(buffer, table, index)
    if at == 0:
        return True
    vector = _indirect(buffer, at)
    count = _i32(buffer, vector)
    if count > MAX_COLUMNS - waiting[0]:
        return False
    for column in range(count):
        waiting[0] += 1
        place = _indirect(buffer, vector + 4 + 4 * column)
        waiting[waiting[0]] = -place if is_nested else place
    return True


@kernel
def _weigh_schema(buffer: Bytes, schema: int, weight: Longs, waiting: Longs) -> int:
    """Add what a schema takes to weight[2]; OK where its columns are of kinds whose size can be told."""
    weight[2] += _pairs_bytes(buffer, schema, 2)
    waiting[0] = 0
    if not _put_columns(buffer, schema, 1, False, waiting):
        return TOO_MUCH_METADATA
    while waiting[0] > 0:
        place = waiting[waiting[0]]
        waiting[0] -= 1
        table = abs(place)
        kind_at, type_at = _field(buffer, table, 2), _field(buffer, table, 3)
        kind = int(buffer[kind_at]) if 0 < kind_at < buffer.size else 0
        has_dictionary = _field(buffer, table, 4) != 0
        if _KINDS[kind] == 0 or (has_dictionary and (place < 0 or _KINDS[kind] != _FLAT)):
            return FOREIGN_KIND
        weight[2] += _COLUMN_BYTES + _text_bytes(buffer, table, 0) + _pairs_bytes(buffer, table, 6)
        if kind == _TIMESTAMP and type_at:
            weight[2] += _text_bytes(buffer, _indirect(buffer, type_at), 1)
        if weight[2] > MAX_METADATA or not _put_columns(buffer, table, 5, True, waiting):
            return TOO_MUCH_METADATA
    return OK


@kernel
def _weigh_batch(buffer: Bytes, batch: int, start: int, end: int, weight: Longs) -> int:
    """Add a record batch's buffers, unpacked, to weight[0] and its values to weight[1]. start, end : of its body"""
    nodes, buffers = _field(buffer, batch, 1), _field(buffer, batch, 2)
    nodes = _indirect(buffer, nodes) if nodes else 0
    for node in range(_i32(buffer, nodes) if nodes else 0):
        values = _i64(buffer, nodes + 4 + 16 * node)
        if values < 0:
            return TRUNCATED
        # Compare without adding, so that huge values cannot wrap around.
        if values > MAX_VALUES - weight[1]:
            return TOO_MANY_VALUES
        weight[1] += values
    is_packed = _field(buffer, batch, 3) != 0
    buffers = _indirect(buffer, buffers) if buffers else 0
    for index in range(_i32(buffer, buffers) if buffers else 0):
        offset, size = _i64(buffer, buffers + 4 + 16 * index), _i64(buffer, buffers + 12 + 16 * index)
        if offset < 0 or size < 0 or offset > end - start or size > end - start - offset:
            return TRUNCATED
        if is_packed and size >= 8:
            # A packed buffer begins with its length unpacked, -1 where it is not packed. Arrow refuses another length.
            told = _i64(buffer, start + offset)
            size = told if told != -1 else size - 8
        if size < 0:
            return TRUNCATED
        if size > MAX_DATA - weight[0]:
            return TOO_MUCH_DATA
        weight[0] += size
    return OK


@kernel
def _weigh_message(buffer: Bytes, message: int, start: int, end: int, weight: Longs, waiting: Longs) -> int:
    """Add what a message takes; see `weigh`. start, end : of its body"""
    version_at, kind_at, header_at = _field(buffer, message, 0), _field(buffer, message, 1), _field(buffer, message, 2)
    if header_at == 0 or not 0 < kind_at < buffer.size:
        return TRUNCATED
    header, kind = _indirect(buffer, header_at), int(buffer[kind_at])
    pairs = _pairs_bytes(buffer, message, 4)
    weight[2] += pairs
    if weight[2] > MAX_METADATA:
        return TOO_MUCH_METADATA
    if kind == _SCHEMA:
        return int(_weigh_schema(buffer, header, weight, waiting))
    if pairs and _u16(buffer, version_at) < _VERSION_5:
        # There Arrow 0.17 said that a body is packed.
        return NOT_A_BATCH
    if kind == _DICTIONARY_BATCH:
        inner, before = _field(buffer, header, 1), weight[0]
        code = int(_weigh_batch(buffer, _indirect(buffer, inner), start, end, weight)) if inner else TRUNCATED
        weight[4] += weight[0] - before
        return code
    if kind != _RECORD_BATCH:
        return NOT_A_BATCH
    weight[3] += 1
    if weight[3] > 1:
        return SEVERAL_BATCHES
    rows_at = _field(buffer, header, 0)
    weight[5] = _i64(buffer, rows_at) if rows_at else 0
    if weight[5] > _MAX_ROWS:
        return TOO_MANY_ROWS
    return int(_weigh_batch(buffer, header, start, end, weight))


@kernel
def weigh(buffer: Bytes, weight: Longs, waiting: Longs) -> int:
    """How much a stream is once it is read, as its metadata says; OK where that is within the bounds above.

    weight : int64[6] out, bytes of its buffers unpacked, number of values, bytes of its metadata written out, number of
    record batches, bytes of its dictionaries' buffers unpacked, rows
    waiting : int64[1 + MAX_COLUMNS], scratch
    """
    at = 0
    weight[:] = 0
    while at + 4 <= buffer.size:
        # Arrow before 0.15 wrote no marker before the length; a length of 0 ends the stream.
        start = at + 8 if _i32(buffer, at) == -1 else at + 4
        length = _i32(buffer, start - 4)
        if length == 0:
            break
        if length < 0 or length > buffer.size - start:
            return TRUNCATED
        if length > MAX_METADATA:
            return TOO_MUCH_METADATA
        message = start + _i32(buffer, start)
        body_at = _field(buffer, message, 3)
        body, at = _i64(buffer, body_at) if body_at else 0, start + length
        if body < 0 or body > buffer.size - at:
            return TRUNCATED
        code = _weigh_message(buffer, message, at, at + body, weight, waiting)
        if code != OK:
            return int(code)
        at += body
    return OK
