"""Labels of texts: how files spell them, as places in CLASSES."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.sentiment.scorer import CLASSES

I8 = npt.NDArray[np.int64]

_SPELLED = {name: place for place, name in enumerate(CLASSES)} | {"-1": 0, "neg": 0, "neu": 1, "pos": 2}
_BINARY = {"0": 0, "1": 2}


def places(labels: Sequence[str]) -> I8:
    """int64[labels]; ValueError names a label that is none. 0 and 1 alone are negative and positive; -1, 0, 1 the
    three classes; else their names.
    """
    spelled = [label.strip().lower() for label in labels]
    known = _BINARY if set(spelled) <= set(_BINARY) else _SPELLED | {"0": 1, "1": 2}
    unknown = sorted(set(spelled) - set(known))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is none of {', '.join(CLASSES)}")
    return np.array([known[label] for label in spelled], dtype=np.int64)
