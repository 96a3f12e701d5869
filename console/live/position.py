"""How far a stream has come: the next offset of each partition, and its compact form, which is an event's id."""

import base64
import binascii
import zlib
from collections.abc import Iterator, Mapping

from console.refusal import RefusedError
from tapewatch.contract import topics

TOPICS = (topics.ALERTS, topics.CASES, topics.SIGNALS, topics.RANKINGS)
"""Topics of the event streams. Their places stand in ids that clients keep: add at the end, never reorder."""

Log = tuple[str, int]
Position = dict[Log, int]
"""Next offset by topic and partition."""

MAX_ID = 4096
_FORM = 1
_MAX_OFFSET = 2**62


def encode(position: Mapping[Log, int]) -> str:
    """The id of a position: varints of form, then topic, partition, next offset; CRC-32 at the end; URL-safe base64."""
    numbers = bytearray([_FORM])
    for (topic, partition), offset in sorted(position.items()):
        for number in (TOPICS.index(topic), partition, offset):
            _put(numbers, number)
    body = bytes(numbers)
    return base64.urlsafe_b64encode(body + zlib.crc32(body).to_bytes(4, "little")).rstrip(b"=").decode()


def decode(text: str) -> Position:
    """The position of an id; RefusedError 422 where it is none of ours."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _foreign() from error
    body, check = raw[:-4], raw[-4:]
    if len(text) > MAX_ID or len(body) < 1 or zlib.crc32(body).to_bytes(4, "little") != check or body[0] != _FORM:
        raise _foreign()
    numbers = list(_numbers(body[1:]))
    if len(numbers) % 3:
        raise _foreign()
    found: Position = {}
    for place in range(0, len(numbers), 3):
        topic, partition, offset = numbers[place : place + 3]
        if topic >= len(TOPICS) or partition >= 2**31 or offset >= _MAX_OFFSET:
            raise _foreign()
        found[TOPICS[topic], partition] = offset
    return found


def _foreign() -> RefusedError:
    return RefusedError(422, "this is no id of an event", "Leave the id out to begin with what comes next.")


def _put(numbers: bytearray, number: int) -> None:
    """Append a LEB128 varint."""
    while number > 0x7F:
        numbers.append(number & 0x7F | 0x80)
        number >>= 7
    numbers.append(number)


def _numbers(body: bytes) -> Iterator[int]:
    """The varints of a body."""
    number = shift = 0
    for byte in body:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift > 63:
                raise _foreign()
            continue
        yield number
        number = shift = 0
    if shift:
        raise _foreign()
