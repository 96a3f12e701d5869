"""The comparison of detectors: each recording is judged by what learnt on the others, on the same seconds."""

import numpy as np

from benchmarks.detection import Example, engine, measured, warm
from evaluation.scenario_figures import Seconds
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun
from tapewatch.clock import NANOS

COUNT = 200


def made(name: str, seed: int) -> Example:
    """A market whose one feature, and whose K-means score, is high during its two events."""
    second = np.arange(COUNT)
    rng = np.random.default_rng(seed)
    events = [Event("spoofing", name, 60.0, 66.0), Event("layering", name, 120.0, 126.0)]
    busy = ((second >= 60) & (second < 66)) | ((second >= 120) & (second < 126))
    feature = busy * 5.0 + rng.normal(size=COUNT) * 0.5
    names = np.full(COUNT, "A.SIMX", dtype=object)
    score = {"instrument": names, "second": second, "raw": feature, "probability": np.full(COUNT, np.nan)}
    features = {"instrument": names, "ts": (second + 1) * NANOS}
    run = MarketRun(("A.SIMX",), {"kmeans": score}, features, {"A.SIMX": (0, COUNT)}, [], {}, "", {}, "")
    seconds = warm(Seconds(("A.SIMX",), np.zeros(COUNT, np.int64), second, feature), 0, 20.0)
    return Example(name, name, 0, 3.0, run, seconds, feature[20:, None], events)


def test_every_detector_is_judged_on_the_same_seconds_and_a_plugged_in_one_too() -> None:
    examples = [made("first", 1), made("second", 2)]
    found = measured(examples, 0, {"engine": engine, "own": engine})
    assert set(found) == {"engine", "own", "boosting", "kmeans"}
    assert found["own"]["3"]["spoofing"] == {
        key: value for key, value in found["engine"]["3"]["spoofing"].items() if key in found["own"]["3"]["spoofing"]
    }
    assert found["engine"]["3"]["all"]["auroc"]["mean"] == 1.0
    assert found["boosting"]["3"]["all"]["event_recall_at_1pct"]["of"] == 4
    assert found["engine"]["3"]["all"]["event_recall"]["mean"] == 0.0
