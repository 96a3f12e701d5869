"""Instruments that are registered, and since when."""

from tests.unit import engine_market as m

T0 = m.at(60.0)


class Registrations:
    """Ids and since when they are registered; counts how often it is asked. count : partitions of every topic"""

    count = 0

    def __init__(self, **since: int) -> None:
        self.known = {f"{name}.SIMX": moment for name, moment in since.items()}
        self.asked = 0

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        self.asked += 1
        return "share" if self.known.get(instrument, appended_ns + 1) <= appended_ns else None

    def partitions(self, topic: str) -> int:
        return self.count
