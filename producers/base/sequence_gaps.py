"""Consecutive ids of a stream: what is new, what was seen, and which are missing."""

KEPT_HOLES = 64
"""Holes remembered at a time; the oldest is given up beyond it."""


class Ids:
    """Follows ids that a venue counts one by one.

    last : newest id taken, -1 for none
    missing : ranges (first, last, both inclusive) below `last` that have not come, oldest first
    """

    __slots__ = ("last", "missing")

    def __init__(self) -> None:
        self.last = -1
        self.missing: list[tuple[int, int]] = []

    def take(self, number: int) -> bool:
        """Take an id; False where it was seen before. An id further on than the next opens a hole."""
        last = self.last
        if number == last + 1 or last < 0:
            self.last = number
            return True
        if number > last:
            self.missing.append((last + 1, number - 1))
            del self.missing[:-KEPT_HOLES]
            self.last = number
            return True
        return self.fill(number)

    def fill(self, number: int) -> bool:
        """Take an id out of a hole; False where it lies in none."""
        for place, (first, last) in enumerate(self.missing):
            if first <= number <= last:
                self.missing[place : place + 1] = [
                    part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]
                ]
                return True
        return False

    def give_up(self, upto: int, since: int = 0) -> int:
        """Forget what is missing from one id to another, both included; how many ids that were."""
        lost = sum(max(0, min(last, upto) - max(first, since) + 1) for first, last in self.missing)
        parts = [
            part
            for first, last in self.missing
            for part in ((first, min(last, since - 1)), (max(first, upto + 1), last))
        ]
        self.missing = [part for part in parts if part[0] <= part[1]]
        return lost
