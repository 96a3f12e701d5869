"""What model files have in common: canonical JSON named by its content's hash, a card, and what makes a file unfit."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tapewatch.durable_files import place

F4 = npt.NDArray[np.float32]

_KEY = "model"
"""Of the description in the metadata of a file of tensors."""


class ModelArtifact(Protocol):
    """A model that is one file."""

    @property
    def hash(self) -> str:
        """Name of its content."""
        ...

    def encoded(self) -> bytes:
        """The file."""
        ...


class ValidatableModel(Protocol):
    """A model that knows what is wrong with it."""

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        ...


class ModelMetadata(Protocol):
    """A description that says what it is a model of."""

    @property
    def detector(self) -> str:
        """Name of the detector."""
        ...


M = TypeVar("M", bound=ValidatableModel)
D = TypeVar("D", bound=ModelMetadata)


def content_hash(data: bytes) -> str:
    """The name of a model's content: first 16 hex digits of its sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from: the fields with which every card begins.

    data, data_hash : what it was trained on; command : makes it again; seed : of everything drawn
    """

    data: str = ""
    data_hash: str = ""
    command: str = ""
    seed: int = 0


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that is one JSON document; each kind has its own fields, in the order in which they stand in the file."""

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return content_hash(self.encoded())


def kept(registry: Path, model: ModelArtifact) -> Path:
    """The model's file in a registry of models, under its hash; it is there whole or not at all."""
    data = model.encoded()
    path = registry / f"{model.hash}.{'json' if data[:1] == b'{' else 'safetensors'}"
    place(path, data)
    return path


def decode_tensors(data: bytes) -> tuple[str, dict[str, F4]]:
    """The description, JSON, and the arrays of such a file; ValueError where it is none."""
    try:
        arrays = load(data)
        # The package gives metadata of files only: they stand in the header, JSON after its length in 8 bytes.
        header = msgspec.json.decode(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return header["__metadata__"][_KEY], arrays
    except (SafetensorError, KeyError, msgspec.DecodeError) as error:
        raise ValueError(f"no safetensors file with a model's description: {error}") from error


class TensorFile(msgspec.Struct, Generic[D], frozen=True):
    """A model that is a safetensors file: its description, and its arrays by name, float32."""

    described: D
    arrays: dict[str, F4]

    @property
    def detector(self) -> str:
        """What it is a model of."""
        return self.described.detector

    @property
    def weights(self) -> int:
        """Numbers in all arrays."""
        return sum(array.size for array in self.arrays.values())

    @property
    def finite(self) -> bool:
        """Whether all arrays are float32 and hold finite numbers alone."""
        return all(array.dtype == np.float32 and np.isfinite(array).all() for array in self.arrays.values())

    def encoded(self) -> bytes:
        """The file: safetensors, arrays in the order of their names, the description as its only metadata."""
        text = msgspec.json.encode(self.described, order="deterministic").decode()
        return save({name: self.arrays[name] for name in sorted(self.arrays)}, metadata={_KEY: text})

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the file."""
        return content_hash(self.encoded())


class _Head(msgspec.Struct):
    """What every model file says of itself, whatever its kind."""

    detector: str


def detector_of(data: bytes) -> str:
    """The detector that a model file, JSON or of tensors, says it is of; ValueError where it says nothing."""
    # A file of tensors says in its metadata what it is.
    text = data if data[:1] in (b"", b"{") else decode_tensors(data)[0]
    return msgspec.json.decode(text, type=_Head).detector


def decode_model(data: bytes, made: Callable[[D, dict[str, F4]], M], described: type[D]) -> M:
    """A model of a file of tensors; ValueError names what is wrong in it (msgspec.ValidationError is one).

    made : the model of its description and its arrays; described : kind of the description
    """
    text, arrays = decode_tensors(data)
    return sound(made(msgspec.json.decode(text, type=described), arrays))


def sound(model: M) -> M:
    """The same model; ValueError says what does not fit together in it."""
    problem = model.problem()
    if problem:
        raise ValueError(problem)
    return model


def first_problem(found: Mapping[str, bool]) -> str:
    """The first text whose condition holds; empty where none does."""
    return next((what for what, is_wrong in found.items() if is_wrong), "")


def foreign(detector: str, version: str, wanted: str) -> dict[str, bool]:
    """Whether a file is another detector's or of another contract. wanted : the detector that it should be of"""
    return {
        f"detector {detector!r} is not {wanted}": detector != wanted,
        f"contract version {version!r} is not 1.x": version.partition(".")[0] != "1",
    }


def unfit_knots(knots: Sequence[tuple[float, float]], numbers: Iterable[float], measure: str) -> dict[str, bool]:
    """Whether a calibration cannot be read off. knots : of a `measure` and a probability; numbers : any others"""
    return {
        "a number is not finite": not all(map(math.isfinite, chain(numbers, *knots))),
        "no knots": not knots,
        f"knots must increase in {measure}": any(b[0] <= a[0] for a, b in pairwise(knots)),
    }
