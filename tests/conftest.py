"""Fixtures of all tests: one real Kafka and PostgreSQL for the whole session, started by the first test that asks."""

import ctypes
import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from infra import embedded
from tapewatch import logs
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.stack import Addresses

# No test is about time: machines are shared, and a process of unit tests steps back for the others.
# The same examples every time, so that a change is judged by what it changes; `--hypothesis-profile=explore` seeks new.
_PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("shared", _PATIENT, derandomize=True)
hypothesis.settings.register_profile("explore", _PATIENT, derandomize=False)
hypothesis.settings.load_profile("shared")

# Servers of tests live for minutes: what their Java would spend on making itself fast never comes back.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# Processes that share two processors: a second thread of torch's would mostly wait, and wait by computing.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

OWN_SITE = ("tests/faults/test_alert_rules.py", "tests/faults/test_chaos.py")
"""Tests that start every server for themselves."""
WITHOUT_SERVERS = ("tests/unit/", "tests/golden/", "tests/recorded/")
ELASTICSEARCH = tuple(
    f"tests/integration/test_{name}"
    for name in ("dead_letter_replays", "doctor", "elasticsearch", "foreign", "kibana", "reconcile")
)
TORCH = tuple(
    f"tests/unit/test_{name}"
    for name in (
        "abnormal", "autoencoder", "ddqn", "evaluate_forecast", "forecast_inception", "forecast_lstm",
        "forecast_networks", "lstm", "minute_forecasts", "sentiment_encoder",
    )
)  # fmt: skip
"""Tests of networks: PyTorch takes more memory than most files of tests together."""
FEW = 6
"""Tests that fail beside all others and are looked at once more, alone (.ci/run)."""
_MALLOC = {-1: 128 * 1024, -2: 128 * 1024, -3: 256 * 1024}
"""glibc's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD."""
LOWER = 10
"""How much of the processors tests without servers leave to what waits for servers, as a nice value."""


def _group(module: str) -> str:
    """Which tests share a process, and so its servers, in the order in which they begin, by a test file's path."""
    if module.startswith(TORCH):
        return "7 networks"
    if module.startswith(WITHOUT_SERVERS):
        return module
    if module.startswith(OWN_SITE):
        return "1 sites of their own"
    if module.startswith("tests/faults/"):
        # Their long logs nobody else then reads.
        return "2 faults"
    if module.startswith("tests/integration/test_spark"):
        return "3 spark"
    if module.startswith(ELASTICSEARCH):
        return "4 elasticsearch"
    if module.startswith(("tests/browser/", "tests/integration/test_console")):
        return "5 console"
    parts = ("tests/integration/test_k", "tests/integration/test_po")
    return f"6 part {sum(module > part for part in parts) + 1} of {len(parts) + 1}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What CI asks for."""
    words = "a skip for a reason that is not in tests/allowed_skips.txt fails the run"
    parser.addoption("--strict-skips", action="store_true", help=words)
    words = "where all tests ran and at most six failed, and nothing else is wrong, their ids go into this file"
    parser.addoption("--few-failed", metavar="FILE", help=words)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run for a skip that is not allowed; write down few failures of a run that is whole."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or "PYTEST_XDIST_WORKER" in os.environ:
        return
    forbidden = _forbidden(reporter) if session.config.getoption("strict_skips") else []
    for report in forbidden:
        reporter.write_line(f"SKIPPED, and may not be: {report.nodeid}: {report.longrepr[2]}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    told = session.config.getoption("few_failed")
    reports = [report for kind in ("failed", "error") for report in reporter.stats.get(kind, [])]
    # A process that died, or a file that could not be imported, may have taken tests along.
    is_whole = all(report.when in ("setup", "call", "teardown") for report in reports)
    failed = sorted({report.nodeid for report in reports})
    if told and is_whole and not forbidden and exitstatus == pytest.ExitCode.TESTS_FAILED and len(failed) <= FEW:
        Path(told).write_text("".join(f"{each}\n" for each in failed))


def _forbidden(reporter: Any) -> list[Any]:
    """Skips whose reason is not on the list."""
    allowed = (Path(__file__).parent / "allowed_skips.txt").read_text().splitlines()
    skipped = reporter.stats.get("skipped", [])
    return [report for report in skipped if report.longrepr[2].removeprefix("Skipped: ") not in allowed]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share servers stay together, in their order, in the process that has those servers; a file of unit
    tests goes to whichever process is free.
    """
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Beside tests that wait for servers a process without any steps back: by then it has only such tests left."""
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith(WITHOUT_SERVERS) and not os.nice(0):
        os.nice(LOWER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes many minutes, unless asked for; groups that wait for servers begin first."""
    items.sort(key=lambda item: _group(item.nodeid.partition("::")[0]))
    if not os.environ.get("TAPEWATCH_TEST_LONG"):
        left_out = pytest.mark.skip(reason="takes minutes: set TAPEWATCH_TEST_LONG=1 to run it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(left_out)


def pytest_collection_finish() -> None:
    """What was imported stays: the collector looks through all it knows once a quarter of that is new, which is soon
    where it knows nothing but what tests left.
    """
    gc.collect()
    gc.freeze()
    gc.collect()


def _give_memory_back() -> None:
    """To the system, as far as it is free. A large array goes back when it is freed; the C library would soon lay it
    between smaller ones. An engine that ran in this process asked for the opposite (streams/engine/memory.py).
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        for option, size in _MALLOC.items():
            library.mallopt(option, size)
        library.malloc_trim(0)


_give_memory_back()


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """What a file of tests leaves goes back to the system."""
    before, thresholds = gc.get_freeze_count(), gc.get_threshold()
    yield
    if gc.get_freeze_count() > before:
        # An engine took what was alive then out of the collector's sight: this test's objects too.
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        gc.collect()
        gc.freeze()
    gc.collect()
    _give_memory_back()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that ran in this process logs to the streams of its own test, which are closed after it."""
    root = logging.getLogger(logs.ROOT)
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)


class _UnretrievedExceptions(logging.Handler):
    """What asyncio says of exceptions that nobody asked their tasks for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        if "never retrieved" in record.getMessage():
            self.said.append(self.format(record))


@pytest.fixture(autouse=True)
def _every_task_is_asked() -> Iterator[None]:
    """An exception in a task that nobody awaits fails the test in whose time the task is forgotten."""
    unheard = _UnretrievedExceptions()
    logging.getLogger("asyncio").addHandler(unheard)
    yield
    logging.getLogger("asyncio").removeHandler(unheard)
    assert not unheard.said, unheard.said


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
