"""What is written down when a dead letter is replayed: the message of the topic `dlq.replays`."""

from typing import Annotated, ClassVar

from msgspec import Meta

from tapewatch.contract.message import Cause, Message, Time


class DeadLetterReplay(Message, frozen=True, kw_only=True):
    """A dead letter that was sent once more, written in the transaction that sent it: none is sent twice."""

    TOPIC: ClassVar[str] = "dlq.replays"

    letter: Annotated[str, Meta(description="id of the dead letter, TOPIC@PARTITION.OFFSET")]
    digest: Annotated[str, Meta(description="SHA-256 of its value, hex")]
    reason: Annotated[str, Meta(description="why it had been refused")]
    refused_by: Annotated[str, Meta(description="who had refused it")]
    instrument: Annotated[str, Meta(description="instrument it names; empty for none, or several")] = ""
    origin: Annotated[Cause, Meta(description="the record that had been refused, or held the row")]
    sent: Annotated[Cause, Meta(description="where it lies now: a market topic, or the topic of whoever takes it")]
    at: Annotated[Time, Meta(description="when")]
    who: Annotated[str, Meta(min_length=1, description="account")]
    why: Annotated[str, Meta(min_length=1, description="reason given")]
    audit: Annotated[str, Meta(description="hash of the entry in the audit log")]
    epoch: Annotated[int, Meta(ge=0, description="of the frames of this run; each run has a higher one")]
