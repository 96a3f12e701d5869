"""Trade ids that are unique but neither consecutive nor strictly in order."""

from collections import deque

REMEMBERED = 1_024


class UniqueIds:
    """Remembers the newest ids, so that a repeated one is known.

    newest : highest id seen, -1 before the first; floor : ids up to it count as known, whether remembered or not
    """

    __slots__ = ("_known", "_order", "floor", "newest")

    def __init__(self) -> None:
        self.newest = -1
        self.floor = -1
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def take(self, number: int) -> bool:
        """Take an id; False where it was seen before."""
        if number <= self.floor or number in self._known:
            return False
        self._known.add(number)
        self._order.append(number)
        if len(self._order) > REMEMBERED:
            self._known.discard(self._order.popleft())
        self.newest = max(self.newest, number)
        return True
