"""Mutated records through a real broker into an engine and PostgreSQL: both come to the log's end within their memory,
and an instrument that behaves has the rows that it has alone.

`python -m benchmarks.fuzz.through_kafka --records 1000000 --out docs/results/fuzz-kafka.json`

Frames, headers, epochs and sequences are mutated, batches packed by every codec; now and then comes a frame or a batch
that unpacks to gigabytes. What a sound record may rightly say of others is left out, as in the target `task`.
"""

import argparse
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from psycopg2 import sql

from benchmarks.engine_run import command, engine_process, environment, own_stack, process
from benchmarks.figures import Machine, machine, versions
from benchmarks.fuzz import frame_targets
from benchmarks.fuzz.frame_targets import record
from benchmarks.fuzz.targets import Mutator, corpus
from benchmarks.parity_told import Pace
from infra import migrations
from infra.chaos.faults import stranger
from producers.feed import open_feed
from sinks.postgres.database import connect
from streams.driver import table
from streams.engine.task import OutputRecord
from tapewatch import settings
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType
from tapewatch.errors import ContractError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

FEED, GROUP = "fuzzed", "fuzzed"
SECONDS = 600
"""Of the instrument that behaves, with the fuzzed records between them."""
MEMORY_BYTES = 1536 * 2**20
"""What the engine may take, and the sink."""
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BOMBS = 60
"""Seconds of the market between two frames that unpack to 2 GiB; a batch that does comes every other time."""
LONGEST_S = 3600.0
_KINDS = ("features", "scores", "bars", "sealed")


class KafkaFuzzResult(msgspec.Struct, frozen=True):
    """What a run gave. passed : all was read, within its memory, and the good instrument's rows are what they are alone

    records : in the log; taken, repeats : frames; refused : rows and records by reason; peak_mib : the engine's memory
    stored : the good instrument's rows by table; stored_to : the sink's offset; sink_mib : its memory
    """

    passed: bool
    records: int
    seed: int
    read: int
    taken: int
    repeats: int
    refused: dict[str, int]
    rows: dict[str, int]
    different: list[str]
    peak_mib: int
    stored: dict[str, int]
    stored_to: int
    sink_mib: int
    machine: Machine
    versions: dict[str, str]


class Stranger:
    """Draws records that nobody would write."""

    def __init__(self, seed: int) -> None:
        self._values, self._headers = Mutator(corpus("frame"), seed), Mutator(corpus("headers"), seed + 1)
        self._rng = random.Random(seed)  # noqa: S311 - of a seed that can be given again
        self._decoder, self._sequence = Decoder(), 0

    def draw(self, until_ns: int) -> tuple[bytes, Headers]:
        """One that speaks of nobody but itself. until_ns : the newest time that it may say"""
        while True:
            value = self._values.draw()
            if self._speaks_of_itself(value, until_ns):
                return value, self._said(value)

    def _speaks_of_itself(self, value: bytes, until_ns: int) -> bool:
        try:
            view = self._decoder.open(value)
            newest = view.column("ts_recv").max(initial=0)
            return view.type is not RowType.STATUS and frame_targets.GOOD not in view.names() and newest < until_ns
        except ContractError:
            return True

    def _said(self, value: bytes) -> Headers:
        """Sound headers, in which often a number is none that a writer would give; or bytes that somebody made up."""
        self._sequence += 1
        if self._rng.random() < 0.2:
            said, _ = record(self._headers.draw())
            return [(name, text) for name, text in said if text not in (b"good", b"control", b"generation.closes")]
        epoch = self._rng.choice((0, 1, WALL.now(), WALL.now() + 601 * NANOS, 2**63 - 1, 2**63, -1))
        sequence = self._rng.choice((self._sequence, self._sequence, self._sequence, 0, 2**62, 2**64))
        kind = "nonsense" if self._rng.random() < 0.02 else self._kind(value)
        source = f"stranger-{self._rng.getrandbits(4)}"
        return FrameHeaders(kind, source, epoch, sequence, 0).to_kafka()

    def _kind(self, value: bytes) -> str:
        try:
            return self._decoder.open(value).type.label
        except ContractError:
            return self._rng.choice([each.label for each in RowType])


def good(number: int) -> Iterator[tuple[bytes, Headers]]:
    """What the good instrument has in a second of the market."""
    for place, rows in enumerate(frame_targets.second(number)):
        yield frames.encode(rows), FrameHeaders(rows.type.label, "good", 0, 2 * number + place, 0).to_kafka()


def write(own: Settings, count: int, seed: int) -> None:
    """The whole log."""
    topic, drawn_by = topics.market(FEED), Stranger(seed)
    rng, pace = random.Random(seed), Pace("write", "records")  # noqa: S311 - of a seed that can be given again
    packing = {each: kafka.producer(own, linger_ms=20, compression_type=each) for each in CODECS}
    written = 0
    for second in range(SECONDS):
        for value, said in good(second):
            kafka.enqueue(packing["none"], topic, value, None, said, 0)
        packing["none"].flush(60)
        until, upto = (frame_targets.START + second + 1) * NANOS, count * (second + 1) // SECONDS
        while written < upto:
            producer, burst = packing[rng.choice(CODECS)], min(rng.randrange(1, 400), upto - written)
            for _ in range(burst):
                value, said = drawn_by.draw(until)
                kafka.enqueue(producer, topic, value, None, said, 0)
            written += burst
        for producer in packing.values():
            producer.flush(60)
        if second % BOMBS == BOMBS - 1:
            _bombs(own, topic, second)
        pace.tell(written, (second + 1) / SECONDS)


