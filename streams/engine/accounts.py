"""The accounts stage: trades whose frames name buyer and seller go through the scenarios of the `accounts` tier.

Such frames are rare (a venue's own or a regulator's feed), so this is plain Python beside the kernels. Its state is a
function of the log like theirs: what a second showed is settled when the partition's clock has left it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios import episode
from detectors.scenarios.accounts import watch
from detectors.scenarios.accounts.ring import UNKNOWN, Ring, hashed
from detectors.scenarios.accounts.watch import ACCOUNTS
from detectors.scenarios.library import ENGINE
from streams.engine import output
from streams.engine.detector_config import DetectorConfig
from streams.engine.layout import each, places
from tapewatch.clock import NANOS
from tapewatch.contract.frames import View
from tapewatch.contract.messages import Alert
from tapewatch.contract.rows import Condition
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import AdmittedFrame

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

ACCOUNT_SCENARIOS = tuple(module.NAME for module in ACCOUNTS)
"""In the order of an instrument's episodes."""
MAX_BYTES = 65_536
"""What a dump holds of one instrument at most: 512 trades of 40 bytes, episodes, and who traded."""
SHOWN_LETTERS = 40
"""Letters of an account's name that a sentence shows at most."""

_COLUMNS = ("buyer_account", "seller_account")
_ENCODED = tuple(name.encode() for name in _COLUMNS)
_COUNTED = (int(Condition.REGULAR), int(Condition.AUCTION))
_number = lru_cache(65_536)(hashed)


@dataclass(slots=True)
class InstrumentState:
    """What is kept of one instrument, about 25 kB.

    episodes : float64[ACCOUNTS, FIELDS]
    second : the second in which a hit waits for its end, -1 for none; strengths, values, parties : its strongest hit of
    each scenario, and who traded then; stepped : the newest second that the episodes have seen
    """

    ring: Ring
    episodes: F8 = field(default_factory=lambda: np.zeros((len(ACCOUNTS), episode.FIELDS)))
    second: int = -1
    stepped: int = -1
    strengths: F8 = field(default_factory=lambda: np.zeros(len(ACCOUNTS)))
    values: F8 = field(default_factory=lambda: np.full((len(ACCOUNTS), output.VERDICT), np.nan))
    parties: list[str] = field(default_factory=lambda: [""] * len(ACCOUNTS))

    @property
    def live(self) -> bool:
        """Whether a later second may change something without a trade."""
        return self.second >= 0 or any(episode.is_live(each) for each in self.episodes)


class _InstrumentBytes(msgspec.Struct, frozen=True, array_like=True):
    """An `InstrumentState` as bytes; the ring's columns as far as they are filled."""

    slot: int
    seen: int
    ring: tuple[bytes, ...]
    episodes: bytes
    second: int
    stepped: int
    strengths: bytes
    values: bytes
    parties: list[str]


