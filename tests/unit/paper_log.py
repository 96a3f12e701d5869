"""What the paper desk's tests feed it: a random log and the engine's commits over it."""

from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.messages import Commit, encode
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings.paper import PaperSettings
from tests.unit.paper_market import REFERENCE, TOPIC, Log, random_log

QUICK = PaperSettings(started=True, warm_s=2, half_life_s=10.0, latency_ms=200.0, risk_share=0.0001)
LOG = random_log(21, 20)
REGISTRY = FixedRegistry(REFERENCE.values())


def headers_of(log: Log, number: int) -> list[tuple[str, bytes]]:
    return FrameHeaders(log.frames[number].type.label, "test", 0, number, 0).to_kafka()


def commit(first: int, end: int, log: Log = LOG) -> bytes:
    signals = sum(len(each) for each in log.signals[first:end])
    return encode(
        Commit(
            topic=TOPIC, partition=0, first_offset=first, next_offset=end, frames=end - first, rows={}, refused={},
            signals=signals,
        )
    )  # fmt: skip
