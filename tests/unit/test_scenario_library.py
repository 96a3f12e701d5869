"""What every scenario of the library keeps to: parameters in their order, evidence, sentences, tiers."""

from types import ModuleType

import msgspec
import numpy as np
import pytest

from benchmarks import scenario_pages
from detectors.scenarios import observation as at
from detectors.scenarios.library import ENGINE

MODULES = scenario_pages.modules()
STEPPED = [module for module in MODULES if module.NAME != "pump_and_dump"]
"""Those whose episodes the library steps; that one has its own."""
OF_ENGINE = [module for module in MODULES if module in ENGINE]
TIERS = {"quotes", "trades", "book", "orders", "accounts", "benchmark"}


def named(module: ModuleType) -> str:
    return str(module.NAME)


@pytest.mark.parametrize("module", STEPPED, ids=named)
def test_parameters_begin_with_the_episode_and_the_kernel_knows_their_places(module: ModuleType) -> None:
    fields = module.Parameters.__struct_fields__
    assert fields[:4] == ("hold_s", "quiet_s", "cooldown_s", "update_ratio")
    assert [getattr(module, field.upper()) for field in fields[4:]] == list(range(4, len(fields)))
    assert all(value >= 0.0 for value in msgspec.structs.astuple(module.Parameters()))


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_evidence_has_units_and_tiers_are_known(module: ModuleType) -> None:
    assert 0 < len(module.VALUES) == len(module.UNITS) <= 8
    assert set(module.TIERS) <= TIERS


@pytest.mark.parametrize("module", STEPPED, ids=named)
def test_a_closing_sentence_needs_no_number(module: ModuleType) -> None:
    assert "nan" not in module.sentence([float("nan")] * 16, "A.SIMX", True)


@pytest.mark.slow
@pytest.mark.parametrize("module", OF_ENGINE, ids=named)
def test_nothing_known_is_not_assessable(module: ModuleType) -> None:
    rule = np.array(msgspec.structs.astuple(module.Parameters()))
    x = np.full(at.COUNT, np.nan)
    found = module.strength(x, rule, np.zeros(16))
    # Away from the fixing the clock alone says that there is nothing to see.
    assert np.isnan(found) or (module.NAME == "reference_price" and found == 0.0)


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_the_page_has_what_the_code_says(module: ModuleType) -> None:
    text = (scenario_pages.PAGES / f"{module.NAME}.md").read_text(encoding="utf-8")
    assert scenario_pages.page(module) == text
    assert f"images/scenarios/{module.NAME}.svg" in text
