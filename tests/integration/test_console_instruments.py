"""The Instrument page's operations on a real PostgreSQL."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.engine import make_url

from console.api import books, instruments, series
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.services import Services
from infra import migrations
from tapewatch.clock import NANOS
from tapewatch.settings import PostgresSettings, Settings
from tests.integration.postgres_kept import superuser

BEGIN = 1_700_006_400 * NANOS  # a whole hour
MINUTE = 60 * NANOS
ANN = Account("ann", "viewer")


@pytest.fixture(scope="module")
def filled(stack):
    """A migrated database with one instrument's ten minutes."""
    settings = Settings(postgres=PostgresSettings(url=stack.postgres_url))
    name = f"console_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = make_url(stack.postgres_url).set(database=name).render_as_string(hide_password=False)
    migrations.migrate(url)
    engine = sa.create_engine(url)
    with engine.begin() as session:
        for table in ("bars", "books", "trades", "features", "scores", "signals", "quotes"):
            session.execute(sa.text(f"CREATE TABLE all_{table} PARTITION OF {table} DEFAULT"))
        fill(session)
    engine.dispose()
    yield url
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def fill(session) -> None:
    def put(table: str, **columns) -> None:
        names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        session.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), columns)

    log = {"log_id": 1, "log_offset": 0}
    put("instruments", id=1, name="2330.TWSE", long_name="<img src=x onerror=alert(1)>", currency="TWD", kind="share")
    put("instruments", id=2, name="QUIET.TWSE")
    put("instruments", id=3, name="TRADED.TWSE")
    for second, price in ((0, 10.0), (30, 12.0), (70, 11.0)):
        at = BEGIN + second * NANOS
        trade = {"price": price, "qty": 2, "aggressor_side": 0, "condition": 0}
        put("trades", instrument_id=3, ts_event_ns=at, ts_recv_ns=at, **trade, **log)
    put("score_models", id=1, detector="kmeans", version="v1")
    for minute in range(10):
        at = BEGIN + minute * MINUTE
        ohlc = {"open": 100 + minute, "high": 102 + minute, "low": 99 + minute, "close": 101 + minute}
        rest = {"interval_s": 60, "volume": 10, "trades": 2, "origin": 0}
        put("bars", instrument_id=1, ts_ns=at + MINUTE, ts_open_ns=at, **ohlc, **rest, **log)
        put("features", instrument_id=1, ts_ns=at, volume_z=minute, spread_bps=float("nan"), **log)
        put("scores", instrument_id=1, ts_ns=at, model_id=1, raw=minute, probability=minute / 10, **log)
        prices = {
            f"{side}_price_{level}": 100 + sign * level
            for side, sign in (("bid", -1), ("ask", 1))
            for level in range(1, 6)
        }
        qty = {
            f"{side}_qty_{level}": level if level < 5 else float("nan")
            for side in ("bid", "ask")
            for level in range(1, 6)
        }
        put("books", instrument_id=1, ts_event_ns=at, ts_recv_ns=at, sequence=minute, **prices, **qty, **log)
        trade = {"price": 100.5, "qty": 3, "aggressor_side": 1, "condition": 0}
        put("trades", instrument_id=1, ts_event_ns=at, ts_recv_ns=at, **trade, **log)
        signal = {
            "policy": "ddqn",
            "model": "m",
            "action": "buy" if minute % 2 else "hold",
            "position": 0,
            "q_values": "{}",
        }
        put("signals", instrument_id=1, id=f"{minute:032x}", ts_ns=at, **signal, **log)


@asynccontextmanager
async def console(url: str, account: Account):
    async def identify(_):
        return account

    database = Database(url)
    routes = [*instruments.ROUTES, *series.ROUTES, *books.ROUTES]
    async with TestClient(TestServer(make_app(Services(Settings(), database), identify, routes))) as client:
        yield client
    database.close()


def ask(url: str, path: str, account: Account = ANN, **query):
    async def scene():
        async with console(url, account) as client:
            answer = await client.get(f"/api/v1/instruments{path}", params=query)
            return answer.status, await answer.json()

    return asyncio.run(scene())


def told(url: str, path: str, **query):
    status, answer = ask(url, path, **query)
    assert status == 200, answer
    return answer


