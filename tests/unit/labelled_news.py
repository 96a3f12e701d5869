"""Headlines with labels, drawn from words of our own: enough for the trained scorers to learn from."""

from pathlib import Path

import numpy as np

SAYS = {
    "positive": ("orders climbed", "earnings brightened", "guidance lifted", "backlog blossomed"),
    "neutral": ("meeting held", "office moved", "minutes published", "name registered"),
    "negative": ("orders evaporated", "earnings crumbled", "guidance withdrawn", "backlog withered"),
}
_WHO = ("Acme", "Borealis", "Corvid", "Dunlin", "Egret", "Fulmar", "Godwit", "Heron", "Ibis", "Jacana", "Kestrel")
_WHERE = ("north", "south", "east", "west", "harbour", "valley", "island", "plateau", "delta", "coast", "ridge")


def headlines(rows: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(SAYS), rows).tolist()
    texts = [
        f"{rng.choice(_WHO)} {rng.choice(_WHERE)} {rng.choice(SAYS[label])} {rng.choice(_WHERE)} {rng.choice(_WHO)}"
        for label in labels
    ]
    return texts, labels


def write(path: Path, rows: int = 150, seed: int = 0) -> Path:
    """A CSV file of headlines: columns label and headline."""
    texts, labels = headlines(rows, seed)
    lines = [f'{label},"{text}"' for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(["label,headline", *lines, ""]), encoding="utf-8")
    return path
