"""Shipped models as a whole: size, cards in step, hashes that pages name, and what reproduces them."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import pytest

from detectors import registry
from detectors.forecast.networks import architectures
from detectors.model_file import content_hash
from streams.commands import models, reproduce
from tapewatch.errors import TapewatchError

ROOT = Path(__file__).resolve().parents[2]


def test_shipped_models_stay_below_two_megabytes_together() -> None:
    assert 0 < registry.shipped_bytes() < registry.MAX_SHIPPED_BYTES


def test_every_file_among_the_shipped_ones_belongs_to_a_known_detector() -> None:
    known = {(kind.package, kind.file) for kind in registry.KINDS.values()}
    there = {
        (".".join(path.parent.parent.relative_to(ROOT).parts), path.name)
        for path in ROOT.glob("detectors/**/shipped/*")
    }
    assert there <= known


@pytest.mark.parametrize("detector", registry.KINDS)
def test_module_of_a_kind_reads_and_tells_and_names_its_detector(detector: str) -> None:
    kind = registry.KINDS[detector]
    module, card = importlib.import_module(kind.module), importlib.import_module(kind.card)
    assert all(callable(each) for each in (module.decode, module.summary, card.markdown))
    # What a module calls the models that it reads: one, several, or one by class of instruments.
    names = [getattr(module, name, ()) for name in ("DETECTOR", "NAME", "DETECTORS")] + [architectures.NAMES]
    named = [each for found in names for each in ([found] if isinstance(found, str) else _texts(found))]
    assert detector in named


def _texts(found: Mapping[str, str] | Iterable[str]) -> list[str]:
    return [*(found.values() if isinstance(found, Mapping) else found)]


def test_who_asks_about_one_kind_imports_no_other() -> None:
    script = (
        "import sys; from detectors import registry; registry.read(registry.shipped()['kmeans']); print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "detectors.kmeans.model" in found
    assert not [
        name
        for name in found
        if name.startswith(("detectors.forecast.", "detectors.sentiment.", "torch", "sklearn", "scipy.special"))
    ]


@pytest.mark.parametrize("detector", registry.shipped())
def test_card_page_is_what_the_model_file_says(detector: str) -> None:
    known = registry.read(registry.shipped()[detector])
    assert known.detector == detector
    assert (ROOT / f"docs/cards/{detector}.md").read_text() == known.markdown()


@pytest.mark.parametrize("detector", registry.shipped())
def test_whole_model_can_be_shown_as_json(detector: str) -> None:
    known = registry.read(registry.shipped()[detector])
    assert msgspec.json.decode(msgspec.json.encode(known.model, enc_hook=models.listed))


@pytest.mark.parametrize("detector", registry.shipped())
def test_card_names_data_hash_command_figures_and_limits(detector: str) -> None:
    known = registry.read(registry.shipped()[detector])
    card = known.model.card
    assert card.data and card.command and card.limits
    # Those that are measured together have their figures on a page of their own.
    assert card.metrics or "(../calibration.md)" in known.markdown()
    assert re.fullmatch("[0-9a-f]{16}", card.data_hash)
    assert known_summary(detector) >= {"detector", "hash", "inputs", "rows", "data"}


def known_summary(detector: str) -> set[str]:
    return set(registry.read(registry.shipped()[detector]).summary())


def test_every_model_hash_that_a_page_states_is_a_shipped_models_or_its_datas() -> None:
    models = [registry.read(data) for data in registry.shipped().values()]
    known = {one.hash for one in models} | {one.model.card.data_hash for one in models}
    # Records of runs (docs/results) name what they ran with; a page states what is there now.
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/cards").glob("*.md")]
    stated = {
        (page.name, found)
        for page in pages
        for found in re.findall(r"(?:hash|model)[^\n]*?`([0-9a-f]{16})`", page.read_text(), flags=re.IGNORECASE)
    }
    assert stated
    assert {(page, found) for page, found in stated if found not in known} == set()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"detector":"spoof"}', b'{"detector":"kmeans"}', b'{"detector":"pumps"}']
)
def test_file_that_is_no_model_of_a_known_detector_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        registry.read(data)


def test_changed_model_file_has_another_hash() -> None:
    data = registry.shipped()["kmeans"]
    changed = data.replace(b'"clip":10.0', b'"clip":9.0')
    assert registry.read(changed).hash == content_hash(changed) != content_hash(data)


def test_shipped_model_is_made_again_by_its_cards_command_which_writes_nothing() -> None:
    for detector, data in registry.shipped().items():
        words = reproduce.words(registry.read(data).command, Path("published"))
        assert words[:2] == ["python", "-m"], detector
        assert words[-1] == "--check"
        assert "DIR" not in words
        assert (ROOT / Path(*words[2].split("."))).with_suffix(".py").exists()


def test_command_that_needs_published_data_or_is_none_of_ours_is_refused() -> None:
    with pytest.raises(TapewatchError, match="published data"):
        reproduce.words("python -m benchmarks.pump_training --pumps DIR", None)
    with pytest.raises(TapewatchError, match="command is"):
        reproduce.words("python -c pass", None)


def test_made_hash_is_read_from_the_line_that_names_the_detector() -> None:
    said = "made features of seed 1\nkmeans 484e76c2f7ac5d94\nkmeans_classic 501e2623d258bb11\n"
    assert reproduce.made_hash(said, "kmeans") == "484e76c2f7ac5d94"
    assert reproduce.made_hash(said, "kmeans_classic") == "501e2623d258bb11"
    assert reproduce.made_hash(said, "pumps") == ""
