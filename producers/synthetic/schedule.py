"""When what is injected where: planned and random events that never overlap on an instrument, and their labels."""

from collections.abc import Callable

import numpy as np

from producers.synthetic.config import MANIPULATIONS, SyntheticConfig
from producers.synthetic.labels import Label
from producers.synthetic.scenarios import DRAW, Event, Usual
from tapewatch.clock import NANOS


class Schedule:
    """The events of one run.

    active : instrument -> the event it is in, or about to begin within this second or the next
    """

    def __init__(self, config: SyntheticConfig, ids: tuple[str, ...], start_ns: int, rng: np.random.Generator) -> None:
        self.active: dict[int, Event] = {}
        self._config = config
        self._ids = ids
        self._start_ns = start_ns
        self._rng = rng
        self._free_from = np.zeros(len(ids))
        self._plan = sorted(config.plan, key=lambda planned: planned.at_s)
        self._rates = {scenario: rate for scenario, rate in config.rates().items() if rate > 0}
        self._done: list[tuple[Event, int]] = []

    def open_second(self, second: int, usual: Callable[[int], Usual]) -> list[tuple[int, Event]]:
        """Draw the events that begin in `second`; returns (instrument, event) of each."""
        since = second - self._config.warmup_s
        if since < 0:
            return []
        begun = [self._begin(scenario, second, usual) for scenario in self._due(since)]
        return [one for one in begun if one is not None]

    def _due(self, since: float) -> list[str]:
        due = []
        while self._plan and self._plan[0].at_s < since + 1.0:
            due.append(self._plan.pop(0).scenario)
        for scenario, rate in self._rates.items():
            due += [scenario] * int(self._rng.poisson(rate * len(self._ids) / 3600.0))
        return due

    def _begin(self, scenario: str, second: int, usual: Callable[[int], Usual]) -> tuple[int, Event] | None:
        free = np.flatnonzero(self._free_from <= second)
        if not len(free):
            return None
        instrument = int(self._rng.choice(free))
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
        known = self._done + [(event, instrument) for instrument, event in self.active.items()]
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
