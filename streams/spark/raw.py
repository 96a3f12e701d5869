"""Raw bars: which files hold a symbol, and their rows as they stand, unparsed, with file and line."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from detectors.commands.bar_folders import FIELDS, HEADLESS, PART
from tapewatch.errors import TapewatchError

COLUMNS = ("open", "high", "low", "close", "volume")
_TIMES = ("datetime", "time", "timestamp_utc", "ts_open", "at")
_NAMES = {"time": (*FIELDS["date"], *_TIMES), **{name: FIELDS[name] for name in COLUMNS}}
_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_PARTITION = "symbol="


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one symbol, in the order in which they count."""

    symbol: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A file, or a line of one (1 is the header), that holds no row of bars, and why."""

    file: str
    line: int
    reason: str
    row: str = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """Rows of one symbol.

    rows : a table with `time`, those of COLUMNS that any file has (null where a file lacks it), `file` and `line`
    strange : what could not be read as rows
    """

    rows: pa.Table
    strange: tuple[MalformedRow, ...]


def find(folders: Sequence[Path]) -> list[Source]:
    """Symbols and their files, by name: CSV (plain or gzip) and Parquet files, and folders `symbol=NAME` of Parquet.

    A file's name is its symbol's, less a span of dates (AAPL_2012-1-1_2018-1-1). TapewatchError where there are none.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted([*folder.glob("*"), *folder.glob(f"{_PARTITION}*/*.parquet")]):
            if path.is_file() and path.name.endswith(_SUFFIXES) and not path.name.startswith("."):
                found[_symbol(path)].append(str(path.resolve()))
    if not found:
        raise TapewatchError(
            f"no CSV or Parquet files in {', '.join(map(str, folders))}", "Name a folder with one file a symbol."
        )
    return [Source(symbol, tuple(paths)) for symbol, paths in sorted(found.items())]


def _symbol(path: Path) -> str:
    if path.parent.name.startswith(_PARTITION):
        return unquote(path.parent.name.removeprefix(_PARTITION))
    return PART.sub("", next(path.name.removesuffix(each) for each in _SUFFIXES if path.name.endswith(each)))


def read(source: Source) -> Raw:
    """The rows of a symbol's files, one after the other; a file that cannot be read is strange as a whole."""
    tables: list[pa.Table] = []
    strange: list[MalformedRow] = []
    for path in map(Path, source.paths):
        try:
            tables.append(_rows(path, strange))
        except (OSError, pa.ArrowException, ValueError) as error:
            strange.append(MalformedRow(path.name, 0, "unreadable file", str(error).splitlines()[0]))
    if not tables:
        return Raw(pa.table({"time": [], "close": [], "file": [], "line": []}), tuple(strange))
    return Raw(_joined(tables), tuple(strange))


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table; a column that one file has as text and another as numbers becomes text."""
    types: dict[str, set[pa.DataType]] = defaultdict(set)
    for table in tables:
        for field in table.schema:
            types[field.name].add(field.type)
    fields = [pa.field(name, kinds.pop() if len(kinds) == 1 else pa.string()) for name, kinds in types.items()]
    return pa.concat_tables(
        pa.table([_column(table, each) for each in fields], schema=pa.schema(fields)) for table in tables
    ).combine_chunks()


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    return table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)


def _rows(path: Path, strange: list[MalformedRow]) -> pa.Table:
    table = pq.read_table(path, partitioning=None) if path.suffix == ".parquet" else _csv(path, strange)
    lines = table["line"] if "line" in table.column_names else pa.array(range(1, len(table) + 1), pa.int64())
    columns = {name: table.column(position) for name, position in _positions(table.column_names).items()}
    file = pa.DictionaryArray.from_arrays(pa.array([0] * len(table), pa.int32()), [path.name]).cast(pa.string())
    return pa.table({**columns, "file": file, "line": lines})


def _positions(header: Iterable[str]) -> dict[str, int]:
    """Where our columns stand, by header; ValueError where time or close is missing."""
    names = [name.strip().lower() for name in header]
    found = {}
    for ours, theirs in _NAMES.items():
        there = [names.index(each) for each in theirs if each in names]
        if there:
            found[ours] = there[0]
    if "time" not in found and "" in names:
        found["time"] = names.index("")
    if lacking := {"time", "close"} - found.keys():
        raise ValueError(f"no column of {' or '.join(sorted(lacking))}")
    return found


def _csv(path: Path, strange: list[MalformedRow]) -> pa.Table:
    """Cells as text with their line; lines with another number of cells than the first are strange."""
    text = _text(path)
    first = text.partition("\n")[0].rstrip("\r")
    delimiter = "\t" if "\t" in first else ","
    header = next(csv.reader([first], delimiter=delimiter), [])
    headless = header[:1] and header[0][:4].isdigit()
    names = list(HEADLESS[: len(header)]) + [f"column {n}" for n in range(len(HEADLESS), len(header))]
    wrong: list[tuple[int, str]] = []

    def refuse(row: pc_csv.InvalidRow) -> str:
        wrong.append((row.number, row.text))
        return "skip"

    table = pc_csv.read_csv(
        io.BytesIO(text.encode()),
        read_options=pc_csv.ReadOptions(use_threads=False, column_names=names if headless else None),
        parse_options=pc_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=refuse, ignore_empty_lines=False),
        convert_options=pc_csv.ConvertOptions(
            column_types=dict.fromkeys(names if headless else header, pa.string()), strings_can_be_null=False
        ),
    )
    strange += [MalformedRow(path.name, number, "number of cells", cells) for number, cells in wrong]
    skipped = {number for number, _ in wrong}
    begin = 1 if headless else 2
    lines = [line for line in range(begin, begin + len(table) + len(skipped)) if line not in skipped]
    return table.append_column("line", pa.array(lines, pa.int64()))


def _text(path: Path) -> str:
    """A file's text, plain or gzip, UTF-8 or else GB 18030."""
    with pa.input_stream(str(path), compression="detect") as file:
        data = file.read()
    try:
        return str(data, "utf-8-sig")
    except UnicodeDecodeError:
        return str(data, "gb18030")
