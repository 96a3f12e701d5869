"""The course of a demo: stack and commands started at once, watched until the end, drained, added up, stopped."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from infra import embedded
from infra.demo.children import Child, Family
from infra.demo.follow import Follower, TailReader
from infra.demo.front import Front
from infra.demo.gauges import FOLLOWED, Gauges, TradingState
from infra.demo.plan import PARTITIONS, Plan, Wishes, plan
from infra.demo.sources import LiveSources
from infra.demo.summary import DemoOutcome, ProducerSummary, Summary, summarise, told_of
from infra.demo.view import Screen, State
from infra.embedded.layout import Layout, locked
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.stack import started_at

INSTANCE = "demo"
"""The engine's name in its group: one demo's engine takes the place of the last one's at once."""

SINK_ROWS = 50_000
"""Rows of one database transaction at most: a show wants to see them arrive."""

KEEP_AFTER_S = 4.0
"""How long the sink waits for the first score, s."""

LIVE_AFTER_S = 40.0
BETWEEN_S = 0.7
"""The latest start of live sources after the first score, and the time between two of them, s."""

TICK_S = 0.05
STUCK_S = 120
CAUGHT_UP_FRAMES = 20
PATIENCE_S = 10.0
HASTE_S = 1.5
MANY_HASTE_S = 2.0
"""How long children may take to end: after a whole show, and after Ctrl-C, with a few of them and with many."""

WAIT_S = 300
"""How long children wait for the stack; a first start may have to fetch it."""


def process_start_ns() -> int:
    """When this process began, nanoseconds by the clock's `elapsed`."""
    ticks = started_at(os.getpid()) or 0
    age = float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    return WALL.elapsed() - int(age * NANOS)


def run_demo(settings: Settings, wishes: Wishes, as_json: bool) -> Summary:
    """Run a demo to its end. TapewatchError where a part of it fails, with the end of that part's log."""
    Layout(settings.data_path).create()
    try:
        with locked(settings.data_path / "demo.lock", wait=False):
            return _Demo(settings, wishes, as_json).run()
    except BlockingIOError:
        raise TapewatchError(
            f"another demo runs in {settings.data_path}",
            "End it first, or name another folder: tapewatch --data DIR demo.",
        ) from None


