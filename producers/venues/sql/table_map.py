"""The map file of a table: where its rows lie, by what key they grow, and which columns they become."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from producers.base.row_map import RowMap, read_map
from tapewatch.contract.topics import FEED_NAME


class TableName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows lie.

    name, schema : of the table or view; schema may be empty
    key : columns whose values together are unique and grow: an id, or a time and an id; integers and times only
    """

    name: str
    key: tuple[str, ...]
    schema: str = ""


class TableMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table as a source.

    name : of the source, key of its position in `producers.state`; feed : that takes the rows
    start : first (the whole table) or now (what is added from the first start on), for a source without a position
    clock : receipt, a live feed whose rows are received now; rows, a feed of its own whose clock is the rows' time
    batch : rows of one transaction at most; poll_s : time between two looks
    lag_s : how long after a key was seen a row with a lower key may still be committed and is found; lag_rows : of how
    many keys that is remembered at most
    calendar : exchange code (XKRX) outside whose sessions no heartbeat is sent; empty is around the clock
    """

    name: str
    feed: str
    table: TableName
    rows: RowMap
    start: Literal["first", "now"] = "now"
    clock: Literal["receipt", "rows"] = "receipt"
    batch: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 2_000
    poll_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    lag_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    lag_rows: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5_000
    calendar: str = ""

    def __post_init__(self) -> None:
        for name in (self.name, self.feed):
            if not FEED_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name of lower-case letters, digits and hyphens")
        if not self.table.key:
            raise ValueError("table.key names no column")


def read_table_map(path: Path) -> TableMap:
    """The map file; TapewatchError where it cannot be read or is wrong."""
    return read_map(path, TableMap)