def test_five_minute_bars_are_made_of_one_minute_bars(filled):
    bars = told(filled, "/2330.TWSE/bars", interval="5m")
    assert bars["t"] == [BEGIN / 1e6, (BEGIN + 5 * MINUTE) / 1e6]
    assert (bars["open"], bars["high"], bars["low"], bars["close"]) == ([100, 105], [106, 111], [99, 104], [105, 110])
    assert (bars["volume"], bars["trades"], bars["origin"]) == ([50, 50], [10, 10], "engine")


def test_bars_are_made_of_trades_where_there_are_none(filled):
    bars = told(filled, "/TRADED.TWSE/bars")
    assert (bars["origin"], bars["open"], bars["close"], bars["volume"]) == ("trades", [10, 11], [12, 11], [4, 2])


def test_start_and_end_choose_the_bars(filled):
    bars = told(filled, "/2330.TWSE/bars", start="2023-11-15T00:02:00Z", end="2023-11-15T00:05:00Z")
    assert bars["open"] == [102, 103, 104]


def test_features_are_null_where_they_were_not_warm(filled):
    features = told(filled, "/2330.TWSE/features", names="volume_z,spread_bps")
    assert features["values"]["volume_z"] == list(range(10))
    assert features["values"]["spread_bps"] == [None] * 10


def test_long_stretches_are_thinned_out(filled):
    scores = told(filled, "/2330.TWSE/scores", points=10, start="2023-11-14T00:00:00Z")
    assert scores["step_s"] > 60
    assert scores["detectors"]["kmeans"]["raw"][-1] == 9


def test_holds_come_only_when_asked_for(filled):
    assert told(filled, "/2330.TWSE/signals")["action"] == ["buy"] * 5
    assert len(told(filled, "/2330.TWSE/signals", holds="true")["action"]) == 10


def test_trades_and_limits(filled):
    trades = told(filled, "/2330.TWSE/trades", limit=10)
    assert trades["more"] is False
    assert trades["price"] == [100.5] * 10


def test_book_leaves_empty_quantities_at_zero_and_levels_in_order(filled):
    book = told(filled, "/2330.TWSE/book")
    assert book["bid_price"] == [99, 98, 97, 96, 95]
    assert book["ask_qty"] == [1, 2, 3, 4, 0]
    assert told(filled, "/2330.TWSE/book", at="2023-11-14T23:00:00Z")["t"] is None


def test_heat_map_and_books_of_the_same_time(filled):
    assert len(told(filled, "/2330.TWSE/books")["t"]) == 10
    heat = told(filled, "/2330.TWSE/heatmap", columns=20)
    assert len(heat["quantity"]) == len(heat["t"]) * heat["rows"]
    assert heat["most"] == 4


def test_instrument_without_anything_answers_empty(filled):
    for name in ("bars", "features", "scores", "signals", "trades", "alerts", "books", "heatmap"):
        answer = told(filled, f"/QUIET.TWSE/{name}")
        assert not answer.get("t")
    assert told(filled, "/QUIET.TWSE/book")["t"] is None


@pytest.mark.parametrize("path", ["/2330.TWSE/bars", "/NONE.TWSE/bars", "/%27/book"])
def test_instrument_outside_the_seat_is_as_if_it_were_not_there(filled, path):
    status, answer = ask(filled, path, Account("lee", "viewer", instruments=("*.BINANCE",)))
    assert (status, answer["error"]) == (404, "there is no such instrument")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("bars", {"interval": "2m"}),
        ("bars", {"start": "2023-13-99T00:00:00Z"}),
        ("bars", {"start": "2023-11-15T00:02:00Z", "end": "2023-11-15T00:01:00Z"}),
        ("features", {"names": "no_such_feature"}),
        ("features", {"names": '"; DROP TABLE bars'}),
        ("heatmap", {"columns": "100000"}),
    ],
)
def test_wrong_wish_is_told_not_a_failure(filled, name, query):
    assert ask(filled, f"/2330.TWSE/{name}", **query)[0] == 422


def test_years_far_away_answer(filled):
    assert told(filled, "/2330.TWSE/bars", start="0001-01-01T00:00:00Z", end="9999-12-31T00:00:00Z")["t"] == []


def test_list_holds_what_the_account_sees(filled):
    assert [each["id"] for each in told(filled, "")] == ["2330.TWSE", "QUIET.TWSE", "TRADED.TWSE"]
    assert ask(filled, "", Account("lee", "viewer", instruments=("Q*",)))[1][0]["id"] == "QUIET.TWSE"
    assert "volume_z" in told(filled, "/2330.TWSE")["features"]
