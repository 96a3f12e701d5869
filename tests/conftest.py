"""Fixtures of all tests: one real Kafka and PostgreSQL for the whole session, started by the first test that asks."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from infra import embedded
from tapewatch import logs
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.stack import Addresses

# No test is about time: machines are shared, and a process of unit tests steps back for the others.
# The same examples every time, so that a change is judged by what it changes; `--hypothesis-profile=explore` seeks new.
_PATIENT = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("shared", derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("explore", derandomize=False, **_PATIENT)
hypothesis.settings.load_profile("shared")

OWN_SITE = ("tests/faults/test_alert_rules.py", "tests/faults/test_chaos.py")
"""Tests that start every server for themselves."""
SECOND_HALF = "tests/integration/test_p"
"""From here on tests share a second set of servers: about as long as those before."""
LOWER = 10
"""How much of the processors unit tests leave to what waits for servers, as a nice value."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share servers stay together, in their order, in the process that has those servers: two halves, and
    the faults, whose long logs nobody else then reads. Unit tests go to whichever process is free. xdist begins with
    the largest group, so that what takes long is never last.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Parted(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/unit/"):
                return nodeid
            if nodeid.startswith("tests/faults/"):
                return "sites of their own" if nodeid.startswith(OWN_SITE) else "faults"
            return "servers" if nodeid < SECOND_HALF else "servers of the second half"

    return Parted(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Beside tests that wait for servers a process of unit tests steps back: by then it has only such tests left."""
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith("tests/unit/") and not os.nice(0):
        os.nice(LOWER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes many minutes, unless asked for, and put what starts its own servers last."""
    items.sort(key=lambda item: item.nodeid.startswith(OWN_SITE))
    if not os.environ.get("TAPEWATCH_TEST_LONG"):
        left_out = pytest.mark.skip(reason="takes minutes: set TAPEWATCH_TEST_LONG=1 to run it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(left_out)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that ran in this process logs to the streams of its own test, which are closed after it."""
    root = logging.getLogger(logs.ROOT)
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)


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
