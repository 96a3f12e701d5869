"""Reading Arrow IPC metadata in place: where a record batch's buffers lie, without building Arrow objects.

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
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_MAX_ROWS = 65_536


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
    if _field(buffer, inner, 3) != 0 or not _nodes_without_null(buffer, inner, 1):
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
    data, width : int64[columns], index of each column's value buffer and its bytes a row (tapewatch.frames)
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
