"""A simulated venue as a process: `python -m benchmarks.venues.serve upbit`. Its first line tells its address."""

import argparse
import asyncio
import sys

from aiohttp import web

from benchmarks.venues.faults import ASKING, PLACING, Faults
from benchmarks.venues.setup import TIMEOUT_S, Simulator, served, simulator

TRADES_A_SECOND = 200.0


def books(venue: Simulator) -> dict[str, object]:
    """Everything the venue knows, decimals as text."""
    orders = [
        {
            "client_id": order.client_id,
            "symbol": order.symbol,
            "side": order.side,
            "state": order.state,
            "trades": [[str(trade.price), str(trade.qty), str(trade.fee)] for trade in order.trades],
        }
        for order in venue.account.orders.values()
    ]
    held = {symbol: str(qty) for symbol, qty in venue.account.held.items()}
    return {"orders": orders, "held": held, "faults": dict(venue.faults.happened)}


async def serve(name: str, seed: int) -> None:
    """Serve for ever, trading now and then."""
    venue = simulator(name, Faults(seed, PLACING, ASKING, TIMEOUT_S), seed)
    app = venue.app()

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(books(venue))

    app.router.add_get("/books", tell)
    async with served(app) as address:
        print(address, flush=True)
        while True:
            await asyncio.sleep(1.0 / TRADES_A_SECOND)
            venue.account.trade_at_random()


def main() -> int:
    """Run the venue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venue", choices=["upbit", "binance"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    asyncio.run(serve(args.venue, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
