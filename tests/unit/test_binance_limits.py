"""What Binance is asked in a minute: never more weight than the venue allows, whenever the minute begins."""

import asyncio

import pytest

from producers.base.http import TokenBucket
from producers.venues.binance.connector import COINM, SPOT, USDM, RestLimits
from tests.unit.live_time import SleptTime


@pytest.mark.parametrize("rest", [SPOT, USDM, COINM], ids=["spot", "usdm", "coinm"])
def test_no_minute_sees_more_than_its_weight_however_many_snapshots_are_wanted(rest: RestLimits) -> None:
    timer = SleptTime()
    weight = rest.depth[0][1]

    async def ask() -> list[float]:
        bucket, at = TokenBucket(*rest.pace, timer), []
        while timer.time() < 300.0:
            await bucket.take(weight)
            at.append(timer.time())
        return at

    asked = asyncio.run(ask())
    for start in asked:
        assert sum(weight for at in asked if start <= at < start + 60.0) <= rest.minute
    assert len(asked) * weight > 4.0 * 0.7 * rest.minute
