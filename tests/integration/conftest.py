"""What tests of the sinks begin with: a migrated database of their own and a feed; one Elasticsearch a session."""

import uuid

import msgspec
import pytest
from sqlalchemy.engine import make_url

from infra import migrations
from tapewatch import kafka, topics
from tapewatch.errors import TapewatchError
from tapewatch.instruments import Instrument
from tapewatch.registry import register
from tapewatch.settings import PostgresSettings, SinkSettings
from tests.integration.elasticsearch_node import Node
from tests.integration.postgres_kept import NAMES, superuser


@pytest.fixture
def ours(settings):
    """The session's stack with a migrated database of the test's own, and small batches."""
    name = f"sink_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = make_url(settings.postgres.url).set(database=name).render_as_string(hide_password=False)
    changed = msgspec.structs.replace(
        settings, postgres=PostgresSettings(url=url), sink=SinkSettings(batch_rows=2000, linger_ms=20, retention_days=1)
    )
    migrations.migrate(url)
    kafka.create_topics(changed, topics.shared_topics(changed.topics))
    register(changed, [Instrument(id=name, lot=10.0) for name in NAMES])
    yield changed
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def feed(ours) -> str:
    name = f"t{uuid.uuid4().hex[:10]}"
    kafka.create_topics(ours, topics.market_topics(name, ours.topics, 2))
    return name


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
