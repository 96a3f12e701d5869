"""The partitioner against vectors that the real Java client wrote (tests/vectors/Murmur2Vectors.java)."""

import json
from pathlib import Path

import pytest

from streams.engine.task import OutputRecord
from tapewatch.contract.partitioner import murmur2, partition_for

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "murmur2.json").read_text())["vectors"]


def test_every_vector_hashes_as_the_java_client_does() -> None:
    assert len(VECTORS) >= 200
    signed = [(murmur2(v["key"].encode()) ^ 0x80000000) - 0x80000000 for v in VECTORS]
    assert signed == [v["murmur2"] for v in VECTORS]


def test_every_vector_lies_in_the_partition_of_the_java_client() -> None:
    for vector in VECTORS:
        for partitions, expected in vector["partitions"].items():
            assert partition_for(vector["key"], int(partitions)) == expected, vector["key"]


def test_what_the_engine_writes_lies_where_its_instrument_does_and_else_where_its_input_did() -> None:
    for vector in VECTORS:
        if vector["key"]:
            for partitions, expected in vector["partitions"].items():
                assert OutputRecord("t", b"", instrument=vector["key"]).target(9, int(partitions)) == expected
    assert [OutputRecord("t", b"").target(partition, 4) for partition in (0, 3, 4, 9)] == [0, 3, 0, 1]


def test_a_topic_without_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        partition_for("AAPL.XNAS", 0)
