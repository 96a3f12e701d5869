"""What an engine says when it dies at a step of the protocol, and with which exit status."""

import msgspec

DIED = 9


class LastWords(msgspec.Struct):
    """Offsets by "topic/partition". before : committed for certain; next : of the newest transaction"""

    step: str
    before: dict[str, int]
    next: dict[str, int]
