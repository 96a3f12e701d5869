"""Reading a table by its key, through SQLAlchemy: MariaDB, MySQL and PostgreSQL alike.

The map file of a table: where its rows lie, by what key they grow, and which columns they become.
"""

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    and_,
    create_engine,
    inspect,
    or_,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from producers.base.row_mapper import RowMap, read_map
from producers.venues.sql.window import Key
from tapewatch.contract.topics import FEED_NAME
from tapewatch.errors import TapewatchError


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


KEYS_AT_ONCE = 500
"""Keys of one look-up at most."""
_DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql", "postgresql": "postgresql+psycopg2"}
_CONNECT_S = 10


def open_engine(text: str, timeout_s: float = 30.0) -> Engine:
    """An engine for a URL such as mariadb://user:password@host/database. Nothing that is logged or raised holds it.

    timeout_s : longest wait for an answer
    """
    url = _url(text)
    mysql = url.get_backend_name() in ("mysql", "mariadb")
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_S}
    if mysql:
        arguments.update(read_timeout=timeout_s, write_timeout=timeout_s)
        url = url.update_query_dict({"charset": "utf8mb4"})
    else:
        arguments["options"] = f"-c statement_timeout={int(timeout_s * 1000)} -c timezone=UTC"
    try:
        return create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True, pool_size=1)
    except ModuleNotFoundError as error:
        raise TapewatchError(
            f"the database needs the driver {error.name}", "Install the extra: pip install 'tapewatch[sql]'."
        ) from error


