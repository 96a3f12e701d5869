"""The soak job `webhooks`: a receiver that fails 30 % of the time and is killed, a sink that is killed, each alert.

A verifier counts from outside: what was sent to the topic against what the receiver wrote down.
"""

import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import sqlalchemy as sa

from benchmarks.engine_run import command, environment
from benchmarks.figures import Machine, machine, versions
from infra import migrations
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.messages import Alert, Provenance, alert_id, encode
from tapewatch.desk.subscription_store import NewSubscription, add
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import Settings

SHARE = 0.3
ALERTS_PER_S = 20.0
INSTRUMENTS = 100
RECEIVER_LIVES_S = 20.0
RECEIVER_DOWN_S = 2.0
SINK_LIVES_S = 25.0
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 15.0, 15.0, 15.0, 30.0, 30.0)
DRAIN_S = 180.0


class WebhookResult(msgspec.Struct, frozen=True):
    """The JSON document of the job.

    missing : alert revisions that the receiver never took; repeated : receipts beyond the first, under the same id
    many_ids : revisions that came under more than one id; out_of_order : first receipts behind a later revision's
    """

    job: str
    minutes: float
    passed: bool
    failing_share: float
    sent: int
    received: int
    missing: int
    repeated: int
    many_ids: int
    out_of_order: int
    invalid_signatures: int
    dead_letters: int
    attempts: int
    receiver_kills: int
    sink_kills: int
    drained_s: float
    retry_s: tuple[float, ...]
    versions: dict[str, str]
    machine: Machine


class Receipt(msgspec.Struct, frozen=True):
    """A line of the receiver."""

    id: str
    valid: bool
    type: str
    instrument: str
    revision: int


@dataclass(slots=True)
class KilledProcess:
    """A process that is killed now and then and started again."""

    start: Callable[[], "subprocess.Popen[bytes]"]
    lives_s: float
    down_s: float
    kills: int = 0
    turn_ns: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    draw: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311 - when to kill is no secret

    def step(self, elapsed_ns: int) -> None:
        """Kill or start it where its time has come."""
        if elapsed_ns < self.turn_ns:
            return
        if self.process is None:
            self.process = self.start()
            self.turn_ns = elapsed_ns + int(self.lives_s * self.draw.uniform(0.5, 1.5) * NANOS)
        else:
            self.end()
            self.kills += 1
            self.turn_ns = elapsed_ns + int(self.down_s * NANOS)

    def keep(self) -> None:
        """See that it runs, to the end."""
        if self.process is None:
            self.process = self.start()

    def end(self) -> None:
        """Kill it with -9."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def run(settings: Settings, minutes: float) -> WebhookResult:
    """Send alerts for that long, kill both ends, let them drain, and count."""
    facts, folder = machine(), Path(settings.data)
    migrations.migrate(settings.postgres_url())
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    port = _free_port()
    _subscribe(settings, port, folder / "secret")
    log = folder / "receipts.jsonl"
    sink = KilledProcess(lambda: _sink(settings, folder), SINK_LIVES_S, 0.5)
    receiver = KilledProcess(lambda: _receiver(folder, log, port, receiver.kills), RECEIVER_LIVES_S, RECEIVER_DOWN_S)
    try:
        sent = _publish(settings, minutes, (sink, receiver))
        began = WALL.elapsed()
        _drain(settings, (sink, receiver), len(sent))
        drained_s = (WALL.elapsed() - began) / NANOS
    finally:
        sink.end()
        receiver.end()
    return _counted(settings, minutes, sent, receipts(log), (sink, receiver), drained_s, facts)


def _subscribe(settings: Settings, port: int, secret_file: Path) -> None:
    """A webhook for every alert; its secret goes into a file."""
    new = NewSubscription(name="soak", kind="webhook", target=f"http://127.0.0.1:{port}/hook")
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool)
    with engine.begin() as session:
        _, secret = add(session, secret_box(settings), new, "soak", WALL.now())
    secret_file.write_text(secret)


def _sink(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    """`tapewatch sink notify` with short waits."""
    waits = ",".join(str(wait) for wait in RETRY_S)
    more = {"NOTIFY_ALLOW_NETWORKS": "127.0.0.0/8", "NOTIFY_ALLOW_HTTP": "true", "NOTIFY_RETRY_S": waits}
    with (folder / "sink.log").open("ab") as log:
        words = environment(settings, NOTIFY_CASE_WAIT_S="0", **more)
        return subprocess.Popen(command("sink", "notify"), env=words, cwd=folder, stdout=log, stderr=log)  # noqa: S603


def _receiver(folder: Path, log: Path, port: int, seed: int) -> "subprocess.Popen[bytes]":
    """The receiver, whose failures differ from life to life."""
    words = [str(port), str(log), str(folder / "secret"), str(SHARE), str(seed)]
    line = [sys.executable, "-m", "benchmarks.webhook_receiver", *words]
    with (folder / "receiver.log").open("ab") as out:
        return subprocess.Popen(line, stdout=out, stderr=out)  # noqa: S603


def _publish(settings: Settings, minutes: float, killed: tuple[KilledProcess, ...]) -> set[tuple[str, int]]:
    """Alerts at a steady rate, each instrument's revisions in order; what was sent."""
    producer = kafka.producer(settings, linger_ms=5)
    sent: set[tuple[str, int]] = set()
    began = WALL.elapsed()
    while (now := WALL.elapsed()) < began + int(minutes * 60 * NANOS):
        for one in killed:
            one.step(now)
        while len(sent) < (now - began) / NANOS * ALERTS_PER_S:
            alert = made(len(sent) % INSTRUMENTS, len(sent) // INSTRUMENTS)
            producer.produce(topics.ALERTS, encode(alert), key=alert.instrument)
            sent.add((alert.instrument, alert.revision))
        producer.poll(0)
        WALL.sleep(0.05)
    if producer.flush(30):
        raise TapewatchError("Kafka did not take every alert", "Look at the broker's log.")
    return sent


def made(number: int, revision: int) -> Alert:
    """Revision `revision` of the alert of an instrument by number."""
    onset = to_rfc3339(1_700_000_000 * NANOS)
    instrument = f"SOAK{number}.XTST"
    return Alert(
        id=alert_id("spoofing", instrument, 1_700_000_000 * NANOS),
        scenario="spoofing",
        instrument=instrument,
        onset=onset,
        decided=onset,
        updated=to_rfc3339((1_700_000_000 + revision) * NANOS),
        state="update" if revision else "open",
        revision=revision,
        severity="high",
        score=50.0,
        sentence="Large orders came and went.",
        data_tier="orders",
        provenance=Provenance("market.soak", 0, 1, 2, 3, "c", {}, "b"),
    )


def _drain(settings: Settings, killed: tuple[KilledProcess, ...], sent: int) -> None:
    """Let both ends run until nothing waits; TapewatchError where that takes too long."""
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool)
    query = sa.text("SELECT count(*), count(*) FILTER (WHERE state IN ('queued', 'waiting')) FROM deliveries")
    deadline = WALL.elapsed() + int(DRAIN_S * NANOS)
    while WALL.elapsed() < deadline:
        for one in killed:
            one.keep()
        with engine.connect() as session:
            there, waiting = session.execute(query).one()
        print(f"{there} messages of {sent}, {waiting} waiting", file=sys.stderr)
        if there >= sent and not waiting:
            return
        WALL.sleep(1.0)


