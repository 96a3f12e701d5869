"""A password that changes while clients live: its file is looked at again, and every live client is told.

A connection that stands stays; the new password is for the next one, or for when the broker asks again.
"""

import threading
import weakref
from typing import Any

from confluent_kafka import KafkaError

from tapewatch import logs
from tapewatch.errors import TapewatchError
from tapewatch.security import login
from tapewatch.settings.kafka import KafkaSettings

PASSING_S = 5.0
"""How long a client may be refused that has been told of a new password: it logs in anew first."""

_log = logs.get("kafka")
_LOCK = threading.Lock()
_WATCHES: dict[tuple[str, str], "_Watch"] = {}


class _Watch:
    """One account's file and the clients that log in with it."""

    def __init__(self, kafka: KafkaSettings, password: str) -> None:
        self._kafka, self.password, self._problem = kafka, password, ""
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet()
        self._never = threading.Event()
        threading.Thread(target=self._run, name="kafka password", daemon=True).start()

    def _run(self) -> None:
        while not self._never.wait(self._kafka.reread_s):
            self.look()

    def add(self, client: Any, password: str) -> None:
        """Let a client hear of the next password. password : what it was made with"""
        with _LOCK:
            self._clients.add(client)
        if password == self.password:
            return
        self.look()
        with _LOCK:
            # Its own may have been read before the last change, which the others have heard of already.
            if client in self._clients:
                client.set_sasl_credentials(self._kafka.user, self.password)

    def forget(self, client: Any) -> None:
        """Never touch a client again; call it with the lock held."""
        self._clients.discard(client)

    def look(self) -> None:
        """Read the file; where it has changed, tell every client. A file that cannot be read is logged once."""
        try:
            found = login.password(self._kafka)
        except TapewatchError as error:
            if error.message != self._problem:
                _log.warning("the password stays as it was", problem=error.message)
            self._problem = error.message
            return
        self._problem = ""
        with _LOCK:
            if found == self.password:
                return
            self.password, clients = found, list(self._clients)
            for client in clients:
                client.set_sasl_credentials(self._kafka.user, found)
        _log.info("the password was renewed", user=self._kafka.user, clients=len(clients))


def follow(client: Any, kafka: KafkaSettings, password: str) -> None:
    """From now on tell this client of new passwords. password : what it was made with; nothing without a file."""
    if not kafka.password_file or not password:
        return
    key = (kafka.user, kafka.password_file)
    with _LOCK:
        watch = _WATCHES.get(key)
        if watch is None:
            watch = _WATCHES[key] = _Watch(kafka, password)
    watch.add(client, password)


def newest(kafka: KafkaSettings) -> str:
    """The password that clients of this account were told last; empty where none is followed."""
    with _LOCK:
        watch = _WATCHES.get((kafka.user, kafka.password_file))
        return watch.password if watch else ""


def may_pass(error: KafkaError, waited_s: float) -> bool:
    """Whether a refused login may be one with a password that was changed this moment: every file is looked at, and
    the client may try again. waited_s : for how long it has been refused
    """
    if error.code() != KafkaError._AUTHENTICATION or waited_s > PASSING_S or not _WATCHES:
        return False
    look()
    return True


def forget(client: Any) -> None:
    """Call it before a client is closed: a client that is gone must not be told anything."""
    with _LOCK:
        for watch in _WATCHES.values():
            watch.forget(client)


def look() -> None:
    """Look at every file now, as a client does that was refused."""
    with _LOCK:
        watches = list(_WATCHES.values())
    for watch in watches:
        watch.look()
