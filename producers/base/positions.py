"""How far a source has come: records of the compacted topic `producers.state`."""

import msgspec
from confluent_kafka import Message

from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

STATE_VERSION = 1


class StateRecord(msgspec.Struct, frozen=True):
    """A record of `producers.state`; its key is the source's name.

    version : of this structure; at : when it was written; position : JSON of the source's own
    """

    version: int
    at: str
    position: msgspec.Raw


def state_record(position: bytes, now_ns: int) -> bytes:
    """The record of a position (JSON; ValueError for anything else). now_ns : UTC nanoseconds"""
    msgspec.json.decode(position)
    return msgspec.json.encode(StateRecord(STATE_VERSION, to_rfc3339(now_ns), msgspec.Raw(position)))


def committed_position(settings: Settings, source: str) -> bytes | None:
    """The position of a source as it is committed, JSON; None where there is none.

    TapewatchError for a record of a newer version.
    """
    found: list[bytes] = []
    key = source.encode()

    def take(message: Message) -> None:
        if message.key() == key and message.value() is not None:
            found[:] = [bytes(message.value())]

    kafka.read_all(settings, topics.PRODUCER_STATE, take)
    if not found:
        return None
    try:
        record = msgspec.json.decode(found[0], type=StateRecord)
    except msgspec.DecodeError as error:
        raise _unreadable(source, str(error)) from error
    if record.version != STATE_VERSION:
        raise _unreadable(source, f"version {record.version}, this build reads {STATE_VERSION}")
    return bytes(record.position)


def _unreadable(source: str, why: str) -> TapewatchError:
    return TapewatchError(
        f"the position of {source} in {topics.PRODUCER_STATE} cannot be read: {why}",
        "Use the build that wrote it, or delete the record to begin anew.",
    )
