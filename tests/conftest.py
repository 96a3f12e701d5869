"""Fixtures of all tests: one real Kafka and PostgreSQL for the whole session, started by the first test that asks."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from infra import embedded
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.stack import Addresses

OWN_SITE = ("tests/faults/test_alert_rules.py", "tests/faults/test_chaos.py")
"""Tests that start every server for themselves: last, beside those that share one."""
SECOND_HALF = "tests/integration/test_p"
"""From here on tests share a second set of servers: about as long as those before."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Unit tests and those with a site of their own go to any process; all others, which share servers, to two, each
    with its own, in their order.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Parted(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(("tests/unit/", *OWN_SITE)):
                return nodeid
            return "servers" if nodeid < SECOND_HALF else "servers of the second half"

    return Parted(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes many minutes, unless asked for, and put what starts its own servers last."""
    items.sort(key=lambda item: item.nodeid.startswith(OWN_SITE))
    if not os.environ.get("TAPEWATCH_TEST_LONG"):
        left_out = pytest.mark.skip(reason="takes minutes: set TAPEWATCH_TEST_LONG=1 to run it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(left_out)


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