class Accounts:
    """The stage of one partition.

    alert : makes the message of an event, under what is in force (see streams.engine.alerts.build_alert)
    live : slots for which a second's end may change something: without them `advance` has nothing to do
    """

    def __init__(self, config: DetectorConfig, alert: Callable[[I8, I8, F8], Alert]) -> None:
        self._config, self._alert = config, alert
        self._kinds: Sequence[str] = ()
        self._of: dict[int, InstrumentState] = {}
        self.live: set[int] = set()
        self._second = -1
        self._written: list[tuple[int, int, int, Alert]] = []

    def switch(self, config: DetectorConfig, kinds: Sequence[str]) -> None:
        """Bring a configuration into force. kinds : class of each instrument, by slot"""
        self._kinds = kinds
        if config is self._config:
            return
        self._config = config
        if not config.watch:
            self._of, self.live = {}, set()
        for slot, one in self._of.items():
            self._set_rules(slot, one.ring)

    def _set_rules(self, slot: int, ring: Ring) -> None:
        kind = self._kinds[slot]
        watch.set_rules(ring.rules, {module.NAME: self._config.parameters(module.NAME, kind) for module in ACCOUNTS})

    def take(self, admitted: AdmittedFrame, kinds: Sequence[str], clock_ns: int, offset: int) -> None:
        """Look at the accepted rows of a frame of trades, if it names accounts, before the kernels have seen it.

        kinds : class of each instrument, by slot; clock_ns : the newest ts_recv before the frame; offset : the record's
        """
        view = admitted.view
        if not self._config.watch or not _names_accounts(view):
            return
        self._kinds = kinds
        try:
            buyers, sellers = (view.batch().column(name).to_pylist() for name in _COLUMNS)
        except (ContractError, KeyError, UnicodeDecodeError):
            # Texts that cannot be read name nobody; nothing else of the row depends on them.
            return
        slots = admitted.slots[view.column("instrument")]
        times, prices, sizes = view.column("ts_recv"), view.column("price"), view.column("qty")
        counted = np.isin(view.column("condition"), _COUNTED) & (sizes > 0.0) & (prices > 0.0)
        now = clock_ns
        for row in np.flatnonzero(admitted.reasons == 0).tolist():
            now = max(now, int(times[row]))
            if counted[row] and slots[row] >= 0:
                parties = buyers[row] or "", sellers[row] or ""
                self._trade(int(slots[row]), now, float(prices[row]), float(sizes[row]), parties, offset)

    def _trade(self, slot: int, now: int, price: float, qty: float, parties: tuple[str, str], offset: int) -> None:
        """One trade at the partition's clock `now`, UTC nanoseconds."""
        second = now // NANOS
        self.advance(second, offset)
        buyer, seller = (_number(name) for name in parties)
        one = self._of.get(slot)
        if one is None:
            if buyer == seller == UNKNOWN:
                return
            one = self._of[slot] = InstrumentState(watch.create())
            self._set_rules(slot, one.ring)
        code = watch.on_trade(one.ring, now, price, qty, buyer, seller)
        if not code:
            return
        one.second = second
        self.live.add(slot)
        for place in range(len(ACCOUNTS)):
            strength = one.ring.strengths[place]
            if code >> place & 1 and strength > one.strengths[place]:
                one.strengths[place], one.values[place] = strength, one.ring.values[place]
                bought, sold = (name[:SHOWN_LETTERS] or "an unnamed account" for name in parties)
                one.parties[place] = f"{bought} bought from {sold}"

    def advance(self, second: int, offset: int) -> None:
        """Settle what waits for the end of seconds before `second`. offset : of the record that moved the clock"""
        if second <= self._second:
            return
        self._second = second
        for slot in sorted(self.live):
            one = self._of[slot]
            self._settle(slot, one, second, offset)
            if not one.live:
                self.live.discard(slot)

    def _settle(self, slot: int, one: InstrumentState, second: int, offset: int) -> None:
        """Bring an instrument's episodes up to `second`, exclusive: the second of hits, the one after it, which ends
        their row, and the one in which an episode closes. No other changes them.
        """
        if 0 <= one.second < second:
            hits, now = one.strengths.copy(), one.second
            one.strengths[:], one.second = 0.0, -1
            self._step(slot, one, hits, now, offset)
        if one.stepped + 1 < second:
            self._step(slot, one, np.zeros(len(ACCOUNTS)), one.stepped + 1, offset)
        for place, e in enumerate(one.episodes):
            rule = one.ring.rules[place]
            ends = max(e[episode.LAST_HIT] + rule[episode.QUIET_S], e[episode.DECIDED] + rule[episode.COOLDOWN_S] - 1.0)
            closes = max(math.ceil(ends), one.stepped + 1)
            if e[episode.OPEN] > 0.0 and closes < second:
                self._step_one(slot, one, place, 0.0, closes, offset)

    def _step(self, slot: int, one: InstrumentState, strengths: F8, second: int, offset: int) -> None:
        """Show a second to every episode that it may change."""
        one.stepped = second
        for place, e in enumerate(one.episodes):
            if strengths[place] >= 1.0 or episode.is_live(e):
                self._step_one(slot, one, place, float(strengths[place]), second, offset)

    def _step_one(self, slot: int, one: InstrumentState, place: int, strength: float, second: int, offset: int) -> None:
        """Show a second to one episode, and write what follows."""
        e, values = one.episodes[place], one.values[place]
        kind = int(episode.step(e, strength, second, offset, one.ring.rules[place]))
        if kind == episode.NONE:
            return
        if kind == episode.CLOSED:
            values, strength = e[episode.SHOWN :], float(e[episode.PEAK])
        else:
            episode.keep(e, values)
        onset, decided = (int(e[at]) * NANOS for at in (episode.ONSET, episode.DECIDED))
        number, updated = len(ENGINE) + place, (second + 1) * NANOS
        event = [number, kind, slot, onset, decided, updated, int(e[episode.REVISION]), int(e[episode.ONSET_OFFSET])]
        alert = self._alert(
            np.array(event, dtype=np.int64),
            np.array([int(e[episode.DECIDED_OFFSET]), offset], dtype=np.int64),
            np.array([*values, strength, e[episode.STREAK]]),
        )
        if kind != episode.CLOSED:
            alert = msgspec.structs.replace(alert, sentence=f"{alert.sentence} Its last trade: {one.parties[place]}.")
        self._written.append((second, slot, place, alert))

    def released(self, second: int) -> list[Alert]:
        """Alerts of seconds before `second` not handed out before, by second, instrument and scenario."""
        self._written.sort(key=lambda each: each[:3])
        done = [each for each in self._written if each[0] < second]
        self._written = self._written[len(done) :]
        return [alert for *_, alert in done]

    def take_over(self, other: "Accounts", slots: Mapping[int, int]) -> None:
        """Take up what another partition's stage keeps of instruments. slots : the ones here, by those there

        Offsets that their episodes name are those of another log: this one's beginning stands for them.
        """
        for there, here in slots.items():
            if there in other._of:
                one = _loaded(_dumped(here, other._of[there]))
                one.episodes[:, [episode.ONSET_OFFSET, episode.DECIDED_OFFSET]] = 0.0
                self._set_rules(here, one.ring)
                self._of[here] = one
                if one.live:
                    self.live.add(here)

    def dump(self) -> bytes:
        """The state as bytes."""
        return msgspec.msgpack.encode([_dumped(slot, one) for slot, one in sorted(self._of.items())])

    def load(self, data: bytes, scenarios: Sequence[str] = ()) -> None:
        """Take up a dumped state, under the configuration in force. scenarios : in the order of its episodes, where it
        is not this build's; ValueError where the bytes do not fit
        """
        there = scenarios or ACCOUNT_SCENARIOS
        self._of = {one.slot: _loaded(one, there) for one in msgspec.msgpack.decode(data, type=list[_InstrumentBytes])}
        self.live = {slot for slot, one in self._of.items() if one.live}
        for slot, one in self._of.items():
            self._set_rules(slot, one.ring)


