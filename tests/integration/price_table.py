"""A table of minute bars that somebody else fills."""

import uuid
from typing import Any

from sqlalchemy import Engine, create_engine, text

from producers.base.row_mapper import RowMap
from producers.venues.sql.table import TableMap, TableName

START = 1_758_081_600
COLUMNS = {"time": "at", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


class Prices:
    """A table of minute bars that somebody else fills; prices are written as Kiwoom writes them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url)
        self.name = f"minutes_{uuid.uuid4().hex[:8]}"
        number = (
            "BIGINT AUTO_INCREMENT PRIMARY KEY" if self.engine.dialect.name != "postgresql" else "BIGSERIAL PRIMARY KEY"
        )
        self.run(
            f"CREATE TABLE {self.name} (id {number}, code VARCHAR(12), at VARCHAR(20), o VARCHAR(12), h VARCHAR(12),"
            " l VARCHAR(12), c VARCHAR(12), v BIGINT)"
        )

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def statement(self, numbers: range) -> str:
        rows = ", ".join(f"({n}, '005930', '{START + 60 * n}', '-10', '+12', '--9', '-11', {n})" for n in numbers)
        return f"INSERT INTO {self.name} (id, code, at, o, h, l, c, v) VALUES {rows}"

    def add(self, numbers: range) -> None:
        self.run(self.statement(numbers))

    def map(self, **more: Any) -> TableMap:
        rows = RowMap(
            instrument_column="code", instrument_form="{}.XKRX", columns=COLUMNS, signs=True, timezone="Asia/Seoul"
        )
        usual: dict[str, Any] = {"clock": "rows", "start": "first", "batch": 50, "poll_s": 0.05}
        name = f"sql-{uuid.uuid4().hex[:8]}"
        return TableMap(name, name, TableName(self.name, ("id",)), rows, **{**usual, **more})
