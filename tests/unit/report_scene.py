"""An alert, its case and the minutes around it, with whatever text a report has to bear."""

from console.api.moments import Books, Context, Features, Points, Seconds, Trades
from tapewatch.contract.messages import Alert, Case, CaseAlert, CaseEvent, Evidence, Provenance

HOSTILE = "<img src=x onerror=alert(1)>\"'&\x00\x1b[2J\ud800 台積電 삼성전자 ﷽ \U0001f600 \u202egnp"
AT = "2026-01-30T01:02:03.000000000Z"
START = 1_769_734_800_000


def alert(text: str = "Pumped.") -> Alert:
    return Alert(
        id="a" * 32, scenario="pump_and_dump", instrument="2330.XTAI", onset=AT, decided=AT, updated=AT, state="open",
        revision=0, severity="high", score=81.25, sentence=text, data_tier="trades",
        evidence=(
            Evidence(feature="volume_z", value=9.5, threshold=4.0, relation=">=", unit="sigma"),
            Evidence(feature="ret_60s", value=None, threshold=0.1, relation=">="),
            Evidence(feature="price", value=101.0, threshold=None, relation=""),
        ),
        provenance=Provenance(
            topic="market.twse", partition=2, onset_offset=1, decided_offset=2, updated_offset=3,
            configuration="c" * 64, models={"kmeans": "0123456789abcdef"}, build="b" * 16,
        ),
    )  # fmt: skip


def case(text: str = "looked at it") -> Case:
    step = CaseEvent(at=AT, who="ann", action="escalate", why=text, subject=text)
    return Case(
        id="c" * 32, revision=3, instrument="2330.XTAI", state="escalated", owner="ann", risk=77.0, priority=1,
        opened=AT, updated=AT, alerts=(CaseAlert(id="a" * 32, revision=0),), history=(step,) * 3,
    )  # fmt: skip


def context(seconds: int = 120) -> Context:
    t = [START + 1000 * each for each in range(seconds)]
    prices: list[float | None] = [100.0 + each / 10 for each in range(seconds)]
    volume: list[float | None] = [float(each % 7) for each in range(seconds)]
    levels: list[float | None] = [100.0, 99.5, None, None, None]
    sizes: list[float | None] = [5.0, 7.0, None, None, None]
    last = START + 1000 * seconds
    return Context(
        instrument="2330.XTAI", start=START, end=last, onset=START + 40_000.0, decided=START + 60_000.0,
        seconds=Seconds(t, prices, prices, prices, prices, volume, volume),
        features=Features(t, {"volume_z": [None, *volume[1:]], "ret_60s": [None] * seconds}),
        scores={"kmeans": Points(t[:5], [0.1, None, 0.5, 0.9, 0.2][:seconds])} if seconds else {},
        trades=Trades([], [], [], []),
        books=Books([START + 1.0] if seconds else [], [levels], [sizes], [levels], [sizes], 100.0), cut=False,
    )  # fmt: skip
