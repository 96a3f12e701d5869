"""The models that come with the product."""

import msgspec
import pytest

from detectors import fusion, registry
from detectors.autoencoder import model as autoencoder
from detectors.isolation import model as isolation
from detectors.kmeans import model as kmeans


@pytest.mark.parametrize("instrument_class", autoencoder.CLASSES)
def test_shipped_autoencoder_of_a_class_reads_and_is_small(instrument_class: str) -> None:
    shipped = autoencoder.shipped(instrument_class)
    assert len(shipped.encoded()) < 50_000
    assert shipped.described.card.command
    assert shipped.detector == autoencoder.DETECTORS[instrument_class]


def test_shipped_limits_differ_by_feed_and_the_fusion_names_their_models() -> None:
    models = kmeans.decode(registry.shipped()["kmeans"]), autoencoder.shipped("stock"), isolation.shipped()
    limits = models[0].alerts, models[1].described.alerts, models[2].alerts
    assert all(not isinstance(each, msgspec.UnsetType) and len(set(each)) > 1 for each in limits)
    assert fusion.shipped().models == tuple(model.hash for model in models)


def test_shipped_forest_reads() -> None:
    assert isolation.shipped().trees >= 20


def test_shipped_fusion_names_the_models_it_was_weighed_with() -> None:
    model = fusion.shipped()
    assert model.inputs == ("kmeans", "autoencoder", "isolation")
    assert len(model.models) == 3