def receipts(log: Path) -> list[Receipt]:
    """What the receiver wrote down; a line that its death cut off counts as not received."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Receipt))
        except msgspec.DecodeError:
            continue
    return found


def _counted(
    settings: Settings,
    minutes: float,
    sent: set[tuple[str, int]],
    found: list[Receipt],
    killed: tuple[KilledProcess, KilledProcess],
    drained_s: float,
    facts: Machine,
) -> WebhookResult:
    """The verifier's counts."""
    ids: dict[tuple[str, int], set[str]] = {}
    last: dict[str, int] = {}
    out_of_order = 0
    for each in found:
        place = (each.instrument, each.revision)
        if place not in ids:
            out_of_order += each.revision < last.get(each.instrument, -1)
            last[each.instrument] = max(each.revision, last.get(each.instrument, -1))
        ids.setdefault(place, set()).add(each.id)
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool)
    with engine.connect() as session:
        dead = "SELECT count(*) FILTER (WHERE state = 'dead'), COALESCE(sum(attempts), 0) FROM deliveries"
        dead_letters, attempts = session.execute(sa.text(dead)).one()
    counts = Counter(
        missing=len(sent - ids.keys()),
        many_ids=sum(len(each) > 1 for each in ids.values()),
        out_of_order=out_of_order,
        invalid_signatures=sum(not each.valid for each in found),
        dead_letters=int(dead_letters),
    )
    return WebhookResult(
        job="webhooks",
        minutes=minutes,
        passed=not any(counts.values()) and len(sent) > 0,
        failing_share=SHARE,
        sent=len(sent),
        received=len(found),
        repeated=len(found) - len(ids),
        attempts=int(attempts),
        receiver_kills=killed[1].kills,
        sink_kills=killed[0].kills,
        drained_s=round(drained_s, 1),
        retry_s=RETRY_S,
        versions=versions(),
        machine=facts,
        **counts,
    )


def markdown(result: WebhookResult) -> str:
    """The result for people."""
    return "\n".join(
        [
            f"{'Passed' if result.passed else 'NOT passed'}: {result.minutes:g} minutes, {result.sent:,} alert "
            f"revisions to a receiver that failed {result.failing_share:.0%} of its requests and was killed "
            f"{result.receiver_kills} times; the sink was killed with -9 {result.sink_kills} times.",
            "",
            "| counted outside | |",
            "|---|--:|",
            f"| alert revisions never received | {result.missing:,} |",
            f"| received under more than one id | {result.many_ids:,} |",
            f"| first receipts out of an instrument's order | {result.out_of_order:,} |",
            f"| signatures that the reference library refuses | {result.invalid_signatures:,} |",
            f"| dead letters | {result.dead_letters:,} |",
            f"| receipts in all, of them repeats under the same id | {result.received:,}, {result.repeated:,} |",
            f"| attempts | {result.attempts:,} |",
            f"| until all was delivered after the last alert | {result.drained_s:g} s |",
        ]
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
