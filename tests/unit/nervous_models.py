"""Models and thresholds that find something in every market."""

from typing import Any

import msgspec

from detectors import ensemble_members, fusion
from detectors.kmeans.model import KMeansModel
from detectors.model_file import content_hash
from detectors.scenarios.fused_anomaly import Parameters as FusedParameters
from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters
from detectors.scenarios.pump_and_dump import Parameters as PumpParameters
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import KMEANS, KMEANS_CLASSIC, ActiveModels, ModelStore, shipped
from streams.engine.policy import DDQN, SHADOW
from tests.unit.virtual_policy import EAGER, made


def one_centre() -> tuple[KMeansModel, KMeansModel]:
    """K-means models of one centre each, from which every market is far: on the book, and on price and volume."""
    shape: dict[str, Any] = {"clip": 20.0, "sizes": (1,), "normal": (True,), "knots": ((0.0, 0.0), (5.0, 1.0))}
    wide = KMeansModel(
        KMEANS, ("spread_bps", "ofi_1s"), (2.0, 0.0), (1.0, 0.1), centres=((0.0, 0.0),), alert=0.8, **shape
    )
    pair = KMeansModel(
        KMEANS_CLASSIC, ("price_change_1m_pct", "volume_change_1m_pct"), (0.0, 0.0), (1.0, 0.01),
        centres=((0.0, 0.0),), alert=1.0, **shape,
    )  # fmt: skip
    return wide, pair


def nervous() -> ActiveModels:
    """Models and thresholds under which a quiet market raises alerts of every kind."""
    shelf = ModelStore()
    wide, pair = one_centre()
    pump = PumpParameters(
        min_rise=1e-4,
        rise_deviations=0.0,
        min_rush=1.0,
        rush_ratio=0.0,
        volume_ratio=0.2,
        buy_share=-1.0,
        warm_s=30.0,
        cooldown_s=20.0,
    )
    fused = FusedParameters(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0)
    config = DetectorConfig(
        AnomalyParameters(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0), pump, fused_anomaly=fused, policy=EAGER
    )
    models = {name: shelf.put(made(seed).encoded()) for name, seed in ((DDQN, 1), (SHADOW, 2))}
    models |= {KMEANS: shelf.put(wide.encoded()), KMEANS_CLASSIC: shelf.put(pair.encoded())}
    every_second = msgspec.structs.replace(fusion.shipped(), alert=-7.0)
    models |= {
        name: content_hash(shipped()[name]) for name in (ensemble_members.AUTOENCODER, ensemble_members.ISOLATION)
    }
    return ActiveModels(shelf, models | {ensemble_members.FUSION: shelf.put(every_second.encoded())}, config)
