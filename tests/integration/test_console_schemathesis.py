"""The running console against its own OpenAPI document: schemathesis calls every operation with all it thinks of."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from console import api, openapi
from tests.integration.console_at_work import ROLES, beside, configured, of_its_own, people

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
]
EXAMPLES = {"admin": 2, "approver": 1, "analyst": 1, "viewer": 1}
"""Of each operation with data as described; for the admin, as many with data that is not."""

UNASKED = ("/ws", "/live/tape", "/configuration", "/models")
"""WebSockets, and what runs a command of seconds."""

STAGES = ("/commands", "/suppressions", "/approve", "/end", "/proposals", "/decision")
"""What waits for another process to act: here it gets only what it must refuse."""


@pytest.fixture(scope="module")
def desk(stack, tmp_path_factory):
    with of_its_own(stack, tmp_path_factory.mktemp("data")) as changed:
        ready = configured(changed, requests_per_minute=1_000_000)
        tokens = people(ready)
        with beside(ready) as address:
            yield address, tokens


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_keeps_to_its_description(desk, role):
    # Some twenty seconds for the four roles: eighty operations with good and bad data.
    address, tokens = desk
    routes = [
        route for route in api.routes() if route.media not in openapi.STREAMS and not route.path.endswith(UNASKED)
    ]
    schema = schemathesis.openapi.from_dict(openapi.document(routes))
    problems = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        good = operation.method == "get" or not operation.path.endswith(STAGES)
        modes = ([GenerationMode.POSITIVE] if good else []) + ([GenerationMode.NEGATIVE] if role == "admin" else [])
        for mode in modes:
            problems += probed(operation, mode, EXAMPLES[role], address, {"Authorization": f"Bearer {tokens[role]}"})
    assert not problems, "\n\n".join(problems)


def probed(operation, mode, examples: int, address: str, headers) -> list[str]:
    """What is wrong with an operation's answers."""

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def probe(case) -> None:
        answer = case.call(base_url=address.rstrip("/"), headers=headers, timeout=60, allow_redirects=False)
        case.validate_response(answer, checks=CHECKS)

    try:
        probe()
    except Unsatisfiable:
        pass  # nothing can be wrong about an operation without parameters
    except (Exception, BaseExceptionGroup) as problem:
        return [f"{operation.label} ({mode.value}): {_said(problem)[:1500]}"]
    return []


def _said(problem: BaseException) -> str:
    """What went wrong, of a group each part."""
    parts = problem.exceptions if isinstance(problem, BaseExceptionGroup) else ()
    return " ".join([str(problem), *(str(each) for each in parts)])
