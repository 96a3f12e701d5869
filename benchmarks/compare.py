"""`bench peers`: the same per-instrument features and K-means score, Kafka to Kafka, on the engine and on its peers."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from sklearn.cluster import KMeans

from benchmarks.connectors import FLINK
from benchmarks.engine import Say, fill_market, fill_peers, records
from benchmarks.engine_run import Shape, own_stack, partition_rows, run_engine
from benchmarks.figures import Machine, machine, versions
from benchmarks.peer_run import Peer, PeerRun, run_peer
from benchmarks.peers.features import NAMES, OWN_SECOND, fresh, step
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings

INSTRUMENTS = 2_000
ENGINE_ROWS = 2_000_000
CLUSTERS = 8

PEERS = {
    peer.name: peer
    for peer in (
        Peer("quix", "quix_app", "quixstreams", 200_000, "exactly-once"),
        Peer("faust", "faust_app", "faust-streaming", 50_000, "at-least-once", ("at_least_once",)),
        Peer("faust-transactions", "faust_app", "faust-streaming", 50_000, "exactly-once", ("exactly_once",), "faust"),
        Peer("spark", "spark_pandas_app", "pyspark", 400_000, "at-least-once"),
        Peer("spark-sql", "spark_sql_app", "pyspark", 400_000, "at-least-once", environment="spark", names=OWN_SECOND),
        Peer("flink", "flink_app", "apache-flink", 200_000, "exactly-once", libraries=FLINK),
    )
}
"""Stream processors by name: requirements in benchmarks/peers/ENVIRONMENT.txt, the program beside them."""


class PeersResult(msgspec.Struct, frozen=True):
    """The JSON document of `bench peers`.

    ratios : our quotes/s over the peer's; features : what a peer computes, the engine all of its own
    """

    bench: str
    quotes_per_s: float
    cpu_ns_per_quote: float
    input: dict[str, int]
    peers: dict[str, PeerRun]
    ratios: dict[str, float]
    features: tuple[str, ...]
    seed: int
    versions: dict[str, str]
    machine: Machine
    seconds: float

    def text(self) -> str:
        """For people."""
        lines = [
            f"{'tapewatch':<10} {self.quotes_per_s:>12,.0f} quotes/s  {self.cpu_ns_per_quote:>10,.0f} ns of CPU a quote"
        ]
        for name, run in self.peers.items():
            lines.append(
                f"{name:<10} {run.quotes_per_s:>12,.0f} quotes/s  {run.cpu_ns_per_quote:>10,.0f} ns of CPU a quote  "
                f"{self.ratios[name]:>6,.0f} times slower  ({run.version}, {run.guarantee})"
            )
        return "\n".join(lines)


def bench(settings: Settings, peers: Sequence[str], seed: int, share: float, say: Say) -> PeersResult:
    """Run the engine and each peer once over the same quotes; a peer gets the first seconds of them.

    share : of the usual number of rows, for a quick look
    """
    begun, facts = WALL.elapsed(), machine()
    shape = Shape.of(INSTRUMENTS, int(ENGINE_ROWS * share), settings.topics.market_partitions, seed)
    done: dict[str, PeerRun] = {}
    with own_stack(settings) as own:
        fill_market(own, "bench-peers", shape)
        ours = run_engine(own, shape, "bench-peers")
        say(f"tapewatch: {ours.quotes_per_s:,.0f} quotes/s")
        centres = Path(own.data) / "centres.json"
        centres.write_text(json.dumps(centres_for(shape)))
        for name in peers:
            peer = PEERS[name]
            seconds = max(2, int(peer.quotes * share) // INSTRUMENTS)
            source = f"bench.{name}.quotes"
            fill_peers(own, source, shape, seconds)
            done[name] = run_peer(own, peer, source, seconds * INSTRUMENTS, shape.partitions, centres)
            say(f"{name}: {done[name].quotes_per_s:,.0f} quotes/s")
    return PeersResult(
        bench="peers",
        quotes_per_s=round(ours.quotes_per_s, 1),
        cpu_ns_per_quote=round(ours.cpu_ns_per_quote, 1),
        input={name: getattr(shape, name) for name in ("instruments", "seconds", "rows", "frame_rows", "partitions")},
        peers=done,
        ratios={name: round(ours.quotes_per_s / run.quotes_per_s, 1) for name, run in done.items()},
        features=NAMES,
        seed=seed,
        versions=versions(),
        machine=facts,
        seconds=round((WALL.elapsed() - begun) / NANOS, 1),
    )


def centres_for(shape: Shape) -> dict[str, object]:
    """Eight centres over the features of some of the shape's quotes, robustly scaled, as the peers read them."""
    small = Shape(40, 200, 1, seed=shape.seed)
    states = {name: fresh() for name in small.names}
    quotes = (json.loads(value) for _, value in records(partition_rows(small, 0, small.names)))
    table = np.array([step(states[quote["instrument"]], quote) for quote in quotes], dtype=np.float64)
    location = np.nan_to_num(np.nanmedian(table, axis=0))
    width = np.nanpercentile(table, 75, axis=0) - np.nanpercentile(table, 25, axis=0)
    scale = 1.0 / np.where(np.nan_to_num(width) > 0.0, width, 1.0)
    scaled = np.nan_to_num(np.clip((table - location) * scale, -20.0, 20.0))
    fitted = KMeans(CLUSTERS, n_init=1, random_state=shape.seed).fit(scaled)
    return {
        "inputs": list(NAMES),
        "location": location.tolist(),
        "scale": scale.tolist(),
        "clip": 20.0,
        "centres": fitted.cluster_centers_.tolist(),
    }
