"""Proposals: changes of thresholds and promotions that a second account approves before they may be applied."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from confluent_kafka import Message

from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.case_messages import Proposal
from tapewatch.contract.message import decode, encode, stable_id
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Kind = Literal["configuration", "promotion"]


def content_hash(content: bytes) -> str:
    """What names a proposed configuration: 32 hex digits of the SHA-256 of its text."""
    return hashlib.sha256(content).hexdigest()[:32]


def made(kind: Kind, subject: str, content: str, who: str, why: str, clock: Clock = WALL) -> Proposal:
    """A new proposal.

    subject : content hash of the configuration's text, or of the model; content : the text, or the model's hash
    """
    now = to_rfc3339(clock.now())
    return Proposal(
        id=stable_id(kind, subject, who, now),
        kind=kind,
        state="proposed",
        subject=subject,
        content=content,
        who=who,
        why=why,
        created=now,
    )


def newest(settings: Settings) -> dict[str, Proposal]:
    """Every proposal by id at its newest revision, in the order in which they were made."""
    found: dict[str, Proposal] = {}

    def take(message: Message) -> None:
        try:
            proposal = decode(Proposal, message.value() or b"")
        except ContractError:
            return
        if proposal.id not in found or proposal.revision > found[proposal.id].revision:
            found[proposal.id] = proposal

    kafka.read_all(settings, topics.PROPOSALS, take)
    return found


def write(settings: Settings, proposals: Iterable[Proposal]) -> None:
    """Write revisions of proposals into their topic; DeliveryError where the broker does not take them."""
    kafka.create_topics(
        settings, [spec for spec in topics.case_topics(settings.topics) if spec.name == topics.PROPOSALS]
    )
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=0))
    for proposal in proposals:
        sent.send(topics.PROPOSALS, encode(proposal), proposal.id.encode(), partition=0)
    sent.settle(kafka.TIMEOUT_S)


def required(settings: Settings, number: str, kind: Kind, subject: str) -> None:
    """Pass where a change may be applied, TapewatchError otherwise.

    number : id of the approved proposal of this very change; empty for none, where four eyes are not asked for
    """
    if not number:
        if settings.governance.four_eyes:
            raise TapewatchError(
                "this takes an approved proposal (governance.four_eyes)",
                "Propose it in the console, have another account approve it, and give its id with --proposal.",
            )
        return
    proposal = newest(settings).get(number)
    if proposal is None or proposal.state != "approved":
        state = "does not exist" if proposal is None else f"is {proposal.state}"
        raise TapewatchError(f"proposal {number} {state}", "Give the id of an approved one.")
    if (proposal.kind, proposal.subject) != (kind, subject) or proposal.decided_by in ("", proposal.who):
        raise TapewatchError(f"proposal {number} is about something else", "Give the id of this change's proposal.")
