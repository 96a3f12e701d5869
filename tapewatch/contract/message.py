"""What every JSON message of the contract stands on: its types, ids, and how it is written and read.

Writing is deterministic: the same message always gives the same bytes. Reading is tolerant within a major version:
fields that a later minor version added are ignored, and an unknown major version is refused.
"""

import hashlib
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from tapewatch.errors import ContractError
from tapewatch.rfc3339 import PATTERN

MESSAGE_MAJOR = 1
MESSAGE_VERSION = "1.0"

Time = Annotated[str, Meta(pattern=PATTERN)]
Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Unit = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Counts = dict[str, Count]
Side = Literal["buy", "sell"]
Mode = Literal["paper", "live"]
Severity = Literal["low", "medium", "high", "critical"]
AlertState = Literal["open", "update", "closed"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every message carries.

    TOPIC : where messages of this kind lie
    """

    TOPIC: ClassVar[str]

    version: Annotated[
        str, Meta(pattern=r"^[0-9]+\.[0-9]+$", description="contract version of the message, major.minor")
    ] = MESSAGE_VERSION


class Cause(msgspec.Struct, frozen=True):
    """The market row that caused a message: the record it came in."""

    topic: Annotated[str, Meta(description="market topic")]
    partition: Annotated[Count, Meta(description="partition of the topic")]
    offset: Annotated[Count, Meta(description="offset of the record within the partition")]


M = TypeVar("M", bound=Message)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON of strangers raises: no JSON or of another shape, no UTF-8, nested a thousand deep."""


class _Envelope(msgspec.Struct):
    """The only part of a message that every version shares."""

    version: str


def encode(message: Message) -> bytes:
    """The message as JSON: keys sorted, no white space, UTF-8; NaN and infinity become null."""
    return msgspec.json.encode(message, order="deterministic")


def decode(kind: type[M], value: bytes) -> M:
    """Read a message of `kind`, ignoring fields it does not know.

    ContractError `unsupported_version` where the major version is not ours, `malformed_message` where the bytes are no
    such message.
    """
    try:
        version = msgspec.json.decode(value, type=_Envelope).version
        if version.partition(".")[0] != str(MESSAGE_MAJOR):
            raise ContractError(
                "unsupported_version",
                f"{kind.__name__} message of version {version!r}; this build reads {MESSAGE_MAJOR}.x",
            )
        return msgspec.json.decode(value, type=kind)
    except UNREADABLE as error:
        raise ContractError("malformed_message", f"not a {kind.__name__} message: {error}") from error


def stable_id(*parts: str | int) -> str:
    """First 32 hex digits of the SHA-256 of the parts joined by `|`: the same wherever it is computed."""
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:32]


def alert_id(scenario: str, instrument: str, onset_ns: int) -> str:
    """The one id of an alert: Kafka key, key in PostgreSQL, `_id` in Elasticsearch. `onset_ns`: UTC nanoseconds."""
    return stable_id(scenario, instrument, onset_ns)
