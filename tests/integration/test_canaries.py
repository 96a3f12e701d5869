"""Canaries on real servers: found, told to nobody but the operator, missed while no engine works, found again."""

import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from producers.canary import Canaries, run_canaries
from producers.feed import await_engine
from sinks.canary import CanarySink
from sinks.notify import NotifySink
from sinks.postgres import PostgresSink
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.canaries import Canary
from tapewatch.contract.messages import decode, encode, stable_id, to_rfc3339
from tapewatch.desk import subscription_store as store
from tapewatch.desk.subscription_store import NewSubscription
from tapewatch.desk.subscriptions import Filter
from tapewatch.runtime import kafka
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import Settings
from tapewatch.settings.delivery import NotifySettings
from tests.eventually import eventually, eventually_async
from tests.integration.at_work import at_work
from tests.integration.console_at_work import at_work as console_at_work
from tests.integration.console_at_work import browser, configured, people
from tests.integration.postgres_kept import environment, importable, query
from tests.integration.webhook_receiver import Receiver
from tests.unit.canary_messages import alert, injected

PATIENCE_S = 120.0


@pytest.fixture
def ours(ours, tmp_path):
    """Canaries every few seconds, judged soon, and a notify sink that may reach this machine."""
    kafka.create_topics(ours, [*topics.case_topics(ours.topics), *topics.canary_topics(ours.topics)])
    notify = NotifySettings(
        allow_networks=("127.0.0.0/8",), allow_http=True, case_wait_s=0.0, key_file=str(tmp_path / "notify.key")
    )
    (tmp_path / "notify.key").write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
    canary = msgspec.structs.replace(ours.canary, every_s=8.0, due_s=15.0, group=f"c{uuid.uuid4().hex[:10]}")
    return configured(msgspec.structs.replace(ours, notify=notify, canary=canary))


class Engine:
    """An engine process over one feed, which can be killed."""

    def __init__(self, settings: Settings, feed: str, log: Path) -> None:
        self._words = importable("run", "engine", "--instance", f"i-{feed}", "--feed", feed, "--quiet")
        self._environment = environment(settings) | {"TAPEWATCH_ENGINE_GROUP": f"g-{feed}"}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._words, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(600)
            self._process = None


def of_group(settings: Settings, feed: str) -> Settings:
    """The settings with the group of the feed's engine."""
    return msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, group=f"g-{feed}"))


@contextmanager
def engine_of(settings: Settings, feed: str, log: Path) -> Iterator[Engine]:
    engine = Engine(settings, feed, log)
    engine.start()
    try:
        yield engine
    finally:
        engine.kill()


def subscribed(settings: Settings, url: str, **wanted: object) -> None:
    made = sa.create_engine(settings.postgres.url, poolclass=sa.NullPool)
    new = NewSubscription(
        name=f"s{uuid.uuid4().hex[:8]}", kind="webhook", target=url, filter=msgspec.convert(wanted, Filter)
    )
    with made.begin() as session:
        store.add(session, secret_box(settings), new, "ann", WALL.now())


def of_feed(settings: Settings, feed: str) -> list[Canary]:
    """Every revision of the feed's canaries, in order."""
    found: list[Canary] = []
    kafka.read_all(settings, topics.CANARIES, lambda one: found.append(decode(Canary, one.value() or b"")))
    return [each for each in found if each.feed == feed]


def awaited(settings: Settings, feed: str, wanted: Callable[[Canary], bool], log: Path) -> Canary:
    """The first revision that is wanted."""

    def first() -> Canary:
        found = of_feed(settings, feed)
        said = next((each for each in found if wanted(each)), None)
        assert said is not None, found
        return said

    return eventually(
        first, what="the canary", seconds=PATIENCE_S, pause=0.1, told=lambda: log.read_text()[-3000:]
    )  # fmt: skip


def until(what: str, condition: Callable[[], bool]) -> None:
    eventually(condition, what=what, seconds=PATIENCE_S, pause=0.1)


