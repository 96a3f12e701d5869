"""A feed with signals and commit records on the real broker, as the engine would write them, for the paper broker."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from confluent_kafka import TopicPartition

from producers.feed import open_feed
from streams.paper import replay
from streams.paper.process import Paper
from tapewatch import frames, kafka, topics
from tapewatch.clock import WALL
from tapewatch.frames import FrameHeaders
from tapewatch.messages import Cause, Commit, Signal, encode, stable_id
from tapewatch.partitioner import partition_for
from tapewatch.registry import Registry
from tapewatch.settings import Settings
from tests.unit.paper_market import REFERENCE, Log

DEADLINE_S = 120.0


def placed(log: Log, topic: str, partition: int) -> Log:
    """The log as one of a feed's partition, with instruments of its own."""
    names = {name: f"P{partition}{name}" for name in REFERENCE}
    rows = [msgspec.structs.replace(each, instruments=tuple(names[n] for n in each.instruments)) if False else each for each in log.frames]
    raise NotImplementedError
