"""What people look at: case stage, console with two accounts (so that four eyes can be shown), archived evidence."""

import json
import socket
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from infra.demo.children import Child, Family
from infra.embedded.layout import write_private
from tapewatch.settings import Settings

ACCOUNTS = {"ann": "analyst", "bob": "approver"}
"""One works on cases, the other approves."""

PASSWORDS = "console.json"
"""In the demo's folder: the passwords of the first demo there, since each is told only once."""


class ConsoleAccess(msgspec.Struct, frozen=True):
    """What the console says when it is open. accounts : those it made, with name, role and password"""

    url: str
    accounts: list[dict[str, str]] = []


class Front:
    """The case stage, the console and the archiver, as children of the demo.

    url : empty until the console is open; passwords : by account, empty where an earlier demo's are not known
    """

    def __init__(self, settings: Settings, family: Family) -> None:
        self.url = ""
        self._family, self._archives = family, False
        self._kept = settings.data_path / "demo" / PASSWORDS
        self.passwords: dict[str, str] = _read(self._kept)
        family.launch("cases", ["run", "cases", "--quiet", "--json"])
        words = ["console", "--json", "--port", str(_port(settings.console.host, settings.console.port))]
        for name, role in ACCOUNTS.items():
            words += ["--open-account", f"{name}:{role}"]
        self._console = family.launch("console", words)

    def look(self) -> bool:
        """Whether the console is open; notes its address and the passwords it told."""
        if self.url:
            return True
        opened = _told(self._console)
        if opened is None:
            return False
        self.url = opened.url
        self.passwords |= {each["name"]: each["password"] for each in opened.accounts}
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._kept, json.dumps(self.passwords).encode())
        return True

    def archive(self) -> None:
        """Start the archiver of evidence, once."""
        if not self._archives:
            self._archives = True
            self._family.launch("evidence", ["run", "evidence", "--quiet", "--json"])

    def told(self) -> str:
        """Address and how to log in, in one line."""
        accounts = ", ".join(
            f"{name} ({role}) {self.passwords.get(name, 'with the password you gave it')}"
            for name, role in ACCOUNTS.items()
        )
        return f"console {self.url}  log in as {accounts}"


def _told(console: Child) -> ConsoleAccess | None:
    """What the console has said so far."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(console.answer(), type=ConsoleAccess)
    return None


def _read(path: Path) -> dict[str, str]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    return {}


def _port(host: str, wanted: int) -> int:
    """The port that the settings want, or 0 for any where somebody has it."""
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, wanted))
        except OSError:
            return 0
    return wanted
