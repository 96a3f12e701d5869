"""Which model scores which language: trained ones by their hash, the lexicon for the others, unfit files refused."""

from pathlib import Path

import numpy as np
import pytest

from detectors.model_file import content_hash, kept
from detectors.sentiment.lexicon.model import shipped
from detectors.sentiment.linear import training
from detectors.sentiment.linear.model import LinearModel, LinearScorer
from detectors.sentiment.scorer import places
from streams.news.scorers import chosen
from streams.news.scoring import NewsScoring
from tapewatch.contract.messages import News
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.forecasts import NewsSettings
from tests.unit import labelled_news
from tests.unit.news_scene import HOUR, START, item

TEXTS, LABELS = labelled_news.headlines(60)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return training.trained(TEXTS, places(LABELS), np.arange(len(TEXTS)), "en", seed=0)


def settings(folder: Path, **models: str) -> Settings:
    """Of a data folder, with models by language."""
    return Settings(data=str(folder), news=NewsSettings(models=models))


def test_a_trained_model_named_by_the_head_of_its_hash_scores_its_language_and_the_lexicon_the_others(
    tmp_path: Path, model: LinearModel
) -> None:
    ready = settings(tmp_path, en=model.hash[:6])
    kept(ready.data_path / "models", model)
    scorers = chosen(ready)
    said = "Heron harbour backlog blossomed"
    scored = NewsScoring(ready.news, scorers).take(item(said), START + HOUR)[0]
    assert isinstance(scored, News)
    assert (scored.model, scored.sentiment) == (model.hash, LinearScorer(model).score([said], "en")[0])
    assert scorers.of("어닝 서프라이즈", "ko").hash == shipped().hash
    assert scorers.of("Heron", "en-GB").hash == model.hash


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"en": "0123abcd"}, "no model"),
        ({"en": ""}, "no model"),
        ({"fr": "{hash}"}, "is not scored"),
        ({"ko": "{hash}"}, "another language"),
        ({"zh": "{hash}"}, "another language"),
        ({"en": "{other}"}, "is no sentiment model"),
        ({"en": "{broken}"}, "no safetensors file"),
    ],
)
def test_what_cannot_score_a_language_is_refused_at_the_start(
    tmp_path: Path, model: LinearModel, models: dict[str, str], said: str
) -> None:
    folder = settings(tmp_path).data_path / "models"
    kept(folder, model)
    files = {"other": b'{"detector":"lstm"}', "broken": model.encoded()[:100]}
    for data in files.values():
        (folder / f"{content_hash(data)}.{'json' if data[:1] == b'{' else 'safetensors'}").write_bytes(data)
    names = {"hash": model.hash, **{name: content_hash(data) for name, data in files.items()}}
    with pytest.raises(TapewatchError, match=said):
        chosen(settings(tmp_path, **{tag: name.format(**names) for tag, name in models.items()}))
