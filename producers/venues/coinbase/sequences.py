"""Numbers that count the messages of a connection, while an old and a new connection may speak at the same time."""

REPEATED = -1
"""Stream of a message that was seen before, or comes after later ones."""


class Sequences:
    """Tells connections apart by where their numbers stand: a message 0 begins a new one.

    newest : stream of the newest connection, -1 before the first message
    """

    def __init__(self) -> None:
        self.newest = -1
        self._next: dict[int, int] = {}

    def take(self, sequence: int) -> tuple[int, int]:
        """The stream a message belongs to and how many before it are missing; REPEATED where it was seen before."""
        for stream, expected in reversed(self._next.items()):
            if sequence == expected:
                self._next[stream] = sequence + 1
                return stream, 0
        behind = [(expected, stream) for stream, expected in self._next.items() if expected < sequence]
        if behind:
            expected, stream = max(behind)
            self._next[stream] = sequence + 1
            return stream, sequence - expected
        if self._next and (sequence or self._next[self.newest] == 1):
            return REPEATED, 0
        # The connection before the newest is kept, as long as it speaks; those before it are gone.
        self.newest += 1
        self._next = {stream: number for stream, number in self._next.items() if stream == self.newest - 1}
        self._next[self.newest] = sequence + 1
        return self.newest, sequence

    def one_left(self, *, newer: bool) -> bool:
        """Of two connections only one speaks any more; whether it is known where that one's numbers stand.

        It is not where the newer one is left and its beginning was never heard, nor where the older one is left after
        the newer one was heard, whose snapshots count.
        """
        both = len(self._next) == 2
        self._next = {stream: number for stream, number in self._next.items() if stream == self.newest}
        return both == newer

    def forget(self) -> None:
        """The connections broke: the next message begins a new one."""
        self._next.clear()
