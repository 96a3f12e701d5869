"""What is mutated, and which tests have to notice."""

from typing import NamedTuple


class Target(NamedTuple):
    """A file with the tests that guard it, the quickest first. servers : they need Kafka and PostgreSQL"""

    file: str
    tests: tuple[str, ...]
    servers: bool = False

    @property
    def module(self) -> str:
        """Its dotted name."""
        return self.file.removesuffix(".py").replace("/", ".")


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


def _integration(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_{name}.py" for name in names)


_GOLDEN = ("tests/golden/test_golden.py",)
_SWITCHES = (
    "tests/unit/test_engine_peers.py::test_promoted_network_scores_from_its_control_row_on_with_windows_of_its_own",
    "tests/unit/test_engine_policy.py::test_a_promoted_policy_takes_over_the_position_from_its_control_row_on",
    "tests/unit/test_engine_policy.py::test_control_row_switches_the_policy_off_and_on_with_an_empty_book",
    "tests/unit/test_engine_policy.py::test_a_shadow_has_its_own_position_and_topic_and_changes_nothing",
)
_ORDERS = _unit("book_orders", "book_features", "book_flow")

TARGETS = (
    Target("streams/engine/task.py", (*_unit("engine_task", "engine_capacity", "partitioner"), *_SWITCHES, *_GOLDEN)),
    Target("tapewatch/market_log/admission.py", (*_unit("admission", "generations"), *_GOLDEN)),
    Target("streams/engine/recovery.py", _unit("engine_recovery")),
    Target("streams/engine/rebuilding.py", _unit("engine_rebuilding")),
    Target("streams/engine/snapshots.py", _unit("snapshot_chunks", "snapshot_formats", "engine_recovery")),
    Target("detectors/book/orders.py", _ORDERS),
    Target("streams/cases/risk.py", _unit("case_risk")),
    Target("streams/cases/suppression.py", _unit("case_suppression")),
    Target("streams/cases/inhibition.py", _unit("case_inhibition", "case_manager")),
    Target("streams/cases/transitions.py", _unit("case_commands", "case_suppression", "case_manager")),
    Target(
        "streams/cases/case_manager.py", _unit("case_manager", "case_transitions", "case_commands", "case_suppression")
    ),
    Target("console/limits.py", _unit("console_limits", "console_security")),
    Target("console/accounts/attempts.py", _integration("console_locks"), servers=True),
    Target("console/accounts/sessions.py", _integration("console_ends", "console_entry"), servers=True),
    Target("console/accounts/tokens.py", _integration("console_ends", "console_accounts"), servers=True),
    Target("sinks/postgres/merge.py", _integration("postgres_merge", "postgres_messages"), servers=True),
    Target(
        "producers/base/reconnecting_websocket.py",
        _unit("reconnecting_websocket", "websocket_silence", "websocket_renewal"),
    ),
)
BY_FILE = {target.file: target for target in TARGETS}
