"""K-means' peers in the engine: the same scores as over whole arrays, switched by control rows, off where told, and the
alerts of their fusion.
"""

from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import control_market
from detectors import ensemble_members, fusion
from detectors.autoencoder import batch
from detectors.autoencoder import model as autoencoder
from detectors.fusion import FusionModel
from detectors.isolation import model as isolation
from detectors.isolation.training import score_rows
from detectors.kmeans import model as kmeans
from detectors.kmeans import score
from detectors.kmeans.sample import Sample, build
from detectors.scenarios.fused_anomaly import Parameters as FusedParameters
from streams.driver import Driver, table
from streams.engine import control
from streams.engine.detector_config import DetectorConfig
from streams.engine.features import NAMES
from streams.engine.models import ActiveModels, Control, ModelStore, shipped
from streams.engine.scenario_evaluation import DETECTORS, REPORTED
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders, read_stream
from tapewatch.contract.messages import Alert
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tests.unit import engine_market as m

SECONDS = 400
LOW, USUAL = -30.0, fusion.shipped().alert
RATIO = FusedParameters().odds_ratio
NEVER = FusedParameters(hold_s=1e9)

Scores = dict[tuple[str, int], tuple[np.float32, np.float32]]


def fused_model(alert: float) -> FusionModel:
    """The shipped fusion with another alert limit."""
    return msgspec.structs.replace(fusion.shipped(), alert=alert)


def in_force(alert: float = LOW, **changes: Any) -> ActiveModels:
    shelf = ModelStore()
    models = ActiveModels.default(shelf).models | {ensemble_members.FUSION: shelf.put(fused_model(alert).encoded())}
    return ActiveModels(shelf, models, DetectorConfig(fused_anomaly=NEVER, **changes))


@cache
def events() -> tuple[m.Event, ...]:
    """Every data tier, seven seconds of silence, and from 330 s on trading ten times as heavy in one instrument."""
    usual = m.RandomMarket(seed=5, seconds=SECONDS, silence=(150, 157)).events()
    heavy = [m.trade("BOOKS.SIMX", 330 + n / 20, 100.0 + n / 100, 300.0) for n in range(600)]
    return tuple(m.in_order(usual, heavy))


@cache
def driven(alert: float) -> Driver:
    return m.run(events(), force=in_force(alert))


