"""The models that come with the product."""

from detectors import fusion
from detectors.autoencoder import model as autoencoder
from detectors.isolation import model as isolation


def test_shipped_autoencoder_reads_and_is_small() -> None:
    shipped = autoencoder.shipped("stock")
    assert len(shipped.encoded()) < 50_000
    assert shipped.described.card.command


def test_shipped_forest_reads() -> None:
    assert isolation.shipped().trees >= 20


def test_shipped_fusion_names_the_models_it_was_weighed_with() -> None:
    model = fusion.shipped()
    assert model.inputs == ("kmeans", "autoencoder", "isolation")
    assert len(model.models) == 3
