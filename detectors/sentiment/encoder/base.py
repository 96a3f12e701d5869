"""A pretrained encoder in a local folder: configuration, tokenizer, weights. Nothing is ever fetched or unpickled.

The network: a transformer, the mean of its last states over the text, and a linear layer to the three classes.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from detectors.model_file import F4, content_hash
from detectors.pytorch import require_torch
from detectors.sentiment.scorer import CLASSES
from tapewatch.errors import TapewatchError

FILES = ("config.json", "tokenizer.json", "model.safetensors")
_HINT = "Name a folder with config.json, tokenizer.json and model.safetensors; nothing is fetched."


@dataclass(frozen=True, slots=True)
class Base:
    """A pretrained encoder. config, tokenizer : its two JSON files; arrays : weights by name; hash : of the weights"""

    config: str
    tokenizer: str
    arrays: dict[str, F4]
    hash: str


def require_transformers() -> Any:
    """The transformers module, told to stay offline; TapewatchError names the extra where it is absent."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        import transformers
    except ImportError as error:
        raise TapewatchError(
            "transformers is not installed", "Install the extra: pip install 'tapewatch[encoder]'."
        ) from error
    transformers.logging.set_verbosity_error()
    return transformers


def read(folder: Path) -> Base:
    """The encoder in a folder; TapewatchError where a file is missing or is not what it should be."""
    if not folder.is_dir():
        raise TapewatchError(f"{folder} is no folder", _HINT)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        pickled = " (weights are only read from safetensors)" if (folder / "pytorch_model.bin").exists() else ""
        raise TapewatchError(f"{folder} lacks {', '.join(missing)}{pickled}", _HINT)
    config, tokenizer, data = (folder / name for name in FILES)
    try:
        parsed = msgspec.json.decode(config.read_bytes(), type=dict[str, Any])
        weights = data.read_bytes()
        arrays = {name: array.astype("float32") for name, array in load(weights).items() if array.dtype.kind == "f"}
    except (msgspec.MsgspecError, SafetensorError) as error:
        raise TapewatchError(f"{folder} holds no encoder: {error}", _HINT) from error
    if "auto_map" in parsed or "model_type" not in parsed:
        raise TapewatchError(
            f"{folder} holds an encoder that brings code of its own", "Take one that has a model_type."
        )
    return Base(msgspec.json.encode(parsed).decode(), tokenizer.read_text("utf-8"), arrays, content_hash(weights))


HEAD = ("head.weight", "head.bias")
LONGEST = 64
"""Tokens of a text that are read."""


def tokenizer_of(text: str) -> Any:
    """A tokenizer that gives LONGEST tokens at most. text : its JSON; ValueError where it is none"""
    require_transformers()
    import tokenizers

    try:
        # Its own bindings raise plain Exception for any unfit text.
        made = tokenizers.Tokenizer.from_str(text)
    except Exception as error:
        raise ValueError(f"no tokenizer: {error}") from error
    made.no_padding()
    made.enable_truncation(LONGEST)
    return made


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text's tokens. tokenizer : of tokenizer_of"""
    return [list(each.ids) for each in tokenizer.encode_batch(list(texts))]


def network(config: str, arrays: Mapping[str, F4]) -> Any:
    """The network on the CPU with these weights; a head that is not among them is zero. ValueError where one is amiss.

    config : JSON of a transformers configuration; arrays : by the names of `weights`, or those of a pretrained encoder
    """
    torch, transformers = require_torch(), require_transformers()
    settings = msgspec.json.decode(config, type=dict[str, Any])
    try:
        made = transformers.AutoConfig.for_model(**settings)
        body = transformers.AutoModel.from_config(made)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"no configuration of an encoder: {error}") from error
    prefix = f"{body.base_model_prefix}."
    given = {name.removeprefix("body.").removeprefix(prefix): array for name, array in arrays.items()}
    missing = [
        name
        for name, value in body.state_dict().items()
        if name not in given or given[name].shape != tuple(value.shape)
    ]
    if any(not name.startswith("pooler.") for name in missing):
        raise ValueError(f"weights do not fit the configuration: {missing[0]}")
    body.pooler = None
    body.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(given[name])) for name in body.state_dict()})
    parts = torch.nn.ModuleDict({"body": body, "head": torch.nn.Linear(made.hidden_size, len(CLASSES))})
    with torch.no_grad():
        for name, value in zip(HEAD, (parts["head"].weight, parts["head"].bias), strict=True):
            if name in arrays and arrays[name].shape != tuple(value.shape):
                raise ValueError(f"weights do not fit the configuration: {name}")
            value.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name]))) if name in arrays else value.zero_()
    return parts.eval()


def weights(parts: Any) -> dict[str, F4]:
    """Arrays of a network by name: body.* and head.*, float32."""
    return {
        name: value.detach().to(dtype=require_torch().float32).numpy().copy()
        for name, value in parts.state_dict().items()
    }


def logits(parts: Any, rows: Sequence[Sequence[int]], dropout: float = 0.0) -> Any:
    """Class logits, tensor[rows, 3]. rows : token ids; dropout : share of pooled numbers left out, in training"""
    torch = require_torch()
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[place, : len(row)] = 1
    states = parts["body"](input_ids=ids, attention_mask=mask).last_hidden_state
    kept = mask[..., None].to(states.dtype)
    pooled = (states * kept).sum(1) / kept.sum(1)
    return parts["head"](torch.nn.functional.dropout(pooled, dropout) if dropout else pooled)
