"""The bridge's map: fields of other people's messages become rows, and what does not fit is refused with its place."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.venues.bridge.map import BridgeMap, load_map
from producers.venues.bridge.process import letter, screened
from producers.venues.bridge.translate import RefusedRow, Translator
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339

RECEIVED = from_rfc3339("2024-03-04T01:01:02.500Z")

MINUTES = """
feed = "krx-minute"
[input]
unwrap = "message"
[instrument]
template = "{code}.XKRX"
strip_prefix = "A"
[[rows]]
type = "bar"
interval_s = 60
[rows.columns]
ts_open = { path = "time", time = "%Y%m%d%H%M%S", zone = "Asia/Seoul" }
open = { path = "open_pric", absolute = true }
high = { path = "high_pric", absolute = true }
low = { path = "low_pric", absolute = true }
close = { path = "cur_prc", absolute = true }
volume = { path = "trde_qty", thousands = "," }
"""
MINUTE = {
    "code": "A005930",
    "time": "20240304100000",
    "open_pric": "-78800",
    "high_pric": "--78900",
    "low_pric": 78700,
    "cur_prc": "+78800",
    "trde_qty": "12,345",
}
TICKS = """
feed = "ticks"
[instrument]
template = "{d.sym}.BINANCE"
upper = true
[constants]
origin = "lab"
[[rows]]
type = "trade"
when = { kind = "t" }
[rows.columns]
ts_event = { path = "d.ts", time = "ms" }
price = "d.p"
qty = { path = "d.q", scale = 1000 }
aggressor_side = { path = "d.side", values = { B = "buy", S = "sell" }, default = 0 }
trade_id = "d.id"
[[rows]]
type = "book"
when = { kind = "b" }
[rows.columns]
ts_event = { path = ["d.day", "d.time"], zone = "UTC" }
sequence = "d.n"
bid_price = { path = "d.bids", item = "0" }
bid_qty = { path = "d.bids", item = "1" }
ask_price = { path = "d.ask{level}" }
ask_qty = { path = "d.size{level}" }
[[rows]]
type = "quote"
when = { kind = "q" }
[rows.columns]
ts_event = "d.at"
bid_price = "d.bid"
bid_qty = "d.bid_size"
last_price = "d.last"
"""


def load(tmp_path: Path, text: str) -> BridgeMap:
    path = tmp_path / "map.toml"
    path.write_text(text, encoding="utf-8")
    return load_map(path)


def translated(bridge: BridgeMap, *messages: Any, received: int = RECEIVED) -> tuple[list[Any], list[RefusedRow]]:
    translator = Translator(bridge, lambda *_: True)
    for offset, message in enumerate(messages):
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        translator.message(("in", 3, offset), value, received)
    batches, refused = translator.take()
    rows = []
    for batch in batches:
        good, bad = screened(batch)
        refused += bad
        rows += good
    return rows, refused


def wrapped(**changed: Any) -> dict[str, Any]:
    return {"@timestamp": "2024-03-04T01:01:01Z", "message": json.dumps({**MINUTE, **changed}), "host": {"name": "w"}}


def trade(**changed: Any) -> dict[str, Any]:
    inner = {"sym": "btcusdt", "ts": RECEIVED // 1_000_000, "p": "50000.10", "q": 0.25, "side": "B", "id": 7}
    return {"kind": "t", "d": {**inner, **changed}}


def test_logstash_minute_row_becomes_a_bar_without_signs(tmp_path: Path) -> None:
    rows, refused = translated(load(tmp_path, MINUTES), wrapped())
    assert not refused
    (bars,) = rows
    columns = bars.columns
    assert bars.instruments[columns["instrument"][0]] == "005930.XKRX"
    assert columns["ts_open"][0] == from_rfc3339("2024-03-04T01:00:00Z")
    assert columns["ts_event"][0] == from_rfc3339("2024-03-04T01:01:00Z")
    assert columns["ts_recv"][0] == RECEIVED
    assert [columns[name][0] for name in ("open", "high", "low", "close", "volume", "trades")] == [
        78800, 78900, 78700, 78800, 12345, 0,
    ]  # fmt: skip


def test_message_that_holds_its_object_unquoted_is_read_too(tmp_path: Path) -> None:
    rows, refused = translated(load(tmp_path, MINUTES), {"message": MINUTE}, {"message": [MINUTE, MINUTE]})
    assert not refused
    assert len(rows[0]) == 3


def test_kinds_of_rows_are_told_apart_by_when(tmp_path: Path) -> None:
    book = {
        "kind": "b",
        "d": {"sym": "X", "day": "2024-03-04", "time": "01:01:02.123456789", "n": 9_007_199_254_740_993,
              "bids": [["10", "1"], ["9.5", 2]], "ask1": "10.5", "size1": "3"},
    }  # fmt: skip
    quote = {"kind": "q", "d": {"sym": "X", "at": "2024-03-04T10:01:02+09:00", "bid": 10, "bid_size": 2}}
    rows, refused = translated(load(tmp_path, TICKS), trade(), book, quote)
    assert not refused
    trades, books, quotes = rows
    assert trades.columns["price"][0] == 50000.1
    assert trades.columns["qty"][0] == 250
    assert trades.columns["aggressor_side"][0] == 1
    assert trades.columns["trade_id"][0] == "7"
    assert books.columns["ts_event"][0] == from_rfc3339("2024-03-04T01:01:02.123456789Z")
    assert books.columns["sequence"][0] == 9_007_199_254_740_993
    assert books.columns["bid_price"][0, :2].tolist() == [10, 9.5]
    assert math.isnan(books.columns["bid_price"][0, 2])
    assert books.columns["ask_qty"][0, 0] == 3
    assert quotes.columns["ts_event"][0] == from_rfc3339("2024-03-04T01:01:02Z")
    assert math.isnan(quotes.columns["ask_price"][0])


def test_csv_lines_are_rows_and_a_bad_line_costs_only_itself(tmp_path: Path) -> None:
    text = MINUTES.replace('unwrap = "message"', 'format = "csv"\nheader = "first"\ndelimiter = ";"').replace(
        'thousands = ","', 'thousands = "_"'
    )
    lines = [
        "code;time;open_pric;high_pric;low_pric;cur_prc;trde_qty",
        "005930;20240304100000;-1;-2;-1;-2;5",
        "005930;20240304100000;-1;-2",
        "000660;20240304100000;3;4;3;4;1_000",
    ]
    rows, refused = translated(load(tmp_path, text), "\r\n".join(lines).encode())
    assert rows[0].columns["volume"].tolist() == [5, 1000]
    assert [(bad.reason, bad.row, bad.raw) for bad in refused] == [("bad_csv", 1, lines[2].encode())]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"p": "50000.1000000000000000001"}, "not_exact_float"),
        ({"p": "1_000"}, "bad_number"),
        ({"p": "nan"}, "bad_number"),
        ({"p": "1e999"}, "not_exact_float"),
        ({"p": True}, "missing_field"),
        ({"p": None}, "missing_field"),
        ({"p": "-1"}, "price_not_positive"),
        ({"p": "\uff11\uff12"}, "bad_number"),
        ({"q": 0}, "bad_quantity"),
        ({"side": "X"}, "bad_number"),
        ({"side": "1.5"}, "not_whole"),
        ({"side": 7}, "unknown_code"),
        ({"ts": "soon"}, "bad_time"),
        ({"ts": 1}, "absurd_ts_event"),
        ({"ts": 10**24}, "bad_time"),
        ({"sym": "../etc"}, "malformed_instrument"),
        ({"sym": ""}, "missing_field"),
        ({"sym": "x" * 100}, "malformed_instrument"),
        ({"id": "x" * 1000}, "bad_text"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    rows, refused = translated(load(tmp_path, TICKS), trade(), trade(**changed))
    assert sum(map(len, rows)) == 1
    assert [(bad.reason, bad.origin, bad.row) for bad in refused] == [(reason, ("in", 3, 1), -1)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b"\xff\xfe", "bad_encoding"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "bad_row_count"),
        (b"3", "not_an_object"),
        (b'{"kind":"z"}', "no_row_kind"),
        (b'{"kind":"t","d":{"sym":"\\ud800"}}', "not_json"),
        (b'{"kind":"t","d":' + b"9" * 5000 + b"}", "not_json"),
    ],
)
def test_message_that_is_none_is_refused_as_a_whole(tmp_path: Path, value: bytes, reason: str) -> None:
    rows, refused = translated(load(tmp_path, TICKS), value)
    assert not rows
    assert [bad.reason for bad in refused] == [reason]
    assert refused[0].raw == value


NAMES = st.sampled_from(["kind", "d", "sym", "ts", "p", "q", "side", "id", "bids", "bid", "at", "n"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=8),
    max_leaves=20,
)


@given(st.binary(max_size=300) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_no_message_raises_and_each_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, value: bytes) -> None:
    bridge = _ticks(tmp_path_factory)
    rows, refused = translated(bridge, value)
    assert sum(map(len, rows)) + len(refused) >= 1
    for bad in refused:
        assert letter("market.ticks", "s", bad).topic == "market.ticks.dlq"


_KEPT: list[BridgeMap] = []


def _ticks(factory: pytest.TempPathFactory) -> BridgeMap:
    if not _KEPT:
        _KEPT.append(load(factory.mktemp("map"), TICKS))
    return _KEPT[0]


def test_receipt_by_event_takes_history_whose_messages_are_new(tmp_path: Path) -> None:
    bridge = load(tmp_path, 'receipt = "event"\n' + TICKS)
    rows, refused = translated(bridge, trade(ts=2_000), trade(ts=1_000))
    assert not refused
    assert rows[0].columns["ts_recv"].tolist() == [1_000_000_000, 2_000_000_000]


@pytest.mark.parametrize(
    ("before", "after", "key", "hint"),
    [
        ('feed = "ticks"', 'feed = "Ticks!"', "feed", "lower-case"),
        ('type = "trade"', 'type = "trades"', "rows[0].type", "Mend that key"),
        ('price = "d.p"', 'prize = "d.p"', "rows[0].columns.prize", "Columns: ts_event, price"),
        ('price = "d.p"\n', "", "rows[0].columns", "price ="),
        ('time = "ms"', 'time = "minutes"', "rows[0].columns.ts_event.time", "Write iso"),
        ('zone = "UTC"', 'zone = "Mars/Base"', "rows[1].columns.ts_event.zone", "IANA"),
        ('S = "sell"', 'S = "vend"', "rows[0].columns.aggressor_side.values.S", "buy, sell"),
        ('price = "d.p"', 'price = { value = "much" }', "rows[0].columns.price.value", "Mend that key"),
        ("scale = 1000", 'scale = "k"', "rows[0].columns.qty.scale", "factor"),
        ("upper = true", "uper = true", "instrument", "Mend that key"),
        ("{d.sym}", "{d.sym", "instrument.template", "path"),
        ("[constants]", '[input]\nformat = "csv"\n[constants]', "input.header", "header"),
        ("[constants]", '[input]\nencoding = "klingon"\n[constants]', "input.encoding", "utf-8"),
        ("[constants]", "[constants", "not TOML", "Mend the file"),
    ],
)
def test_mistake_in_the_map_names_key_and_remedy(tmp_path: Path, before: str, after: str, key: str, hint: str) -> None:
    assert before in TICKS
    with pytest.raises(TapewatchError) as caught:
        Translator(load(tmp_path, TICKS.replace(before, after, 1)), lambda *_: True)
    assert key in caught.value.message
    assert hint in caught.value.hint
