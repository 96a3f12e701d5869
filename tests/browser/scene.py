"""What the page tests look at: a console in a thread over a database with a little of everything, and who logs in."""

import asyncio
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from sqlalchemy.engine import make_url

from console import serve
from infra import migrations
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import alert_id, to_rfc3339
from tapewatch.contract.rows import RowType
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings, SinkSettings
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import PASSWORD, configured, people
from tests.integration.forecast_messages import item, prediction, ranking
from tests.integration.postgres_kept import NAMES, START, Sender, keep, rows, superuser

WEB = Path(__file__).parents[2] / "console" / "web"
EVIL = "<img src=x onerror=alert(1)>"
"""A name that would be markup if a page took it for that."""
PATIENCE_MS = 120_000
"""The page Models asks a process of its own, which takes seconds to start, more on a busy machine."""
ALERT = alert_id("pump_and_dump", NAMES[0], START)


def filled(stack: Addresses, data: Path) -> Settings:
    """A migrated database of its own, with market rows, alerts, signals, forecasts and our own trading."""
    name = f"pages_{uuid.uuid4().hex[:12]}"
    url = make_url(stack.postgres_url).set(database=name).render_as_string(hide_password=False)
    settings = Settings(
        data=str(data), kafka=KafkaSettings(bootstrap=stack.bootstrap), postgres=PostgresSettings(url=url),
        sink=SinkSettings(linger_ms=20),
    )  # fmt: skip
    with superuser(msgspec.structs.replace(settings, postgres=PostgresSettings(url=stack.postgres_url))) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    migrations.migrate(url)
    every = (topics.canary_topics, topics.shared_topics, topics.paper_topics, topics.case_topics, topics.source_topics)
    kafka.create_topics(settings, [spec for specs in every for spec in specs(settings.topics)])
    register(settings, [Instrument(id=NAMES[0], name=EVIL, currency="USD", lot=10.0), Instrument(id=NAMES[1])])
    feed = f"p{uuid.uuid4().hex[:10]}"
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, 2))
    _send(settings, feed)
    keep(settings)
    people(settings)
    return settings


def _send(settings: Settings, feed: str) -> None:
    sender = Sender(settings, feed)
    sender.quotes(4, 50)
    sender.send(rows(RowType.BOOK, 40))
    sender.send(rows(RowType.TRADE, 40, price=100 + np.sin(np.arange(40))))
    cause = messages.Cause(topics.market(feed), 0, 1)
    first = NAMES[0]
    side = {"id": messages.stable_id(feed, "side"), "name": "boosted", "target": "direction", "value": None}
    sided = msgspec.structs.replace(prediction(first, 12.0), **side, classes={"rise_small": 0.6, "flat": 0.3})
    sent: list[messages.Message] = [prediction(first, 12.0), sided, ranking("coins", first, NAMES[1]), item("wire")]
    sent.append(messages.Alert(
        id=ALERT, scenario="pump_and_dump", instrument=first, onset=to_rfc3339(START), decided=to_rfc3339(START),
        updated=to_rfc3339(START), state="open", revision=0, severity="high", score=80.0, probability=0.7,
        sentence="It rose by 8 % in a minute on nine times its usual volume.", data_tier="trades",
        evidence=(messages.Evidence("ret_60s", 0.08, 0.05, ">=", ""),),
        provenance=messages.Provenance(topics.market(feed), 0, 1, 1, 1, "c" * 64, {"kmeans": "a" * 16}, "b" * 16),
    ))  # fmt: skip
    sent.append(messages.Signal(
        id=messages.stable_id(feed), instrument=first, ts=to_rfc3339(START), policy="ddqn", model="m", action="buy",
        q_values={"buy": 1.0}, advantage=0.5, price=100.0, cause=cause,
    ))  # fmt: skip
    sent += [
        messages.Position(
            instrument=first, ts=to_rfc3339(START + step * 10**9), currency="USD", position=1.0, cost=10.0, cash=0.0,
            realised=0.0, unrealised=float(step), fees=0.1, taxes=0.0, result=step - 0.1, cause=cause,
        )
        for step in range(5)
    ]  # fmt: skip
    sent += _canaries(feed)
    for message in sent:
        sender.producer.produce(message.TOPIC, messages.encode(message), partition=0)
    sender.producer.flush()


def _canaries(feed: str) -> list[messages.Message]:
    """One that was found, and one that was missed after it."""
    made: list[messages.Message] = []
    states: tuple[Literal["found", "missed"], ...] = ("found", "missed")
    for number, state in enumerate(states):
        start = WALL.now() - (600 - 300 * number) * NANOS
        fared: dict[str, Any] = {}
        if state == "found":
            fared = {"alert": ALERT, "decision_s": 2.5, "stages": {"topic": 0.2, "postgres": 0.4}}
        at = to_rfc3339(start)
        made.append(messages.Canary(
            id=messages.stable_id(feed, number), revision=1, state=state, feed="canary", partition=number,
            scenario="pump_and_dump", instrument=f"CANARY_{number + 1}.SIMX", start=at, strength=0.6,
            due=to_rfc3339(start + 60 * NANOS), every_s=300.0, in_a_row=number, at=at, **fared,
        ))  # fmt: skip
    return made


@contextmanager
def at_work(settings: Settings) -> Iterator[str]:
    """The console in a thread of its own; gives its address."""
    ready, ending = threading.Event(), threading.Event()
    found: list[str] = []

    async def run() -> None:
        async with serve.running(configured(settings)) as address:
            found.append(address.rstrip("/"))
            ready.set()
            while not ending.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    if not ready.wait(600):
        raise RuntimeError("the console did not start")
    try:
        yield found[0]
    finally:
        ending.set()
        thread.join(600)


def paths() -> list[str]:
    """Every page's path, with a thing that is there for each parameter; pages of things that are not are left out."""
    source = (WEB / "pages" / "index.js").read_text(encoding="utf-8")
    known = {"/instruments/:id": f"/instruments/{NAMES[0]}", "/alerts/:id": f"/alerts/{ALERT}"}
    found = re.findall(r'\{ path: "([^"]+)"', source)
    return [known.get(path, path) for path in found if ":" not in path or path in known]


def logged_in(chromium, address: str, **options):
    """A browser context in which an administrator has logged in."""
    context = chromium.new_context(**options)
    answer = context.request.post(f"{address}/api/v1/session", data={"name": "admin", "password": PASSWORD})
    assert answer.ok, answer.text()
    return context


def shown(page, address: str, path: str) -> None:
    """Go to a page and wait until it is drawn and has what it asked for."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address + path)
    page.wait_for_selector("main h1, main.login, main .problem")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
