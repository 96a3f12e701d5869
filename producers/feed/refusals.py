"""Refused lines of a recording as dead letters of its feed, each once however often the recording is replayed."""

from collections.abc import Iterable, Mapping
from typing import cast

from confluent_kafka import Message

from producers.feed.writer import FLUSH_S
from producers.recordings import Refusal
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_KEY = ("source", "file", "line", "reason")


def line_letter(feed: str, reason: str, where: str, raw: bytes, named: Mapping[str, str]) -> DeadLetter:
    """What never became a record as a dead letter of kind `line`. named : further headers"""
    letter = dead_letters.of_input(topics.market(feed), reason, where, raw, named)
    headers = [("kind", b"line") if name == "kind" else (name, value) for name, value in letter.headers]
    return DeadLetter(letter.topic, letter.value, headers)


def refused_line(feed: str, source: str, refusal: Refusal) -> DeadLetter:
    """A refused line as a dead letter: its text, a refused record's headers, and `source`, `file` and `line`."""
    named = {"source": source, "file": refusal.file, "line": str(refusal.line)}
    return line_letter(feed, refusal.reason, f"{refusal.file} line {refusal.line}", refusal.raw, named)


def send_refusals(settings: Settings, feed: str, source: str, refused: Iterable[Refusal]) -> int:
    """Write the refused lines that the feed's dead letters do not hold yet, and return how many these were.

    DeliveryError where one is not taken: the next replay writes what is missing.
    """
    letters = [refused_line(feed, source, refusal) for refusal in refused]
    if not letters:
        return 0
    known: set[tuple[bytes, ...]] = set()
    kafka.read_all(settings, topics.dead_letters(topics.market(feed)), lambda message: known.add(_message_key(message)))
    missing = [letter for letter in letters if _key(letter.headers) not in known]
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=5))
    for letter in missing:
        sent.send(letter.topic, letter.value, headers=letter.headers)
    sent.settle(FLUSH_S)
    return len(missing)


def _message_key(message: Message) -> tuple[bytes, ...]:
    return _key(cast(Headers, message.headers() or ()))


def _key(headers: Headers) -> tuple[bytes, ...]:
    found = dict(headers)
    return tuple(bytes(found.get(name) or b"") for name in _KEY)
