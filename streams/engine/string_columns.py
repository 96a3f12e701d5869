"""What kernels need of a frame's texts, read once a frame: closing times of status rows, ids of order rows."""

import re

import numpy as np
import numpy.typing as npt

from tapewatch.clock import NANOS
from tapewatch.contract.frames import View
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import ContractError
from tapewatch.kernels import kernel
from tapewatch.rfc3339 import from_rfc3339

I8 = npt.NDArray[np.int64]

_CLOSES = re.compile(r"(?:^|[\s,;])closes=([0-9T:.+Z-]+)")
_NONE = np.zeros(0, dtype=np.int64)
_PRIME, _BASIS = np.uint64(1_099_511_628_211), np.uint64(14_695_981_039_346_656_037)
_BITS = np.uint64(2**52 - 1)


def columns_of(view: View) -> I8:
    """What `ingest` takes beside the columns, int64[rows], or empty where no text of the frame tells anything."""
    if view.type == RowType.STATUS and (view.column("kind") == int(StatusKind.OPEN)).any():
        return _closes(view)
    if view.type == RowType.ORDER:
        return _order_ids(view)
    return _NONE


def closing_second(detail: str) -> int:
    """The second of the epoch that `closes=<RFC 3339>` names in an opening row's detail; 0 where it names none.

    >>> closing_second("regular closes=2026-03-02T14:30:00Z")
    1772461800
    """
    found = _CLOSES.search(detail)
    try:
        return from_rfc3339(found[1]) // NANOS if found else 0
    except ValueError:
        return 0


def _closes(view: View) -> I8:
    """Closing times of a frame of status rows."""
    try:
        details = view.batch().column("detail").to_pylist()
    except (ContractError, UnicodeDecodeError):
        # Texts that cannot be read name no time; nothing else of the row depends on them.
        return _NONE
    return np.array([closing_second(detail) for detail in details], dtype=np.int64)


@kernel
def _hashes(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int32], found: I8) -> None:
    """FNV-1a of each text, folded to 52 bits, which a float64 holds; never 0.

    data : the texts one behind the other; starts : int32[rows + 1], where each begins, and the end; found : int64[rows]
    """
    for row in range(found.size):
        value = _BASIS
        for place in range(starts[row], starts[row + 1]):
            value = (value ^ np.uint64(data[place])) * _PRIME
        found[row] = np.int64(max((value ^ (value >> np.uint64(52))) & _BITS, np.uint64(1)))


def _order_ids(view: View) -> I8:
    """Hashes of a frame's order ids."""
    try:
        texts = view.batch().column("order_id")
    except ContractError:
        return _NONE
    _, offsets, data = texts.buffers()
    if offsets is None or data is None:
        return _NONE
    # A writer may end a buffer anywhere behind what is needed of it.
    starts = np.frombuffer(offsets, dtype=np.int32, count=texts.offset + view.rows + 1)[texts.offset :]
    found = np.zeros(view.rows, dtype=np.int64)
    _hashes(np.frombuffer(data, dtype=np.uint8), starts, found)
    return found
