"""The order gateway as a command on a real broker: orders in, revisions and fills out, over a kill -9."""

import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.venues.binance import ASKING, PLACING, Faults
from benchmarks.venues.fix import KEYS, TIMEOUT_S, new_order
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Fill, Order, decode, stable_id
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.integration.order_venue import VenueThread, write

DEADLINE_S = 90


def start(settings: Settings, folder: Path, address: str, name: str, *more: str) -> subprocess.Popen[str]:
    for file, text in (("key", KEYS.access), ("secret", KEYS.secret)):
        (folder / file).write_text(text)
        (folder / file).chmod(0o600)
    toml = folder / "gateway.toml"
    toml.write_text(
        f'[orders]\naddress = "{address}"\nkey_file = "{folder}/key"\nsecret_file = "{folder}/secret"\n'
        f'instruments = ["{name}"]\nmax_order_value = 1e9\nmax_open_orders = 100\nmax_position_value = 1e9\n'
        f"max_orders_minute = 1000\nmax_age_s = 600\ntimeout_s = {TIMEOUT_S}\npoll_s = 0.1\n"
    )
    command = [sys.executable, "-m", "tapewatch", "--settings", str(toml), "--data", str(folder), "sink", "orders"]
    variables = {**os.environ, "TAPEWATCH_KAFKA_BOOTSTRAP": settings.bootstrap(), "TAPEWATCH_LOG_LEVEL": "debug"}
    return subprocess.Popen(
        [*command, "--venue", "binance", "--i-mean-it", "--json", *more],
        env=variables, stdout=subprocess.PIPE, stderr=(folder / "log").open("a"), text=True,
    )  # fmt: skip


def read(settings: Settings, topic: str) -> list[bytes]:
    found: list[bytes] = []
    kafka.read_all(settings, topic, lambda message: found.append(message.value()))
    return found


def test_orders_reach_the_venue_once_and_come_back_over_a_kill(settings: Settings, tmp_path: Path) -> None:
    # Some 15 s: two starts of a process, Binance's window to wait for after a lost request.
    symbol = f"G{uuid.uuid4().hex[:8].upper()}"
    name = f"{symbol}.BINANCE"
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    register(settings, [Instrument(name, ticks=(Tick(0.0, 0.01),), lot=0.0001)])
    made = [
        new_order("binance", number, instrument=name, id=stable_id(symbol, number), qty=(number + 1) / 1000)
        for number in range(12)
    ]
    off_tick = new_order("binance", 0, instrument=name, id=stable_id(symbol, "tick"), price=64_000.255)
    paper = new_order("binance", 0, instrument=name, id=stable_id(symbol, "paper"), mode="paper")
    elsewhere = new_order("binance", 0, instrument=f"{symbol}.UPBIT", id=stable_id(symbol, "upbit"))
    with VenueThread(Faults(3, PLACING, ASKING, TIMEOUT_S)) as venue:
        write(settings, [*made[:6], off_tick, paper, elsewhere])
        first = start(settings, tmp_path, venue.address, name)
        eventually(
            lambda: runs(first, (tmp_path / "log").read_text) and venue.sim.account.orders,
            what="the venue has an order", seconds=DEADLINE_S, pause=0.02,
        )  # fmt: skip
        first.send_signal(signal.SIGKILL)
        first.wait()
        write(settings, made[6:])
        second = start(settings, tmp_path, venue.address, name, "--until-idle", "2")
        out, _ = second.communicate(timeout=DEADLINE_S)
        assert second.returncode == 0, (tmp_path / "log").read_text()
        there = {order.client_id: order for order in venue.sim.account.orders.values()}
        assert Counter(order.client_id for order in venue.sim.account.orders.values()) == Counter(
            order.id for order in made
        )
    summary = msgspec.json.decode(out)
    assert (summary["venue"], summary["active"]) == ("binance", 0)
    mine = [
        order for order in (decode(Order, value) for value in read(settings, topics.ORDERS)) if order.instrument == name
    ]
    last = {order.id: order for order in sorted(mine, key=lambda order: order.revision)}
    fills = {fill.id: fill for fill in (decode(Fill, value) for value in read(settings, topics.FILLS))}
    for order in made:
        assert (last[order.id].state, last[order.id].filled) == ("filled", order.qty)
        booked = [fill for fill in fills.values() if fill.order == order.id]
        assert sum(Decimal(repr(fill.qty)) for fill in booked) == there[order.id].filled
        assert len(booked) == len(there[order.id].trades)
    assert (last[off_tick.id].state, last[paper.id].state) == ("rejected", "pending")
    log = (tmp_path / "log").read_text()
    assert KEYS.secret not in log
    assert "signature" not in log
