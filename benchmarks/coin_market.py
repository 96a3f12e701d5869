"""Synthetic markets of coins: no auctions or halts, wilder and more alike than shares, with clustered order flow; busy,
usual and thin ones.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.ship_models import SECONDS, LabelledSample, joined
from benchmarks.ship_peers import rows_of
from benchmarks.training_data import START_NS, cached, market_config
from producers.synthetic import CRYPTO, SyntheticConfig, SyntheticMarket

MARKETS = ((60.0, 25), (10.0, 75), (1.5, 100))
"""Rows a second and instrument, and instruments, of the markets of a seed."""
INSTRUMENTS = sum(count for _, count in MARKETS)


def configs(eventful: float) -> Iterator[SyntheticConfig]:
    """The markets of a seed. eventful : multiplies how often everything is injected, look-alikes included

    Fixed before a detector was run on them: 4 % a day, half of it common to all coins, a day of 24 hours that begins
    busy, four order events of five caused by others, and a feed some 20 ms away.
    """
    for rate, instruments in MARKETS:
        yield msgspec.structs.replace(
            market_config(instruments, SECONDS, eventful, rate),
            session_s=86_400.0,
            seasonality=0.2,
            opening_auction_s=1,
            daily_volatility=0.04,
            correlation=0.5,
            sector_correlation=0.1,
            volatility_of_volatility=0.6,
            excitation=0.8,
            latency_us=20_000.0,
            auction_per_hour=0.0,
            halt_per_hour=0.0,
        )


def rows(folder: Path, seeds: Sequence[int], eventful: float, rates: Sequence[float] = ()) -> LabelledSample:
    """The feature rows of the seeds' markets, one behind the other. folder : keeps them; rates : of the markets, all by
    default
    """
    pairs = zip(MARKETS, configs(eventful), strict=True)
    chosen = [config for (rate, _), config in pairs if not rates or rate in rates]
    return joined([rows_of(*cached(folder, config, seed, CRYPTO)) for config in chosen for seed in seeds])


def markets(seeds: Sequence[int], eventful: float) -> Iterator[SyntheticMarket]:
    """The markets themselves."""
    for config in configs(eventful):
        for seed in seeds:
            yield SyntheticMarket(config, seed, START_NS, CRYPTO)
