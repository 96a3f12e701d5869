"""Reference data as the registry's topic holds it: what is none registers nothing, and stops nobody who reads on."""

import msgspec
import pytest

from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import Registry
from tapewatch.settings import Settings


class RegistryMessage:
    """A record of the topic, written 5 ms after the epoch."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        """What was written."""
        return self._value

    def headers(self) -> None:
        """None are written."""

    def timestamp(self) -> tuple[int, int]:
        """Of the log, ms."""
        return 1, 5


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"id":"\xff"}', b'{"id":"A.XTST","x":' + b"[" * 9_000])
def test_what_is_no_reference_data_registers_nothing_and_stops_nobody(value: bytes | None) -> None:
    registry = Registry(Settings())
    for each in (value, msgspec.json.encode(Instrument("A.XTST", kind="share"))):
        registry._take(RegistryMessage(each))
    assert list(registry.instruments) == ["A.XTST"]
