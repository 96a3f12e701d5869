"""Fixtures of all tests: one real Kafka and PostgreSQL for the whole session, started by the first test that asks."""

from collections.abc import Iterator

import pytest

from infra import embedded
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.stack import Addresses


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """A stack in a temporary folder, owned by this process: it ends with the tests, also when they are killed."""
    settings = Settings(data=str(tmp_path_factory.mktemp("stack")))
    with embedded.session(settings) as addresses:
        yield addresses


@pytest.fixture
def settings(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that point at the session's stack, with a data folder of the test's own."""
    return Settings(
        data=str(tmp_path_factory.mktemp("data")),
        kafka=KafkaSettings(bootstrap=stack.bootstrap),
        postgres=PostgresSettings(url=stack.postgres_url),
    )
