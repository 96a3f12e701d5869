"""When what is injected where: planned and random events that never overlap on an instrument, and their labels."""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from producers.synthetic.config import MANIPULATIONS, Rota, SyntheticConfig
from producers.synthetic.labels import Label
from producers.synthetic.scenarios import DRAW, Event, FlowBaseline
from tapewatch.clock import NANOS

REMEMBERED = 64
"""Events that are over and still labelled where a rota goes on for ever."""


class Schedule:
    """The events of one run.

    active : instrument -> the event it is in, or about to begin within this second or the next
    rota : further events, in turn; one whose instrument is not free then is left out
    """

    def __init__(
        self,
        config: SyntheticConfig,
        ids: tuple[str, ...],
        start_ns: int,
        rng: np.random.Generator,
        rota: Rota | None = None,
    ) -> None:
        self.active: dict[int, Event] = {}
        self._config = config
        self._ids = ids
        self._start_ns = start_ns
        self._rng = rng
        self._free_from = np.zeros(len(ids))
        self._plan = sorted(config.plan, key=lambda planned: planned.at_s)
        self._rates = {scenario: rate for scenario, rate in config.rates().items() if rate > 0}
        self._done: deque[tuple[Event, int]] = deque(maxlen=None if rota is None else REMEMBERED)
        self._rota, self._turn = rota, 0

    def open_second(self, second: int, usual: Callable[[int], FlowBaseline]) -> list[tuple[int, Event]]:
        """Draw the events that begin in `second`; returns (instrument, event) of each."""
        since = second - self._config.warmup_s
        if since < 0:
            return []
        begun = [self._drawn(scenario, second, usual) for scenario in self._due(since)]
        begun += [self._begin(scenario, instrument, second, usual) for scenario, instrument in self._turns(since)]
        return [one for one in begun if one is not None]

    def _due(self, since: float) -> list[str]:
        due = []
        while self._plan and self._plan[0].at_s < since + 1.0:
            due.append(self._plan.pop(0).scenario)
        for scenario, rate in self._rates.items():
            due += [scenario] * int(self._rng.poisson(rate * len(self._ids) / 3600.0))
        return due

    def _turns(self, since: float) -> Iterator[tuple[str, int]]:
        """What the rota has for the second that begins `since` seconds after the warm-up."""
        while self._rota is not None and (self._turn + 1) * self._rota.every_s < since + 1.0:
            yield self._rota.event(self._turn, len(self._ids))
            self._turn += 1

    def _drawn(self, scenario: str, second: int, usual: Callable[[int], FlowBaseline]) -> tuple[int, Event] | None:
        free = np.flatnonzero(self._free_from <= second)
        return self._begin(scenario, int(self._rng.choice(free)), second, usual) if len(free) else None

    def _begin(
        self, scenario: str, instrument: int, second: int, usual: Callable[[int], FlowBaseline]
    ) -> tuple[int, Event] | None:
        if self._free_from[instrument] > second:
            return None
        intensity = self._rng.uniform(self._config.strength_low, self._config.strength_high)
        event = DRAW[scenario](self._rng, second + 0.9 * self._rng.random(), float(intensity), usual(instrument))
        self._free_from[instrument] = np.inf
        self.active[instrument] = event
        return instrument, event

    def close_second(self, second: int, has_orders: Callable[[int], bool]) -> list[tuple[int, Event]]:
        """End the events that are over after `second`, early where no injected order is left; returns what ended.

        A pause lasts one second longer here than its label, for the second in which trading resumes belongs to it.
        """
        ended = []
        for instrument, event in list(self.active.items()):
            gone = event.placed_s < second + 1.0 < event.end_s and not has_orders(instrument)
            if gone:
                event.end_s = second + 1.0
            if second + 1.0 >= event.end_s + event.pause:
                ended.append((instrument, event))
                self._done.append((event, instrument))
                self._free_from[instrument] = event.end_s + (
                    self._config.cooldown_s if event.moves_price else self._config.gap_s
                )
                del self.active[instrument]
        return ended

    def labels(self, now_s: float) -> list[Label]:
        """Labels of the events begun before `now_s`, by their beginning."""
        known = [*self._done, *((event, instrument) for instrument, event in self.active.items())]
        begun = sorted((one for one in known if one[0].begin_s < now_s), key=lambda one: (one[0].begin_s, one[1]))
        return [
            Label(
                scenario=event.scenario,
                instrument=self._ids[instrument],
                start_ns=self._start_ns + int(event.begin_s * NANOS),
                end_ns=self._start_ns + int(event.end_s * NANOS),
                strength=event.strength,
                labelled=event.scenario in MANIPULATIONS,
            )
            for event, instrument in begun
        ]
