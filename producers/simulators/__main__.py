"""A venue's simulator on its own: `python -m producers.simulators --venue binance` prints its addresses as JSON."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from producers.simulators.binance import BinanceVenue
from producers.simulators.catalogue import SIMULATORS, SimulatorOptions, simulated
from producers.simulators.faults import FaultPlan
from producers.simulators.server import SimulatorServer
from tapewatch.errors import TapewatchError

STREAMS_A_SYMBOL = ("trade", "bookTicker", "depth@100ms")
_EPILOG = """examples:
  python -m producers.simulators --venue binance --symbols 50 --rate 2000
  python -m producers.simulators --venue binance --symbols 1000 --rate 20000 --seconds 20
"""


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C, or measure for some seconds."""
    parser = argparse.ArgumentParser(
        prog="python -m producers.simulators",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--venue", choices=SIMULATORS, default="binance")
    parser.add_argument("--symbols", default="10", metavar="N|LIST", help="how many, or the venue's names with commas")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the market (default: 0)")
    parser.add_argument("--port", type=int, default=0, help="(default: a free one)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON: seed, rates a minute by kind, script")
    parser.add_argument("--tls", action="store_true", help="https and wss with a self-signed certificate")
    parser.add_argument("--seconds", type=float, default=0.0, help="measure with Binance's own clients, then end")
    parser.add_argument("--connections", type=int, default=4, help="clients of the measurement (default: 4)")
    args = parser.parse_args(arguments)
    try:
        return asyncio.run(_serve(args))
    except TapewatchError as error:
        print(f"{error.message}. {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _serve(args: argparse.Namespace) -> int:
    counted = args.symbols.isdigit()
    names = () if counted else tuple(args.symbols.split(","))
    options = SimulatorOptions(names, int(args.symbols) if counted else len(names), args.seed, args.rate)
    plan = FaultPlan.from_json(args.faults.read_bytes()) if args.faults else FaultPlan()
    venue = simulated(args.venue, options)
    async with SimulatorServer(venue, plan, tls=args.tls, port=args.port) as server:
        print(json.dumps({"venue": venue.name, **server.addresses()}), flush=True)
        if args.seconds:
            if not isinstance(venue, BinanceVenue):
                raise TapewatchError("only Binance's simulator is measured", "Leave --seconds out.")
            print(json.dumps(await _measured(venue, server, args.seconds, args.connections)), flush=True)
            return 0
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
        print(json.dumps(server.report()["faults"]["injected"]), file=sys.stderr)
    return 0


async def _measured(venue: BinanceVenue, server: SimulatorServer, seconds: float, connections: int) -> dict[str, Any]:
    """Messages a second and this process's CPU time a message, all streams read by another process."""
    names = [f"{symbol.lower()}@{kind}" for symbol in venue.market.symbols for kind in STREAMS_A_SYMBOL]
    base = f"{server.addresses()['stream']}/stream?streams="
    urls = [base + "/".join(names[start::connections]) for start in range(connections)]
    reader = await asyncio.create_subprocess_exec(sys.executable, "-m", "producers.simulators.sink", *urls)
    try:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            while server.opened < connections:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        written, cpu, began = server.report()["written"], time.process_time(), loop.time()
        await asyncio.sleep(seconds)
        cpu, took = time.process_time() - cpu, loop.time() - began
        sent = server.report()["written"] - written
        return {
            "symbols": len(venue.market.symbols),
            "connections": connections,
            "messages": sent,
            "messages_per_s": round(sent / took),
            "cpu_us_per_message": round(cpu / max(1, sent) * 1e6, 2),
            "behind": venue.behind,
        }
    finally:
        with contextlib.suppress(ProcessLookupError):
            reader.terminate()
        await reader.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
