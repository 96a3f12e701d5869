"""From the arrival of a headline to its scored record: a real broker, `run news`, headlines at a steady rate.

python -m benchmarks.news_stage --items 1000 --rate 50 --headlines cnyes_headlines_2023.csv.gz
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import TopicPartition

from benchmarks.engine_run import command, environment, own_stack
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import News, stable_id
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


def headlines(path: Path | None, count: int) -> list[str]:
    """Headlines of a recorded file (time, headline, address), or as many that are made up."""
    if path is None:
        return [f"Profit of company {each} rises {each % 40}% on demand for part {each * 7}" for each in range(count)]
    with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines)
        next(rows)
        return [row[1] for row, _ in zip(rows, range(count), strict=False)]


def news(number: int, headline: str, language: str, at: int) -> News:
    """An item that arrives now."""
    return News(
        id=stable_id("bench", number), source="bench", published=to_rfc3339(at), received=to_rfc3339(at),
        language=language, headline=headline, instruments=(f"B{number % 50}.XTST",),
    )  # fmt: skip


def measured(settings: Settings, texts: list[str], language: str, rate: float) -> dict[str, float]:
    """Milliseconds from the producer's stamp to the moment at which a read-committed reader has the scored record."""
    waits: list[float] = []
    done = threading.Event()

    def follow() -> None:
        reader = kafka.consumer(settings, "bench-news")
        reader.assign([TopicPartition(topics.NEWS, 0, 0)])
        while len(waits) < len(texts) and not done.is_set():
            for record in reader.consume(100, timeout=0.1):
                item = messages.decode(News, record.value())
                if item.sentiment is not None and item.source == "bench":
                    waits.append((WALL.now() - messages.from_rfc3339(item.received)) / 1e6)
        reader.close()

    follower = threading.Thread(target=follow)
    follower.start()
    producer, begun = kafka.producer(settings, linger_ms=0), WALL.elapsed()
    for number, text in enumerate(texts):
        WALL.sleep(max(0.0, number / rate - (WALL.elapsed() - begun) / NANOS))
        producer.produce(topics.NEWS, messages.encode(news(number, text, language, WALL.now())), partition=0)
        producer.poll(0)
    producer.flush(30)
    follower.join(60)
    done.set()
    p50, p99, most = np.percentile(waits, [50, 99, 100])
    return {"items": len(texts), "scored": len(waits), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1),
            "max_ms": round(most, 1), "seconds": round((WALL.elapsed() - begun) / NANOS, 1)}  # fmt: skip


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=50.0, help="items a second")
    parser.add_argument("--headlines", type=Path, help="recorded file of time, headline, address")
    parser.add_argument("--language", default="", help="BCP 47 tag of the headlines")
    args = parser.parse_args()
    texts = headlines(args.headlines, args.items)
    with own_stack(Settings()) as settings:
        kafka.create_topics(settings, topics.source_topics(settings.topics))
        process = subprocess.Popen(command("run", "news", "--quiet"), env=environment(settings))  # noqa: S603 - of this installation
        try:
            warm = measured_start(settings)
            found = measured(settings, texts, args.language or ("zh-Hant" if args.headlines else "en"), args.rate)
        finally:
            process.terminate()
            process.wait(30)
    print(json.dumps({"rate": args.rate, "start_s": warm, **found}))


def measured_start(settings: Settings) -> float:
    """Seconds until a first item is scored: the process starts meanwhile."""
    begun = WALL.elapsed()
    producer = kafka.producer(settings)
    first = news(-1, "the first", "en", begun)
    producer.produce(topics.NEWS, messages.encode(msgspec.structs.replace(first, source="warm")), partition=0)
    producer.flush(30)
    while True:
        reader = kafka.consumer(settings)
        _, end = kafka.watermarks(reader, topics.NEWS, 0)
        reader.close()
        if end > 1:
            return round((WALL.elapsed() - begun) / NANOS, 1)
        if WALL.elapsed() - begun > 120 * NANOS:
            sys.exit("the stage scores nothing")
        WALL.sleep(0.2)


if __name__ == "__main__":
    main()
