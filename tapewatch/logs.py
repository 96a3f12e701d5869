"""Structured logs on the standard library's logging: one line an event, with fields, and hostile text made harmless."""

import logging
import re
import sys
from typing import Any, Final, TextIO

import msgspec

from tapewatch.errors import SettingsError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import LogSettings

ROOT: Final = "tapewatch"
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Control characters, line separators, bidirectional overrides and invisible marks."""


def printable(text: str) -> str:
    r"""The text with every character that could steer a terminal or forge a line written as \xNN or \uNNNN.

    >>> printable("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\\x0ac'
    """
    return _HOSTILE.sub(lambda match: _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    r"""\xNN below 256, \uNNNN above."""
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls take fields: `log.info("frame refused", topic="market.twse", offset=7)`."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Move the fields into the record, beside what logging itself understands."""
        known = {key: kwargs.pop(key) for key in ("exc_info", "stack_info", "stacklevel") if key in kwargs}
        return msg, {**known, "extra": {"fields": {**(self.extra or {}), **kwargs}}}

    def bind(self, **fields: object) -> "Log":
        """The same logger with these fields in every event."""
        return Log(self.logger, {**(self.extra or {}), **fields})


def get(name: str, **fields: object) -> Log:
    """The logger of a component, such as `engine`; `fields` go with every event."""
    return Log(logging.getLogger(f"{ROOT}.{name}"), fields)


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send tapewatch's events to `stream` (default: standard error) in the settings' format and from their level on.

    SettingsError names a level or format that does not exist. A second call replaces the first.
    """
    if settings.level not in LEVELS:
        raise SettingsError(f"log.level: no such level {settings.level!r}", f"Use one of {', '.join(LEVELS)}.")
    formats: dict[str, logging.Formatter] = {"json": JsonLines(), "text": TextLines()}
    if settings.format not in formats:
        raise SettingsError(f"log.format: no such format {settings.format!r}", f"Use one of {', '.join(formats)}.")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formats[settings.format])
    root = logging.getLogger(ROOT)
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[settings.level])
    root.propagate = False


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, component, event, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of ASCII-safe JSON."""
        event: dict[str, object] = {
            "at": to_rfc3339(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "component": record.name.removeprefix(f"{ROOT}."),
            "event": record.getMessage(),
        }
        for name, value in _fields(self, record).items():
            event[f"field_{name}" if name in event else name] = value
        text = msgspec.json.encode(event, enc_hook=repr).decode()
        return _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class TextLines(logging.Formatter):
    """One line an event: time, level, component, event, fields as name=value; a traceback is one escaped field."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = to_rfc3339(int(record.created * 1e9))[:23] + "Z"
        fields = "".join(f" {printable(name)}={_plain(value)}" for name, value in _fields(self, record).items())
        component = record.name.removeprefix(f"{ROOT}.")
        return f"{at} {record.levelname.lower():7} {component}: {printable(record.getMessage())}{fields}"


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    """The event's fields, with the traceback under `exception` where there is one."""
    fields = dict(getattr(record, "fields", {}))
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _plain(value: object) -> str:
    """A field's value for the eye: quoted where it holds a space, an equals sign or a quote."""
    text = value if isinstance(value, str) else str(value)
    text = printable(text)
    return '"' + text.replace('"', '\\"') + '"' if not text or re.search('[\\s="]', text) else text
