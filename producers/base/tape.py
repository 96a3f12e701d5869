"""A tape: everything that came in while a live producer ran, to be played to the venue's decoder again."""

import base64
import gzip
import threading
from collections.abc import Collection, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

import msgspec

from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from tapewatch.errors import TapewatchError

TAPE_VERSION = 1
WAITING_BYTES = 64 << 20
"""Of messages that wait for the disk; above it whoever brings one waits. Nothing is left out."""
FLUSH_BYTES = 4 << 20
IDLE_S = 1.0
"""What was written reaches the disk when nothing has come for that long, or after some megabytes."""


class TapeHeader(msgspec.Struct, frozen=True):
    """The first line. tape : version of the format; venue : whose decoder reads it; parser : that decoder's version;
    settings : what the decoder was made with
    """

    tape: int
    venue: str
    parser: str = ""
    settings: dict[str, Any] = {}


class TapeEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Any later line.

    kind : message (link, body), answer (want, body), lost (link, symbols, reason), open (link, symbols: a connection
    carries them now), follow (listings: these are followed from now on) or note (name, want, reason: what a connector
    told its decoder besides)
    at : receipt time, UTC nanoseconds; base64 : the body where it is no UTF-8
    """

    kind: Literal["message", "answer", "lost", "open", "follow", "note"]
    at: int
    link: str = ""
    want: DecoderRequest | None = None
    body: str = ""
    base64: str = ""
    symbols: tuple[str, ...] = ()
    reason: str = ""
    listings: tuple[Listing, ...] = ()
    name: str = ""

    @property
    def data(self) -> bytes:
        """The body as it came; ValueError where its base64 is broken."""
        return base64.b64decode(self.base64, validate=True) if self.base64 else self.body.encode()


class Tape:
    """Writes a new file as things come in, in a thread of its own; `.gz` in its name packs it.

    TapewatchError where the file exists or cannot be written, in the call after the fault. Ends with `close`. A process
    that dies leaves all but about its last second.
    """

    def __init__(self, path: Path, venue: str, parser: str = "", settings: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._file = _created(path)
        self._changed = threading.Condition()
        self._waiting: list[TapeEvent] = []
        self._waiting_bytes = 0
        self._closing = False
        self._failure = ""
        header = TapeHeader(TAPE_VERSION, venue, parser, dict(settings or {}))
        self._file.write(msgspec.json.encode(header) + b"\n")
        self._thread = threading.Thread(target=self._write, name=f"tape {path.name}", daemon=True)
        self._thread.start()

    def message(self, link: str, data: bytes | str, received: int) -> None:
        """A pushed message, before the decoder takes it."""
        body, packed = _texts(data)
        self._put(TapeEvent("message", received, link, body=body, base64=packed), len(data))

    def answer(self, want: DecoderRequest, body: bytes, received: int) -> None:
        """The body of an answer, before the decoder takes it."""
        text, packed = _texts(body)
        self._put(TapeEvent("answer", received, want=want, body=text, base64=packed), len(body))

    def lost(self, link: str, symbols: Collection[str], reason: str, received: int) -> None:
        """A connection broke that carried these symbols."""
        self._put(TapeEvent("lost", received, link, symbols=tuple(symbols), reason=reason), 0)

    def opened(self, link: str, symbols: Collection[str], received: int) -> None:
        """A connection carries these symbols now."""
        self._put(TapeEvent("open", received, link, symbols=tuple(symbols)), 0)

    def follow(self, listings: Sequence[Listing], received: int) -> None:
        """These are followed from now on, and no others."""
        self._put(TapeEvent("follow", received, listings=tuple(listings)), 0)

    def note(self, name: str, received: int, want: DecoderRequest | None = None, reason: str = "") -> None:
        """A connector tells its decoder something that is none of the above."""
        self._put(TapeEvent("note", received, want=want, reason=reason, name=name), 0)

    @property
    def behind(self) -> bool:
        """Whether sockets had better not be read until the disk has caught up."""
        return self._waiting_bytes > WAITING_BYTES // 2

    def close(self) -> None:
        """Write what waits and end the file."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._check()

    def _put(self, event: TapeEvent, size: int) -> None:
        with self._changed:
            while self._waiting_bytes > WAITING_BYTES and not self._failure:
                self._changed.wait()
            self._check()
            self._waiting.append(event)
            self._waiting_bytes += size
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def _check(self) -> None:
        if self._failure:
            raise TapewatchError(f"cannot write {self.path}: {self._failure}", "Make room, or record to another place.")

    def _write(self) -> None:
        """The thread: batches until closed."""
        try:
            with self._file:
                self._batches()
        except OSError as error:
            with self._changed:
                self._failure = error.strerror or type(error).__name__
                self._changed.notify_all()

    def _batches(self) -> None:
        unflushed, encode = 0, msgspec.json.Encoder().encode
        while True:
            with self._changed:
                if not self._waiting and not self._closing:
                    self._changed.wait(IDLE_S if unflushed else None)
                batch, size, closing = self._waiting, self._waiting_bytes, self._closing
                self._waiting = []
            for event in batch:
                unflushed += self._file.write(encode(event) + b"\n")
            if unflushed > FLUSH_BYTES or (unflushed and not batch):
                self._file.flush()
                unflushed = 0
            with self._changed:
                # Those bytes count until they are written, so that what is in memory stays bounded.
                self._waiting_bytes -= size
                self._changed.notify_all()
            if closing and not batch:
                return


def _created(path: Path) -> BufferedIOBase:
    """A new file, packed if its name says so."""
    try:
        raw = path.open("xb")
    except FileExistsError:
        raise TapewatchError(f"{path} exists", "Record to a new file.") from None
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}", "Check the folder.") from error
    return _ClosingGzipFile(raw) if path.suffix == ".gz" else raw


class _ClosingGzipFile(gzip.GzipFile):
    """A gzip file that closes the file beneath it."""

    def __init__(self, raw: BufferedIOBase) -> None:
        super().__init__(fileobj=raw, mode="wb", compresslevel=1)
        self._raw = raw

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._raw.close()


def _texts(data: bytes | str) -> tuple[str, str]:
    """A body as text, or else as base64."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    try:
        return data.decode(), ""
    except UnicodeDecodeError:
        return "", base64.b64encode(data).decode()
