"""Snapshots of builds whose state has other columns, scenarios and arrays than this one's, or has them elsewhere."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from streams.engine import snapshots
from streams.engine import state as fields
from streams.engine.snapshots import DamagedError
from streams.engine.task import Task
from tests.unit.snapshot_vectors import fed, fresh, log, shelf_of, vectors

Arrays = dict[str, np.ndarray[Any, Any]]
LOG, GIVEN = log(), vectors()[-1]


def opened(data: bytes) -> tuple[dict[str, Any], Arrays, list[list[Any]]]:
    """Head, arrays and what the accounts stage keeps of a snapshot, read by what its head says of it."""
    body = data[32:]
    length = int.from_bytes(body[:4], "little")
    head = msgspec.json.decode(body[4 : 4 + length])
    state = bytes(pa.decompress(body[4 + length :], decompressed_size=head["size"], codec="lz4", asbytes=True))
    count, position = len(head["names"]), 64
    arrays = {"clock": np.frombuffer(state[:64], np.int64)}
    for name, (dtype, axes) in head["layout"].items():
        lengths = [sum(run[1] for run in axis) for axis in axes]
        shape = {"rings": (*lengths, count), "codes": (-(-count // 64), *lengths, 64)}.get(name, (count, *lengths))
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(state[position : position + size], dtype).reshape(shape).copy()
        position += size
    assert position == head["size"] - head["accounts"]
    return head, arrays, msgspec.msgpack.decode(state[position:])


def closed(head: dict[str, Any], arrays: Arrays, accounts: list[list[Any]]) -> bytes:
    """The snapshot that a build with such a state writes."""
    last = msgspec.msgpack.encode(accounts)
    state = b"".join(np.ascontiguousarray(each).tobytes() for each in arrays.values()) + last
    head |= {"size": len(state), "accounts": len(last), "digest": hashlib.sha256(state).hexdigest()}
    encoded = msgspec.json.encode(head)
    body = len(encoded).to_bytes(4, "little") + encoded + bytes(pa.compress(state, codec="lz4", asbytes=True))
    return hashlib.sha256(body).digest() + body


def worked() -> Task:
    """A task that has worked on the log up to the vector's place."""
    task = fresh(GIVEN)
    fed(task, LOG, 0, LOG.at)
    return task


def restored(data: bytes) -> Task:
    task = fresh(GIVEN)
    snapshots.restore(task, data, shelf_of(GIVEN))
    return task


def split(axis: list[list[Any]]) -> list[int]:
    """Where each run of an axis begins, and the end."""
    return np.cumsum([0, *(run[1] for run in axis)]).tolist()


def test_repacked_snapshot_is_the_one_that_was_opened() -> None:
    data = snapshots.dump(worked())
    assert closed(*opened(data)) == data


def test_build_with_more_columns_scenarios_and_arrays_in_another_order_is_gone_on_from() -> None:
    task = worked()
    head, arrays, accounts = opened(snapshots.dump(task))
    layout = head["layout"]
    # Columns backwards, with one that this build does not know.
    runs, starts = layout["acc"][1][0], split(layout["acc"][1][0])
    columns = [arrays["acc"][:, start:end] for start, end in pairwise(starts)]
    arrays["acc"] = np.concatenate([np.full((len(columns[0]), 1), 7.0), *reversed(columns)], axis=1)
    layout["acc"][1][0] = [["LATER", 1], *reversed(runs)]
    # Two scenarios exchanged, and one more, whose episode is open, before them all.
    scenarios = layout["episodes"][1][0]
    order = [1, 0, *range(2, len(scenarios))]
    more = np.ones((len(arrays["episodes"]), 1, arrays["episodes"].shape[2]))
    arrays["episodes"] = np.concatenate([more, arrays["episodes"][:, order]], axis=1)
    layout["episodes"][1][0] = [["later_scenario", 1], *(scenarios[place] for place in order)]
    bits = [(arrays["live"] >> place & 1) << new for new, place in enumerate(order, 1)]
    arrays["live"] = sum(bits, start=np.ones_like(arrays["live"]))
    # An array more, scenarios and a parameter that this build does not know.
    arrays = {"clock": arrays.pop("clock"), "later": np.ones((len(head["names"]), 3)), **arrays}
    head["layout"] = {"later": ["float64", [[["x", 2], ["y", 1]]]], **layout}
    head["config"] |= {"later_scenario": {"hold_s": 1.0}}
    head["config"]["spoofing"] |= {"later_parameter": 1.0}
    head["config"]["classes"] = {"coin": {"later_scenario": {"hold_s": 1.0}, "spoofing": {"later_parameter": 1.0}}}
    found = restored(closed(head, arrays, accounts))
    assert found.force.config.spoofing == task.force.config.spoofing
    found.judge_by(task.force)  # the configuration's own words differ: of a class that changes nothing
    assert snapshots.dump(found) == snapshots.dump(task)
    assert fed(found, LOG, LOG.at) == fed(task, LOG, LOG.at)


