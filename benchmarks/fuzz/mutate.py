"""Making inputs out of a corpus: bytes flipped, cut, doubled, spliced, numbers and words exchanged; a function of the
seed alone.
"""

import random
from collections.abc import Sequence

WORDS = (
    *(
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"-1",
        b"9223372036854775808",
        b"0.1",
        b"[]",
        b"{}",
    ),
    *(b"1.7976931348623157e308", b"2200-01-01T00:00:00Z", b'""', b"\\u0000", b"\\ud800", b",", b":", b'"', b"*"),
    *(b"\xff\xfe", b"\x00", b"\n", b"\x1e", b"\xef\xbb\xbf", b"[" * 40),
)
NUMBERS = tuple(
    value.to_bytes(width, "little")
    for width, values in (
        (4, (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 65_536, 65_537)),
        (8, (0, 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 0x7FF0 << 48, 0x7FF8 << 48)),
    )
    for value in values
)
LONGEST = 64 * 1024


class Mutator:
    """Draws inputs from a corpus. corpus : at least one input"""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._rng = random.Random(seed)  # noqa: S311 - of a seed that can be given again
        self._steps = (
            self._flip,
            self._put,
            self._cut,
            self._double,
            self._word,
            self._number,
            self._splice,
            self._end,
        )

    def draw(self) -> bytes:
        """The next input: one of the corpus, changed one to four times; now and then one as it is."""
        rng = self._rng
        data = bytearray(rng.choice(self._corpus))
        if rng.random() < 0.02:
            return bytes(data)
        for _ in range(1 + rng.getrandbits(2)):
            if not data:
                data += b"\0"
            self._steps[rng.getrandbits(3)](data)
        return bytes(data[:LONGEST])

    def _at(self, data: bytearray) -> int:
        return int(self._rng.random() * len(data))

    def _flip(self, data: bytearray) -> None:
        data[self._at(data)] ^= 1 << self._rng.getrandbits(3)

    def _put(self, data: bytearray) -> None:
        data[self._at(data)] = self._rng.getrandbits(8)

    def _cut(self, data: bytearray) -> None:
        at = self._at(data)
        del data[at : at + 1 + self._rng.getrandbits(5)]

    def _double(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = data[at : at + 1 + self._rng.getrandbits(6)]

    def _word(self, data: bytearray) -> None:
        at = self._at(data)
        data[at : at + self._rng.getrandbits(3)] = self._rng.choice(WORDS)

    def _number(self, data: bytearray) -> None:
        at = self._at(data) & ~3
        value = self._rng.choice(NUMBERS)
        data[at : at + len(value)] = value

    def _splice(self, data: bytearray) -> None:
        other = self._rng.choice(self._corpus)
        at = self._at(data)
        data[at:] = other[int(self._rng.random() * (len(other) + 1)) :]

    def _end(self, data: bytearray) -> None:
        del data[self._at(data) :]
