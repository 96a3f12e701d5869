"""Fine-tuning an encoder on labelled texts: AdamW, warm-up and linear decay, lower layers slower (Howard & Ruder 2018).

Embeddings stay as they are: a few thousand texts hold few of their words.
Smoothed labels (Szegedy et al. 2016) keep its probabilities from running to 0 and 1 (Mueller et al. 2019).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detectors.model_file import F4
from detectors.pytorch import require_torch
from detectors.sentiment.encoder.base import Base, logits, network, tokenizer_of, tokens_of, weights
from detectors.sentiment.encoder.model import Card, EncoderMetadata, EncoderModel
from detectors.sentiment.scorer import CLASSES, I8
from detectors.sentiment.text import cleaned

_LIMITS = (
    "Knows the language and the kind of text that it was trained on. Where processors multiply bfloat16 themselves it "
    "is trained in it, elsewhere in float32, to slightly other weights."
)
_POOL = 20
"""Batches among which rows are sorted by length, so that little is padding."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fine-tune.

    epochs : times through the rows; batch : rows a step; frozen : lowest layers that stay as they are
    rate, head_rate : learning rates of the top layer and of the head; decay : of a layer's rate to the next lower one's
    smoothing : of labels; warm_up : share of steps in which rates rise; dropout : before the head
    """

    epochs: int = 4
    batch: int = 32
    frozen: int = 0
    rate: float = 2e-4
    head_rate: float = 1e-3
    decay: float = 0.9
    smoothing: float = 0.1
    warm_up: float = 0.1
    dropout: float = 0.1


def fit(
    base: Base,
    texts: Sequence[str],
    labels: I8,
    recipe: Recipe,
    seed: int,
    report: Callable[[str], None] | None = None,
) -> dict[str, F4]:
    """Weights after fine-tuning, by name. labels : int64[texts], places in CLASSES; report : told of each epoch"""
    torch = require_torch()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    parts = network(base.config, base.arrays)
    rows = tokens_of(tokenizer_of(base.tokenizer), texts)
    optimizer = torch.optim.AdamW(_groups(parts, recipe), weight_decay=0.01, fused=True)
    steps = recipe.epochs * math.ceil(len(rows) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps, recipe.warm_up))
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    parts.train()
    for epoch in range(recipe.epochs):
        losses: list[float] = []
        for chosen in _batches([len(row) for row in rows], recipe.batch, rng):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16()):
                found = logits(parts, [rows[place] for place in chosen], recipe.dropout)
            loss = loss_of(found.float(), torch.from_numpy(labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        if report:
            report(f"epoch {epoch + 1} of {recipe.epochs}: loss {np.mean(losses):.4f}")
    return weights(parts.eval())


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; others train in float32, to slightly other weights."""
    return bool(require_torch().ops.mkldnn._is_mkldnn_bf16_supported())


def _groups(parts: Any, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters with their rates; what has none is frozen."""
    torch = require_torch()
    layers = next(list(module) for module in parts["body"].modules() if isinstance(module, torch.nn.ModuleList))
    for parameter in parts["body"].parameters():
        parameter.requires_grad = False
    groups = [{"params": list(parts["head"].parameters()), "lr": recipe.head_rate}]
    for depth, layer in enumerate(reversed(layers[min(recipe.frozen, len(layers) - 1) :])):
        for parameter in layer.parameters():
            parameter.requires_grad = True
        groups.append({"params": list(layer.parameters()), "lr": recipe.rate * recipe.decay**depth})
    return groups


def _share(step: int, steps: int, warm_up: float) -> float:
    """Of the full rate, at a step."""
    rising = max(1, round(steps * warm_up))
    return min((step + 1) / rising, max(0.02, (steps - step) / max(1, steps - rising)))


def _batches(lengths: Sequence[int], size: int, rng: np.random.Generator) -> Iterator[I8]:
    """Places of the rows of each batch, rows of like length together, in an order that is drawn."""
    order = rng.permutation(len(lengths)).astype(np.int64)
    length = np.asarray(lengths)
    batches: list[I8] = []
    for first in range(0, len(order), size * _POOL):
        pool = order[first : first + size * _POOL]
        pool = pool[np.argsort(length[pool], kind="stable")]
        batches += [pool[begin : begin + size] for begin in range(0, len(pool), size)]
    for place in rng.permutation(len(batches)):
        yield batches[place]


def trained(
    base: Base,
    texts: Sequence[str],
    labels: I8,
    language: str,
    seed: int,
    recipe: Recipe | None = None,
    report: Callable[[str], None] | None = None,
) -> EncoderModel:
    """A fine-tuned model; who trains it adds data and command to its card. As `fit`, with texts as they come."""
    chosen = recipe or Recipe()
    arrays = fit(base, [cleaned(text) for text in texts], labels, chosen, seed, report)
    counted = {name: int(np.count_nonzero(labels == place)) for place, name in enumerate(CLASSES)}
    card = Card(
        base=base.hash,
        rows=counted,
        recipe={name: float(value) for name, value in asdict(chosen).items()},
        seed=seed,
        limits=_LIMITS,
    )
    return EncoderModel(EncoderMetadata(language, base.config, base.tokenizer, card), arrays)
