"""A prediction, a ranking and a headline."""

from typing import Any

import msgspec

from tapewatch.contract import messages
from tapewatch.contract.messages import to_rfc3339
from tests.integration.postgres_kept import START

AT = to_rfc3339(START)


def prediction(instrument: str, value: float) -> messages.Prediction:
    return messages.Prediction(
        id=messages.stable_id("lstm", instrument, "close", "1d", AT), instrument=instrument, as_of=AT, horizon="1d",
        target="close", name="lstm", model="m", reference=10.0, value=value, classes={"up": 0.7},
    )  # fmt: skip


def ranking(name: str, best: str, out: str) -> messages.Ranking:
    place = messages.RankingEntry(best, 0.4, "bull", {"1h": "bull", "24h": "bear"}, volumes={"1m": 3.0})
    return messages.Ranking(
        id=messages.stable_id(name, AT), name=name, as_of=AT, horizon_s=3600, target_return=0.005,
        stop_return=-0.005, model="m", ranked=(place,), excluded={out: "thin"},
    )  # fmt: skip


def item(source: str, **changes: Any) -> messages.News:
    found = messages.News(
        id=messages.stable_id(source), source=source, published=AT, received=AT, language="zh-TW", headline="台積電",
        instruments=("2330.XTAI",),
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)
