"""How the sentiment of an instrument's news fades: each headline counts half after each half-life."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tapewatch.clock import NANOS

HOUR_NS = 3_600 * NANOS
FORGOTTEN = 40
"""Half-lives after which an instrument's state is taken for none: 1e-12 of it is left."""


@dataclass(frozen=True, slots=True)
class ScoredHeadline:
    """A headline that counts, scored. published, known : UTC nanoseconds; known is when it was public and received

    score : -1 to 1; instruments : ids, each once
    """

    published: int
    known: int
    score: float
    instruments: Sequence[str]


@dataclass(frozen=True, slots=True)
class State:
    """An instrument's sentiment as it stands after a headline.

    at : UTC nanoseconds from which on it may be used, never earlier than any headline in it was known
    value : sum of scores, each halved for every half-life since it was published
    hour : UTC nanoseconds, begin of the hour of `at`; count : headlines of that hour so far
    """

    at: int
    value: float
    hour: int
    count: int


def faded(value: float, since: int, to: int, half_life_h: float) -> float:
    """What is left at a later time of a sentiment. since, to : UTC nanoseconds; nothing after 40 half-lives."""
    age = max(0, to - since) / (half_life_h * HOUR_NS)
    return value * 2.0**-age if age <= FORGOTTEN else 0.0


def stepped(before: State | None, item: ScoredHeadline, half_life_h: float) -> State:
    """An instrument's state after a headline. One that was published long before it was known has faded since."""
    at = max(item.known, item.published, before.at if before else 0)
    value = faded(item.score, item.published, at, half_life_h)
    hour = at - at % HOUR_NS
    if before is None:
        return State(at, value, hour, 1)
    value += faded(before.value, before.at, at, half_life_h)
    return State(at, value, hour, before.count + 1 if before.hour == hour else 1)


@dataclass(slots=True)
class Decay:
    """The states of all instruments. The same steps for a stream, a headline at a time, and for a batch.

    states : those that changed last stand last; what has faded to nothing is dropped
    """

    half_life_h: float
    states: dict[str, State] = field(default_factory=dict)

    def take(self, item: ScoredHeadline) -> list[tuple[str, State]]:
        """The states that a headline changes, in the order in which it names the instruments."""
        changed = [(name, stepped(self.states.get(name), item, self.half_life_h)) for name in item.instruments]
        for name, state in changed:
            self.put(name, state)
        return changed

    def put(self, name: str, state: State) -> None:
        """An instrument's state from now on."""
        self.states.pop(name, None)
        self.states[name] = state
        # Within an hour a state still counts the hour's headlines.
        kept_ns = max(1.0, FORGOTTEN * self.half_life_h) * HOUR_NS
        while state.at - self.states[oldest := next(iter(self.states))].at > kept_ns:
            del self.states[oldest]


def over(items: Iterable[ScoredHeadline], half_life_h: float) -> list[tuple[str, State]]:
    """All changes that these headlines bring, in their order."""
    decay = Decay(half_life_h)
    return [change for item in items for change in decay.take(item)]
