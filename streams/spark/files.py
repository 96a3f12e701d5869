"""Parquet files of tables: rows are gathered into large row groups, and a file gets its name when it is whole."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tapewatch.durable_files import sync_folder

GROUP_ROWS = 131_072
"""Rows of a row group; as many are held of each table."""

Where = Callable[[str], Path]
"""The folder of a table."""


class TableFiles:
    """One file a table, and one more for each other set of columns that it shows; none has its name before `finish`.

    name : of the files, without their ending
    """

    def __init__(self, where: Where, name: str) -> None:
        self._where, self._name = where, name
        self._open: dict[str, list[_File]] = {}
        self.rows: dict[str, int] = {}

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Append rows."""
        if not batch.num_rows:
            return
        files = self._open.setdefault(table, [])
        file = next((each for each in files if each.schema.equals(batch.schema)), None)
        if file is None:
            path = self._where(table) / f"{self._name}{f'-{len(files)}' if files else ''}.parquet"
            file = _File(path, batch.schema)
            files.append(file)
        file.add(batch)
        self.rows[table] = self.rows.get(table, 0) + batch.num_rows

    def finish(self) -> list[Path]:
        """Bring everything onto the disk and give the files their names; those."""
        done = [file for files in self._open.values() for file in files]
        for file in done:
            file.close()
        for file in done:
            file.beside.replace(file.path)
        for folder in {file.path.parent for file in done}:
            sync_folder(folder)
        self._open = {}
        return [file.path for file in done]

    def drop(self) -> None:
        """Leave no file behind."""
        for files in self._open.values():
            for file in files:
                file.drop()
        self._open = {}


class _File:
    """A file on its way."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.beside = path.with_name(f".{path.name}.{os.getpid()}")
        self._batches: list[pa.RecordBatch] = []
        self._held = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # A dictionary takes two NaNs for one: numbers are kept bit for bit without it.
        texts = [each.name for each in schema if pa.types.is_string(each.type)]
        self._sink = self.beside.open("wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd", use_dictionary=texts or False)

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._held += batch.num_rows
        if self._held >= GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches), row_group_size=GROUP_ROWS)
        self._batches, self._held = [], 0

    def close(self) -> None:
        self._write()
        self._writer.close()
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self._sink.close()

    def drop(self) -> None:
        with suppress(OSError):
            self._writer.close()
        self._sink.close()
        self.beside.unlink(missing_ok=True)


def batches(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of files, one file behind the other."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches()
