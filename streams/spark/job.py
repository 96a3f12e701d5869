"""One symbol from its files to its outputs: what a Spark task does, and what the pandas engine does one by one."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from streams.spark import outputs, raw
from streams.spark.cleaning import BARS, Rule, clean
from streams.spark.outputs import Records
from streams.spark.raw import Source


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with every symbol. out : folder that every task can write to; parquet, records : what to write"""

    out: str
    rule: Rule = Rule()
    parquet: bool = True
    records: Records | None = None


def do(source: Source, plan: Plan) -> dict[str, Any]:
    """Read, clean and write one symbol; its quality counts, with the digest of its bars."""
    out = Path(plan.out)
    cleaned = clean(source.symbol, raw.read(source), plan.rule)
    quality = cleaned.quality | {"bits": digest(cleaned.bars)}
    outputs.write_refused(out, source.symbol, cleaned.refused)
    if plan.parquet and len(cleaned.bars):
        outputs.write_bars(out, source.symbol, cleaned.bars)
    if plan.records and len(cleaned.bars):
        quality["records"] = outputs.write_records(out, source.symbol, cleaned.bars, plan.records)
        quality["not_recorded"] = len(cleaned.bars) - quality["records"]
    return quality


def digest(bars: pa.Table) -> str:
    """First 16 hex digits of the sha256 over every bit of a symbol's columns: equal for equal output."""
    sha = hashlib.sha256()
    for name in BARS.names[1:]:
        sha.update(name.encode() + bars[name].to_numpy().tobytes())
    return sha.hexdigest()[:16]
