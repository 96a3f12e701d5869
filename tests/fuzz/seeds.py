"""Writes what the corpus begins with: `python -m tests.fuzz.seeds`. Found inputs lie beside it and stay."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fuzz import frame_targets
from benchmarks.fuzz.frame_targets import SEPARATOR
from benchmarks.fuzz.targets import CORPUS, START_NS, STEP, TARGETS
from producers.base.tape import Tape
from producers.base.universe import Listing
from streams.engine.detector_config import DetectorConfig
from tapewatch.clock import NANOS
from tapewatch.contract import frames, messages
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import OPTIONAL, REQUIRED, Rows, RowType, heartbeat_rows, numpy_dtype
from tests.unit import binance_lines, recorded_lines
from tests.unit.binance_messages import fetched as binance_fetched
from tests.unit.binance_messages import quote as binance_quote
from tests.unit.binance_messages import trade as binance_trade
from tests.unit.coinbase_messages import BOOK as COINBASE_BOOK
from tests.unit.coinbase_messages import book as coinbase_book
from tests.unit.coinbase_messages import past as coinbase_past
from tests.unit.coinbase_messages import trades as coinbase_trades
from tests.unit.contract_examples import EXAMPLES
from tests.unit.kraken_messages import BTC_ASKS, BTC_BIDS, BTC_CHECKSUM
from tests.unit.kraken_messages import book as kraken_book
from tests.unit.kraken_messages import page as kraken_page
from tests.unit.kraken_messages import trades as kraken_trades
from tests.unit.taiwan import mis_answer, mis_row, yahoo_quote
from tests.unit.upbit_messages import book as upbit_book
from tests.unit.upbit_messages import past as upbit_past
from tests.unit.upbit_messages import ticker as upbit_ticker
from tests.unit.upbit_messages import trade as upbit_trade
from tests.unit.yahoo_document import at as new_york
from tests.unit.yahoo_document import document as yahoo_document

MS = START_NS // 1_000_000


def rows(row_type: RowType, count: int, name: str = frame_targets.BAD, optional: bool = False) -> Rows:
    """Rows that are in order, a millisecond apart."""
    columns = {}
    kinds = [*REQUIRED[row_type], *(OPTIONAL[row_type] if optional else ())]
    for place, (column, kind) in enumerate(kinds):
        if pa.types.is_fixed_size_list(kind):
            away = np.arange(1, 11) * 0.01 * (-1 if column.startswith("bid") else 1)
            columns[column] = np.tile(
                100.0 + away if column.endswith("price") else away * 100 * np.sign(away), (count, 1)
            )
        elif pa.types.is_string(kind):
            columns[column] = np.array([f"{column}-{number}" for number in range(count)], dtype=object)
        else:
            columns[column] = np.full(count, 1 + (place > 5), dtype=numpy_dtype(kind))
    stamps = (frame_targets.START * NANOS) + np.arange(count, dtype=np.int64) * 1_000_000
    columns |= {"instrument": np.zeros(count, dtype=np.int32), "ts_event": stamps, "ts_recv": stamps}
    return Rows(row_type, (name,), columns)


def market_frames() -> Iterable[tuple[RowType, bytes]]:
    """A frame or more of every type."""
    for row_type in RowType:
        if row_type is not RowType.STATUS:
            for count in (1, 3):
                yield row_type, frames.encode(rows(row_type, count))
            yield row_type, frames.encode(rows(row_type, 2, optional=True))
    yield RowType.STATUS, frames.encode(heartbeat_rows(np.array([frame_targets.START * NANOS])))
    yield RowType.STATUS, frames.encode(rows(RowType.STATUS, 2))
    batch = frames.read_stream(frames.encode(rows(RowType.QUOTE, 3)))
    yield RowType.QUOTE, frames.write_stream(batch.select(list(reversed(batch.schema.names))), "lz4")


def records() -> Iterable[bytes]:
    """Headers and values."""
    for number, (row_type, value) in enumerate(market_frames()):
        yield header_lines(row_type.label, number) + SEPARATOR + value


def header_lines(label: str, number: int) -> bytes:
    return b"\n".join(
        name.encode() + b"=" + value for name, value in FrameHeaders(label, "fuzz", 1, number, 7).to_kafka()
    )


def session(*steps: bytes) -> bytes:
    return STEP.join(steps)


def depth(first: int, last: int) -> bytes:
    levels = {"b": [["99.5", "1"], ["99", "0"]], "a": [["100.5", "2"], ["101", "3"]]}
    said = {"e": "depthUpdate", "E": MS, "s": "BTCUSDT", "U": first, "u": last, "T": MS, "pu": first - 1, **levels}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": said}, separators=(",", ":")).encode()


def binance(_venue: str) -> Iterable[bytes]:
    book = json.dumps({"lastUpdateId": 7, "bids": [["99", "1"]], "asks": [["101", "1"], ["102", "4"]]}).encode()
    yield session(b"m" + depth(5, 8), b"0" + book, b"m" + depth(9, 10), b"m" + depth(20, 21), b"t", b"l gone")
    live = [b"m" + binance_trade(number, MS) for number in (1, 2, 6)]
    yield session(*live, b"1" + binance_fetched(3, 5, 3), b"m" + binance_quote(4), b"l silent", b"o")
    yield session(b'm{"result":null,"id":1}', b'm{"error":{"code":1},"id":2}', b"m" + binance_quote(9))


def venue_sessions() -> dict[str, list[bytes]]:
    """A few sessions of each venue."""
    step = 3_600
    yahoo = yahoo_document(
        [new_york("2023-11-14T09:30") + 60 * n for n in range(3)], [[10.0, 11.0, 9.5, 10.5, 100]] * 3
    )
    quotes = json.dumps({"quoteResponse": {"result": [yahoo_quote()], "error": None}}).encode()
    kiwoom = json.dumps({"stk_min_pole_chart_qry": [recorded_lines.ROW], "return_code": 0, "stk_cd": "005930"}).encode()
    return {
        "binance": list(binance("binance")),
        "binance-usdm": list(binance("binance-usdm")),
        "upbit": [
            session(
                b"m" + upbit_book(), b"m" + upbit_ticker(), b"m" + upbit_trade(17), b"l x", b"0" + upbit_past(15, 16)
            ),
            session(b"m" + upbit_book(MS + step, "1e8", "2e8"), b"m" + upbit_book(MS + 2 * step), b'm{"status":"UP"}'),
        ],
        "coinbase": [
            session(
                b"m" + coinbase_book(0, "snapshot", COINBASE_BOOK), b"m" + coinbase_book(1, "update", COINBASE_BOOK[:2])
            ),
            session(
                b"m" + coinbase_trades(0, 1, 2),
                b"m" + coinbase_trades(4, 9),
                b"0" + json.dumps(coinbase_past(3)).encode(),
            ),
        ],
        "kraken": [
            session(
                b"m" + kraken_book("snapshot", "BTC/USD", BTC_BIDS, BTC_ASKS, BTC_CHECKSUM), b"m" + kraken_trades(1, 2)
            ),
            session(b"m" + kraken_trades(1, 5), b"0" + kraken_page(2, 3, 4), b"l gone", b"m" + kraken_trades(9)),
        ],
        "twse": [session(b"o", b"0" + mis_answer(mis_row()), b"1" + quotes, b"t", b"0" + mis_answer(code="9999"))],
        "yahoo": [session(b"0" + yahoo, b"t", b"0" + yahoo, b"l no")],
        "kiwoom": [session(b"0" + kiwoom, b"t", b"0" + kiwoom)],
    }


def recordings(folder: Path) -> dict[str, list[bytes]]:
    """A small file of each kind."""
    tape = folder / "session.tape"
    kept = Tape(tape, "upbit", "1", {})
    kept.follow([Listing("KRW-BTC", Instrument("KRW-BTC.UPBIT"))], START_NS)
    for number, text in enumerate((upbit_book(), upbit_trade(17), upbit_ticker(MS + 1))):
        kept.message("link", text, START_NS + number)
    kept.lost("link", ["KRW-BTC"], "gone", START_NS + NANOS)
    kept.close()
    parquet = folder / "bars.parquet"
    batch = frames.read_stream(frames.encode(rows(RowType.TRADE, 4, optional=True)))
    names = batch.column("instrument").cast(pa.utf8())
    table = pa.table(batch).set_column(0, "instrument", names).replace_schema_metadata(None)
    pq.write_table(table, parquet, compression="none")
    lines = [
        binance_lines.diff(1, 5, [["98", "1"]], []),
        binance_lines.snapshot(4, [["99", "1"]], [["101", "1"]]),
        binance_lines.trade(3, "100", "2"),
        binance_lines.ticker(),
    ]
    dsp = [
        recorded_lines.dsp("0050", "083000000000", "T   ", 0, 0, 19900, 20000),
        recorded_lines.dsp("0050", "090000500000", "  Y ", 19950, 30, 19900, 0),
    ]
    pump = "AST/BTC,1535297434173,x,buy,1.435e-05,4.0,0.01375"
    messages_of_lobster = "34200.1,1,7,100,1000000,1\n34200.2,4,7,50,1000000,1\n34201.5,7,0,0,-1,-1\n"
    return {
        "tape": [tape.read_bytes()],
        "parquet": [parquet.read_bytes()],
        "binance": [b"\n".join(binance_lines.line(place, each) for place, each in enumerate(lines)) + b"\n"],
        "pumps": [f"{recorded_lines.PUMP_HEADER}\n{pump}\n{pump}\n".encode()],
        "lobster": [messages_of_lobster.encode()],
        "twse-dsp": ["\n".join(dsp).encode() + b"\n"],
        "kiwoom-minutes": [
            f"{recorded_lines.HEADER}\n-78900,10,20250917132100,-78800,-78900,-78800\n".encode(),
            json.dumps({"stk_min_pole_chart_qry": [recorded_lines.ROW], "stk_cd": "005930"}).encode(),
        ],
        "minute-bars": [
            b"timestamp,open,high,low,close,volume\n2024-01-02T01:00:00,1,2,0.5,1.5,7\n1704157260,1,1,1,1,0\n"
        ],
    }


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """What each target begins with. folder : for files on the way"""
    whole = [value for _, value in market_frames()]
    kinds = list(messages.KINDS.values())
    said = [bytes([kinds.index(type(each))]) + messages.encode(each) for each in EXAMPLES]
    config = msgspec.json.encode({"models": {}, "config": msgspec.to_builtins(DetectorConfig())})
    afterwards = [value[8 + int.from_bytes(value[4:8], "little") :] for value in whole]
    return {
        "ipc": [*whole, *afterwards],
        "frame": whole,
        "headers": [header_lines("quote", 1), header_lines("status", 2**40), b"type\nversion=2\nsource=\nepoch=-1"],
        "admission": list(records()),
        "task": [each for each in records() if b"status" not in each[:20]],
        "message": said,
        "control": [config, b"{}", b'{"models":{"kmeans":"' + b"0" * 64 + b'"}}', b'{"models":{"ddqn.shadow":""}}'],
        "readable": [*whole[:6], *(each[1:] for each in said[:6]), b"text"],
        **venue_sessions(),
        **{f"recording-{kind}": found for kind, found in recordings(folder).items()},
    }


def write(folder: Path) -> int:
    """Write every seed under its hash; how many there are."""
    count = 0
    for name, found in seeds(folder).items():
        if name not in TARGETS:
            raise SystemExit(f"there is no target {name}")
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        for data in found:
            (CORPUS / name / f"seed-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            count += 1
    return count


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        print(f"{write(Path(made))} seeds")
