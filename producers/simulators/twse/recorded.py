"""Captured answers of MIS, given again as if they had just been made."""

from collections.abc import Sequence

import msgspec

from producers.simulators.twse.market import taipei
from tapewatch.errors import TapewatchError


class RecordedMis:
    """Answers in turn, the last one for good. bodies : as MIS sent them; those without rows are left out"""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._answers: list[dict[str, dict[str, str]]] = []
        for body in bodies:
            try:
                rows = msgspec.json.decode(body).get("msgArray", [])
            except msgspec.DecodeError as error:
                raise TapewatchError(f"not an answer of MIS: {error}", "Name files with one answer each.") from error
            named = {f"{row['ex']}_{row['c']}.tw": row for row in rows if row.get("c")}
            if named:
                self._answers.append(named)
        if not self._answers:
            raise TapewatchError("no recorded answer of MIS has rows", "Name other files.")
        self._place = 0
        self._at = 0

    @property
    def channels(self) -> list[str]:
        """Every symbol of the recording."""
        return list(dict.fromkeys(name for answer in self._answers for name in answer))

    def step(self, now: int) -> None:
        """The next answer is what MIS shows from now on, UTC ns."""
        if self._at and self._place + 1 < len(self._answers):
            self._place += 1
        self._at = now

    def row(self, channel: str) -> dict[str, str] | None:
        """A symbol's row, dated anew; None where the answer lacks it."""
        row = self._answers[self._place].get(channel)
        if row is None:
            return None
        at = taipei(self._at)
        return {**row, "d": f"{at:%Y%m%d}", "t": f"{at:%H:%M:%S}", "tlong": str(self._at // 1_000_000)}