def test_what_an_older_build_did_not_know_begins_as_at_birth() -> None:
    task = worked()
    head, arrays, accounts = opened(snapshots.dump(task))
    layout = head["layout"]
    runs = layout["acc"][1][0]
    gone = [run[0] for run in runs].index("SES_HIGH")
    arrays["acc"] = np.delete(arrays["acc"], gone, axis=1)
    del runs[gone]
    scenarios = layout["episodes"][1][0]
    arrays["episodes"] = arrays["episodes"][:, 1:]
    arrays["live"] = arrays["live"] >> 1
    del scenarios[0]
    ring, at = layout["rings"][1][0], split(layout["rings"][1][0])
    rushes = [run[0] for run in ring].index("RUSHES")
    lost = slice(at[rushes], at[rushes + 1])
    arrays["rings"] = np.delete(arrays["rings"], lost, axis=0)
    del ring[rushes]
    del arrays["pumps"], layout["pumps"]
    found, wanted = restored(closed(head, arrays, accounts)).state, restored(snapshots.dump(task)).state
    count = len(head["names"])
    assert np.isnan(found.acc[:count, gone]).all()
    assert not np.isnan(wanted.acc[:count, gone]).all()
    assert not found.episodes[:, 0].any()
    assert not found.rings[lost].any()
    assert wanted.rings[lost].any()
    assert not found.pumps.any()
    wanted.acc[:, gone] = np.nan
    wanted.episodes[:, 0] = 0.0
    wanted.live[:] &= ~1
    wanted.rings[lost] = 0.0
    wanted.pumps[:] = 0.0
    assert fields.dump(found) == fields.dump(wanted)


def _set(head: dict[str, Any], place: str, value: object) -> None:
    head["layout"]["acc"][1][0][0][1 if place == "length" else 0] = value


@pytest.mark.parametrize(
    "damage",
    [
        lambda head: _set(head, "length", -1),
        lambda head: _set(head, "length", 1 << 40),
        lambda head: head["layout"]["acc"].__setitem__(0, "object"),
        lambda head: head["layout"].update(huge=["float64", [[["x", 60_000]], [["y", 1]]]]),
        lambda head: head["config"].update(watch="no"),
        lambda head: head["config"].update(classes=["coin"]),
        lambda head: head["config"].update(classes={"coin": 1.0}),
        lambda head: head["layout"].update(elsewhere=head["layout"].pop("episodes")),
        lambda head: head["kinds"].append("one too many"),
    ],
    ids=[
        "negative",
        "enormous",
        "objects",
        "larger than its size",
        "configuration",
        "classes",
        "class",
        "no episodes",
        "kinds",
    ],
)
def test_layout_that_cannot_be_is_a_damaged_snapshot(damage: Callable[[dict[str, Any]], None]) -> None:
    head, arrays, accounts = opened(snapshots.dump(worked()))
    damage(head)
    with pytest.raises(DamagedError):
        restored(closed(head, arrays, accounts))
