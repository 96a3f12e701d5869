"""What people tell the paper broker: one record a command, after a line in the audit log."""

import msgspec

from tapewatch.clock import WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import PaperCommand, stable_id
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


def give(
    settings: Settings, action: str, instrument: str, why: str, who: str = "", clock: Clock = WALL
) -> tuple[PaperCommand, int]:
    """Write a command into the audit log, then into its topic; gives it with its offset there.

    action : start, stop, kill, on or off; instrument : for on and off
    who : empty for the operating system's user
    TapewatchError for a name that is no instrument's, or where the command was not acknowledged.
    """
    if instrument and not is_instrument_id(instrument):
        raise TapewatchError(f"{instrument!r} is not an instrument id", "Ids are SYMBOL.VENUE in capitals.")
    kafka.create_topics(settings, topics.paper_topics(settings.topics))
    entry = audit.append(
        audit.folder(settings.data_path), action=f"paper.{action}", subject=instrument or "all", why=why, who=who,
        clock=clock,
    )  # fmt: skip
    at = to_rfc3339(clock.now())
    body = {"id": stable_id(entry.who, at, action, instrument), "action": action, "instrument": instrument}
    command = msgspec.convert({**body, "who": entry.who, "why": why, "at": at}, PaperCommand)
    return command, _write(settings, command)


def _write(settings: Settings, command: PaperCommand) -> int:
    """The command's offset in its topic."""
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=1))
    sent.send(topics.PAPER_COMMANDS, messages.encode(command), command.id.encode(), partition=0)
    sent.settle(kafka.TIMEOUT_S)
    return sent.offsets[topics.PAPER_COMMANDS, 0]
