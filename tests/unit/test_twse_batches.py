"""MIS requests: hundreds of symbols within three requests in five seconds."""

import asyncio

from producers.base.http import TokenBucket
from producers.venues.twse.connector import BURST, PER_SECOND, URL_LIMIT, batches, parameters, round_s
from tests.unit.live_time import SleptTime


def codes(count: int) -> list[str]:
    """That many ids."""
    return [f"{1000 + number}.{'ROCO' if number % 3 else 'XTAI'}" for number in range(count)]


def test_every_symbol_is_in_one_request_and_no_query_is_too_long() -> None:
    for count in (1, 150, 151, 450, 451, 1800):
        found = batches(codes(count))
        assert sum(len(batch.split("|")) for batch in found) == count
        assert all(len(batch.replace("|", "%7C")) <= URL_LIMIT for batch in found)
    assert batches([]) == []
    assert parameters("tse_2330.tw") == {"ex_ch": "tse_2330.tw", "json": "1", "delay": "0"}


def test_450_symbols_take_three_requests_and_a_round_of_five_seconds() -> None:
    assert len(batches(codes(450))) == 3 and round_s(3) == 5.0
    assert len(batches(codes(451))) == 4 and round_s(4) == 10.0


def test_no_five_seconds_see_more_than_three_requests() -> None:
    async def work() -> list[float]:
        time = SleptTime()
        bucket = TokenBucket(PER_SECOND, BURST, time)
        sent: list[float] = []
        for _ in range(20):
            begun = time.now
            for _ in batches(codes(450)):
                await bucket.take()
                sent.append(time.now)
            await time.sleep(max(0.0, round_s(3) - (time.now - begun)))
        return sent

    sent = asyncio.run(work())
    assert max(sum(1 for other in sent if at <= other < at + 5.0 - 1e-6) for at in sent) == 3
    assert sent[-1] < 20 * 5.0
