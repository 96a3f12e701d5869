"""Trade ids: which trade is new, which was there before, and which are missing."""

from collections import deque
from enum import Enum, auto


class Seen(Enum):
    """What an id tells of its trade: the next or a later one, one of a hole that is filled, or one known already."""

    NEW = auto()
    FILLS = auto()
    REPEATED = auto()


class ConsecutiveIds:
    """Ids that a venue counts one by one: a jump leaves a hole, and ids in holes are the only late ones taken.

    newest : highest id seen, -1 before the first
    """

    def __init__(self) -> None:
        self.newest = -1
        self._holes: list[tuple[int, int]] = []

    @property
    def missing(self) -> int:
        """Ids in holes."""
        return sum(last - first + 1 for first, last in self._holes)

    def start(self, newest: int) -> None:
        """Begin after an id; what was before it is not asked for."""
        self.newest = newest

    def take(self, number: int) -> Seen:
        """Note an id. The first one starts the count."""
        if number == self.newest + 1 or self.newest < 0:
            self.newest = number
            return Seen.NEW
        if number > self.newest:
            self._holes.append((self.newest + 1, number - 1))
            self.newest = number
            return Seen.NEW
        for index, (first, last) in enumerate(self._holes):
            if first <= number <= last:
                rest = [(first, number - 1), (number + 1, last)]
                self._holes[index : index + 1] = [hole for hole in rest if hole[0] <= hole[1]]
                return Seen.FILLS
        return Seen.REPEATED

    def forget_holes(self) -> int:
        """Give the missing ids up; returns how many they are."""
        missing, self._holes = self.missing, []
        return missing


class UniqueIds:
    """Ids that are unique but neither consecutive nor strictly in order: the newest ones are remembered.

    newest : highest id seen, -1 before the first; floor : ids up to it count as known, whether remembered or not
    """

    def __init__(self, remembered: int = 1_024) -> None:
        self.newest = -1
        self.floor = -1
        self._order: deque[int] = deque()
        self._known: set[int] = set()
        self._remembered = remembered

    def take(self, number: int) -> Seen:
        """Note an id."""
        if number <= self.floor or number in self._known:
            return Seen.REPEATED
        self._known.add(number)
        self._order.append(number)
        if len(self._order) > self._remembered:
            self._known.discard(self._order.popleft())
        if number > self.newest:
            self.newest = number
            return Seen.NEW
        return Seen.FILLS
