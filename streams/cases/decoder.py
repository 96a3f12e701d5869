"""Records as they were read become alerts and commands for the desk; what is neither is answered, or refused."""

import re

import msgspec

from streams.cases.case_manager import CaseManager, Output
from streams.event_stage.records import Record
from tapewatch.contract import messages, topics
from tapewatch.contract.message import UNREADABLE
from tapewatch.contract.messages import Alert, CaseCommand
from tapewatch.errors import ContractError
from tapewatch.market_log.registry import Registry
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings.canaries import is_canary
from tapewatch.settings.delivery import CaseSettings

_ID = re.compile("[0-9a-f]{32}")


class _CommandId(msgspec.Struct):
    """What an unreadable command may still say."""

    id: str


class CaseProcessor:
    """A desk behind the contract's check. canaries : what the ids of instruments begin with that make no case"""

    def __init__(self, settings: CaseSettings, registry: Registry, canaries: tuple[str, ...] = ()) -> None:
        self._registry, self._canaries = registry, canaries
        self.desk = CaseManager(settings, registry.instruments)

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return len(self.desk.shelf.cases)

    def take(self, record: Record) -> list[Output]:
        """What follows from a record; ContractError for what is neither alert nor command."""
        if record.place[0] == topics.ALERTS:
            alert = messages.decode(Alert, record.value)
            if is_canary(self._canaries, alert.instrument):
                return []
            # Reads on in the registry where the instrument is not known yet.
            self._registry.known(alert.instrument)
            return self.desk.take(alert)
        return self._command(record)

    def _command(self, record: Record) -> list[Output]:
        """What follows from a command; one that cannot be read is refused under its id, where it has one."""
        try:
            command = messages.decode(CaseCommand, record.value)
        except ContractError as error:
            found = _id_of(record.value)
            if not found:
                raise
            at = to_rfc3339(record.appended)
            return self.desk.refuse(found, f"this is no command: {error}"[:500], at)
        return self.desk.take(command)


def _id_of(value: bytes) -> str:
    """The id that an unreadable command bears; empty where there is none."""
    try:
        found = msgspec.json.decode(value, type=_CommandId).id
    except UNREADABLE:
        return ""
    return found if _ID.fullmatch(found) else ""
