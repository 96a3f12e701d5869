"""How much one caller may ask of the console: requests to the nanosecond, event streams one by one."""

import asyncio
import random
from contextlib import suppress
from fractions import Fraction

import pytest

from console.limits import MOST_CALLERS, Rates, Streams
from console.refusal import RefusedError
from tapewatch.clock import NANOS, ManualClock


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = 1_700_000_000 * NANOS

    def now(self) -> int:
        return self.at

    elapsed = now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits")


def taken(rates: Rates, caller: str = "ann", per_minute: int = 60) -> bool:
    try:
        rates.take(caller, per_minute)
    except RefusedError as refused:
        assert refused.status == 429
        return False
    return True


@pytest.mark.parametrize(("per_minute", "each_ns"), [(60, NANOS), (240, NANOS // 4), (1, 60 * NANOS)])
def test_a_minutes_worth_at_once_and_then_one_as_each_comes_due(per_minute: int, each_ns: int) -> None:
    clock = SetClock()
    rates = Rates(clock)
    assert [taken(rates, per_minute=per_minute) for _ in range(per_minute + 1)] == [True] * per_minute + [False]
    for _ in range(3):
        clock.at += each_ns - 1
        assert not taken(rates, per_minute=per_minute)
        clock.at += 1
        assert taken(rates, per_minute=per_minute)
        assert not taken(rates, per_minute=per_minute)


def test_who_asks_too_often_gets_as_many_a_minute_all_the_same() -> None:
    clock = SetClock()
    rates = Rates(clock)
    while taken(rates):
        pass
    passed = 0
    for _ in range(60 * 8):
        clock.at += NANOS // 8
        passed += taken(rates)
    assert passed == 60


def test_more_than_a_minutes_worth_is_never_saved_up() -> None:
    clock = SetClock()
    rates = Rates(clock)
    assert taken(rates)
    clock.at += 3600 * NANOS
    assert sum(taken(rates) for _ in range(100)) == 60


def test_a_clock_that_is_set_back_keeps_nobody_out() -> None:
    clock = ManualClock(3600 * NANOS)
    rates = Rates(clock)
    assert sum(taken(rates) for _ in range(58)) == 58
    clock.set(-3600)
    assert [taken(rates) for _ in range(3)] == [True, True, False]
    clock.sleep(1)
    assert taken(rates)


@pytest.mark.parametrize("seed", range(3))
def test_any_run_of_requests_is_judged_as_a_bucket_of_fractions_does(seed: int) -> None:
    rng, clock = random.Random(seed), SetClock()
    rates, passed = Rates(clock), 0
    left = {"ann": Fraction(120), "bob": Fraction(120)}
    seen = dict.fromkeys(left, clock.at)
    for _ in range(1500):
        # Eighths of a second give quarters of a request, which a double holds to the last bit.
        clock.at += rng.choice([0] * 12 + [1, 1, 2, 8]) * (NANOS // 8)
        caller = rng.choice(["ann", "ann", "bob"])
        left[caller] = min(Fraction(120), left[caller] + Fraction(clock.at - seen[caller], NANOS) * 2)
        seen[caller] = clock.at
        expected = left[caller] >= 1
        left[caller] -= expected
        assert taken(rates, caller, 120) == expected
        passed += expected
    assert 300 < passed < 1000


def test_of_too_many_callers_the_one_not_heard_of_for_longest_is_forgotten() -> None:
    rates = Rates(SetClock())
    assert taken(rates, "first", 1)
    for number in range(MOST_CALLERS - 2):
        assert taken(rates, f"{number}", 1)
    assert not taken(rates, "first", 1), "which makes it the last one heard of"
    assert taken(rates, "one more", 1)
    assert not taken(rates, "0", 1)
    assert taken(rates, "yet one more", 1)
    assert not taken(rates, "first", 1)
    assert taken(rates, "1", 1), "forgotten, and so with a whole bucket"


def test_an_accounts_streams_are_counted_while_they_are_open() -> None:
    async def scene() -> None:
        streams, leave = Streams(), asyncio.Event()

        async def stream(account: str) -> None:
            with streams.one(account, 2):
                await leave.wait()

        async def opened(account: str) -> asyncio.Task[None]:
            task = asyncio.create_task(stream(account))
            await asyncio.sleep(0)
            return task

        hers, his = [await opened("ann") for _ in range(3)], await opened("bob")
        with pytest.raises(RefusedError, match="2 event streams are open already"):
            await hers[2]
        assert streams.count == 3
        hers[0].cancel()
        with suppress(asyncio.CancelledError):
            await hers[0]
        hers.append(await opened("ann"))
        assert (streams.count, hers[3].done()) == (3, False)
        streams.end()
        for task in (hers[1], hers[3], his):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert streams.count == 0
        again = await opened("ann")
        leave.set()
        await again
        assert streams.count == 0

    asyncio.run(scene())