def _bombs(own: Settings, topic: str, second: int) -> None:
    """A frame, or a batch, of some KB that unpacks to far more than anybody takes."""
    kafka.write_each(own, {topic: [0]}, stranger.bomb(), FrameHeaders("trade", "bomb", 0, second, 0).to_kafka())
    if second // BOMBS % 2:
        stranger.append_bomb_batch(own, topic)


def rows_of(records: list[OutputRecord]) -> dict[str, dict[str, bytes]]:
    """The good instrument's rows and the markers by kind and column, places in the log aside."""
    found: dict[str, dict[str, bytes]] = {}
    for kind in _KINDS:
        columns = table(records, kind)
        mine = columns["instrument"] == frame_targets.GOOD if kind != "sealed" and columns else slice(None)
        found[kind] = {
            name: np.ascontiguousarray(values[mine]).tobytes()
            for name, values in columns.items()
            if name not in ("instrument", "offset", "instruments")
        }
    return found


def alone() -> list[OutputRecord]:
    """What the engine makes of the good instrument's rows."""
    driver = frame_targets.driver()
    for second in range(SECONDS):
        for value, said in good(second):
            driver.record(value, list(said))
    return driver.outgoing()


def store(own: Settings) -> tuple[dict[str, int], int, int]:
    """Let the sink read it all: the good instrument's rows by table, its offset in the market topic, its memory."""
    migrations.migrate(own.postgres_url())
    words = command("sink", "postgres", "--until-idle", "5", "--json")
    _, peak = process(words, environment(own), own.data, LONGEST_S, "VmHWM")
    with closing(connect(own.postgres_url())) as session, session.cursor() as cursor:

        def one(question: sql.Composable, *values: str) -> int:
            cursor.execute(question, values)
            (found,) = cursor.fetchall()
            return int(found[0])

        reached = one(sql.SQL("SELECT max(next_offset) FROM sink_offsets WHERE topic = %s"), topics.market(FEED))
        rows = sql.SQL("SELECT count(*) FROM {} JOIN instruments i ON i.id = instrument_id WHERE i.name = %s")
        tables = ("trades", "quotes", "features", "scores")
        stored = {name: one(rows.format(sql.Identifier(name)), frame_targets.GOOD) for name in tables}
    return stored, reached, peak


def run(own: Settings, count: int, seed: int) -> KafkaFuzzResult:
    """Write, let an engine read, and compare."""
    mine = msgspec.structs.replace(own, engine=msgspec.structs.replace(own.engine, feeds=(FEED,), group=GROUP))
    instruments = [Instrument(frame_targets.GOOD, kind="share"), Instrument(frame_targets.BAD, kind="spot")]
    open_feed(mine, FEED, instruments, 1)
    write(mine, count, seed)
    _, peak = engine_process(mine, GROUP, LONGEST_S, "VmHWM")
    records, commits = list[OutputRecord](), list[dict[str, Any]]()
    for topic in (topics.FEATURES, topics.SCORES, topics.BARS):
        kafka.read_all(mine, topic, lambda each: records.append(OutputRecord("", each.value(), None, each.headers())))
    kafka.read_all(mine, topics.COMMITS, lambda each: commits.append(msgspec.json.decode(each.value())))
    wanted, there = rows_of(alone()), rows_of(records)
    different = [
        f"{kind}.{name}" for kind in _KINDS for name in wanted[kind] if wanted[kind][name] != there[kind].get(name)
    ]
    refused: dict[str, int] = {}
    for commit in commits:
        for reason, number in commit["refused"].items():
            refused[reason] = refused.get(reason, 0) + number
    reader = kafka.consumer(mine)
    end = kafka.watermarks(reader, topics.market(FEED), 0)[1]
    reader.close()
    read = max(commit["next_offset"] for commit in commits)
    stored, stored_to, sink_peak = store(mine)
    rows = {kind: len(wanted[kind]["ts"]) // 8 for kind in _KINDS}
    whole = {"trades": SECONDS, "quotes": SECONDS, **{name: rows[name] for name in ("features", "scores")}}
    return KafkaFuzzResult(
        passed=read == stored_to == end and max(peak, sink_peak) <= MEMORY_BYTES and not different and stored == whole,
        records=end,
        seed=seed,
        read=read,
        taken=sum(commit["frames"] for commit in commits),
        repeats=sum(commit["duplicates"] for commit in commits),
        refused=dict(sorted(refused.items())),
        rows=rows,
        different=different,
        peak_mib=peak // 2**20,
        stored=stored,
        stored_to=stored_to,
        sink_mib=sink_peak // 2**20,
        machine=machine(),
        versions=versions(("confluent-kafka", "pyarrow", "numpy", "numba")),
    )


def main() -> int:
    """Print what came out; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--out", type=Path, help="a file for the result, too")
    args = parser.parse_args()
    with own_stack(settings.load()) as own:
        found = run(own, args.records, args.seed)
    said = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    if args.out:
        args.out.write_text(f"{said}\n")
    print(said)
    return 0 if found.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
