"""What kernels need of a frame's texts, read once a frame: closing times of status rows, ids of order rows."""

import re

import numpy as np
import numpy.typing as npt

from tapewatch.clock import NANOS
from tapewatch.errors import ContractError
from tapewatch.frames import View
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.rows import RowType, StatusKind

I8 = npt.NDArray[np.int64]

_CLOSES = re.compile(r"(?:^|[\s,;])closes=([0-9T:.+Z-]+)")
_NONE = np.zeros(0, dtype=np.int64)


def beside(view: View) -> I8:
    """What `ingest` takes beside the columns, int64[rows], or empty where no text of the frame tells anything."""
    if view.type == RowType.STATUS and (view.column("kind") == int(StatusKind.OPEN)).any():
        return _closes(view)
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
