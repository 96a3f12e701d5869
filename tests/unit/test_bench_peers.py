"""What the peers compute is what the engine computes, so that the comparison compares like with like."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare import PEERS, centres_for
from benchmarks.engine import records
from benchmarks.engine_run import Shape, frames_of, partition_rows
from benchmarks.peer_run import differing, looked_at
from benchmarks.peers.features import NAMES, OWN_SECOND, Centres, fresh, record, step
from detectors.kmeans.score import Centres as EngineCentres
from detectors.kmeans.score import distance
from streams.driver import Driver, table
from tapewatch.contract import topics
from tapewatch.market_log.registry import FixedRegistry

SHAPE = Shape(instruments=3, seconds=100, partitions=1)


@pytest.fixture(scope="module")
def rows():
    return partition_rows(SHAPE, 0, SHAPE.names)


@pytest.fixture(scope="module")
def peer_features(rows):
    states = {name: fresh() for name in SHAPE.names}
    quotes = [json.loads(value) for _, value in records(rows)]
    return np.array([step(states[quote["instrument"]], quote) for quote in quotes], dtype=np.float64)


def test_a_peers_features_equal_the_engines(rows, peer_features):
    driver = Driver(FixedRegistry(SHAPE.reference_data()))
    for part in frames_of(rows):
        driver.send(part)
    engine = table(driver.collect()[topics.FEATURES], "features")
    closed = len(engine["ts"])
    assert closed == len(rows) - SHAPE.instruments
    for place, name in enumerate(NAMES):
        np.testing.assert_allclose(engine[name], peer_features[:closed, place], rtol=2e-5, atol=2e-6, err_msg=name)


def test_a_peers_distance_equals_the_engines(peer_features, tmp_path):
    model = centres_for(SHAPE)
    file = tmp_path / "centres.json"
    file.write_text(json.dumps(model))
    peer = Centres(str(file))
    centres = np.array(model["centres"])
    ours = EngineCentres(
        index=np.arange(len(NAMES)),
        scaling=np.array([model["location"], model["scale"]]),
        centres=np.ascontiguousarray(centres.T),
        knots=np.zeros((2, 0)),
        limits=np.array([model["clip"]]),
        alerts=np.full(4, np.inf),
    )
    for values in peer_features[[0, 50, 299]]:
        found = peer.distance([None if np.isnan(value) else float(value) for value in values])
        assert (np.nan if found is None else found) == pytest.approx(distance(values, ours), nan_ok=True)


@pytest.mark.parametrize("name", sorted({peer.environment or peer.name for peer in PEERS.values()}))
def test_a_peers_requirements_are_pinned_with_hashes(name):
    text = (Path(__file__).parents[2] / "benchmarks" / "peers" / f"{PEERS[name].environment or name}.txt").read_text()
    pins = re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE)
    assert PEERS[name].package in pins
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text


@pytest.fixture(scope="module")
def told(rows, tmp_path_factory):
    """The quotes of a log, and what a peer that does as it is asked writes for them."""
    file = tmp_path_factory.mktemp("peer") / "centres.json"
    file.write_text(json.dumps(centres_for(SHAPE)))
    centres, states = Centres(str(file)), {name: fresh() for name in SHAPE.names}
    quotes, written = [value for _, value in records(rows)], []
    for quote in map(json.loads, quotes):
        features = step(states[quote["instrument"]], quote)
        written.append(record(quote, features, centres.distance(features)))
    return quotes, written, centres


def wrong(told, written, names=NAMES):
    quotes, _, centres = told
    return differing(quotes, [json.dumps(made).encode() for made in written], centres, names)


def test_a_peer_that_does_as_it_is_asked_passes_in_any_order(told):
    assert wrong(told, reversed(told[1])) == 0


def test_a_record_that_is_not_there_is_told(told):
    assert wrong(told, told[1][1:]) == 1


@pytest.mark.parametrize("name", ["ret_10s", "vwap_dev_bps", "distance"])
def test_a_record_with_another_value_is_told(told, name):
    first, *others = reversed(told[1])
    assert wrong(told, [{**first, name: first[name] + 1e-6}, *others]) == 1
    assert wrong(told, [{**first, name: None}, *others]) == 1


def test_a_peer_answers_for_the_features_that_it_computes(told):
    few = [{name: made[name] for name in ("instrument", "ts", *OWN_SECOND)} for made in told[1]]
    assert wrong(told, few, OWN_SECOND) == 0
    assert wrong(told, few) == len(few)


def test_some_instruments_of_a_market_are_looked_at():
    names = Shape(instruments=2000, seconds=1, partitions=1).names
    assert 25 < sum(looked_at(name.encode()) for name in names) < 100


@pytest.mark.parametrize("lock", [peer.libraries for peer in PEERS.values() if peer.libraries])
def test_a_peers_java_libraries_are_pinned(lock):
    pinned = lock.read()
    assert set(lock.roots) <= {jar.coordinate for jar in pinned}
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size for jar in pinned)
