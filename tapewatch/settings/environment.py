"""Settings for a process of ours: what differs from the defaults, as the variables that give the same settings back."""

from collections.abc import Iterator

import msgspec

from tapewatch.settings import Settings


def environment_of(settings: Settings) -> dict[str, str]:
    """Variables by which `tapewatch` gets these settings. Tables of free keys (kafka.client) have no variable."""
    return dict(_within(settings, Settings(), "TAPEWATCH"))


def _within(section: msgspec.Struct, default: msgspec.Struct, prefix: str) -> Iterator[tuple[str, str]]:
    for name in section.__struct_fields__:
        value, usual = getattr(section, name), getattr(default, name)
        key = f"{prefix}_{name.upper()}"
        if isinstance(value, msgspec.Struct):
            yield from _within(value, usual, key)
        elif value != usual and not isinstance(value, dict):
            yield key, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
