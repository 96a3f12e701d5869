"""Cases and suppression rules as they stand, read from their topics."""

from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import Message

from tapewatch.contract import messages
from tapewatch.contract.messages import Case, Suppression
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

M = TypeVar("M", Case, Suppression)
LEAST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class CaseLog:
    """Each case and rule at its newest revision, by id."""

    cases: dict[str, Case] = field(default_factory=dict)
    rules: dict[str, Suppression] = field(default_factory=dict)

    def case(self, prefix: str) -> Case:
        """The one case whose id begins so; TapewatchError where there is none or more than one."""
        return _only(self.cases, prefix, "case", "tapewatch cases list --all")

    def rule(self, prefix: str) -> Suppression:
        """The one rule whose id begins so; TapewatchError where there is none or more than one."""
        return _only(self.rules, prefix, "rule", "tapewatch cases rules")


def read(settings: Settings) -> CaseLog:
    """What the topics say now; a record that is no message of its topic is passed over."""
    log = CaseLog()
    _into(settings, Case, log.cases)
    _into(settings, Suppression, log.rules)
    return log


def _into(settings: Settings, kind: type[M], found: dict[str, M]) -> None:
    def keep(record: Message) -> None:
        try:
            message = messages.decode(kind, record.value() or b"")
        except ContractError:
            return
        if message.id not in found or message.revision > found[message.id].revision:
            found[message.id] = message

    kafka.read_all(settings, kind.TOPIC, keep)


def _only(found: dict[str, M], prefix: str, what: str, listed: str) -> M:
    if len(prefix) < LEAST_PREFIX:
        raise TapewatchError(f"{prefix!r} is too short", f"Give at least {LEAST_PREFIX} digits of the id: {listed}.")
    fitting = [each for each in found if each.startswith(prefix)]
    if len(fitting) != 1:
        many = f"{len(fitting)} {what}s begin" if fitting else f"no {what} begins"
        raise TapewatchError(f"{many} with {prefix}", f"See `{listed}`.")
    return found[fitting[0]]
