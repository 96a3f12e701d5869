"""The console's trading, ranking, model and health operations over a real PostgreSQL and Kafka."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from console.identity import Account
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import PaperCommand, PaperCommit, to_rfc3339
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tests.eventually import eventually_async
from tests.integration.forecast_messages import prediction, ranking
from tests.integration.in_force import empty
from tests.integration.postgres_kept import START, Sender, keep, query
from tests.integration.trading_console import console, got


@pytest.fixture
def traded(ours, feed) -> Iterator[tuple[str, str]]:
    """Two instruments with a signal each; the first with a prediction, a ranking, and a round trip."""
    kafka.create_topics(ours, [*topics.shared_topics(ours.topics), *topics.paper_topics(ours.topics)])
    producer, own = kafka.producer(ours), uuid.uuid4().hex[:8].upper()
    mine, other = f"A{own}.XTST", f"B{own}.XTST"
    cause = messages.Cause(topics.market(feed), 0, 5)
    sent: list[messages.Message] = [prediction(mine, 12.0), ranking(own, mine, other)]
    sent += [
        messages.Signal(
            id=messages.stable_id(name), instrument=name, ts=to_rfc3339(START), policy="ddqn", model="m",
            action="buy", q_values={"buy": 1.0, "sell": None}, advantage=0.5, cause=cause,
        )
        for name in (mine, other)
    ]  # fmt: skip
    deals: tuple[tuple[messages.Side, float], ...] = (("buy", 10.0), ("sell", 11.0))
    for number, (side, price) in enumerate(deals):
        order = messages.stable_id(own, side)
        sent.append(messages.Fill(
            id=messages.stable_id(order, 0), order=order, mode="paper", instrument=mine, side=side, price=price,
            qty=2.0, fee=0.1, currency="USD", at=to_rfc3339(START + number), cause=cause,
        ))  # fmt: skip
        sent.append(messages.Position(
            instrument=mine, ts=to_rfc3339(START + number * 10**9), currency="USD", position=2.0 - 2 * number, cost=0.0,
            cash=0.0, realised=2.0 * number, unrealised=0.0, fees=0.1, taxes=0.0, result=1.8 * number, cause=cause,
        ))  # fmt: skip
    sent.append(PaperCommit(
        topic=topics.market(feed), partition=0, next_offset=1, running="start", switched={mine: False}, clock=None
    ))  # fmt: skip
    for message in sent:
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    Sender(ours, feed).quotes(2, 10)
    keep(ours)
    query(ours, "SELECT 1")
    yield mine, other
    empty(ours, topics.PAPER_COMMITS, topics.PAPER_COMMANDS)


async def look(settings, mine: str, other: str) -> None:
    async with console(settings, Account("ann", "analyst", (mine,))) as client:

        async def partitions() -> Any:
            return (await got(client, "/paper"))["partitions"]

        await eventually_async(partitions, what="the paper desk is read", pause=0.1)
        (line,) = await got(client, "/signals/table")
        assert (line["instrument"], line["action"], line["yesterday"], line["switched"]) == (mine, "buy", 10.0, False)
        assert (line["forecast"]["direction"], line["forecast"]["probability"]) == ("up", 0.7)
        assert [each["instrument"] for each in await got(client, "/signals", limit=1)] == [mine]
        (account,) = await got(client, "/positions")
        assert (account["instrument"], account["result"]) == (mine, 1.8)
        assert (await got(client, "/equity"))["result"]["USD"][-1] == 1.8
        (trips,) = await got(client, "/round-trips")
        assert (trips["closed"], trips["win_rate"]) == (1, 1.0)
        assert trips["result"] == pytest.approx(1.8)
        assert [each["side"] for each in await got(client, "/fills")] == ["sell", "buy"]
        assert await got(client, "/orders") == []
        found = await got(client, "/rankings")
        assert [place["instrument"] for place in found["places"]] == [mine]
        assert found["left_out"] == {}
        assert (await got(client, "/regimes", instrument=mine))["regimes"] == {"1h": [1], "24h": [-1]}
        assert (await client.get("/api/v1/regimes", params={"instrument": other})).status == 404
        state = await got(client, "/health")
        assert {check["name"]: check["state"] for check in state["checks"]}["Kafka"] == "good"
        assert (await got(client, "/drift"))["detectors"] == []


async def tell(settings, account: Account, body: dict[str, str]) -> int:
    async with console(settings, account) as client:
        return (await client.post("/api/v1/paper/commands", json=body)).status


def test_pages_show_what_the_topics_told_and_only_of_the_accounts_instruments(ours, traded):
    asyncio.run(look(ours, *traded))


def test_switch_goes_to_the_broker_with_who_and_why_and_into_the_audit_log(ours, traded):
    mine, other = traded
    account = Account("ann", "analyst", (mine,))
    said = {"action": "off", "instrument": mine, "why": "results tonight"}
    assert asyncio.run(tell(ours, account, said)) == 200
    assert asyncio.run(tell(ours, account, {**said, "instrument": other})) == 404
    assert asyncio.run(tell(ours, account, {**said, "why": ""})) == 422
    assert asyncio.run(tell(ours, account, {"action": "kill", "instrument": mine, "why": "wrong prices"})) == 422
    assert asyncio.run(tell(ours, Account("vic", "viewer"), said)) == 403
    found: list[PaperCommand] = []
    kafka.read_all(
        ours, topics.PAPER_COMMANDS, lambda each: found.append(messages.decode(PaperCommand, each.value() or b""))
    )
    assert [(each.action, each.who, each.why) for each in found if each.instrument == mine] == [
        ("off", "ann", "results tonight")
    ]
    entry = [each for each in audit.entries(audit.folder(ours.data_path)) if each.subject == mine]
    assert [(each.who, each.action) for each in entry] == [("ann", "paper.off")]
