"""The canaries' market: the synthetic one, quiet, under names of ours that lie in every partition."""

from collections.abc import Iterator, Sequence

import msgspec

from producers.synthetic import Label, Rota, SyntheticConfig, SyntheticMarket
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Chunk, Rows
from tapewatch.settings.canaries import PREFIX

ROWS_PER_SECOND = 12.0
"""Rows of one canary a second, mean: a share that trades now and then."""


def names_by_partition(partitions: int, each: int) -> list[str]:
    """Ids of canaries, `each` of them in every partition, in the order of partitions and again from the first.

    The numbers in them are the lowest ones that lie where they have to.
    """
    found: list[list[str]] = [[] for _ in range(partitions)]
    number = 0
    while any(len(names) < each for names in found):
        number += 1
        name = f"{PREFIX}{number}.SIMX"
        own = found[partition_for(name, partitions)]
        if len(own) < each:
            own.append(name)
    return [names[row] for row in range(each) for names in found]


class CanaryMarket:
    """A quiet market in which only the rota happens; a `tapewatch.contract.rows.RowSource`.

    names : of the instruments; warmup_s : before the first event's turn begins, s
    Events have the greatest strength that a scenario's page allows: a canary that is not found says something of the
    way, not of the detector's threshold.
    """

    def __init__(self, names: Sequence[str], rota: Rota, seed: int, start_ns: int, warmup_s: float) -> None:
        self._names = tuple(names)
        self.config = quiet(len(names), warmup_s)
        self._market = SyntheticMarket(self.config, seed, start_ns, rota=rota)
        self._renamed = dict(zip((one.id for one in self._market.instruments), self._names, strict=True))

    @property
    def fingerprint(self) -> str:
        """Of the market under its own names."""
        return self._market.fingerprint

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data; the kind is that of shares, so that the thresholds of shares are tried."""
        return tuple(
            msgspec.structs.replace(one, id=self._renamed[one.id], name="Canary: no instrument of any venue")
            for one in self._market.instruments
        )

    def chunks(self) -> Iterator[Chunk]:
        """One chunk a simulated second."""
        for chunk in self._market.chunks():
            yield Chunk(chunk.end_ns, [Rows(rows.type, self._names, rows.columns) for rows in chunk.rows])

    def labels(self) -> list[Label]:
        """The events begun so far, the newest of them."""
        return [
            msgspec.structs.replace(label, instrument=self._renamed[label.instrument])
            for label in self._market.labels()
        ]


def quiet(instruments: int, warmup_s: float) -> SyntheticConfig:
    """A market without events of its own, calm all day."""
    return SyntheticConfig(
        instruments=instruments,
        sectors=1,
        rows_per_second=ROWS_PER_SECOND * instruments,
        warmup_s=warmup_s,
        seasonality=0.0,
        daily_volatility=0.01,
        strength_low=1.0,
        strength_high=1.0,
        pump_per_hour=0.0,
        spoof_per_hour=0.0,
        layer_per_hour=0.0,
        stuff_per_hour=0.0,
        ramp_per_hour=0.0,
        news_per_hour=0.0,
        large_per_hour=0.0,
        refresh_per_hour=0.0,
        auction_per_hour=0.0,
        halt_per_hour=0.0,
        cooldown_s=60.0,
        gap_s=60.0,
    )
