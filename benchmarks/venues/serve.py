"""A simulated venue as a process: `python -m benchmarks.venues.serve upbit`. Its first line tells its address."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from benchmarks.venues.account import Account
from benchmarks.venues.binance import ASKING, PLACING, Faults
from benchmarks.venues.fix import INSTRUMENTS, STEP, TIMEOUT_S, served, simulator

TRADES_A_SECOND = 14.0


def books(account: Account, happened: Mapping[str, int]) -> dict[str, object]:
    """Everything the venue knows, decimals as text."""
    orders = [
        {
            "client_id": order.client_id,
            "symbol": order.symbol,
            "side": order.side,
            "state": order.state,
            "trades": [[str(trade.price), str(trade.qty), str(trade.fee)] for trade in order.trades],
        }
        for order in account.orders.values()
    ]
    held = {symbol: str(qty) for symbol, qty in account.held.items()}
    return {"orders": orders, "held": held, "faults": dict(happened)}


async def serve(name: str, seed: int, folder: Path) -> None:
    """Serve for ever, trading now and then. The first line: the venue's address, and where its books are told."""
    if name == "fix":
        from benchmarks.venues.fix import Broker

        broker = Broker(folder, Account(seed, STEP, once=True), rate=0.08, seed=seed)
        broker.start()
        await _tell(web.Application(), broker.account, broker.happened, broker.trade_at_random, broker.address)
    else:
        venue = simulator(name, Faults(seed, PLACING, ASKING, TIMEOUT_S), seed)
        account = venue.account
        await _tell(venue.app(), account, venue.faults.happened, account.trade_at_random)


async def _tell(
    app: web.Application,
    account: Account,
    happened: Mapping[str, int],
    trade: Callable[[], object],
    address: str = "",
) -> None:
    """Serve the books beside whatever else `app` serves."""

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(books(account, happened))

    app.router.add_get("/books", tell)
    async with served(app) as told_at:
        print(address or told_at, told_at, flush=True)
        while True:
            await asyncio.sleep(1.0 / TRADES_A_SECOND)
            trade()


def main() -> int:
    """Run the venue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venue", choices=sorted(INSTRUMENTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("broker"), help="for the files of a FIX session")
    args = parser.parse_args()
    asyncio.run(serve(args.venue, args.seed, args.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
