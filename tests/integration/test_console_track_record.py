"""The console's track record over a real PostgreSQL: outcomes by bars, figures by model, pages, and whose they are."""

import asyncio
import csv
import io
import itertools
import uuid
from typing import Any

import psycopg2
import pytest

from console.api import track_record
from console.identity import Account
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Prediction, stable_id, to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration.postgres_kept import DAY, START, dsn, keep
from tests.integration.trading_console import Client, console, got

FIRST = START // DAY * DAY
CLOSES = [100.0, 102.0, 101.0, 101.0, 105.0, 104.0, 107.0, 106.0]
"""Of eight days; the bar of day k ends at the begin of day k + 1."""


def forecast(name: str, instrument: str, day: int, horizon: str = "1d", **more) -> Prediction:
    """Made when the day's bar was complete."""
    at = to_rfc3339(FIRST + (day + 1) * DAY)
    target = "direction" if more.get("classes") else "close"
    fields = {"reference": CLOSES[day], **more}
    return Prediction(
        id=stable_id(name, instrument, target, horizon, at), instrument=instrument, as_of=at, horizon=horizon,
        target=target, name=name, model="m" * 16, **fields,
    )  # fmt: skip


def predictions(mine: str, other: str) -> list[Prediction]:
    """A point forecast each day that is 1.5 too high, a side each day, a long one, and one of another's instrument."""
    found = [forecast("lstm", mine, day, value=[*CLOSES[1:], 110.0][day] + 1.5) for day in range(8)]
    found += [forecast("boosted", mine, day, classes={"rise_small": 0.6, "flat": 0.3}) for day in range(7)]
    found += [forecast("inception", mine, 1, "5d", classes={"up": 0.8, "down": 0.2})]
    found += [forecast("inception", mine, 5, "5d", classes={"up": 0.8, "down": 0.2})]
    return [*found, forecast("lstm", other, 1, value=90.0)]


def number_of(cursor: Any, name: str) -> int:
    cursor.execute("SELECT id FROM instruments WHERE name = %s", (name,))
    (number,) = cursor.fetchone()
    return number


