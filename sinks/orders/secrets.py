"""A venue's keys: from files or the environment, never from a setting, and never shown."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tapewatch.errors import SettingsError
from tapewatch.settings import OrderSettings


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key and its secret; their text is in no repr."""

    access: str = field(repr=False)
    secret: str = field(repr=False)


def keys(settings: OrderSettings, environment: Mapping[str, str] | None = None) -> Keys:
    """The keys of `orders.key_file` and `orders.secret_file`, else of TAPEWATCH_VENUE_KEY and TAPEWATCH_VENUE_SECRET.

    SettingsError where one is missing, or where a file can be read by every account of the machine.
    """
    found = os.environ if environment is None else environment
    return Keys(
        _one("orders.key_file", settings.key_file, "TAPEWATCH_VENUE_KEY", found),
        _one("orders.secret_file", settings.secret_file, "TAPEWATCH_VENUE_SECRET", found),
    )


def _one(setting: str, file: str, variable: str, environment: Mapping[str, str]) -> str:
    """One key's text."""
    if not file:
        text = environment.get(variable, "").strip()
        if not text:
            raise SettingsError(f"there is no key: neither {setting} nor {variable} is set", "Set one of them.")
        return text
    path = Path(file).expanduser()
    try:
        if path.stat().st_mode & stat.S_IROTH:
            raise SettingsError(f"{path} can be read by everyone", f"Run chmod 600 {path}.")
        text = path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{setting}: {error.strerror}: {path}", "Name a file that this account can read.") from None
    if not text:
        raise SettingsError(f"{path} is empty", "Put the key into it.")
    return text
