"""`tapewatch bench sinks`: rows a second that each sink keeps from a full topic, the servers on the same machine.

Frames as the engine writes them, with values made up.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from benchmarks.engine import fill_market
from benchmarks.engine_run import START_NS, Shape, command, environment, own_stack
from benchmarks.figures import Figure, Machine, machine, versions
from infra import migrations
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.frames import write_stream
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings

TIME = pa.timestamp("ns", tz="UTC")


def _frame(
    kind: str, names: Sequence[str], stamps: Sequence[int], columns: Mapping[str, Any], **metadata: str
) -> bytes:
    """A frame: each stamp's rows, one an instrument."""
    codes = np.tile(np.arange(len(names), dtype=np.int32), len(stamps))
    keys = {
        "instrument": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)),
        "ts": pa.array(np.repeat(np.array(stamps, dtype=np.int64), len(names)), type=TIME),
        "offset": pa.array(np.arange(len(codes), dtype=np.int64)),
    }
    described = {"tapewatch.type": kind, "tapewatch.version": "1.0"}
    described |= {f"tapewatch.{name}": text for name, text in metadata.items()}
    batch = pa.RecordBatch.from_pydict({**keys, **columns})
    return bytes(write_stream(batch.replace_schema_metadata(described)))


def bars(names: Sequence[str], ts: int) -> bytes:
    """A one-minute bar of each instrument. ts : its end, UTC nanoseconds"""
    count = len(names)
    prices = {name: pa.array(np.full(count, 2.0)) for name in ("open", "high", "low", "close")}
    amounts = {name: pa.array(np.full(count, 10.0)) for name in ("volume", "trades", "buys", "sells")}
    interval = {"interval_s": pa.array(np.full(count, 60, dtype=np.int32))}
    return _frame("bars", names, [ts], {**interval, **prices, **amounts})


def features(names: Sequence[str], stamps: Sequence[int]) -> bytes:
    """A warm and a cold feature of each instrument at each time."""
    count = len(names) * len(stamps)
    warm, cold = np.full(count, 0.25, dtype=np.float32), np.full(count, np.nan, dtype=np.float32)
    return _frame("features", names, stamps, {"return_1s": pa.array(warm), "return_60s": pa.array(cold)})


def scores(names: Sequence[str], ts: int, probabilities: Sequence[float]) -> bytes:
    """A K-means score of each instrument."""
    count = len(names)
    columns = {
        "detector": pa.array(np.zeros(count, dtype=np.int8)),
        "raw": pa.array(np.full(count, 3.0, dtype=np.float32)),
        "probability": pa.array(np.array(probabilities, dtype=np.float32)),
    }
    return _frame("scores", names, [ts], columns, detectors="kmeans", versions="kmeans=abc")


INSTRUMENTS = 2_000
QUOTES, DOCUMENTS = 2_000_000, 300_000
FRAME_ROWS = 250
FEED = "bench"
_IDLE_S = "3"


class SinksResult(msgspec.Struct, frozen=True):
    """The JSON document. quotes, documents : rows in the topics; each run keeps all of them in an empty store

    rows_per_s : of the sink between the first and the last batch that it kept
    """

    instruments: int
    quotes: int
    quote_frame_rows: int
    documents: int
    document_frame_rows: int
    postgres_rows_per_s: Figure
    elasticsearch_documents_per_s: Figure
    versions: dict[str, str]
    machine: Machine

    def text(self) -> str:
        """For people."""
        postgres, search = self.postgres_rows_per_s, self.elasticsearch_documents_per_s
        return (
            f"{self.quotes:,} quotes in frames of {self.quote_frame_rows}, {self.documents:,} score rows in frames of "
            f"{self.document_frame_rows}, {self.instruments:,} instruments\n"
            f"postgres       {postgres.median:,.0f} rows/s ({postgres.min:,.0f} to {postgres.max:,.0f})\n"
            f"elasticsearch  {search.median:,.0f} documents/s ({search.min:,.0f} to {search.max:,.0f})"
        )


