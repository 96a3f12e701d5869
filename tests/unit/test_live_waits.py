"""Back-off and token bucket."""

import asyncio
import random

import pytest

from producers.base.backoff import Backoff
from producers.base.http import TokenBucket
from tests.unit.live_time import Longest, SleptTime


def test_waits_double_up_to_the_cap_and_begin_anew_after_success() -> None:
    backoff = Backoff(0.5, 3.0, Longest())
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


def test_waits_are_drawn_from_the_whole_range() -> None:
    backoff = Backoff(1.0, 1.0, random.Random(1))
    draws = [backoff.next() for _ in range(400)]
    assert 0.0 <= min(draws) < 0.05
    assert 0.95 < max(draws) <= 1.0


def test_bucket_gives_a_burst_at_once_and_then_its_rate() -> None:
    time = SleptTime()
    bucket = TokenBucket(2.0, 3.0, time)

    async def taken() -> list[float]:
        at = []
        for _ in range(6):
            await bucket.take()
            at.append(time.now)
        return at

    assert asyncio.run(taken()) == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.0, 1.5])


def test_small_takers_do_not_overtake_a_large_one() -> None:
    time = SleptTime()
    bucket = TokenBucket(1.0, 5.0, time)
    order: list[str] = []

    async def take(name: str, tokens: float) -> None:
        await bucket.take(tokens)
        order.append(name)

    async def all_of_them() -> None:
        await bucket.take(5.0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take("large", 5.0))
            for number in range(3):
                tasks.create_task(take(f"small {number}", 1.0))

    asyncio.run(all_of_them())
    assert order == ["large", "small 0", "small 1", "small 2"]


def test_more_than_the_burst_is_paid_for_afterwards() -> None:
    time = SleptTime()
    bucket = TokenBucket(1.0, 2.0, time)

    async def take() -> None:
        await bucket.take(10.0)
        assert time.now == 0.0
        await bucket.take(1.0)

    asyncio.run(take())
    assert time.now == pytest.approx(9.0)


def test_hold_stops_those_who_already_wait() -> None:
    time = SleptTime()
    bucket = TokenBucket(1.0, 1.0, time)

    async def take() -> None:
        await bucket.take()
        waiting = asyncio.create_task(bucket.take())
        await asyncio.sleep(0)
        bucket.hold(30.0)
        bucket.hold(5.0)
        await waiting

    asyncio.run(take())
    assert time.now == pytest.approx(31.0)


def test_hold_counts_without_a_limit() -> None:
    time = SleptTime()
    bucket = TokenBucket(0.0, 1.0, time)

    async def take() -> None:
        await bucket.take(100.0)
        bucket.hold(7.0)
        await bucket.take()

    asyncio.run(take())
    assert time.now == 7.0
    assert bucket.held_s() == 0.0


def test_taker_that_gave_up_has_taken_nothing() -> None:
    time = SleptTime()
    bucket = TokenBucket(1.0, 1.0, time)

    async def take() -> None:
        await bucket.take()
        waiting = asyncio.create_task(bucket.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await bucket.take()

    asyncio.run(take())
    assert time.now == pytest.approx(1.0)
