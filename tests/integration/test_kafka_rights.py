"""Every service with its own account and no more than the least rights, on a broker that denies all else."""

import json
import signal
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.venues.binance import Faults
from producers.base.transaction import committed_position
from tapewatch.access.check import RightsError, check
from tapewatch.access.services import SERVICES, service_of
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration import secure_work
from tests.integration.order_venue import VenueThread
from tests.integration.secure_stack import Secure, environment, ran, running, words

# A broker with TLS and rights is another one than the session's.
pytestmark = pytest.mark.slow

FEED = "secured"
IDLE = ("--until-idle", "3")
SIMULATED = ("--against", "sim", "--once", "--json")
PRODUCED = ("produce", "synthetic", "--feed", FEED, "--instruments", "6", "--seed", "7", "--demo", "--back-date", "60")
RUN: dict[str, tuple[str, ...]] = {
    "producer": (*PRODUCED, "--seconds", "15", "--json"),
    "engine": ("run", "engine", "--feed", FEED, "--instance", "one", *IDLE, "--quiet", "--json"),
    "paper": ("run", "paper", "--feed", FEED, "--instance", "one", *IDLE, "--quiet", "--json"),
    "cases": ("run", "cases", *IDLE, "--quiet", "--json"),
    "evidence": ("run", "evidence", *IDLE, "--quiet", "--json"),
    "desk": ("run", "desk", *IDLE, "--quiet", "--json"),
    "news": ("run", "news", *IDLE, "--quiet", "--json"),
    "forecast": ("run", "forecast", "--instance", "one", *IDLE, "--quiet", "--json"),
    "sink-postgres": ("sink", "postgres", *IDLE, "--json"),
    "sink-elasticsearch": ("sink", "elasticsearch", *IDLE, "--json"),
    "sink-notify": ("sink", "notify", *IDLE, "--json"),
    "sink-canary": ("sink", "canary", *IDLE, "--json"),
    "sink-orders": ("sink", "orders", "--venue", "binance", "--i-mean-it", *IDLE, "--json"),
    "source-table": ("produce", "sql", "--map", "{map}", "--once", "--json"),
    "source-news": ("produce", "news", "--categories", "headline", *SIMULATED),
    "source-daily": ("produce", "yahoo-daily", "--sim-symbols", "1", "--since", "2024-01-01", *SIMULATED),
}
"""Each as the service that its command is."""
ORDERS, ROWS = 4, 5
BY_TOKEN = ("cases", "sink-notify")
BY_CERTIFICATE = ("sink-canary",)
OPERATED = (
    ("cases", "list"),
    ("dlq", "list"),
    ("models", "list"),
    ("paper", "stop", "--why", "a test", "--wait", "0"),
    ("paper", "status"),
    ("tail", "alerts", "--help"),
)


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    with running(tmp_path_factory.mktemp("rights")) as stack:
        yield stack


def settings_of(secure: Secure, service: str) -> Settings:
    """By password, token or certificate."""
    if service in BY_TOKEN:
        return secure.by_token(service)
    return secure.by_certificate(service) if service in BY_CERTIFICATE else secure.of(service)


def begun(
    stack: ExitStack, settings: Settings, folder: Path, *command: str, **variables: str
) -> "subprocess.Popen[bytes]":
    """A process of ours that ends with the block."""
    folder.mkdir(exist_ok=True)
    variables = environment(settings, folder) | variables
    with (folder / "errors").open("wb") as errors, (folder / "output").open("wb") as output:
        process = subprocess.Popen(words(*command), env=variables, stdout=output, stderr=errors)
    stack.callback(process.kill)
    return process


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "output").read_text().splitlines()[-1])


