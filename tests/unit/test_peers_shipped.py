"""The autoencoder that comes with the product."""

from detectors.autoencoder import model as autoencoder


def test_shipped_autoencoder_reads_and_is_small() -> None:
    shipped = autoencoder.shipped("stock")
    assert len(shipped.encoded()) < 50_000
    assert shipped.described.card.command
