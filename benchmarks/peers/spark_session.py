"""What both Spark programs have in common: a session with the Kafka connector, quotes in, records out."""

import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

_CONNECTOR = "org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0"
_STORE = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
_NUMBERS = ("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume")
QUOTE = StructType(
    [
        StructField("instrument", StringType()),
        StructField("ts", LongType()),
        *(StructField(name, DoubleType()) for name in _NUMBERS),
    ]
)


def session(name: str, folder: str) -> SparkSession:
    """Two cores, as the machine has; RocksDB keeps the state. Workers are this Python, and find what this one finds."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(Path.cwd())
    return (
        SparkSession.builder.master("local[2]")
        .appName(name)
        .config("spark.jars.packages", _CONNECTOR)
        .config("spark.sql.streaming.stateStore.providerClass", _STORE)
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", folder)
        .getOrCreate()
    )


def quotes(spark: SparkSession, bootstrap: str, topic: str) -> DataFrame:
    """The input topic from its beginning."""
    found: DataFrame = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", 100_000)
        .load()
    )
    return found


def write(records: DataFrame, bootstrap: str, topic: str, folder: str, mode: str) -> Any:
    """Records with key and value to the output topic, until told to stop. The sink is at-least-once."""
    query = (
        records.writeStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("topic", topic)
        .option("checkpointLocation", f"{folder}/checkpoint")
        .outputMode(mode)
        .start()
    )
    return query.awaitTermination()