class _Demo:
    """One run. `stop` is set by the first Ctrl-C or SIGTERM; the second one interrupts."""

    def __init__(self, settings: Settings, wishes: Wishes, as_json: bool) -> None:
        self._settings, self._wishes = settings, wishes
        self._begun_ns = process_start_ns()
        self._stream = sys.stderr if as_json else sys.stdout
        self._stop = threading.Event()
        self._stack_s = 0.0
        self._caught_up_ns = 0
        self._live: LiveSources | None = None
        self._haste_s = MANY_HASTE_S if wishes.live_sim else HASTE_S

    def run(self) -> Summary:
        """Start everything at once: the commands get ready while the servers come up."""
        course = plan(self._settings, self._wishes)
        course.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "TAPEWATCH_EMBEDDED_WAIT_S": str(WAIT_S),
            "TAPEWATCH_SINK_BATCH_ROWS": str(SINK_ROWS),
            "TAPEWATCH_PAPER_STARTED": "true",
        }
        family = Family(
            course.common, self._settings.data_path / "logs", environment, named=self._settings.embedded.secure
        )
        try:
            feeds = [] if self._wishes.live_sim else ["--feed", course.feed]
            family.launch("engine", ["run", "engine", "--instance", INSTANCE, *feeds, "--quiet", "--json"])
            producer = family.launch("producer", course.produce)
            with _stack(self._settings, self._wishes.keep), _on_signal(self._stop):
                self._stack_s = self._since_start()
                try:
                    return self._show(course, family, producer)
                finally:
                    family.stop(self._last_s())
        finally:
            family.stop(0.0)

    def _last_s(self) -> float:
        """How long the last children may take to end; with live sources they have been asked before."""
        if not self._stop.is_set():
            return PATIENCE_S
        return HASTE_S / 2 if self._live is not None else HASTE_S

    def _since_start(self) -> float:
        return round((WALL.elapsed() - self._begun_ns) / NANOS, 3)

    def _show(self, course: Plan, family: Family, producer: Child) -> Summary:
        """From the moment the servers answer to the summary."""
        specs = topics.shared_topics(self._settings.topics)
        if not self._wishes.recording:
            specs += topics.market_topics(course.feed, self._settings.topics, PARTITIONS)
        kafka.create_topics(self._settings, specs)
        seen, gauges = Follower(self._settings, course.topic), Gauges(self._settings, course.topic)
        state = State(course, bool(self._wishes.recording), self._wishes.seconds, seen, gauges, self._begun_ns)
        try:
            with Screen(self._stream, state) as screen:
                shown_ns = WALL.elapsed()
                self._begin_to_keep(course, family, screen)
                if self._wishes.live_sim:
                    self._begin_live(course, family, screen)
                self._until(lambda: self._is_over(producer, shown_ns), family, screen)
                if self._stop.is_set():
                    family.ask()
                if self._live is not None:
                    self._live.end(self._haste_s if self._stop.is_set() else PATIENCE_S)
                drained = self._drain(family, producer, screen)
            produced = _told(producer)
            first = round((seen.first_score_ns - self._begun_ns) / NANOS, 3) if seen.first_score_ns else None
            ending = DemoOutcome(
                produced=produced,
                verdict=None if self._wishes.recording else state.judge(),
                drained=drained,
                inserted=gauges.inserted,
                first_score_s=first,
                stack_s=self._stack_s,
                seconds=round((WALL.elapsed() - shown_ns) / NANOS, 3),
                traded=told_of(seen.signals, state.trading),
                caught_up_ns=self._caught_up_ns,
                live=self._live.told() if self._live is not None else {},
                console=state.front.url if state.front is not None else "",
            )
            return summarise(self._settings, course, seen, ending)
        finally:
            gauges.close()
            seen.close()
            if state.behind is not None:
                state.behind.close()

    def _begin_to_keep(self, course: Plan, family: Family, screen: Screen) -> None:
        """Start the paper broker, and the sink once its tables are there.

        They wait for the first score: on a small machine they would take the processor from those who make one.
        """
        until = WALL.elapsed() + int(KEEP_AFTER_S * NANOS)
        self._until(lambda: screen.state.seen.first_score_ns > 0 or WALL.elapsed() > until, family, screen)
        if not self._stop.is_set():
            kafka.create_topics(self._settings, topics.paper_topics(self._settings.topics))
            screen.state.trading = TradingState(course.topic)
            screen.state.behind = TailReader(self._settings, FOLLOWED, screen.state.trading.take)
            family.launch("paper", ["run", "paper", "--instance", INSTANCE, "--feed", course.feed, "--quiet", "--json"])
            migration = family.launch("migrate", ["db", "migrate"])
            self._until(lambda: migration.has_ended, family, screen)
        if not self._stop.is_set():
            family.launch("sink", ["sink", "postgres", "--json"])
            if self._wishes.console:
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
                screen.state.front = Front(self._settings, family)

    def _begin_live(self, course: Plan, family: Family, screen: Screen) -> None:
        """Start the live sources once the engine follows the clock: all at once they would keep it from doing so."""
        until = WALL.elapsed() + int(LIVE_AFTER_S * NANOS)
        self._until(lambda: self._caught_up_ns > 0 or WALL.elapsed() > until, family, screen)

        def pause() -> bool:
            screen.refresh()
            return self._stop.wait(BETWEEN_S)

        if not self._stop.is_set():
            self._live = LiveSources(self._settings, family, course.folder, course.common, pause)

    def _is_over(self, producer: Child, shown_ns: int) -> bool:
        """Whether the producer has ended, or a replay's time is up."""
        wishes = self._wishes
        if wishes.recording and wishes.seconds and WALL.elapsed() - shown_ns > wishes.seconds * NANOS:
            producer.end(PATIENCE_S)
        return producer.has_ended

    def _until(self, is_over: Callable[[], bool], family: Family, screen: Screen) -> None:
        """Keep the screen up to date until something is over, or until the stop."""
        while not is_over() and not self._stop.is_set():
            _check(family, screen.state)
            screen.refresh()
            self._note_catching_up(screen.state)
            if self._caught_up_ns and screen.state.front is not None:
                # It reads stretches of the log again: the engine comes first.
                screen.state.front.archive()
            self._stop.wait(TICK_S)
        if not self._stop.is_set():
            _check(family, screen.state)

    def _note_catching_up(self, state: State) -> None:
        """Remember when the engine had taken the back-dated part."""
        gauges = state.gauges
        if not self._caught_up_ns and gauges.produced and state.is_live and gauges.engine_lag <= CAUGHT_UP_FRAMES:
            self._caught_up_ns = WALL.now()

    def _drain(self, family: Family, producer: Child, screen: Screen) -> bool:
        """After the producer's end wait for engine, broker and sink; False where the user did not want to wait."""
        state = screen.state
        if self._stop.is_set():
            family.ask()
            producer.end(self._haste_s)
            return False
        state.is_draining = True
        moved_ns, last = WALL.elapsed(), (-1, -1, -1)
        while not state.gauges.is_drained():
            self._stop.wait(TICK_S)
            if self._stop.is_set():
                family.ask()
                return False
            now = (state.gauges.engine_lag, state.gauges.paper_lag, state.gauges.sink_lag)
            if now != last:
                moved_ns, last = WALL.elapsed(), now
            if WALL.elapsed() - moved_ns > STUCK_S * NANOS:
                raise TapewatchError(
                    f"engine, paper broker or sink have stood still for {STUCK_S} s", "See the logs in the data folder."
                )
            _check(family, state)
            screen.refresh()
        return True


def _check(family: Family, state: State) -> None:
    """Raise what has failed: a child, or one of our own readers."""
    family.check()
    for error in (state.seen.error, state.gauges.error, state.behind.error if state.behind else None):
        if error is not None:
            raise error


def _told(producer: Child) -> ProducerSummary:
    """The producer's own summary; an empty one where it had to be killed."""
    try:
        return msgspec.json.decode(producer.answer(), type=ProducerSummary)
    except msgspec.DecodeError:
        return ProducerSummary()


@contextmanager
def _stack(settings: Settings, keep: bool) -> Iterator[None]:
    """The servers: those that the settings name, those that run already, or new ones that end with us unless kept."""
    if settings.kafka.bootstrap and settings.postgres.url:
        yield
        return
    with ExitStack() as ours:
        with embedded.shown() as report:
            if keep:
                embedded.start(settings, report)
            else:
                ours.enter_context(embedded.session(settings, report))
        yield


@contextmanager
def _on_signal(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set `stop`; the second one interrupts."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = [(number, signal.signal(number, on_signal)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
