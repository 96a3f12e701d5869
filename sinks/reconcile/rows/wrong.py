"""Everything that a comparison found wrong in PostgreSQL, for a repair: its report names but the first places."""

from dataclasses import dataclass, field

import numpy as np

from sinks.postgres.tables import Table
from sinks.reconcile.rows.digests import Longs
from sinks.reconcile.rows.message_rows import Key


@dataclass(slots=True)
class Discrepancies:
    """What is lost, doubled or different.

    numbers : number of each log by input partition
    bulk : by name of a bulk table, the table and the wrong input offsets by input partition
    keys : by name of a table of messages or cases, the wrong keys by input partition
    """

    numbers: dict[int, int] = field(default_factory=dict)
    bulk: dict[str, tuple[Table, dict[int, Longs]]] = field(default_factory=dict)
    keys: dict[str, dict[int, set[Key]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.bulk or self.keys)

    def note_offsets(self, table: Table, partition: int, offsets: Longs) -> None:
        """Take up offsets of a bulk table."""
        if offsets.size:
            self.bulk.setdefault(table.name, (table, {}))[1][partition] = offsets.astype(np.int64)

    def note_key(self, table: str, partition: int, key: Key) -> None:
        """Take up a key of a table of messages."""
        self.keys.setdefault(table, {}).setdefault(partition, set()).add(key)

    def counts(self) -> dict[str, int]:
        """Input records of bulk tables, and keys of others, by table."""
        found = {name: sum(each.size for each in places.values()) for name, (_, places) in self.bulk.items()}
        return found | {name: sum(len(each) for each in by.values()) for name, by in self.keys.items()}
