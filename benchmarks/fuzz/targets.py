"""What is fuzzed: a name, what it proves, and a function of bytes that raises where the promise is broken.

Targets of recordings: a file of each kind, read as `produce replay` reads it.

Targets that read JSON: messages of every kind, control rows, and what `tail` shows.

Targets of live venues: a short session of messages, answers and breaks, each given to the venue's decoder.

An input is steps separated by a record separator (0x1e); a step's first byte says what it is: `m` a pushed message, a
digit the answer to a question of that kind, `l` a broken connection, `o` one that is open, `t` ten seconds that pass.

Making inputs out of a corpus: bytes flipped, cut, doubled, spliced, numbers and words exchanged; a function of the
seed alone.
"""

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import frame_targets
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.recordings import RecordingOptions, open_recording
from producers.recordings.opening import kind_names
from producers.venues.decoders import make_decoder
from tapewatch.clock import NANOS
from tapewatch.contract import frames, messages, readable
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE

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


Take = Callable[[bytes], None]

STEP = b"\x1e"
START_NS = 1_700_000_000 * NANOS

VENUES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "binance": ("BTCUSDT", "BTCUSDT.BINANCE", ("snapshot", "trades", "aggregates")),
    "binance-usdm": ("BTCUSDT", "BTCUSDT-PERP.BINANCE", ("snapshot", "trades", "aggregates")),
    "upbit": ("KRW-BTC", "KRW-BTC.UPBIT", ("trades",)),
    "coinbase": ("BTC-USD", "BTC-USD.COINBASE", ("trades",)),
    "kraken": ("BTC/USD", "BTC-USD.KRAKEN", ("trades",)),
    "twse": ("2330.XTAI", "2330.XTAI", ("mis", "yahoo")),
    "yahoo": ("AAPL", "AAPL.XNAS", ("chart",)),
    "kiwoom": ("005930", "005930.XKRX", ("chart",)),
}
"""Symbol, instrument, and kinds of questions."""


def session(venue: str) -> Callable[[], Take]:
    """What gives a venue's target."""
    return lambda: lambda data: play(venue, data)


def play(venue: str, data: bytes) -> None:
    """A session of one input, begun anew; what it gave must be rows that a frame can hold."""
    symbol, instrument, kinds = VENUES[venue]
    collector = Collector()
    taped = make_decoder(venue, collector, {})
    now = START_NS
    taped.follow([Listing(symbol, Instrument(instrument))], now)
    for step in data.split(STEP)[:32]:
        now += NANOS // 10
        what, rest = step[:1], step[1:]
        if what == b"m":
            taped.decoder.message(rest, now)
        elif what.isdigit():
            place = b"0123456789".find(what)
            taped.decoder.answer(asked(taped.decoder.wants, kinds[place % len(kinds)], symbol), rest, now)
        elif what == b"l":
            taped.decoder.lost([symbol], rest.decode("utf-8", "replace"), now)
        elif what == b"o":
            taped.opened([symbol], now)
        elif what == b"t":
            now += 10 * NANOS
    for rows in collector.take():
        frames.encode(rows)
    collector.take_refused()


def asked(wants: object, kind: str, symbol: str) -> DecoderRequest:
    """The question that stands, else one of that kind."""
    for want in list(wants):  # type: ignore[call-overload]
        if want.kind == kind:
            return want  # type: ignore[no-any-return]
    return DecoderRequest(kind, symbol, 0)


ROUND = 200
"""Inputs after which a partition is begun anew."""


def message() -> Take:
    """The first byte says which kind the rest is read as; what is read can be written and read again."""
    kinds = list(messages.KINDS.values())

    def take(data: bytes) -> None:
        kind = kinds[data[0] % len(kinds)] if data else kinds[0]
        try:
            found = messages.decode(kind, data[1:])
        except ContractError:
            return
        again = messages.encode(found)
        if messages.encode(messages.decode(kind, again)) != again:
            raise AssertionError(f"{kind.__name__} is not read as it was written")

    return take


def control() -> Take:
    """The detail of a control row, then a second of a market under what it brought into force."""
    used, number = frame_targets.driver(), 0

    def take(data: bytes) -> None:
        nonlocal used, number
        if number == ROUND:
            used, number = frame_targets.driver(), 0
        number += 1
        value = control_rows.frame(data.decode("utf-8", "replace"), frame_targets.START * NANOS)
        used.record(value, FrameHeaders("status", CONTROL_SOURCE, 0, number, 0).to_kafka())
        for rows in frame_targets.second(number):
            used.send(rows)
        used.task.take()

    return take


def show() -> Take:
    """As `tail` reads a record."""

    def take(data: bytes) -> None:
        try:
            readable.read(data)
        except ContractError:
            return

    return take


KINDS = kind_names()
NAMES = {"lobster": "AAPL_2012-06-21_34200000_57600000_message_10.csv"}
"""File names that tell something."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file of the target's own in a new folder


def replay(kind: str) -> Callable[[], Take]:
    """What gives a kind's target: the file is written to memory and read to its end."""

    def make() -> Take:
        folder = tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        path = Path(folder.name) / NAMES.get(kind, "2330.XTAI.csv")
        options = RecordingOptions(instrument="2330.XTAI", date="2012-06-21", chunk_rows=64)

        def take(data: bytes, _kept: object = folder) -> None:
            path.write_bytes(data)
            try:
                recording = open_recording([path], kind=kind, options=options)
                for chunk in recording.chunks():
                    for rows in chunk.rows:
                        if len(rows):
                            frames.encode(rows)
            except TapewatchError:
                return

        return take

    return make


CORPUS = Path(__file__).resolve().parents[2] / "tests" / "fuzz" / "corpus"
"""A folder a target."""


@dataclass(frozen=True, slots=True)
class Target:
    """promise : what holds for every input; make : gives the function that takes one; share : of a soak's inputs, in
    parts; dearer ones get fewer
    """

    promise: str
    make: Callable[[], Take]
    share: int


TARGETS: dict[str, Target] = {
    **{
        f"recording-{kind}": Target(f"a file of kind {kind} gives rows, refusals or an error", replay(kind), 5)
        for kind in KINDS
    },
    **{name: Target(f"{name}: a session's messages give rows or refusals", session(name), 20) for name in VENUES},
    "control": Target("a control row's detail is applied or refused", control, 3),
    "task": Target("no record changes another instrument's result", frame_targets.task, 40),
    "readable": Target("a record is shown or not, by `tail`", show, 100),
    "admission": Target(
        "a record is admitted, dropped or refused; its clock is believed", frame_targets.admission, 200
    ),
    "frame": Target("a frame opens or is refused with a reason", frame_targets.decoder, 300),
    "headers": Target("a record's headers are read or refused", frame_targets.headers, 2000),
    "ipc": Target("positions found in Arrow metadata lie within the frame", frame_targets.metadata, 3000),
    "message": Target("a JSON message is read or refused", message, 4157),
}
"""The dearest first: so that a soak does not end with one of them alone."""


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target, by file name."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
