"""A DuckDB database on disk that rows are streamed into, and the one comparison that most checks are made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.foreign.report import EXAMPLES, Report

MEMORY = "2GB"
ROWS = 1 << 16
"""More rows than a frame may have: offset * ROWS + row is a row's place in its partition."""


class Scratch:
    """The database. instruments are numbered in the order in which they are met"""

    def __init__(self, folder: Path) -> None:
        self.sql = duckdb.connect(str(folder / "scratch.duckdb"))
        self.sql.execute(f"SET memory_limit = '{MEMORY}'")
        self.sql.execute(f"SET temp_directory = '{folder}'")
        self.sql.execute("SET preserve_insertion_order = false")
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def close(self) -> None:
        """Let go of the database."""
        self.sql.close()

    def number(self, name: str) -> int:
        """An instrument's number."""
        if name not in self._numbers:
            self._numbers[name] = len(self._names)
            self._names.append(name)
        return self._numbers[name]

    def name(self, number: int) -> str:
        """The instrument of a number."""
        return self._names[number] if 0 <= number < len(self._names) else f"number {number}"

    def numbers(self, column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """A dictionary-encoded column as numbers."""
        unified = column.unify_dictionaries().combine_chunks()
        if isinstance(unified, pa.ChunkedArray):
            unified = unified.chunk(0)
        codes = np.array([self.number(name) for name in unified.dictionary.to_pylist()], dtype=np.int32)
        return codes[unified.indices.to_numpy(zero_copy_only=False)]

    def insert(self, statement: str, given: pa.Table) -> None:
        """Run an INSERT that selects from `given`."""
        self.sql.register("given", given)
        self.sql.execute(statement)
        self.sql.unregister("given")

    def rows(self, question: str) -> list[dict[str, Any]]:
        """All rows of a question, with names in the place of numbers and readable times."""
        answer = self.sql.execute(question)
        names = [each[0] for each in answer.description or ()]
        return [self._readable(dict(zip(names, row, strict=True))) for row in answer.fetchall()]

    def one(self, question: str) -> Any:
        """The single value of a question."""
        ((found,),) = self.sql.execute(question).fetchall()
        return found

    def tell(self, report: Report, check: str, kind: str, rows: str, count: str = "count(*)") -> None:
        """Tell of every row that a question gives. count : what each counts for, an aggregate"""
        self.sql.execute(f"CREATE OR REPLACE TEMP TABLE told AS {rows}")
        found = int(self.one(f"SELECT coalesce({count}, 0) FROM told"))
        if found:
            report.tell(check, kind, self.rows(f"SELECT * FROM told ORDER BY ALL LIMIT {EXAMPLES}"), found)

    def compare(self, report: Report, check: str, said: str, kept: str, keys: Sequence[str]) -> None:
        """Hold two relations with the columns `keys` and `digest` against each other: each key as often, alike.

        said : what must be there; kept : what is there. Rows of one key may lie in any order.
        """
        named = ", ".join(keys)
        side = "SELECT {0}, {1} AS said, {2} AS kept, digest::HUGEINT * {3} AS content FROM ({4})"
        self.sql.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE differing AS
            SELECT {named}, sum(said)::BIGINT AS said, sum(kept)::BIGINT AS kept, sum(content) AS content
            FROM ({side.format(named, 1, 0, 1, said)} UNION ALL {side.format(named, 0, 1, -1, kept)})
            GROUP BY ALL HAVING sum(said) <> sum(kept) OR sum(content) <> 0
            """
        )
        report.looked(check, int(self.one(f"SELECT count(*) FROM ({said})")))
        rows = f"SELECT {named}, said, kept FROM differing WHERE "
        self.tell(report, check, "lost", rows + "said > kept", "sum(said - kept)")
        self.tell(report, check, "doubled", rows + "kept > said", "sum(kept - said)")
        self.tell(report, check, "different", rows + "kept = said")

    def _readable(self, row: dict[str, Any]) -> dict[str, Any]:
        if isinstance(row.get("instrument"), int):
            row["instrument"] = self.name(row["instrument"])
        return {name: int(value) if isinstance(value, np.integer) else value for name, value in row.items()}


def table(columns: dict[str, Any]) -> pa.Table:
    """Columns as an Arrow table."""
    return pa.table(
        {name: pa.array(values) if isinstance(values, np.ndarray) else values for name, values in columns.items()}
    )
