"""Makes the golden tapes, by `python -m tests.golden.tapes`: seeded, and done once, since what is committed is the log.

`market` : every row type, status kind and reason to refuse, gaps and halts, five classes of instruments, a switch of
models; `abuse` : trades that name accounts, order rows, a layered book and a pump, for alerts and cases.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.account_controls import TRUE, seconds_of, trade_rows
from detectors import ensemble_members, fusion
from detectors.book import model as book
from detectors.scenarios.accounts.wash_trades import Parameters as Wash
from detectors.scenarios.fused_anomaly import Parameters as Fused
from detectors.scenarios.kmeans_anomaly import Parameters as Anomaly
from detectors.scenarios.layering import Parameters as Layering
from detectors.scenarios.library import SCENARIOS
from detectors.scenarios.pump_and_dump import Parameters as Pump
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import BOOK, KMEANS, KMEANS_CLASSIC, Control, ModelStore
from streams.engine.policy import DDQN, SHADOW
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CLOSES, CONTROL_SOURCE, REPLAY_SOURCE
from tests.golden.tape import Record, Tape, write
from tests.unit import book_tape
from tests.unit import engine_market as m
from tests.unit.engine_market import Event
from tests.unit.nervous_models import one_centre
from tests.unit.virtual_policy import EAGER, made

KINDS = {"BOOKS": "share", "QUOTED": "etf", "TRADED": "spot", "DEEP": "perpetual", "BARRED": "index"}
SECONDS = 210
SILENCE = (88, 96)
"""Seconds of `market` in which nothing comes."""
SWITCH, WITHDRAW = 100, 170
"""When `market` gets other models, and when it loses the shadow."""
FIXING_S = 54_490.0
"""A fixing at 15:08:10 UTC, when `abuse` is pumped, seconds of the day."""
MIDST = 105
"""When `abuse` is snapshotted: a book's orders stand, and accounts have begun what becomes alerts later."""
NAN = float("nan")