def test_canary_is_found_and_kept_from_people_and_an_engines_death_is_told_to_the_operator(ours, tmp_path) -> None:
    feed, log = f"t{uuid.uuid4().hex[:10]}", tmp_path / "engine.log"
    market, operator = Receiver(), Receiver()
    subscribed(ours, market.url, instruments=["CANARY_*"])
    subscribed(ours, operator.url, about="operation")
    tokens = people(ours)
    canaries = Canaries(feed=feed, partitions=1, back_date_s=610, in_each=24)

    def told(kind: str) -> list[dict[str, Any]]:
        return [
            body["data"] for _, body in operator.accepted() if body["type"] == kind and body["data"]["feed"] == feed
        ]

    def produce(stop: threading.Event) -> None:
        run_canaries(ours, canaries, stop=stop)

    with ExitStack() as stack:
        for receiver in (market, operator):
            stack.callback(receiver.close)
        engine = stack.enter_context(engine_of(ours, feed, log))
        # Its kernels may have to be compiled: what was injected before it looks on would be missed by right.
        await_engine(of_group(ours, feed), feed, 1, threading.Event())
        for run in (PostgresSink(ours).run, NotifySink(ours).run, CanarySink(ours).run, produce):
            stack.enter_context(at_work(run))
        # A starved machine may miss one by right: one that is found behind another found one.
        found = awaited(ours, feed, lambda each: each.state == "found" and not each.in_a_row, log)
        assert found.decision_s is not None and 0.0 < found.decision_s < ours.canary.due_s
        assert set(found.stages) == {"topic", "postgres"}
        # A store that takes longer than an alert's time is told of, and gets it all the same.
        until(
            "the alert is kept",
            lambda: query(ours, "SELECT scenario FROM alerts WHERE id = %s", found.alert) == [("pump_and_dump",)],
        )

        engine.kill()
        missed = awaited(ours, feed, lambda each: each.state == "missed" and each.start > found.start, log)
        assert (missed.alert, missed.in_a_row) == ("", 1)
        until("the miss is told", lambda: missed.id in [each["id"] for each in told("canary.missed")])

        engine.start()
        again = awaited(
            ours, feed, lambda each: each.state == "found" and each.in_a_row > 0 and each.start > missed.start, log
        )
        # A database that was slower than an alert's time is told of instead.
        kind = "canary.unstored" if again.absent else "canary.recovered"
        # Of this one: on a busy machine the database may have been too slow for another before.
        until("the recovery is told", lambda: again.id in [each["id"] for each in told(kind)])
        console_at_work(ours, lambda address: looked_at(address, tokens["analyst"], found))
        assert market.got == []
    revisions = of_feed(ours, feed)
    judged = [each.id for each in revisions if each.revision == 1]
    assert len(judged) == len(set(judged)) > 2


async def looked_at(address: str, token: str, found: Canary) -> None:
    """The queue does not show the alert, whoever asks for it sees it, and the page Health shows the canary."""
    bearer = {"headers": {"Authorization": f"Bearer {token}"}}
    async with browser(address) as person:
        _, queue, _ = await person.call("GET", "/api/v1/alerts?instrument=CANARY_*", **bearer)
        assert (queue["alerts"], queue["total"]) == ([], 0)
        status, alert, _ = await person.call("GET", f"/api/v1/alerts/{found.alert}", **bearer)
        assert (status, alert["case"], alert["alert"]["instrument"]) == (200, None, found.instrument)

        async def shown() -> dict[str, Any]:
            _, health, _ = await person.call("GET", "/api/v1/health", **bearer)
            assert "found" in [each["state"] for each in health["last_canaries"]]
            return dict(health)

        health = await eventually_async(shown, what="the canary is shown", seconds=PATIENCE_S, pause=0.2)
        assert {each["hours"] for each in health["canaries"]} == {1, 24}
        assert "canaries" in {each["name"] for each in health["checks"]}


def test_watcher_that_starts_again_judges_nothing_twice(ours) -> None:
    """What lies on the topics is all it knows: a second one of the group finds the first one's verdicts."""
    feed = f"t{uuid.uuid4().hex[:10]}"
    now = WALL.now()
    name = f"CANARY_{uuid.uuid4().hex[:10].upper()}.SIMX"
    seen, lost = (msgspec.structs.replace(injected(0.0, each), feed=feed) for each in (name, f"CANARY_X{name[8:]}"))
    begun, due = to_rfc3339(now - 20 * NANOS), to_rfc3339(now - 5 * NANOS)
    seen, lost = (
        msgspec.structs.replace(each, id=stable_id(each.instrument), start=begun, due=due) for each in (seen, lost)
    )
    producer = kafka.producer(ours)
    decided = to_rfc3339(now - 15 * NANOS)
    told = msgspec.structs.replace(
        alert(0.0, instrument=name, topic=topics.market(feed)), id=stable_id(name, 1), onset=begun, decided=decided
    )
    producer.produce(topics.ALERTS, encode(told), name.encode(), timestamp=(now - 14 * NANOS) // 1_000_000)
    for each in (seen, lost):
        producer.produce(topics.CANARIES, encode(each), each.id.encode(), 0)
    producer.flush(30)
    for _ in range(2):
        CanarySink(ours).run(threading.Event(), until_idle=0.5)
    verdicts = {each.instrument: each for each in of_feed(ours, feed) if each.revision == 1}
    assert len([each for each in of_feed(ours, feed) if each.revision]) == 2
    assert verdicts[name].state == "found" and verdicts[name].stages == {"topic": None, "postgres": None}
    assert verdicts[lost.instrument].state == "missed"
