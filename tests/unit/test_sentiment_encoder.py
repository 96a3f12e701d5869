"""The encoder: fine-tuning a tiny transformer of random weights, its file, and folders that are refused."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors.sentiment import models
from detectors.sentiment.encoder import base as bases
from detectors.sentiment.encoder import model as encoder
from detectors.sentiment.encoder.training import Recipe, trained
from detectors.sentiment.scorer import places
from tapewatch.errors import TapewatchError
from tests.needs import needs
from tests.unit import labelled_news

pytestmark = needs("torch", "transformers")

# Importing both takes some seconds.

TEXTS, LABELS = labelled_news.headlines(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder as such folders are: two small layers, a vocabulary of the texts' words."""
    import tokenizers
    import torch
    import transformers

    path = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in TEXTS for word in text.lower().split()})
    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *words])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path / "tokenizer.json"))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(path, safe_serialization=True)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> encoder.EncoderModel:
    recipe = Recipe(epochs=12, batch=8, frozen=0, rate=5e-3, head_rate=2e-2)
    return trained(bases.read(folder), TEXTS, places(LABELS), "en", 0, recipe)


@pytest.mark.slow
def test_fine_tuning_learns_the_labels(model: encoder.EncoderModel) -> None:
    found = encoder.EncoderScorer(model).classes(TEXTS, "en").argmax(axis=1)
    assert np.mean(found == places(LABELS)) > 0.8


def test_same_seed_gives_the_same_weights(folder: Path) -> None:
    one, other = (trained(bases.read(folder), TEXTS[:16], places(LABELS[:16]), "en", 3, Recipe(epochs=1)) for _ in "ab")
    assert one.encoded() == other.encoded()


def test_frozen_layers_and_embeddings_stay_as_they_are(folder: Path) -> None:
    base = bases.read(folder)
    found = trained(base, TEXTS[:16], places(LABELS[:16]), "en", 0, Recipe(epochs=1, frozen=1)).arrays
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.weight"):
        np.testing.assert_array_equal(found[f"body.{name}"], base.arrays[name])
    last = "encoder.layer.1.output.dense.weight"
    assert not np.array_equal(found[f"body.{last}"], base.arrays[last])


def test_file_holds_all_that_scoring_needs(model: encoder.EncoderModel) -> None:
    read = models.read(model.encoded())
    assert read.hash == model.hash
    assert read.score(TEXTS[:4], "en").tolist() == encoder.EncoderScorer(model).score(TEXTS[:4], "en").tolist()
    assert model.hash in encoder.markdown(model)


@pytest.mark.parametrize("hostile", ["", "\ud800", "\x00", "🚀", "台積電", "profit " * 100_000])
def test_hostile_or_foreign_text_never_raises(model: encoder.EncoderModel, hostile: str) -> None:
    found = encoder.EncoderScorer(model).classes([hostile])
    np.testing.assert_allclose(found.sum(), 1.0, atol=1e-6)


def test_parts_that_do_not_fit_together_are_refused_before_any_text_comes(model: encoder.EncoderModel) -> None:
    described, arrays = model.described, model.arrays
    config = msgspec.json.encode(msgspec.json.decode(described.config) | {"max_position_embeddings": 8}).decode()
    short = {"body.embeddings.position_embeddings.weight": arrays["body.embeddings.position_embeddings.weight"][:8]}
    unfit = (
        encoder.EncoderModel(msgspec.structs.replace(described, tokenizer="{}"), arrays),
        encoder.EncoderModel(msgspec.structs.replace(described, config=config), {**arrays, **short}),
        encoder.EncoderModel(described, {**arrays, "head.bias": arrays["head.bias"][:2]}),
        encoder.EncoderModel(msgspec.structs.replace(described, language="fr"), arrays),
    )
    for each in unfit:
        with pytest.raises(ValueError, match=r"tokenizer|fit|unknown"):
            models.read(each.encoded())


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(TapewatchError, match="only read from safetensors"):
        bases.read(tmp_path)


def test_encoder_with_code_of_its_own_and_a_name_to_fetch_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in bases.FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = msgspec.json.decode((folder / "config.json").read_bytes())
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config | {"auto_map": {"AutoModel": "theirs.Model"}}))
    with pytest.raises(TapewatchError, match="code of its own"):
        bases.read(tmp_path)
    with pytest.raises(TapewatchError, match="no folder"):
        bases.read(Path("sentence-transformers/all-MiniLM-L6-v2"))
