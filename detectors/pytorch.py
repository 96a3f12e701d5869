"""PyTorch, for who trains: an optional part, asked for when it is needed."""

from typing import Any

from tapewatch.errors import TapewatchError


def require_torch() -> Any:
    """The torch module, on one thread and with deterministic algorithms: the same rows give the same weights."""
    try:
        import torch
    except ImportError as error:
        raise TapewatchError("torch is not installed", "Install the extra: pip install 'tapewatch[train]'.") from error
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    return torch
