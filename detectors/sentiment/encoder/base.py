"""A pretrained encoder in a local folder: configuration, tokenizer, weights. Nothing is ever fetched or unpickled."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load

from detectors.model_file import F4, content_hash
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