def scores_of(driver: Driver, detector: str) -> Scores:
    """Raw score and probability by instrument and second's end."""
    found = table(driver.outgoing(), "scores")
    mine = found["detector"] == DETECTORS.index(detector)
    keys = zip(found["instrument"][mine], (found["ts"][mine] // NANOS).tolist(), strict=True)
    return dict(zip(keys, zip(found["raw"][mine], found["probability"][mine], strict=True), strict=True))


def sample(driver: Driver, since: int = 0) -> tuple[Sample, list[tuple[str, int]]]:
    """The feature rows that end after a second of the market, and the instrument and second's end of each."""
    found = m.features(driver)
    there = found["ts"] // NANOS > m.START + since
    values = np.stack([found[name][there] for name in NAMES], axis=1).astype(np.float64)
    rows = build(found["instrument"][there], found["ts"][there] // NANOS, NAMES, values)
    owners = np.repeat(np.unique(found["instrument"][there]), np.diff(rows.starts))
    return rows, list(zip(owners, rows.steps.tolist(), strict=True))


def wanted(driver: Driver, alert: float) -> dict[str, Scores]:
    """Rows of the peers as the batch functions over all feature rows give them."""
    rows, keys = sample(driver)
    network, forest, model = autoencoder.shipped("stock"), isolation.shipped(), fused_model(alert)
    errors, paths = batch.score_rows(network.network(rows.names), rows), score_rows(forest, rows)
    centres = kmeans.decode(shipped()["kmeans"]).centres_for(rows.names)
    network_knots, forest_knots, knots = (
        np.array(each).T for each in (network.described.knots, forest.knots, model.knots)
    )
    found: dict[str, Scores] = {
        name: {} for name in (ensemble_members.AUTOENCODER, ensemble_members.ISOLATION, ensemble_members.FUSION)
    }
    for row, key in enumerate(keys):
        usual = score.probability(score.distance(rows.values[row], centres), centres.knots)
        chances = usual, score.probability(errors[row], network_knots), score.probability(paths[row], forest_knots)
        raw = fusion.fuse(np.array(chances), model.table())
        if not raw >= alert + np.log(REPORTED * RATIO):
            continue
        told = (errors[row], chances[1]), (paths[row], chances[2]), (raw, score.probability(raw, knots))
        for name, pair in zip(found, told, strict=True):
            if not np.isnan(pair[0]):
                found[name][key] = (np.float32(pair[0]), np.float32(pair[1]))
    return found


@pytest.mark.parametrize("alert", [LOW, USUAL], ids=["every-second", "usual-limit"])
def test_engine_writes_the_scores_of_the_batch_functions_bit_for_bit(alert: float) -> None:
    expected = wanted(driven(alert), alert)
    for detector, rows in expected.items():
        assert len(rows) > (200 if alert == LOW else 10)
        assert scores_of(driven(alert), detector) == rows


def of_coins() -> autoencoder.AutoencoderModel:
    """Another network, as a model of coins."""
    described = msgspec.structs.replace(
        autoencoder.shipped("stock").described, instrument_class="crypto", detector=ensemble_members.AUTOENCODER_CRYPTO
    )
    return autoencoder.AutoencoderModel(described, other_network().arrays)


def test_coins_are_scored_by_their_own_network_and_shares_by_theirs() -> None:
    usual = in_force()
    shelf = usual._shelf
    assert isinstance(shelf, ModelStore)
    models = usual.models | {ensemble_members.AUTOENCODER_CRYPTO: shelf.put(of_coins().encoded())}
    kinds = {"QUOTED.SIMX": "spot", "DEEP.SIMX": "perpetual"}
    driver = m.run(events(), force=ActiveModels(shelf, models, usual.config), kinds=kinds)
    rows, keys = sample(driver)
    errors = dict(zip(keys, batch.score_rows(of_coins().network(rows.names), rows), strict=True))
    coins, shares = (
        scores_of(driver, ensemble_members.AUTOENCODER_CRYPTO),
        scores_of(driver, ensemble_members.AUTOENCODER),
    )
    assert {name for name, _ in coins} == {"QUOTED.SIMX", "DEEP.SIMX"}
    assert {key: raw for key, (raw, _) in coins.items()} == {
        key: np.float32(error) for key, error in errors.items() if key[0] in kinds and not np.isnan(error)
    }
    assert shares == {
        key: told for key, told in scores_of(driven(LOW), ensemble_members.AUTOENCODER).items() if key[0] not in kinds
    }


def test_without_a_network_of_coins_the_others_judge_them_alone() -> None:
    usual = in_force()
    models = {name: known for name, known in usual.models.items() if name != ensemble_members.AUTOENCODER_CRYPTO}
    force = ActiveModels(usual._shelf, models, usual.config)
    driver = m.run(events()[:3000], force=force, kinds={"BOOKS.SIMX": "spot"})
    assert "BOOKS.SIMX" not in {name for name, _ in scores_of(driver, ensemble_members.AUTOENCODER)}
    assert "BOOKS.SIMX" in {name for name, _ in scores_of(driver, ensemble_members.FUSION)}


def test_fusion_of_the_engine_is_that_of_whole_arrays() -> None:
    rng = np.random.default_rng(3)
    chances = rng.uniform(0.0, 1.0, (50, 3))
    chances[rng.random((50, 3)) < 0.3] = np.nan
    model = fusion.shipped()
    one_by_one = [fusion.fuse(row, model.table()) for row in chances]
    np.testing.assert_allclose(one_by_one, fusion.fused(chances, model), rtol=1e-12)


def test_without_peers_their_rows_are_missing_and_all_others_the_same() -> None:
    usual, without = driven(LOW), m.run(events(), force=in_force(peers=False))
    unwatched = m.run(events(), force=in_force(watch=False))
    for detector in (ensemble_members.AUTOENCODER, ensemble_members.ISOLATION, ensemble_members.FUSION):
        assert scores_of(usual, detector)
        assert not scores_of(without, detector) and not scores_of(unwatched, detector)
    for detector in set(DETECTORS) - {
        ensemble_members.AUTOENCODER,
        ensemble_members.ISOLATION,
        ensemble_members.FUSION,
    }:
        ours, theirs = scores_of(usual, detector), scores_of(without, detector)
        assert ours.keys() == theirs.keys()
        assert np.array_equal(list(ours.values()), list(theirs.values()), equal_nan=True)
    assert m.bits(usual.outgoing())["features"] == m.bits(without.outgoing())["features"]


def switched(at: int, changed: Control) -> Driver:
    """A run in which a control row stands at a second of the market."""
    names = m.names_in(events())
    driver = m.new_driver(names, in_force())
    shelf = driver.task.force._shelf
    assert isinstance(shelf, ModelStore)
    shelf.put(other_network().encoded())
    place = next(k for k, event in enumerate(events()) if event.at >= m.at(at))
    done = False
    for part in m.frames_of(events(), [place]):
        if part[0].at >= m.at(at) and not done:
            row = control_rows.frame(msgspec.json.encode(changed).decode(), m.at(at))
            driver.record(row, FrameHeaders("status", CONTROL_SOURCE, 1, 0, 1).to_kafka())
            done = True
        m.send(driver, part, names)
    assert not driver.task.tally.refused
    return driver


def other_network() -> autoencoder.AutoencoderModel:
    """The shipped one with another output layer."""
    model = autoencoder.shipped("stock")
    return autoencoder.AutoencoderModel(model.described, model.arrays | {"b5": model.arrays["b5"] + np.float32(0.5)})


def test_promoted_network_scores_from_its_control_row_on_with_windows_of_its_own() -> None:
    driver = switched(250, Control(models={ensemble_members.AUTOENCODER: other_network().hash}))
    found, last = scores_of(driver, ensemble_members.AUTOENCODER), m.START + 249
    # The row comes before what closes the second that ends with it.
    rows, keys = sample(driver, 249)
    errors = dict(zip(keys, batch.score_rows(other_network().network(rows.names), rows), strict=True))
    after = {key: raw for key, (raw, _) in found.items() if key[1] > last}
    assert after == {key: np.float32(error) for key, error in errors.items() if not np.isnan(error)}
    assert min(second for _, second in after) == last + 32
    before = {key: pair for key, pair in found.items() if key[1] <= last}
    assert before == {
        key: pair for key, pair in scores_of(driven(LOW), ensemble_members.AUTOENCODER).items() if key in before
    }
    versions = [
        (read_stream(record.value).schema.metadata or {})[b"tapewatch.versions"].decode()
        for record in driver.outgoing()
        if record.topic == topics.SCORES
    ]
    assert f"autoencoder={autoencoder.shipped('stock').hash}" in versions[0]
    assert f"autoencoder={other_network().hash}" in versions[-1]


def test_control_row_switches_the_peers_off() -> None:
    driver = switched(250, Control(config=DetectorConfig(fused_anomaly=NEVER, peers=False)))
    for detector in (ensemble_members.AUTOENCODER, ensemble_members.ISOLATION, ensemble_members.FUSION):
        assert max(second for _, second in scores_of(driver, detector)) == m.START + 249


def test_models_of_every_kind_can_be_promoted_and_wrong_ones_cannot() -> None:
    for detector, data in shipped().items():
        assert control.checked(data).detector == detector
    strange = msgspec.structs.replace(fusion.shipped(), inputs=("kmeans", "autoencoder", "tarot"))
    with pytest.raises(TapewatchError, match="no such input: tarot"):
        control.checked(strange.encoded())
    with pytest.raises(TapewatchError, match="not 'isolation'"):
        ActiveModels(ModelStore(), {ensemble_members.ISOLATION: fusion.shipped().hash}, DetectorConfig())


def test_fusion_without_its_inputs_says_nothing_and_without_a_fusion_nobody_is_asked() -> None:
    shelf = ModelStore()
    alone = ActiveModels(
        shelf, {ensemble_members.FUSION: shelf.put(fused_model(LOW).encoded())}, DetectorConfig(fused_anomaly=NEVER)
    )
    driver = m.run(events()[:400], force=alone)
    assert table(driver.outgoing(), "features") and not table(driver.outgoing(), "scores")
    assert not ActiveModels(shelf, {}, DetectorConfig()).detectors.ask


def pumped(market: control_market.Market) -> None:
    """Up by 6 % in a minute on heavy buying, and down again."""
    market.move[1300:1360] += 0.06 / 60
    market.buys[1300:1360], market.rate[1300:1360], market.size[1300:1360] = 0.95, 40.0, 4.0
    market.spread[1300:1420] *= 4.0
    market.move[1360:1420] -= 0.05 / 60
    market.buys[1360:1420], market.rate[1360:1420] = 0.1, 25.0


def busy(market: control_market.Market) -> None:
    """Two minutes of trading twice as heavy on both sides, and the price finds its way by .2 %."""
    market.move[1300:1420] += 0.002 / 120
    market.rate[1300:1420] *= 2.0


@cache
def controls() -> tuple[Alert, ...]:
    """Alerts of `fused_anomaly` on a true case, a look-alike and a quiet market (a few seconds to run)."""
    markets = {name: control_market.Market(seed) for seed, name in enumerate(("PUMP.SIMX", "BUSY.SIMX", "QUIET.SIMX"))}
    pumped(markets["PUMP.SIMX"])
    busy(markets["BUSY.SIMX"])
    found = control_market.run(markets).collect()[topics.ALERTS]
    alerts = [messages.decode(Alert, record.value) for record in found]
    return tuple(alert for alert in alerts if alert.scenario == "fused_anomaly")


@pytest.mark.slow
def test_a_pump_raises_one_fused_alert_that_names_its_models() -> None:
    found = [alert for alert in controls() if alert.instrument == "PUMP.SIMX"]
    assert len({alert.id for alert in found}) == 1
    opened = found[0]
    assert opened.state == "open" and messages.from_rfc3339(opened.onset) / NANOS >= control_market.START + 1300
    shown = {evidence.feature: evidence for evidence in opened.evidence}
    log_odds = shown["fused_log_odds"]
    assert log_odds.value is not None and log_odds.threshold is not None and log_odds.value >= log_odds.threshold
    assert opened.probability == shown["fused_probability"].value
    assert set(opened.provenance.models) == {"kmeans", "autoencoder", "isolation", "fusion"}
    assert "PUMP.SIMX traded unusually" in opened.sentence


def test_busy_and_quiet_trading_raise_no_fused_alert() -> None:
    assert not [alert for alert in controls() if alert.instrument != "PUMP.SIMX"]