class Log:
    """Records in the making. names : of the dictionary, beside `*`"""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = ["*", *names]
        self.records: list[Record] = []
        self._sequences: Counter[str] = Counter()
        self._clock = m.START * NANOS

    def record(self, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        """A record as it is, a millisecond after the newest row."""
        self.records.append(Record(value, headers, self._clock + 1_000_000))

    def headers(self, label: str, source: str = "feed", back: int = 0, epoch: int = 1) -> list[tuple[str, bytes]]:
        """A frame's headers. back : so many sequence numbers before the next one"""
        sequence = self._sequences[source] - back
        self._sequences[source] += 0 if back else 1
        return FrameHeaders(label, source, epoch, sequence, self._clock).to_kafka()

    def rows(self, rows: Rows, source: str = "feed") -> None:
        """Rows as a frame; the feed's own move the time, unless they are absurd."""
        newest = int(rows.ts_recv.max())
        if source == "feed" and newest < self._clock + 600 * NANOS:
            self._clock = max(self._clock, newest)
        self.record(frames.encode(rows), self.headers(rows.type.label, source))

    def events(self, events: Sequence[Event], source: str = "feed") -> None:
        """Events in order, each run of a type as a frame."""
        for run in m.frames_of(events):
            self.rows(m.rows_of(run, self.names), source)

    def control(self, detail: str, second: float, source: str = CONTROL_SOURCE) -> None:
        """A control row."""
        self.record(control_rows.frame(detail, m.at(second)), self.headers("status", source))


def lively(shelf: ModelStore) -> Control:
    """Models and thresholds under which a quiet market raises alerts of every kind."""
    wide, pair = one_centre()
    reports = tuple(msgspec.structs.replace(each, alert=1e-6) for each in book.shipped().boosters)
    models = {
        DDQN: made(1).encoded(),
        SHADOW: made(2).encoded(),
        KMEANS: wide.encoded(),
        KMEANS_CLASSIC: pair.encoded(),
        BOOK: msgspec.structs.replace(book.shipped(), boosters=reports).encoded(),
        ensemble_members.FUSION: msgspec.structs.replace(fusion.shipped(), alert=-7.0).encoded(),
    }
    pump = Pump(
        min_rise=1e-4, rise_deviations=0.0, min_rush=1.0, rush_ratio=0.0, volume_ratio=0.2, buy_share=-1.0,
        warm_s=30.0, cooldown_s=20.0,
    )  # fmt: skip
    config = DetectorConfig(
        **eased(),
        kmeans_anomaly=Anomaly(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0),
        pump_and_dump=pump,
        fused_anomaly=Fused(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0),
        layering=Layering(warm_s=0.0),
        wash_trades=Wash(quiet_s=5.0, cooldown_s=10.0, update_ratio=1.1),
        classes={"spot": {"pump_and_dump": {"volume_ratio": 0.5}}},
        policy=EAGER,
    )
    return Control({name: shelf.put(data) for name, data in models.items()}, config)


def eased() -> dict[str, Any]:
    """Scenarios that have no thresholds of their own here: at a fiftieth of theirs, and with little patience."""
    found: dict[str, Any] = {}
    for name in set(SCENARIOS) - {"kmeans_anomaly", "pump_and_dump", "fused_anomaly", "layering"}:
        shipped = getattr(DetectorConfig(), name)
        lower = {key: value / 50 for key, value in msgspec.structs.asdict(shipped).items() if key != "window_s"}
        times = {"hold_s": 1.0, "quiet_s": 3.0, "cooldown_s": 60.0, "warm_s": 20.0, "fixing_s": FIXING_S}
        known = {key: value for key, value in times.items() if hasattr(shipped, key)}
        found[name] = msgspec.structs.replace(shipped, **lower | known | {"update_ratio": shipped.update_ratio})
    return found


def told(control: Control) -> str:
    """The detail of a control row."""
    return msgspec.json.encode(control).decode()


def order(name: str, when: float, action: int, side: int, price: float, qty: float, number: str) -> Event:
    """An order row."""
    values = {"action": action, "side": side, "price": price, "qty": qty, "order_id": number}
    return Event(RowType.ORDER, name, m.at(when), values)


def orders(name: str, seconds: int, seed: int) -> list[Event]:
    """Orders that are added, cut, executed in part and deleted."""
    rng, found = random.Random(seed), []
    for number in range(seconds * 2):
        when, side = number / 2 + rng.randrange(40, 90) / 1000, rng.choice((1, -1))
        price = rng.randrange(9900, 10100) / 100
        for step, (action, qty) in enumerate(((1, 10.0), (2, 2.0), (4, 3.0), (3, 5.0))):
            if action in (1, 3) or rng.random() < 0.4:
                found.append(order(name, when + step * 0.1, action, side, price, qty, f"{name[0]}{number}"))
    return found


def phases() -> list[Event]:
    """Sessions, auctions, halts and gaps of single instruments, and of all."""
    close = "closes=2025-06-15T15:09:00Z"
    kind = StatusKind
    return [
        m.status(kind.OPEN, 0.2, "BOOKS.SIMX", close),
        m.status(kind.HALT, 62.3, "BOOKS.SIMX"), m.status(kind.RESUME, 66.3, "BOOKS.SIMX"),
        m.status(kind.HALT, 116.3, "QUOTED.SIMX"), m.status(kind.AUCTION, 120.3, "QUOTED.SIMX"),
        m.status(kind.OPEN, 124.3, "QUOTED.SIMX"), m.status(kind.GAP, 70.3, "TRADED.SIMX"),
        m.status(kind.RESYNC, 76.3, "TRADED.SIMX"), m.status(kind.GAP, 140.3),
        m.status(kind.CLOSE, 180.3, "BOOKS.SIMX"), m.status(kind.OPEN, 190.3, "BOOKS.SIMX"),
    ]  # fmt: skip


def conditions() -> list[Event]:
    """Trades that do not count, or count otherwise."""
    return [
        m.trade("BOOKS.SIMX", 20 + n / 10, 120.0 + n, 7.0, condition=condition) for n, condition in enumerate(range(7))
    ]


def bad_rows(second: float) -> list[list[Event]]:
    """Frames with a row that is refused, one for each reason that a feed can give."""
    name = "BOOKS.SIMX"
    sound = m.trade(name, second, 100.0)
    upside = m.book(name, second, [(99.0, 1.0), (99.5, 1.0)], [(101.0, 1.0)])
    crossed = m.book(name, second, [(102.0, 1.0)], [(101.0, 1.0)])
    bar = m.bar("BARRED.SIMX", second, (100.0, 99.0, 98.0, 100.0), 10.0, 3)
    return [
        [m.trade("UNKNOWN.SIMX", second, 5.0), m.trade("no id", second, 5.0), sound],
        [m.trade(name, second, NAN), m.trade(name, second, -1.0), m.trade(name, second, 100.0, 0.0), sound],
        [m.quote(name, second, 101.0, 100.0)], [crossed, upside], [bar],
        [m.trade(name, second, 100.0, side=3), m.trade(name, second, 100.0, condition=9)],
        [moved(sound, ts_event=m.at(second - 700)), moved(sound, at=m.at(second - 20))],
        [moved(sound, at=m.at(second + 7000), ts_event=m.at(second + 7000))],
    ]  # fmt: skip


def moved(event: Event, at: int = 0, ts_event: int = 0) -> Event:
    """An event at other times."""
    return Event(event.type, event.instrument, at or event.at, event.values, ts_event)


def bad_records(log: Log, second: float) -> None:
    """Records that are no frames of the contract, and frames that were seen before."""
    sound = m.rows_of([m.trade("BOOKS.SIMX", second, 100.0)], log.names)
    value, label = frames.encode(sound), "trade"
    batch = frames.read_stream(value)
    prices = pa.array([None], type=pa.float64())
    at = batch.schema.get_field_index("price")
    with_null = batch.set_column(at, pa.field("price", pa.float64()), prices)
    shuffled = batch.select([*reversed(batch.schema.names)])
    other = pa.record_batch({"price": [1.0]})
    log.record(None, log.headers(label))
    for broken in (b"no frame", value[:-40], bytes(frames.MAX_FRAME_BYTES + 1)):
        log.record(broken, log.headers(label))
    for found in (with_null, other, batch.drop_columns(["qty"])):
        log.record(frames.write_stream(found), log.headers(label))
    log.record(value, [])
    log.record(value, log.headers("quote"))
    log.record(value, [(name, b"2.0" if name == "version" else text) for name, text in log.headers(label)])
    # Another Arrow writer's order of columns is as good as ours.
    log.record(frames.write_stream(shuffled), log.headers(label))
    # Seen before, of an epoch that is over, and one that had been left out, twice.
    log.record(value, log.headers(label, back=1))
    log.record(value, log.headers(label, epoch=0))
    for _ in range(2):
        log.record(value, log.headers(label, back=3))


def replayed(log: Log, second: int) -> None:
    """Dead letters that come again: in their second, after it, before it."""
    for when in (second + 0.5, second - 10.5, second + 10.5):
        log.events([m.trade("BOOKS.SIMX", when, 100.0, 2.0)], REPLAY_SOURCE)


def with_every_column(log: Log, second: float) -> None:
    """A frame of trades and one of orders with all optional columns."""
    trades = m.rows_of([m.trade("BOOKS.SIMX", second, 100.0), m.trade("BOOKS.SIMX", second, 100.5)], log.names)
    for name in ("trade_id", "buyer_account", "seller_account", "buyer_order_id", "seller_order_id"):
        trades.columns[name] = np.array([f"{name}-1", None], dtype=object)
    placed = m.rows_of([order("BOOKS.SIMX", second, 1, 1, 99.0, 4.0, "kept")], log.names)
    placed.columns["account"], placed.columns["capacity"] = (np.array([text], dtype=object) for text in ("a", "agent"))
    log.rows(trades)
    log.rows(placed)


def registered(names: Iterable[str], kinds: dict[str, str]) -> list[Instrument]:
    """Reference data."""
    found = ((name, kinds.get(name.partition(".")[0], "share")) for name in names)
    return [Instrument(name, kind=kind, currency="USD", registered_at=1) for name, kind in found]


def market() -> Tape:
    """Every row type, status kind and refusal."""
    names, shelf = [f"{name}.SIMX" for name in KINDS], ModelStore()
    log = Log([*names, "UNKNOWN.SIMX", "no id"])
    bars = [
        m.bar("BARRED.SIMX", minute + 0.9, (100.0, 101.0, 99.0, 100.5), 40.0, 4) for minute in range(60, SECONDS, 60)
    ]
    trading = m.RandomMarket(seed=22, seconds=SECONDS, rate=1.5).events()
    events = [
        event
        for event in m.in_order(trading, orders("BOOKS.SIMX", SECONDS, 5), bars, phases(), conditions())
        if not m.at(SILENCE[0]) <= event.at < m.at(SILENCE[1])
    ]
    switch, shadowless = lively(shelf), Control({SHADOW: ""})

    def until(second: float, since: float) -> None:
        log.events([event for event in events if m.at(since) <= event.at < m.at(second)])

    until(30, 0)
    for rows in bad_rows(30.0):
        log.events(rows)
    until(45, 30)
    bad_records(log, 45.0)
    with_every_column(log, 45.1)
    until(80, 45)
    replayed(log, 79)
    cut = len(log.records)
    until(SWITCH, 80)
    log.control(told(switch), SWITCH)
    log.control('{"models": {"kmeans": "nowhere"}}', SWITCH)
    log.control(told(switch), SWITCH, source="feed")
    until(WITHDRAW, SWITCH)
    log.control(told(shadowless), WITHDRAW)
    snapshot = len(log.records) - 150
    until(SECONDS, WITHDRAW)
    log.rows(m.rows_of([m.status(StatusKind.HEARTBEAT, SECONDS)], log.names), CLOSES)
    log.events([m.trade("BOOKS.SIMX", SECONDS, 100.0)])
    log.control(told(switch), SECONDS)
    return Tape(
        registered(names, KINDS), shelf_of(shelf, switch), Control(), log.records,
        [cut, snapshot, len(log.records) - 3], snapshot, ["DEEP.SIMX"],
    )  # fmt: skip


def shelf_of(shelf: ModelStore, control: Control) -> dict[str, bytes]:
    """The files that a control row names."""
    return {hashed: shelf.files[hashed] for hashed in control.models.values()}


def layered(name: str, since: float) -> list[Event]:
    """A minute of a book with orders that come and go at four levels, and order rows that tell whose they were."""
    layers = [book_tape.Order(book_tape.BID, level, 12.0, 30.2, 33.4) for level in range(2, 6)]
    found = book_tape.tape(layers, [book_tape.Trade(31.0, book_tape.ASK, 0, 2.0)], flicker=(45.0, 46.0))
    shift = m.at(since) - book_tape.START * NANOS
    keys = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    quoted = {"last_price": NAN, "volume": 0.0}
    trades = [
        Event(RowType.TRADE, name, int(at), {"price": p, "qty": q, "aggressor_side": int(side), "condition": 0})
        for at, (p, q, side) in zip(found.trade_ns + shift, found.trades, strict=True)
    ]
    quotes = [
        Event(RowType.QUOTE, name, int(at), dict(zip(keys, row, strict=True)) | quoted)
        for at, row in zip(found.quote_ns + shift, found.quotes, strict=True)
    ]
    books = [
        Event(RowType.BOOK, name, int(at), dict(zip(keys, row.reshape(4, 10), strict=True)) | {"sequence": 0})
        for at, row in zip(found.book_ns + shift, found.books, strict=True)
    ]
    made: list[Event] = []
    for number in range(100):
        when = since + number / 2
        for at, action, qty in ((0.05, 1, 10.0), (0.15, 4, 1.0), (0.2, 3, 9.0)):
            made.append(order(name, when + at, action, 1, 99.9, qty, f"o{number}"))
    return m.in_order(trades, quotes, books, made)


def pumped(name: str, seconds: int) -> list[Event]:
    """A price that is bought up from 60 s on, sold off before the close, then ramped up; tiny trades in the end."""
    rng, price = random.Random(9), 100.0
    found = [m.status(StatusKind.OPEN, 0.01, name, "closes=2025-06-15T15:08:50Z")]
    for second in range(seconds):
        side = 1 if 60 <= second < 75 else -1 if 90 <= second < 105 else 0
        ramped, tiny = 140 <= second < 300, second >= 305
        price *= 1.0 + 0.004 * side + (0.0002 if ramped else 0.0)
        for step in range(12 if side or tiny else 1 + second % 2):
            taken = side or (1 if ramped else rng.choice((1, -1)))
            traded = round(price * (1.0 + taken * rng.random() / 2000), 2)
            qty = 0.01 if tiny else rng.randrange(1, 9) * (6.0 if side else 1.0)
            found.append(m.trade(name, second + step * 0.07 + 0.05, traded, qty, taken))
        found.append(m.quote(name, second + 0.95, round(price - 0.02, 2), round(price + 0.02, 2)))
    return found


def abuse() -> Tape:
    """Accounts that trade with each other, a layered book, a pump: what raises alerts, and what cases are made of."""
    seconds, snapshot, shelf = 345, 0, ModelStore()
    named = dict(zip(TRUE, ("ACME.SIMX", "ACME-F202512.SIMX", "FRONT.SIMX", "PAINT.SIMX"), strict=True))
    names = [*named.values(), "LAYERS.SIMX", "PUMPUSD.COINX"]
    begins, log = lively(shelf), Log(names)
    events = m.in_order(m.heartbeats(seconds), layered("LAYERS.SIMX", 100.0), pumped("PUMPUSD.COINX", 310))
    trades = [(named[scenario], each) for scenario, parts in TRUE.items() for part in parts for each in part]
    trades.sort(key=lambda each: int(each[1][0] * 1000))
    of_accounts = {int(rows.ts_recv[0]) // NANOS: rows for rows in seconds_of(trade_rows(trades, m.START * NANOS))}
    for second in range(m.START, m.START + seconds + 1):
        if second == m.START + MIDST:
            snapshot = len(log.records)
        log.events([event for event in events if event.second == second])
        if second in of_accounts:
            log.rows(of_accounts[second], "accounts")
    return Tape(
        registered(names, {"PUMPUSD": "spot"}), shelf_of(shelf, begins), begins, log.records,
        [snapshot, snapshot + 400], snapshot, ["LAYERS.SIMX"],
    )  # fmt: skip


if __name__ == "__main__":
    for name, tape in (("market", market()), ("abuse", abuse())):
        print(write(name, tape))
