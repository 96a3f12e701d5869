"""Cleaning bars on Spark gives every bit that one process gives."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("google_crc32c")
from streams.spark import engines, raw
from streams.spark.cleaning import BARS, clean
from streams.spark.job import Plan
from tests.unit.walked_bars import CLIP, bits, walk


def test_spark_gives_every_bit_that_one_process_gives(spark: Any, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", {name: tmp_path / name for name in ("spark", "pandas")}
    folder.mkdir()
    for number, name in enumerate(("AAPL", "005930", "BRK.B", "a b")):
        text = walk(200 + number, number, times={150: 3.0}) + "2016-99-01,1,1,1,1,1\n2016-02-01,0,,,0,0\n"
        (folder / f"{name}.csv").write_text(text)
    sources = raw.find([folder])
    plans = {name: Plan(str(path), CLIP, records="windows") for name, path in out.items()}
    assert engines.on_spark(spark, sources, plans["spark"]) == engines.on_pandas(sources, plans["pandas"])
    through = engines.bars(spark, sources, CLIP).toArrow()
    files = sorted(path.relative_to(out["pandas"]) for path in out["pandas"].rglob("*.*") if path.is_file())
    assert len(files) == 3 * len(sources)
    assert files == sorted(path.relative_to(out["spark"]) for path in out["spark"].rglob("*.*") if path.is_file())
    assert all((out["spark"] / file).read_bytes() == (out["pandas"] / file).read_bytes() for file in files)
    alone = pa.concat_tables([clean(one.symbol, raw.read(one), CLIP).bars for one in sources])
    assert bits(through.select(BARS.names)) == bits(alone)
