"""`tapewatch produce SOURCE`: a live venue as a feed in Kafka, or on the screen."""

import argparse
import asyncio
import gc
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from producers.base.feed_session import Connector
from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet, Outlet, ScreenOutlet
from producers.base.runner import LiveRun, LiveSummary
from producers.base.tape import Tape
from producers.base.universe import choice_of, configure_choice
from producers.simulators.catalogue import SimulatorOptions, simulated
from producers.simulators.faults import FaultPlan
from producers.simulators.server import SimulatorServer
from producers.sources import Source
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import add_flag, asked
from tapewatch.settings import Settings

_YOUNG = 50_000
"""Objects made before a garbage collection: rows wait as tuples, and a look at them every few hundred costs much."""


def configure(parser: argparse.ArgumentParser, name: str, source: Source) -> None:
    """Add what every live source understands, then the source's own."""
    parser.epilog = f"example: tapewatch produce {name} {'--top 50' if source.connect else ''} --dry-run --seconds 10"
    if source.connect:
        configure_choice(parser)
        parser.add_argument("--partitions", type=int, default=0, help="partitions of a new topic")
        parser.add_argument("--record", type=Path, metavar="FILE", help="keep what comes in, for `produce replay FILE`")
        add_flag(parser)
    parser.add_argument("--seconds", type=float, default=0.0, help="end after that time (default: no end)")
    parser.add_argument("--dry-run", action="store_true", help="print rows as JSON lines; send nothing")
    if source.simulator:
        parser.add_argument("--against", choices=["sim"], help="a simulated venue on this machine, not the real one")
        parser.add_argument("--sim-symbols", type=int, default=10, help="symbols of the simulated venue (default: 10)")
        parser.add_argument("--sim-rate", type=float, default=200.0, help="its messages a second (default: 200)")
        parser.add_argument("--sim-seed", type=int, default=1, help="of everything it draws (default: 1)")
        parser.add_argument(
            "--sim-stuffing", type=float, default=0.0, metavar="S", help="quote stuffing every S seconds (Binance)"
        )
        parser.add_argument(
            "--sim-faults", type=Path, metavar="FILE", help="JSON: what goes wrong, see docs/simulators.md"
        )
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    source.function("configure")(parser)


def run(args: argparse.Namespace, settings: Settings, name: str, source: Source) -> int:
    """Run the source until its end, Ctrl-C or SIGTERM."""
    with asyncio.Runner(loop_factory=_loop()) as runner:
        summary = runner.run(_run(args, settings, name, source))
    if args.json:
        print(json.dumps(summary), flush=True)
    else:
        shown = {key: value for key, value in summary.items() if value not in ({}, 0, None)}
        print(", ".join(f"{key} {_short(value)}" for key, value in shown.items()), file=sys.stderr)
    return 0


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, which takes a tenth off a message's cost; asyncio's own loop where it is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(inner)}" for key, inner in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)


async def _run(args: argparse.Namespace, settings: Settings, name: str, source: Source) -> dict[str, Any]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        # The second signal interrupts, as it would have without us.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.default_int_handler)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    if args.seconds > 0:
        loop.call_later(args.seconds, stop.set)
    async with simulator(args, settings, source) as pointed:
        if source.pull:
            found: dict[str, Any] = await source.function(source.pull)(pointed, args, stop, say)
            return found
        return msgspec.to_builtins(await live(args, pointed, name, source, stop))  # type: ignore[no-any-return]


async def live(
    args: argparse.Namespace, settings: Settings, name: str, source: Source, stop: asyncio.Event
) -> LiveSummary:
    """Run a live source into Kafka, or onto the screen."""
    settings = asked(settings, args.metrics)
    connector: Connector = source.function(source.connect)(settings, args)
    metrics = FeedMetrics(connector.feed)
    outlet: Outlet = (
        ScreenOutlet() if args.dry_run else KafkaOutlet(settings, name, metrics, WALL, partitions=args.partitions)
    )
    async with AsyncExitStack() as beside:
        tape = None
        if args.record is not None:
            tape = Tape(args.record, name, settings=getattr(connector, "tape_settings", None))
            beside.push_async_callback(asyncio.to_thread, tape.close)
        run = LiveRun(settings, connector, outlet, choice_of(args), tape=tape, metrics=metrics, say=say)
        beside.enter_context(run.monitor)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, 20, 50)
        return await run.run(stop)


@asynccontextmanager
async def simulator(args: argparse.Namespace, settings: Settings, source: Source) -> AsyncIterator[Settings]:
    """Settings that point at a simulator where one is asked for, and it runs meanwhile."""
    if not source.simulator or args.against != "sim":
        yield settings
        return
    if args.sim_faults is not None and not args.sim_faults.is_file():
        raise TapewatchError(f"there is no file {args.sim_faults}", "Name a file of faults, see docs/simulators.md.")
    plan = FaultPlan.from_json(args.sim_faults.read_bytes()) if args.sim_faults is not None else FaultPlan()
    venue = simulated(
        source.simulator, SimulatorOptions((), args.sim_symbols, args.sim_seed, args.sim_rate, args.sim_stuffing)
    )
    async with SimulatorServer(venue, plan) as server:
        yield pointed_at(settings, source.simulator, server.addresses())


def pointed_at(settings: Settings, venue: str, addresses: dict[str, str]) -> Settings:
    """Settings with these addresses of a venue."""
    section = msgspec.structs.replace(getattr(settings.venues, venue), **addresses)
    return msgspec.structs.replace(settings, venues=msgspec.structs.replace(settings.venues, **{venue: section}))


def say(text: str) -> None:
    """A line for the operator."""
    print(text, file=sys.stderr, flush=True)
