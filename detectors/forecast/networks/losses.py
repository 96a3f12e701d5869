"""What training makes small: cross-entropy, focal loss, or both tasks at once."""

from typing import Any

LOSSES = ("cross_entropy", "focal", "multi_task")
FOCUS = 2.0
"""Exponent of the focal loss (Lin et al. 2017): rows told well count less."""
RETURN_WEIGHT = 0.5
"""Of the return's Huber loss beside the cross-entropy in the multi-task loss; returns are in units of their spread."""


def loss(torch: Any, name: str, told: Any, labels: Any, returns: Any) -> Any:
    """The mean loss of a batch, a tensor without axes.

    name : of LOSSES; told : [rows, 8], logits of the classes and the return; labels : int64[rows]
    returns : [rows], in units of their spread
    """
    entropy = torch.nn.functional.cross_entropy(told[:, :-1], labels, reduction="none")
    if name == "focal":
        return (entropy * (1.0 - torch.exp(-entropy)) ** FOCUS).mean()
    if name == "multi_task":
        apart = torch.nn.functional.huber_loss(told[:, -1], returns)
        return entropy.mean() + RETURN_WEIGHT * apart
    if name != "cross_entropy":
        raise ValueError(f"there is no loss {name!r}")
    return entropy.mean()
