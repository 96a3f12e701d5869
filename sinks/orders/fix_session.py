"""A FIX 4.4 session on QuickFIX: logon, sequence numbers kept over restarts, and every report handed on.

Messages are not kept for resending: on a resend request QuickFIX then fills the gap, so that no order is sent again
behind the gateway's back. What became of an order is asked for.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import quickfix

from sinks.orders.secrets import Keys
from sinks.orders.venue import NotSentError
from tapewatch import logs
from tapewatch.errors import SettingsError

Fields = dict[int, str]
"""Tag -> text of a message's body; repeating groups are not read."""

_LOGON = "A"
_TAGS = (6, 11, 12, 13, 14, 15, 17, 31, 32, 35, 37, 39, 41, 55, 58, 60, 102, 103, 150, 151, 207, 372, 379, 380, 434)
_log = logs.get("sink.orders.fix")


class Session:
    """One initiator. on_message : called from QuickFIX's thread, before the session counts the message as received"""

    def __init__(
        self, address: str, sender: str, target: str, keys: Keys, folder: Path, on_message: Callable[[Fields], None]
    ) -> None:
        if not (sender and target):
            raise SettingsError("orders.sender or orders.target is not set", "Set both under [orders].")
        self._id = quickfix.SessionID("FIX.4.4", sender, target)
        self._application = _Application(keys, on_message)
        configuration = _write_settings(address, sender, target, folder)
        self._settings = quickfix.SessionSettings(str(configuration))
        self._initiator: Any = None

    def start(self) -> None:
        """Connect, and go on connecting; the session logs on by itself."""
        store = quickfix.FileStoreFactory(self._settings)
        self._initiator = quickfix.SocketInitiator(self._application, store, self._settings)
        self._initiator.start()

    def stop(self) -> None:
        """Log out."""
        if self._initiator is not None:
            self._initiator.stop()
            self._initiator = None

    def is_up(self, wait_s: float = 0.0) -> bool:
        """Whether the session is logged on; waits for it for so long."""
        return self._application.up.wait(wait_s) if wait_s else self._application.up.is_set()

    def send(self, kind: str, fields: Mapping[int, str]) -> None:
        """Send a message of a MsgType. NotSentError where the session is down."""
        if not self.is_up():
            raise NotSentError("the FIX session is not logged on")
        message = quickfix.Message()
        message.getHeader().setField(quickfix.StringField(35, kind))
        for tag, text in fields.items():
            message.setField(quickfix.StringField(tag, text))
        if not quickfix.Session.sendToTarget(message, self._id):
            raise NotSentError("the FIX session did not take the message")


class _Application(quickfix.Application):  # type: ignore[misc]
    """QuickFIX's callbacks; their names are its own."""

    def __init__(self, keys: Keys, on_message: Callable[[Fields], None]) -> None:
        super().__init__()
        self._keys, self._on_message, self.up = keys, on_message, threading.Event()

    def onCreate(self, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def onLogon(self, session: object) -> None:  # noqa: N802
        """The session is up."""
        self.up.set()
        _log.info("logged on")

    def onLogout(self, session: object) -> None:  # noqa: N802
        """The session is down."""
        self.up.clear()
        _log.info("logged out")

    def toAdmin(self, message: object, session: object) -> None:  # noqa: N802
        """Put user name and password into a logon."""
        if _text(message.getHeader(), 35) == _LOGON:  # type: ignore[attr-defined]
            message.setField(quickfix.StringField(553, self._keys.access))  # type: ignore[attr-defined]
            message.setField(quickfix.StringField(554, self._keys.secret))  # type: ignore[attr-defined]

    def fromAdmin(self, message: object, session: object) -> None:  # noqa: N802
        """The session's own messages are QuickFIX's."""

    def toApp(self, message: object, session: object) -> None:  # noqa: N802
        """Messages go out as they are."""

    def fromApp(self, message: object, session: object) -> None:  # noqa: N802
        """Hand a message on."""
        fields = {tag: _text(message, tag) for tag in _TAGS if _has(message, tag)}
        fields[35] = _text(message.getHeader(), 35)  # type: ignore[attr-defined]
        self._on_message(fields)


def _has(part: object, tag: int) -> bool:
    return bool(part.isSetField(tag))  # type: ignore[attr-defined]


def _text(part: object, tag: int) -> str:
    field = quickfix.StringField(tag)
    part.getField(field)  # type: ignore[attr-defined]
    return str(field.getString())


def _write_settings(address: str, sender: str, target: str, folder: Path) -> Path:
    """QuickFIX's settings file; it holds no secret."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"orders.address {address!r} is no host:port", "Set the FIX acceptor's address.")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "[DEFAULT]",
        "ConnectionType=initiator",
        "ReconnectInterval=1",
        "HeartBtInt=10",
        "StartTime=00:00:00",
        "EndTime=00:00:00",
        "UseDataDictionary=N",
        "PersistMessages=N",
        "ResetOnLogon=N",
        f"FileStorePath={folder / 'sequence'}",
        "[SESSION]",
        "BeginString=FIX.4.4",
        f"SenderCompID={sender}",
        f"TargetCompID={target}",
        f"SocketConnectHost={host}",
        f"SocketConnectPort={port}",
    ]
    path = folder / "session.cfg"
    path.write_text("\n".join(lines) + "\n")
    return path
