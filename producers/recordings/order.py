"""The order of a recording's rows: ts_recv, then row type, then file; within a chunk and across sources."""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

from producers.recordings.series import split
from tapewatch.contract.rows import OPTIONAL, Chunk, Column, Rows, RowType


def merged_order(rows: Sequence[Rows]) -> Iterator[Rows]:
    """The rows of a chunk as maximal runs of one type in the order (ts_recv, row type, place in `rows`).

    rows : each in receipt order, any number per type, of any dictionaries; parts of one type are joined first.
    The runs are views of the joined columns.
    """
    joined = [_in_order(parts) for parts in _by_type(rows)]
    if len(joined) == 1:
        yield joined[0]
        return
    if not joined:
        return
    kinds = np.concatenate([np.full(len(part), index, np.int8) for index, part in enumerate(joined)])
    ordered = kinds[np.lexsort((kinds, np.concatenate([part.ts_recv for part in joined])))]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    taken = [0] * len(joined)
    for kind, length in zip(ordered[starts].tolist(), np.diff(starts, append=len(ordered)).tolist(), strict=True):
        begin = taken[kind]
        taken[kind] = begin + length
        yield joined[kind].take(slice(begin, begin + length))


def merged_chunks(sources: Sequence[Iterator[Chunk]]) -> Iterator[Chunk]:
    """Chunks of several sources as chunks of one, holding at most one chunk of each source.

    The rows of a chunk keep the order of the sources, which `merged_order` uses to break ties.
    """
    if len(sources) == 1:
        yield from sources[0]
        return
    waiting: list[list[Rows]] = [[] for _ in sources]
    ends: list[tuple[int, int]] = []

    def fill(index: int) -> None:
        chunk = next(sources[index], None)
        if chunk is not None:
            waiting[index] = [*waiting[index], *chunk.rows]
            heapq.heappush(ends, (chunk.end_ns, index))

    for index in range(len(sources)):
        fill(index)
    while ends:
        end_ns = ends[0][0]
        out: list[Rows] = []
        for index, rows in enumerate(waiting):
            before, waiting[index] = split(rows, end_ns)
            out += before
        if out:
            yield Chunk(end_ns, out)
        while ends and ends[0][0] == end_ns:
            fill(heapq.heappop(ends)[1])


def _by_type(rows: Sequence[Rows]) -> list[list[Rows]]:
    """The non-empty parts, grouped by row type in the types' order."""
    groups: dict[RowType, list[Rows]] = {}
    for part in rows:
        if len(part):
            groups.setdefault(part.type, []).append(part)
    return [groups[row_type] for row_type in sorted(groups)]


def _in_order(parts: list[Rows]) -> Rows:
    """Parts of one type as one, in the order (ts_recv, place of the part)."""
    if len(parts) == 1:
        return parts[0]
    whole = joined(parts)
    times = whole.ts_recv
    if np.all(times[1:] >= times[:-1]):
        return whole
    return whole.take(np.argsort(times, kind="stable"))


def joined(parts: Sequence[Rows]) -> Rows:
    """Parts of one type one after another under one dictionary; an optional column that a part lacks is null there."""
    if all(part.instruments == parts[0].instruments for part in parts):
        instruments = parts[0].instruments
        codes = [part.columns["instrument"] for part in parts]
    else:
        places: dict[str, int] = {}
        for part in parts:
            for instrument in part.instruments:
                places.setdefault(instrument, len(places))
        instruments = tuple(places)
        codes = [
            np.array([places[name] for name in part.instruments], np.int32)[part.columns["instrument"]]
            for part in parts
        ]
    present = {name for part in parts for name in part.columns}
    optional = [name for name, _ in OPTIONAL[parts[0].type] if name in present]
    names = [name for name in parts[0].columns if name not in optional and name != "instrument"] + optional
    columns: dict[str, Column] = {"instrument": np.concatenate(codes)}
    for name in names:
        columns[name] = np.concatenate([part.columns.get(name, np.full(len(part), None, object)) for part in parts])
    return Rows(parts[0].type, instruments, columns)
