"""Are forecasts of a stream of minutes, cut and restarted anywhere, those of the whole file at once, bit for bit?

python -m benchmarks.minute_parity --minute btc_1m.csv.gz --model lstm.safetensors --out docs/results/minute-parity.json
"""

import argparse
import itertools
import math
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.commands import minute_files
from detectors.forecast.lstm import inputs
from detectors.forecast.lstm.forecasting import APART, returns, whole
from detectors.forecast.lstm.model import MINUTE, Model, decode
from detectors.forecast.series import Series
from streams.engine.output_frames import BARS, FrameWriter
from streams.forecast.minute import MinuteTask
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Prediction

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_MOST_MINUTES = 10
"""Of a record."""
_COST = 0.0005
_HEADERS = [("type", b"bars"), ("feed", b"minutes"), ("partition", b"0")]


def records(series: Series, random: np.random.Generator) -> list[bytes]:
    """The minutes as records of `bars`, each of a drawn number of them."""
    bars = inputs.bars_of(series)
    cuts = np.concatenate([[0], np.cumsum(random.integers(1, _MOST_MINUTES + 1, len(series)))])
    edges = np.append(cuts[cuts < len(series)], len(series)).tolist()
    writer = FrameWriter(BARS)
    return [_record(writer, series, bars, begin, end) for begin, end in itertools.pairwise(edges)]


def _record(writer: FrameWriter, series: Series, bars: F8, begin: int, end: int) -> bytes:
    count = end - begin
    keys: list[npt.NDArray[Any]] = [
        np.zeros(count, np.int32),
        series.at[begin:end],
        np.zeros(count, np.int64),
        np.full(count, 60, np.int32),
    ]
    table = np.zeros((8, count))
    table[:5] = bars[begin:end].T
    return writer.write([series.instrument], keys, table, 0, count)


def streamed(log: list[bytes], model: Model, restarts: set[int]) -> list[bytes]:
    """Predictions of a log as they are written. restarts : records before which the stage begins anew"""
    task, found = MinuteTask(0, model, _COST), []
    for offset, value in enumerate(log):
        if offset in restarts:
            needed, task = task.needed(offset), MinuteTask(0, model, _COST)
            for before in range(needed, offset):
                task.record(before, log[before], _HEADERS, silent=True)
        task.record(offset, value, _HEADERS)
        found += [record.value for record in task.take() if record.topic == topics.PREDICTIONS]
    return found


def compared(series: Series, model: Model, restarts: int, seed: int = 0) -> dict[str, Any]:
    """Rows, differences and times, s, of a file's minutes as a stream and as a batch."""
    random = np.random.default_rng(seed)
    log = records(series, random)
    places = set(random.integers(1, len(log), restarts).tolist())
    begin = WALL.elapsed()
    values = [messages.decode(Prediction, value).value for value in streamed(log, model, places)]
    middle = WALL.elapsed()
    ends = whole(series.at, APART[MINUTE])
    expected = returns(model, inputs.bars_of(series), ends)
    batch = [close * math.exp(value) for close, value in zip(series.close[ends - 1], expected, strict=True)]
    differing = sum(bool(one != other) for one, other in zip(values, batch, strict=True))
    acted = int(np.count_nonzero(np.abs(expected) > 2.0 * _COST))
    return {
        "instrument": series.instrument, "minutes": len(series), "forecasts": len(batch), "records": len(log),
        "restarts": len(places), "differences": differing, "bought_or_sold": acted,
        "stream_s": round((middle - begin) / NANOS, 2), "batch_s": round((WALL.elapsed() - middle) / NANOS, 2),
        "model": model.hash, "units": model.units, "seed": seed,
    }  # fmt: skip


def main() -> int:
    """Compare a file; non-zero where a forecast differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minute", type=Path, required=True, metavar="FILE", help="minute bars, CSV")
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="from `tapewatch train lstm --out`")
    parser.add_argument("--restarts", type=int, default=100, help="of the stage, at drawn places (default: 100)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the document here too")
    args = parser.parse_args()
    found = compared(minute_files.series(args.minute), decode(args.model.read_bytes()), args.restarts)
    document = msgspec.json.encode({"bench": "minute-parity", "file": args.minute.name, **found})
    if args.out:
        args.out.write_bytes(document + b"\n")
    print(document.decode())
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
