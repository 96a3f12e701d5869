"""The soak job `feeds`: a live producer on 1,000 simulated symbols at 20,000 messages a second, all accounted for."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from confluent_kafka import Message

from benchmarks.engine_run import command, environment
from benchmarks.figures import Machine, machine, versions
from benchmarks.soak_market import cpu_seconds
from infra.chaos.server import resident_bytes
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

SYMBOLS = 1_000
RATE = 20_000
SAMPLE_S = 10.0
WARM_S = 240.0
"""From here on memory must be flat: all books are in step, and caches have their size."""
MOST_GROWTH = 0.10
SETTLE_S = 3.0
"""After the last message, before the producer is told to end."""
FEED = "binance"
_KINDS = {"trade": "trade", "bookTicker": "book_ticker", "depth": "depth"}
_STEADY_SHARE = 0.25


class FeedsSoak(msgspec.Struct, frozen=True):
    """The JSON document of the job.

    sent : by the simulator, by kind; received : by the producer; unaccounted : sent and not received, or received and
    neither a row, nor dropped, nor refused for a reason
    rows : given by the producer; rows_in_kafka : found in the topic; lost_rows : their difference
    latency : from the socket to Kafka's acknowledgement, whole run; cpu_us_per_message : of the producer, sockets
    included, once warm
    memory_mib : resident, first and last third once warm and their ratio; flat : None where too short to tell
    """

    job: str
    minutes: float
    symbols: int
    passed: bool
    sent: dict[str, int]
    received: dict[str, int]
    unaccounted: int
    rows: dict[str, int]
    rows_in_kafka: dict[str, int]
    lost_rows: int
    messages_per_s: float
    latency: dict[str, float]
    cpu_us_per_message: float
    gaps: int
    resyncs: int
    memory_mib: dict[str, float]
    flat: bool | None
    summary: dict[str, Any]
    samples: dict[str, list[float]]
    versions: dict[str, str]
    machine: Machine


def run(settings: Settings, minutes: float) -> FeedsSoak:
    """Run simulator and producer for that long; TapewatchError where one ends before its time."""
    facts, folder = machine(), Path(settings.data)
    simulator = _simulator(folder)
    producer: subprocess.Popen[bytes] | None = None
    try:
        address = json.loads((folder / "simulator.out").read_text())["rest"]
        producer = _producer(settings, folder, address)
        samples = _watch(producer, simulator, minutes, folder)
        sent = _quiet(address)
        producer.send_signal(signal.SIGINT)
        producer.wait(60)
        summary: dict[str, Any] = json.loads((folder / "producer.out").read_text())
    finally:
        for process in (producer, simulator):
            if process is not None:
                process.kill()
                process.wait()
    return _result(minutes, sent, summary, _rows_in_kafka(settings), samples, facts)


def _simulator(folder: Path) -> "subprocess.Popen[bytes]":
    """The simulated venue, once it has said where it listens."""
    words = ["-P", "-m", "producers.simulators", "--venue", "binance", "--symbols", str(SYMBOLS), "--rate", str(RATE)]
    with (folder / "simulator.out").open("wb") as out, (folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=log)  # noqa: S603
    deadline = WALL.elapsed() + 30 * NANOS
    while not (folder / "simulator.out").read_text().endswith("\n"):
        if process.poll() is not None or WALL.elapsed() > deadline:
            raise TapewatchError("the simulator did not start", (folder / "simulator.log").read_text()[-800:])
        WALL.sleep(0.1)
    return process


def _producer(settings: Settings, folder: Path, address: str) -> "subprocess.Popen[bytes]":
    addresses = {"VENUES_BINANCE_REST": address, "VENUES_BINANCE_STREAM": address.replace("http", "ws", 1)}
    with (folder / "producer.out").open("wb") as out, (folder / "producer.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603
            command("produce", "binance", "--json"),
            env=environment(settings, **addresses),
            cwd=folder,
            stdout=out,
            stderr=log,
        )


def _watch(
    producer: "subprocess.Popen[bytes]", simulator: "subprocess.Popen[bytes]", minutes: float, folder: Path
) -> dict[str, list[float]]:
    """Memory (MiB) and processor time (s) of the producer every ten seconds."""
    samples: dict[str, list[float]] = {"seconds": [], "memory_mib": [], "cpu_s": []}
    begun = WALL.elapsed()
    while (seconds := (WALL.elapsed() - begun) / NANOS) < minutes * 60:
        for name, process in (("producer", producer), ("simulator", simulator)):
            if process.poll() is not None:
                raise TapewatchError(f"the {name} has ended", (folder / f"{name}.log").read_text()[-1500:])
        samples["seconds"].append(round(seconds, 1))
        samples["memory_mib"].append(round(resident_bytes(producer.pid) / 2**20, 1))
        samples["cpu_s"].append(cpu_seconds(producer.pid))
        print(f"{seconds:7.0f} s  {samples['memory_mib'][-1]:,.0f} MiB", file=sys.stderr)
        WALL.sleep(min(SAMPLE_S, max(0.1, minutes * 60 - seconds)))
    return samples


def _quiet(address: str) -> dict[str, int]:
    """Let the simulator make no more messages; what it has sent, by kind, once everything had time to arrive."""
    _asked(f"{address}/sim/rate?value=0", b"")
    WALL.sleep(SETTLE_S)
    sent: Counter[str] = Counter()
    for stream, counts in _asked(f"{address}/sim/sent")["sent"].items():
        sent[_KINDS[stream.split("@")[1]]] += counts["sent"]
    return dict(sorted(sent.items()))


def _asked(url: str, body: bytes | None = None) -> Any:
    """A document of the simulator, which listens on this machine."""
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def _rows_in_kafka(settings: Settings) -> dict[str, int]:
    """Rows in the topic by type, heartbeats aside; a frame that lies there twice would count twice."""
    found: Counter[str] = Counter()
    decoder, topic, reader = Decoder(), topics.market(FEED), kafka.consumer(settings)

    def take(message: Message) -> None:
        view = decoder.open(message.value() or b"")
        if FrameHeaders.from_kafka(cast(Headers, message.headers())).source != FEED:
            return
        count = view.rows
        if view.type is RowType.STATUS:
            count -= int(np.count_nonzero(view.column("kind") == int(StatusKind.HEARTBEAT)))
        found[view.type.label] += count

    try:
        for partition in range(kafka.existing_topics(kafka.admin(settings))[topic]):
            low, high = kafka.watermarks(reader, topic, partition)
            for message in kafka.read_range(reader, topic, partition, low, high):
                take(message)
    finally:
        reader.close()
    return {kind: count for kind, count in sorted(found.items()) if count}


def unaccounted(sent: dict[str, int], summary: dict[str, Any]) -> int:
    """Messages of which nobody can say what became of them.

    A depth message becomes a book row, or was told by a snapshot already; a snapshot gives a book row of its own.
    """
    received, rows, dropped = summary["messages"], summary["rows"], summary["dropped"]
    missing = sum(abs(count - received.get(kind, 0)) for kind, count in sent.items())
    came = sum(received.get(kind, 0) for kind in ("trade", "book_ticker", "depth", "snapshot", "command"))
    gave = sum(rows.get(kind, 0) for kind in ("trade", "quote", "book"))
    return int(missing + abs(came - gave - sum(dropped.values()) - sum(summary["refused"].values())))


def flatness(seconds: list[float], memory: list[float]) -> tuple[dict[str, float], bool | None]:
    """Median of the first and the last third once warm, MiB, their ratio, and whether that is flat."""
    at, held = np.array(seconds), np.array(memory)
    warm = held[at >= WARM_S]
    if len(warm) < 9:
        return {"first": float(held[0]), "last": float(held[-1])}, None
    third = len(warm) // 3
    first, last = float(np.median(warm[:third])), float(np.median(warm[-third:]))
    ratio = round(last / first, 4)
    return {"first": round(first, 1), "last": round(last, 1), "ratio": ratio}, ratio <= 1.0 + MOST_GROWTH


def _result(
    minutes: float,
    sent: dict[str, int],
    summary: dict[str, Any],
    in_kafka: dict[str, int],
    samples: dict[str, list[float]],
    facts: Machine,
) -> FeedsSoak:
    memory, flat = flatness(samples["seconds"], samples["memory_mib"])
    rows: dict[str, int] = summary["rows"]
    lost = sum(abs(rows.get(kind, 0) - in_kafka.get(kind, 0)) for kind in {*rows, *in_kafka})
    total = sum(sent.values())
    begin = int(len(samples["seconds"]) * _STEADY_SHARE)
    steady_s = samples["seconds"][-1] - samples["seconds"][begin]
    cpu = (samples["cpu_s"][-1] - samples["cpu_s"][begin]) / max(steady_s * RATE, 1.0) * 1e6
    missing = unaccounted(sent, summary)
    return FeedsSoak(
        job="feeds",
        minutes=minutes,
        symbols=SYMBOLS,
        passed=missing == 0 and lost == 0 and flat is not False,
        sent=sent,
        received=summary["messages"],
        unaccounted=missing,
        rows=rows,
        rows_in_kafka=in_kafka,
        lost_rows=lost,
        messages_per_s=round(total / (minutes * 60), 1),
        latency=summary["latency"],
        cpu_us_per_message=round(cpu, 2),
        gaps=summary["gaps"],
        resyncs=summary["resyncs"],
        memory_mib=memory,
        flat=flat,
        summary=summary,
        samples=samples,
        versions=versions(("tapewatch", "aiohttp", "confluent-kafka", "msgspec", "numpy", "pyarrow")),
        machine=facts,
    )


def markdown(result: FeedsSoak) -> str:
    """The result for people."""
    said = {True: "flat", False: "NOT flat", None: "too short to tell"}[result.flat]
    memory = ", ".join(f"{name} {value:,.4g}" for name, value in result.memory_mib.items())
    latency = ", ".join(
        f"{name.removesuffix('_ms')} {result.latency[name]:,.1f} ms"
        for name in ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "longest_ms")
    )
    return "\n".join(
        [
            f"{'Passed' if result.passed else 'NOT passed'}: {result.minutes:g} minutes, {result.symbols:,} symbols, "
            f"{sum(result.sent.values()):,} messages sent ({result.messages_per_s:,.0f}/s), "
            f"**{result.unaccounted:,} unaccounted**; {sum(result.rows.values()):,} rows, {result.lost_rows:,} of them "
            "not found in Kafka.",
            "",
            f"- Socket to Kafka's acknowledgement, every row: {latency}.",
            f"- Processor time of the producer, sockets included: {result.cpu_us_per_message:.1f} us a message.",
            f"- Memory of the producer, MiB, first and last third once warm: {memory}: {said}.",
            f"- {result.gaps:,} gaps, {result.resyncs:,} resyncs, dropped {result.summary['dropped']}, "
            f"refused {result.summary['refused']}.",
        ]
    )
