"""What the kit broke in the stores by hand, written down so that the verdict knows it from what broke by itself."""

from pathlib import Path

import msgspec

_FILE = "broken.jsonl"


class BrokenAlerts(msgspec.Struct, frozen=True):
    """Alerts of one store that a fault took away or changed."""

    store: str
    ids: tuple[str, ...]


def note_broken(folder: Path, store: str, ids: list[str]) -> None:
    """Write down, before it is done, what a fault is going to break. folder : the kit's"""
    with (folder / _FILE).open("ab") as file:
        file.write(msgspec.json.encode(BrokenAlerts(store, tuple(ids))) + b"\n")


def broken(folder: Path) -> dict[str, set[str]]:
    """Every alert that faults broke, by store."""
    found: dict[str, set[str]] = {}
    path = folder / _FILE
    for line in path.read_bytes().splitlines() if path.exists() else ():
        each = msgspec.json.decode(line, type=BrokenAlerts)
        found.setdefault(each.store, set()).update(each.ids)
    return found


def restored_unasked(log: Path, known: dict[str, set[str]]) -> int:
    """How many alerts a loop of `reconcile --repair --json` mended that no fault broke: a sink lost or spoilt them.

    log : what the loop printed, a document a round among other lines; known : as `broken` tells
    """
    count = 0
    for line in log.read_bytes().splitlines() if log.exists() else ():
        try:
            told = msgspec.json.decode(line, type=_Round)
        except msgspec.DecodeError:
            continue
        for store, mended in told.repaired.items():
            ids = told.repaired_ids.get(store, [])
            # Beyond the ids that are named nobody knows which they were; faults break fewer than that at a time.
            count += max(mended - len(ids), 0) + len(set(ids) - known.get(store, set()))
    return count


class _Round(msgspec.Struct):
    """What the count needs of a round."""

    at: str
    repaired: dict[str, int]
    repaired_ids: dict[str, list[str]]