def _names_accounts(view: View) -> bool:
    """Whether the frame's schema has the columns."""
    end = 8 + int.from_bytes(view.data[4:8], "little")
    return all(view.data.find(name, 0, end) >= 0 for name in _ENCODED)


def _columns(ring: Ring) -> tuple[npt.NDArray[Any], ...]:
    return ring.ts, ring.price, ring.qty, ring.buyer, ring.seller


def _dumped(slot: int, one: InstrumentState) -> _InstrumentBytes:
    filled = int(min(one.ring.seen[0], one.ring.ts.size))
    return _InstrumentBytes(
        slot=slot,
        seen=int(one.ring.seen[0]),
        ring=tuple(column[:filled].tobytes() for column in _columns(one.ring)),
        episodes=one.episodes.tobytes(),
        second=one.second,
        stepped=one.stepped,
        strengths=one.strengths.tobytes(),
        values=one.values.tobytes(),
        parties=one.parties,
    )


def _loaded(dumped: _InstrumentBytes, scenarios: Sequence[str] = ACCOUNT_SCENARIOS) -> InstrumentState:
    """What was dumped. scenarios : in the order of the dump"""
    one = InstrumentState(watch.create(), second=dumped.second, stepped=dumped.stepped)
    one.ring.seen[0] = dumped.seen
    for column, data in zip(_columns(one.ring), dumped.ring, strict=True):
        column[: len(data) // 8] = np.frombuffer(data, dtype=column.dtype)
    there, here = places(each(scenarios), each(ACCOUNT_SCENARIOS))
    for array, data in (
        (one.episodes, dumped.episodes),
        (one.strengths, dumped.strengths),
        (one.values, dumped.values),
    ):
        array[here] = np.frombuffer(data).reshape(len(scenarios), *array.shape[1:])[there]
    for source, target in zip(there, here, strict=True):
        one.parties[target] = dumped.parties[source]
    return one
