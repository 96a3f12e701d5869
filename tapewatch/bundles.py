"""Handing a kernel a tree of arrays as one array of addresses: opening the tree costs a few loads, where numba takes a
microsecond for every ten arrays of an argument.
"""

from typing import Any, Generic, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

Words = npt.NDArray[np.int64]
Tree = TypeVar("Tree", bound=tuple[Any, ...])


class Bundle(Generic[Tree]):
    """A tree and its words; the tree must live as long as they are used."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.words = np.array(_words(tree), dtype=np.int64)


class Layout(Generic[Tree]):
    """How trees of one type are bundled.

    example : a named tuple of arrays, numbers and named tuples; every tree has its dtypes and dimensions
    open : what kernels call with a bundle's words, gives the tree
    """

    def __init__(self, example: Tree) -> None:
        self.example = example
        self._type = _type_of(example)
        self.open = _opener(self._type)

    def bundle(self, tree: Tree) -> Bundle[Tree]:
        """TypeError where the tree is not of the example's type, ValueError where an array's rows do not lie one behind
        the other: a kernel would read something else than it means.
        """
        if _type_of(tree) != self._type:
            raise TypeError(f"{_type_of(tree)} is not {self._type}")
        return Bundle(tree)


def _words(tree: tuple[Any, ...]) -> list[int]:
    """Address and shape of each array, value of each whole number and truth value, in order.

    TypeError for anything else.
    """
    found: list[int] = []
    for leaf in tree:
        if isinstance(leaf, tuple):
            found += _words(leaf)
        elif isinstance(leaf, np.ndarray):
            if not leaf.flags.c_contiguous:
                raise ValueError("an array in a bundle lies in C order")
            found += [leaf.ctypes.data, *leaf.shape]
        elif isinstance(leaf, (bool, int)):
            found.append(int(leaf))
        else:
            raise TypeError(f"a {type(leaf).__name__} cannot be bundled")
    return found


def _type_of(example: tuple[Any, ...]) -> Any:
    """The numba type of a named tuple of arrays, numbers and named tuples."""
    members = [
        _type_of(leaf)
        if isinstance(leaf, tuple)
        else types.Array(numba.typeof(leaf).dtype, leaf.ndim, "C")
        if isinstance(leaf, np.ndarray)
        else numba.typeof(leaf)
        for leaf in example
    ]
    return types.NamedTuple(members, type(example))  # type: ignore[attr-defined]  # made at import


def _opener(wanted: Any) -> Any:
    """What makes a tree of words, within a kernel."""

    @intrinsic  # type: ignore[untyped-decorator]
    def opened(typing: Any, words: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(words)(context, builder, arguments[0])
            return _tree(context, builder, wanted, _Reader(builder, array.data))

        return wanted(words), build

    return opened


class _Reader:
    """Loads one word after the other."""

    def __init__(self, builder: Any, start: Any) -> None:
        self._builder, self._start, self._at = builder, start, 0

    def next(self) -> Any:
        """The next word, an LLVM i64."""
        place = cgutils.gep(self._builder, self._start, self._at)
        self._at += 1
        return self._builder.load(place)


def _tree(context: Any, builder: Any, kind: Any, words: _Reader) -> Any:
    """LLVM value of a tree."""
    return context.make_tuple(builder, kind, [_leaf(context, builder, member, words) for member in kind.types])


def _leaf(context: Any, builder: Any, kind: Any, words: _Reader) -> Any:
    """LLVM value of an array, a number or a tree within."""
    if isinstance(kind, types.BaseTuple):  # type: ignore[attr-defined]  # made at import
        return _tree(context, builder, kind, words)
    if not isinstance(kind, types.Array):
        value = words.next()
        wanted = context.get_value_type(kind)
        return builder.trunc(value, wanted) if wanted.width < value.type.width else value
    array = context.make_array(kind)(context, builder)
    item = context.get_data_type(kind.dtype)
    address = builder.inttoptr(words.next(), item.as_pointer())
    shape = [words.next() for _ in range(kind.ndim)]
    step = size = context.get_constant(types.intp, context.get_abi_sizeof(item))
    strides: list[Any] = []
    for length in reversed(shape):
        strides.insert(0, step)
        step = builder.mul(step, length)
    populate_array(array, data=address, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()
