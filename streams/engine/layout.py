"""What the numbers of a state are called: a build that has more of them, fewer, or the same at other places takes up
another build's snapshot by name. What only the newer one knows begins as at birth.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Axis = tuple[tuple[str, int], ...]
"""Runs along an axis, one behind the other: name, and how many places it takes."""
AXIS_PLACES = 65_536
"""No axis of a layout that is read has more places."""
DTYPES = ("float64", "float32", "int64")


class ArrayLayout(msgspec.Struct, frozen=True, array_like=True):
    """An array of a dump. axes : what an instrument has in it, or what is before and behind the instruments' axis"""

    dtype: str
    axes: tuple[Axis, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; ValueError where no array of ours can be like that."""
        lengths = [length for axis in self.axes for _, length in axis]
        shape = tuple(sum(length for _, length in axis) for axis in self.axes)
        if self.dtype not in DTYPES or any(length < 0 for length in lengths) or math.prod(shape) > AXIS_PLACES:
            raise ValueError(f"a layout of {self.dtype}[{shape}]")
        return shape


def whole(name: str, length: int) -> Axis:
    """An axis whose places mean something only together."""
    return ((name, length),)


def each(names: Sequence[str]) -> Axis:
    """An axis with a name a place."""
    return tuple((name, 1) for name in names)


def named(constants: Mapping[str, object], first: str, last: str, length: int) -> Axis:
    """An axis whose runs begin where a module's constants say.

    constants : of the module, in the order of its text; first, last : the constants from which to which it is; length :
    of the axis
    """
    names = list(constants)
    chosen = names[names.index(first) : names.index(last) + 1]
    starts = sorted((place, name) for name in chosen if isinstance(place := constants[name], int))
    ends = [*(start for start, _ in starts[1:]), length]
    return tuple((name, end - start) for (start, name), end in zip(starts, ends, strict=True))


def places(there: Axis, here: Axis) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the runs of the same name and length lie along two axes: places there, and the same ones here."""
    starts, found, target = {}, list[int](), list[int]()
    position = 0
    for name, length in there:
        starts[name, length] = position
        position += length
    position = 0
    for run in here:
        if run in starts:
            found += range(starts[run], starts[run] + run[1])
            target += range(position, position + run[1])
        position += run[1]
    return np.array(found, dtype=np.int64), np.array(target, dtype=np.int64)


def copy(
    source: npt.NDArray[np.generic], there: ArrayLayout, target: npt.NDArray[np.generic], here: ArrayLayout, first: int
) -> None:
    """Bring the numbers of one layout to their places in another; where a name is not there, the target stays.

    first : which of the arrays' axes is the layout's first; the others are as long in both
    """
    if len(there.axes) != len(here.axes):
        return
    pairs = [places(a, b) for a, b in zip(there.axes, here.axes, strict=True)]
    ranges = [np.arange(length) for length in source.shape]
    found, wanted = list(ranges), list(ranges)
    for axis, (from_, to) in enumerate(pairs, first):
        found[axis], wanted[axis] = from_, to
    target[np.ix_(*wanted)] = source[np.ix_(*found)]