def bench(settings: Settings, runs: int, share: float, seed: int, say: Callable[[str], None]) -> SinksResult:
    """Fill the topics once, then let each sink keep them as often as asked. share : of the usual number of rows"""
    facts = machine()
    wanted = msgspec.structs.replace(
        settings,
        embedded=msgspec.structs.replace(settings.embedded, elasticsearch=True),
        elasticsearch=ElasticsearchSettings(),
    )
    with own_stack(wanted) as own:
        shape = Shape.of(INSTRUMENTS, round(QUOTES * share), 4, seed)
        say(f"filling: {shape.rows:,} quotes and {round(DOCUMENTS * share):,} scores")
        kafka.create_topics(own, topics.shared_topics(own.topics))
        documents = fill_scores(own, shape.names, round(DOCUMENTS * share))
        # Before the market topic is there, so that each sink has one thing to do.
        search = [_elasticsearch(own, number, documents, say) for number in range(runs)]
        fill_market(own, FEED, shape)
        postgres = [_postgres(own, number, shape.rows, say) for number in range(runs)]
    return SinksResult(
        instruments=INSTRUMENTS,
        quotes=shape.rows,
        quote_frame_rows=shape.frame_rows,
        documents=documents,
        document_frame_rows=FRAME_ROWS,
        postgres_rows_per_s=Figure.of(postgres, 0),
        elasticsearch_documents_per_s=Figure.of(search, 0),
        versions=versions(("tapewatch", "confluent-kafka", "elasticsearch", "psycopg2-binary", "pyarrow")),
        machine=facts,
    )


def fill_scores(settings: Settings, names: list[str], rows: int) -> int:
    """Write frames of scores that are kept; how many rows."""
    producer = kafka.producer(settings, linger_ms=20)
    headers = [("feed", FEED.encode()), ("partition", b"0"), ("type", b"scores")]
    frames = max(rows // FRAME_ROWS, 1)
    for number in range(frames):
        first = number * FRAME_ROWS % len(names)
        chosen = (names * 2)[first : first + FRAME_ROWS]
        second = number * FRAME_ROWS // len(names)
        value = scores(chosen, START_NS + second * NANOS, [0.9] * FRAME_ROWS)
        producer.produce(topics.SCORES, value, partition=number % settings.topics.market_partitions, headers=headers)
        producer.poll(0)
    if producer.flush(60):
        raise TapewatchError("the scores were not acknowledged in 60 s", "Run the bench again.")
    return frames * FRAME_ROWS


def _elasticsearch(settings: Settings, run: int, documents: int, say: Callable[[str], None]) -> float:
    """Keep all scores in new indices."""
    name = f"bench{run}"
    said = _sink(settings, "elasticsearch", ELASTICSEARCH_PREFIX=name, ELASTICSEARCH_GROUP=name)
    _check(said["documents"].get("scores", 0), documents)
    say(f"elasticsearch, run {run + 1}: {said['busy_documents_per_s']:,} documents/s")
    return float(said["busy_documents_per_s"])


def _postgres(settings: Settings, run: int, rows: int, say: Callable[[str], None]) -> float:
    """Keep all quotes in a new database."""
    url, name = make_url(settings.postgres_url()), f"bench{run}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as session:
        session.execute(sa.text(f"CREATE DATABASE {name}"))
    own = url.set(database=name).render_as_string(hide_password=False)
    migrations.migrate(own)
    said = _sink(settings, "postgres", POSTGRES_URL=own)
    _check(said["rows"].get("quotes", 0), rows)
    with engine.connect() as session:
        session.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
    say(f"postgres, run {run + 1}: {said['busy_rows_per_s']:,} rows/s")
    return float(said["busy_rows_per_s"])


def _sink(settings: Settings, store: str, **more: str) -> dict[str, Any]:
    """Run a sink until all is kept; its summary."""
    words = command("sink", store, "--until-idle", _IDLE_S, "--json")
    done = subprocess.run(words, env=environment(settings, **more), capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise TapewatchError(f"the {store} sink failed: {done.stderr.decode()[-500:]}", "Look at what it says.")
    return dict(msgspec.json.decode(done.stdout))


def _check(kept: int, written: int) -> None:
    """A rate counts only if everything was kept, once."""
    if kept != written:
        raise TapewatchError(f"{kept} rows were kept of {written}", "Run the bench again; look at the sink's log.")