def test_every_service_works_with_the_least_rights_and_is_denied_nothing(
    secure: Secure, elasticsearch: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        venue = stack.enter_context(VenueThread(Faults()))
        orders = secure_work.gateway(tmp_path, venue.address)

        def started(name: str, *command: str, **variables: str) -> "subprocess.Popen[bytes]":
            found = settings_of(secure, service_of(command))
            found = msgspec.structs.replace(
                found,
                elasticsearch=msgspec.structs.replace(found.elasticsearch, url=elasticsearch, prefix="secured"),
                canary=msgspec.structs.replace(found.canary, due_s=3.0),
                orders=orders,
            )
            return begun(stack, found, tmp_path / name, *command, **variables)

        console = started("console", "console", "--port", "0", "--json")
        made = {"producer": started("producer", *RUN["producer"])}
        sent_orders = secure_work.live_orders(secure.settings, ORDERS)
        secure_work.minute_bars(secure.settings, tmp_path / "forecast")
        table_map, variables = secure_work.table(secure.addresses.postgres_url, tmp_path, ROWS)
        assert made["producer"].wait(600) == 0, (tmp_path / "producer/errors").read_text()
        # It ends when it has been idle for a while, and makes what most of the others read.
        made["engine"] = started("engine", *RUN["engine"])
        assert made["engine"].wait(600) == 0, (tmp_path / "engine/errors").read_text()
        canaries = started("canary", "produce", "canary", "--seconds", "2", "--back-date", "30", "--json")
        for name in [each for each in RUN if each not in made]:
            command = [word.format(map=table_map) for word in RUN[name]]
            made[name] = started(name, *command, **(variables if name == "source-table" else {}))
        assert canaries.wait(600) == 0, (tmp_path / "canary/errors").read_text()
        for name, process in made.items():
            assert process.wait(600) == 0, f"{name}: {(tmp_path / name / 'errors').read_text()}"
        address = json.loads((tmp_path / "console/output").read_text())["url"].rstrip("/")
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.status == 200
        console.send_signal(signal.SIGTERM)
        assert console.wait(600) == 0, (tmp_path / "console/errors").read_text()
        assert {order.client_id for order in venue.sim.account.orders.values()} == sent_orders
    sent = told(tmp_path / "producer")
    assert told(tmp_path / "engine")["rows"] == sum(sent["rows"].values()) + sent["heartbeats"]
    alerts = sum(sizes(secure, topics.ALERTS))
    assert alerts > 0
    assert told(tmp_path / "cases")["alerts"] > 0
    forecast = told(tmp_path / "forecast")
    assert forecast["predictions"] == forecast["signals"] == 2
    assert told(tmp_path / "sink-orders")["published"] >= ORDERS
    assert told(tmp_path / "source-table")["rows"] == ROWS
    assert told(tmp_path / "source-news")["sent"] > 0
    assert told(tmp_path / "source-daily")["factors"] > 0
    for source in (secure_work.TABLE, "news", "yahoo-daily"):
        assert committed_position(secure.settings, source)
    assert secure.refusals(tuple(SERVICES)) == []


def test_every_service_is_among_those_that_work() -> None:
    assert {service_of(command) for command in RUN.values()} | {"console", "operator"} == SERVICES.keys()


def sizes(secure: Secure, topic: str) -> list[int]:
    reader = kafka.consumer(secure.settings)
    try:
        partitions = kafka.existing_topics(kafka.admin(secure.settings))[topic]
        return [kafka.watermarks(reader, topic, each)[1] for each in range(partitions)]
    finally:
        reader.close()


@pytest.mark.parametrize("command", OPERATED, ids=lambda words: " ".join(words[:2]))
def test_an_operator_can_do_his_work(command: tuple[str, ...], secure: Secure, tmp_path: Path) -> None:
    done = ran(secure.of("operator"), tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert secure.refusals(("operator",)) == []


def test_every_account_has_the_rights_of_its_service_and_not_those_of_another(secure: Secure) -> None:
    for service in SERVICES:
        check(secure.of(service), service)
    with pytest.raises(RightsError) as refused:
        check(secure.of("sink-notify"), "engine")
    assert "lacks rights of engine: " in refused.value.message
    assert "acl apply --service engine=sink-notify" in refused.value.hint