class TableReader:
    """The table's rows by key; `engine.connect()` gives the connection of one look."""

    def __init__(self, engine: Engine, place: TableName) -> None:
        self.place = place
        self._table = _reflected(engine, place)
        self._key = [self._column(name) for name in place.key]
        for column in self._key:
            _sorted_in_python(column)
        _unique(engine, place)

    @property
    def name(self) -> str:
        """Table and key, as the position names them."""
        schema = f"{self.place.schema}." if self.place.schema else ""
        return f"{schema}{self.place.name}({','.join(self.place.key)})"

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns."""
        return [column.name for column in self._table.columns]

    def choose(self, names: Sequence[str]) -> Select[Any]:
        """A query for these columns and the key, in the key's order."""
        wanted = dict.fromkeys([*self.place.key, *names])
        return select(*(self._table.columns[name] for name in wanted)).order_by(*self._key)

    def key_of(self, row: Mapping[str, Any]) -> Key:
        """The key of a row."""
        return tuple(_portable(row[name]) for name in self.place.key)

    def newest(self, connection: Connection) -> Key | None:
        """The highest key there is, None in an empty table."""
        query = select(*self._key).order_by(*(column.desc() for column in self._key)).limit(1)
        row = connection.execute(query).mappings().first()
        return None if row is None else self.key_of(dict(row))

    def after(self, connection: Connection, query: Select[Any], key: Key | None, limit: int) -> list[Mapping[str, Any]]:
        """The first rows above a key."""
        if key is not None:
            query = query.where(self._above(key))
        return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]

    def keys_between(self, connection: Connection, floor: Key | None, top: Key) -> list[Key]:
        """The keys above `floor` up to `top`."""
        query = select(*self._key).where(~self._above(top)).order_by(*self._key)
        if floor is not None:
            query = query.where(self._above(floor))
        return [self.key_of(dict(row)) for row in connection.execute(query).mappings()]

    def of_keys(self, connection: Connection, query: Select[Any], keys: Sequence[Key]) -> list[Mapping[str, Any]]:
        """The rows of these keys, in the key's order."""
        rows: list[Mapping[str, Any]] = []
        for start in range(0, len(keys), KEYS_AT_ONCE):
            same = [self._equals(key) for key in keys[start : start + KEYS_AT_ONCE]]
            rows += [dict(row) for row in connection.execute(query.where(or_(*same))).mappings()]
        return rows

    def _above(self, key: Key) -> ColumnElement[bool]:
        """Whether a row's key is greater, column by column (databases use their index for it)."""
        values = self._values(key)
        steps = [
            and_(
                *(column == value for column, value in zip(self._key[:place], values[:place], strict=True)),
                self._key[place] > values[place],
            )
            for place in range(len(values))
        ]
        return or_(*steps)

    def _equals(self, key: Key) -> ColumnElement[bool]:
        return and_(*(column == value for column, value in zip(self._key, self._values(key), strict=True)))

    def _values(self, key: Key) -> list[Any]:
        """The key's values as the driver takes them."""
        return [
            datetime.fromisoformat(value) if isinstance(value, str) else value
            for value, _ in zip(key, self._key, strict=True)
        ]

    def _column(self, name: str) -> Column[Any]:
        if name not in self._table.columns:
            near = difflib.get_close_matches(name, self.columns, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise TapewatchError(f"there is no key column {name!r}", f"{hint}There are: {', '.join(self.columns)}.")
        return self._table.columns[name]


def _url(text: str) -> URL:
    try:
        url = make_url(text)
        name = url.drivername
        url = url.set(drivername=_DRIVERS.get(name, name))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        # The error's own text would hold the password.
        raise TapewatchError(
            "the database's URL is none", "Write mariadb://user:password@host:port/database, or postgresql://..."
        ) from None
    except ModuleNotFoundError as error:
        raise TapewatchError(
            f"the database needs the driver {error.name}", "Install the extra: pip install 'tapewatch[sql]'."
        ) from None
    if url.get_backend_name() not in _DRIVERS:
        raise TapewatchError(f"{url.get_backend_name()} is not read", f"Use one of {', '.join(_DRIVERS)}.")
    return url


def _reflected(engine: Engine, place: TableName) -> Table:
    try:
        return Table(place.name, MetaData(), schema=place.schema or None, autoload_with=engine)
    except NoSuchTableError:
        names = inspect(engine).get_table_names(schema=place.schema or None)
        near = difflib.get_close_matches(place.name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name a table that this user may read."
        raise TapewatchError(f"there is no table {place.name!r}", hint) from None
    except SQLAlchemyError as error:
        raise unreachable(error) from None


def unreachable(error: SQLAlchemyError) -> TapewatchError:
    """A database error for the user, in the database's own words: they name user and host, and no password."""
    words = str(getattr(error, "orig", None) or type(error).__name__)
    return TapewatchError(f"the database refuses: {words[:300]}", "Check its address, user, password and rights.")


def _sorted_in_python(column: Column[Any]) -> None:
    """TapewatchError for a key whose order the database alone knows."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = object
    if kind not in (int, datetime):
        raise TapewatchError(
            f"the key column {column.name!r} is neither an integer nor a time", "Name an id, or a time and an id."
        )


def _unique(engine: Engine, place: TableName) -> None:
    """TapewatchError where the key's columns may hold the same values twice; views are taken at their word."""
    seen = inspect(engine)
    schema = place.schema or None
    if place.name in seen.get_view_names(schema=schema):
        return
    sets: list[Sequence[str | None]] = [
        seen.get_pk_constraint(place.name, schema=schema).get("constrained_columns", [])
    ]
    sets += [found["column_names"] for found in seen.get_unique_constraints(place.name, schema=schema)]
    sets += [found["column_names"] for found in seen.get_indexes(place.name, schema=schema) if found["unique"]]
    if not any(columns and set(columns) <= set(place.key) for columns in sets):
        raise TapewatchError(
            f"nothing makes {', '.join(place.key)} unique in {place.name}",
            "Name the primary key, or columns with a unique index that hold it, such as a time and an id.",
        )


def _portable(value: Any) -> int | str:
    """A key's value as JSON holds it: times as text of one width, in UTC where they have an offset."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat(timespec="microseconds")
    return int(value)
