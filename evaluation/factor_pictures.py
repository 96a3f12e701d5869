"""Pictures of factor images, as PNG files: some before a rise, some before a fall, and the mean of each."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.forecast.inception.images import AHEAD, CLIP, Images
from evaluation.pump_page import pyplot

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

SHOWN = 3
"""Images of each class, evenly spread over those judged."""
_MEAN_RANGE = 1.0


def write(folder: Path, found: Images, rows: I8) -> dict[str, str]:
    """Write the pictures of some rows' images; the caption of each by its file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, str] = {}
    for label, word in ((True, "up"), (False, "down")):
        own = rows[found.up[rows] == label]
        if not len(own):
            continue
        for number, row in enumerate(own[np.linspace(0, len(own) - 1, min(SHOWN, len(own))).astype(np.int64)]):
            day = np.datetime64(int(found.at[row]), "ns").astype("datetime64[D]")
            written |= _written(folder, f"image_{word}_{number}.png", f"{day}: {AHEAD} bars later {word}", found,
                                found.pixels[row], CLIP)  # fmt: skip
        mean = found.pixels[own].mean(axis=0)
        written |= _written(folder, f"mean_{word}.png", f"Mean of {len(own)} images before {word}", found, mean,
                            _MEAN_RANGE)  # fmt: skip
    return written


def _written(folder: Path, name: str, caption: str, found: Images, pixels: F4, reach: float) -> dict[str, str]:
    figure = drawn(pixels, found.channels, found.factors, caption, reach)
    figure.savefig(folder / name, dpi=80, bbox_inches="tight")
    pyplot().close(figure)
    return {name: caption}


def drawn(pixels: F4, channels: tuple[str, ...], factors: tuple[str, ...], caption: str, reach: float = CLIP) -> Any:
    """An image as a figure of matplotlib, a panel a channel. pixels : float32[channels, days, factors]

    reach : deviations at which the colours end
    """
    figure, axes = pyplot().subplots(
        1, len(channels), figsize=(4.6 * len(channels), 5.2), sharey=True, squeeze=False, layout="constrained"
    )
    shown = None
    for axis, channel, picture in zip(axes[0], channels, pixels, strict=True):
        shown = axis.imshow(picture, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
        axis.set_xticks(np.arange(len(factors)), factors, rotation=90, fontsize=5)
        axis.set_title(channel, fontsize=9)
    axes[0, 0].set_ylabel("day, newest below")
    figure.suptitle(caption, fontsize=10)
    figure.colorbar(shown, ax=list(axes[0]), label="deviations", shrink=0.8)
    return figure