def bars(settings: Settings, mine: str, other: str, third: str) -> None:
    """Daily bars of both, a minute's of the first between them, and one day twice."""
    with psycopg2.connect(dsn(settings)) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE bars_rest PARTITION OF bars DEFAULT")
        for name in (mine, other):
            number = number_of(cursor, name)
            rows = [(FIRST + (day + 1) * DAY, 86_400, close) for day, close in enumerate(CLOSES)]
            rows += [(FIRST + 2 * DAY, 86_400, CLOSES[1]), (FIRST + DAY + DAY // 2, 60, 55.0)]
            for at, interval, close in rows:
                cursor.execute(
                    "INSERT INTO bars VALUES (%s, %s, %s, %s, 1, 1, 1, %s, 1, 1, 0, 1, 0)",
                    (number, at, at - interval * 10**9, interval, close),
                )
        # Another instrument's days come as factors: the first was known, the second is written anew later.
        number = number_of(cursor, third)
        told = [("2024-01-02", 0, -1, 50.0), ("2024-01-02", 1, 5, 25.0), ("2024-01-03", 0, 6, 51.0)]
        told += [("2024-01-03", 1, 30, 26.0), ("2024-01-04", 0, 30, 52.0), ("2024-01", 0, 2, 9.0)]
        for period, revision, hours, value in told:
            at = FIRST + DAY + hours * DAY // 24
            cursor.execute(
                "INSERT INTO factors VALUES (%s, 'wire', 'close', %s, %s, %s, %s, %s, '', %s)",
                (uuid.uuid4().hex, number, period, at, at, value, revision),
            )
    session.close()


async def look(settings: Settings, mine: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(settings, Account("ann", "viewer", (mine,))) as client:
        await look_at_outcomes(client, mine)
        await look_at_models(client)
        await look_at_pages(client)
        await look_at_shares(client, monkeypatch)
        refused = await client.get("/api/v1/track-record", params={"cursor": "bm9wZQ=="})
        assert refused.status == 422
        lines = await got(client, "/signals/table")
        assert [each["instrument"] for each in lines] == [mine]
        assert [each["name"] for each in lines[0]["forecasts"]] == ["boosted", "inception", "lstm"]
        assert lines[0]["forecasts"][1]["direction"] == "up"


async def look_at_outcomes(client: Client, mine: str) -> None:
    found = (await got(client, "/track-record", model="lstm"))["predictions"]
    assert {each["instrument"] for each in found} == {mine}
    assert [each["outcome"] for each in found] == [None, *reversed(CLOSES[1:])]
    last = found[-1]
    assert (last["base"], last["value"], round(last["realised"], 9), last["hit"]) == (100.0, 103.5, 0.02, True)
    assert found[0]["hit"] is None
    assert [each["hit"] for each in found[1:]] == [False, True, False, True, None, False, True]
    long = (await got(client, "/track-record", model="inception"))["predictions"]
    assert [(each["outcome"], each["hit"], each["direction"]) for each in long] == [
        (None, None, "up"),
        (107.0, True, "up"),
    ]


async def look_at_models(client: Client) -> None:
    found = {each["name"]: each for each in await got(client, "/track-record/models")}
    lstm = found["lstm"]
    assert (lstm["made"], lstm["known"], lstm["days"], lstm["judged"]) == (8, 7, 7, 6)
    assert lstm["hit_rate"]["value"] == 0.5
    assert lstm["hit_rate"]["low"] < 0.5 < lstm["hit_rate"]["high"]
    errors = [1.5 / base for base in CLOSES[:-1]]
    moves = [then / now - 1 for now, then in itertools.pairwise(CLOSES)]
    ratio = (sum(each**2 for each in errors) / sum(each**2 for each in moves)) ** 0.5
    assert abs(lstm["rmse_ratio"]["value"] - ratio) < 1e-9
    boosted = found["boosted"]
    assert (boosted["judged"], boosted["hit_rate"]["value"], boosted["majority"]) == (6, 0.5, 0.5)
    assert boosted["rmse_ratio"] is None
    assert (found["inception"]["known"], found["inception"]["hit_rate"]["low"]) == (1, None)
    assert await got(client, "/track-record/models", instrument="NONE*") == []
    assert [each["made"] for each in await got(client, "/track-record/models", model="boosted")] == [7]


async def look_at_shares(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all can be judged, each of the three models has as many."""
    monkeypatch.setattr(track_record, "MOST_JUDGED", 9)
    made = {each["name"]: each["made"] for each in await got(client, "/track-record/models")}
    assert made == {"boosted": 3, "inception": 2, "lstm": 3}
    assert [each["made"] for each in await got(client, "/track-record/models", model="lstm")] == [8]
    assert await got(client, "/track-record/models", model="nobody") == []


async def look_at_pages(client: Client) -> None:
    seen, cursor = [], ""
    while True:
        page = await got(client, "/track-record", limit=7, cursor=cursor)
        seen += [each["id"] for each in page["predictions"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 17
    begin, end = to_rfc3339(FIRST + 2 * DAY), to_rfc3339(FIRST + 3 * DAY)
    chosen = {"since": begin, "until": end, "target": "direction"}
    some = (await got(client, "/track-record", **chosen))["predictions"]
    assert sorted(each["name"] for each in some) == ["boosted", "inception"]
    answer = await client.get("/api/v1/track-record/export.csv", params=chosen)
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["hit"] for row in rows if row["name"] == "boosted"] == ["False"]


async def look_at_days_among_the_factors(settings: Settings, third: str) -> None:
    async with console(settings, Account("ann", "viewer", (third,))) as client:
        found = (await got(client, "/track-record"))["predictions"]
        assert {each["horizon"]: (each["outcome"], each["hit"]) for each in found} == {
            "1d": (51.0, True),
            "2d": (52.0, True),
            "3d": (None, None),
        }
        (line,) = await got(client, "/signals/table")
        assert (line["yesterday"], line["forecasts"][0]["name"]) == (50.0, "boosted")


def test_past_predictions_stand_beside_what_happened_by_model_page_and_seat(ours, monkeypatch):
    kafka.create_topics(ours, [*topics.shared_topics(ours.topics), *topics.paper_topics(ours.topics)])
    producer, own = kafka.producer(ours), uuid.uuid4().hex[:8].upper()
    mine, other, third = f"A{own}.XTST", f"B{own}.XTST", f"C{own}.XTST"
    days = [forecast("boosted", third, 0, each, classes={"up": 0.6}, reference=50.0) for each in ("1d", "2d", "3d")]
    for message in [*predictions(mine, other), *days]:
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    keep(ours)
    bars(ours, mine, other, third)
    asyncio.run(look(ours, mine, other, monkeypatch))
    asyncio.run(look_at_days_among_the_factors(ours, third))
