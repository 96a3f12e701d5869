"""What `tapewatch doctor` finds: one struct, and the list of modules that look, each in a package of its own."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

OK, WARN, FAIL = "ok", "warn", "fail"

PARTS = {
    "machine": "infra.doctor.machine",
    "embedded": "infra.embedded.checks",
    "secrets": "infra.doctor.secrets",
    "kafka": "streams.doctor.brokers",
    "topics": "streams.doctor.topics",
    "groups": "streams.doctor.groups",
    "postgres": "infra.doctor.postgres",
    "elasticsearch": "sinks.elasticsearch.checks",
    "models": "streams.doctor.models",
}
"""Part -> module with `checks(asked) -> Iterator[Check]`. Named, not imported: neither package knows of the other."""


class Check(msgspec.Struct, frozen=True):
    """One finding. required : work cannot begin, or a promise does not hold, without it
    found : what is there, and why that is not enough; hint : what to do
    """

    name: str
    ok: bool
    required: bool
    found: str
    hint: str = ""

    @property
    def state(self) -> str:
        """`ok`, `warn` or `fail`."""
        return OK if self.ok else FAIL if self.required else WARN


class CheckContext(msgspec.Struct, frozen=True):
    """What is looked at. file : the settings file, None where there is none"""

    settings: Settings
    file: Path | None = None

    @property
    def own_servers(self) -> bool:
        """Whether the settings name servers, so that nothing of the embedded stack is needed here."""
        return bool(self.settings.kafka.bootstrap and self.settings.postgres.url)


def good(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, True, False, found)


def warning(name: str, found: str, hint: str) -> Check:
    """Work goes on; somebody ought to see to it."""
    return Check(name, False, False, found, hint)


def failing(name: str, found: str, hint: str) -> Check:
    """Work cannot begin, or a promise does not hold."""
    return Check(name, False, True, found, hint)


def look(name: str, at: Callable[[], str]) -> Check:
    """A check that is an error's message and hint, or what was found."""
    try:
        return Check(name, True, True, at())
    except TapewatchError as error:
        return Check(name, False, True, error.message, error.hint)


def examined(asked: CheckContext, part: str) -> Iterator[Check]:
    """A part's findings, each as soon as it is there. Whatever its module raises becomes a finding too."""
    try:
        yield from importlib.import_module(PARTS[part]).checks(asked)
    except TapewatchError as error:
        yield failing(part, error.message, error.hint)
    except ImportError as error:
        yield failing(part, f"{error.name} is not installed", "Run `pip install tapewatch` again.")
