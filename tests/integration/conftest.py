"""What tests of the sinks begin with: a migrated database of their own and a feed; one Elasticsearch a session."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tests.integration.elasticsearch_node import Node
from tests.integration.postgres_kept import migrated, stand_at_the_ends


@pytest.fixture
def ours(settings):
    """The session's stack with a migrated database of the test's own, and small batches; what other tests have left in
    the topics is not for it.
    """
    with migrated(settings) as changed:
        stand_at_the_ends(changed)
        yield changed


@pytest.fixture
def feed(ours) -> str:
    name = f"t{uuid.uuid4().hex[:10]}"
    kafka.create_topics(ours, topics.market_topics(name, ours.topics, 2))
    return name


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One Spark with two threads for the whole session: Java takes seconds to start."""
    pytest.importorskip("pyspark")
    from streams.spark import session

    try:
        session.require_java()
    except TapewatchError as error:
        pytest.skip(error.message)
    started = session.start("local[2]", "512m")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def elasticsearch_node(tmp_path_factory):
    """One Elasticsearch for the whole session; whoever kills it starts it again."""
    try:
        node = Node(tmp_path_factory.mktemp("elasticsearch"))
    except TapewatchError as error:
        pytest.skip(error.message)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def elasticsearch(elasticsearch_node) -> str:
    """The address of the session's Elasticsearch."""
    return elasticsearch_node.url
