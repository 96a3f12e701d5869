"""Revision 0001's views for people: names for numbers, timestamptz for nanoseconds, NULL for NaN."""

from collections.abc import Sequence

from alembic import op


def _time(column: str) -> str:
    """A nanosecond column as timestamptz, cut to microseconds; the name loses its `_ns`."""
    name = column.rpartition(".")[2].removesuffix("_ns")
    return f"timestamptz 'epoch' + ({column} / 1000) * interval '1 microsecond' AS {name}"


def _number(column: str) -> str:
    """A float column with NULL for NaN."""
    return f"nullif({column}, 'NaN') AS {column}"


_LOG = "LEFT JOIN logs l ON l.id = t.log_id"


def _view(table: str, columns: Sequence[str], joins: str = _LOG) -> None:
    """A view with the instrument's name, and the log's where the table has a position in it."""
    position = ["l.topic", "l.partition", "t.log_offset"] if joins.startswith(_LOG) else []
    chosen = ", ".join(["i.name AS instrument", *columns, *position])
    source = f"{table} t JOIN instruments i ON i.id = t.instrument_id {joins}"
    op.execute(f"CREATE VIEW v_{table} AS SELECT {chosen} FROM {source}")  # noqa: S608 - of constants alone


_SIDE = "CASE {} WHEN 1 THEN 'buy' WHEN -1 THEN 'sell' ELSE '' END AS {}"


def _names(column: str, names: Sequence[str]) -> str:
    """A numbered code, counted from 1, as text."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"(ARRAY[{listed}])[{column}] AS {column}"


def create_views(levels: Sequence[str]) -> None:
    """All views. levels : the books' price and quantity columns."""
    times = [_time("ts_event_ns"), _time("ts_recv_ns")]
    touch = [_number(name) for name in ("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume")]
    conditions = ["regular", "auction", "off_book", "odd_lot", "cancel", "correct"]
    condition = f"(ARRAY[{', '.join(repr(name) for name in conditions)}])[condition + 1] AS condition"
    kinds = ["open", "close", "auction", "halt", "resume", "heartbeat", "gap", "resync", "control"]
    accounts = ["trade_id", "buyer_account", "seller_account", "buyer_order_id", "seller_order_id"]
    _view("quotes", [*times, *touch])
    _view("trades", [*times, "price", "qty", _SIDE.format("aggressor_side", "aggressor_side"), condition, *accounts])
    _view("books", [*times, "sequence", *map(_number, levels)])
    actions = _names("action", ["add", "cut", "delete", "execute"])
    _view("orders", [*times, actions, _SIDE.format("side", "side"), "price", "qty", "order_id", "account", "capacity"])
    _view("status", [*times, _names("t.kind", kinds).replace("AS t.", "AS "), "detail"])
    origin = "CASE origin WHEN 0 THEN 'engine' ELSE 'venue' END AS origin"
    _view(
        "bars",
        [_time("ts_ns"), _time("ts_open_ns"), "interval_s", "open", "high", "low", "close", "volume", "trades", origin],
    )
    numbers = ["nullif(raw, 'NaN') AS raw", "nullif(probability, 'NaN') AS probability"]
    _view(
        "scores",
        [_time("ts_ns"), "m.detector", "m.version", *numbers],
        f"{_LOG} JOIN score_models m ON m.id = t.model_id",
    )
    alert_times = [_time("onset_ns"), _time("decided_ns"), _time("updated_ns")]
    told = ["state", "revision", "severity", "score", "probability", "sentence", "data_tier", "evidence", "provenance"]
    _view("alerts", ["t.id", "scenario", *alert_times, *told], joins="")
    decided = ["policy", "model", "action", "advantage", "t.price", "size", "position", "q_values"]
    _view("signals", ["t.id", _time("ts_ns"), *decided])
    _view("coverage", [_time("start_ns"), _time("end_ns"), "reason", "seconds"])
    op.execute(_REFRESH)
    op.execute("SELECT tapewatch_refresh_features_view()")


_REFRESH = """
CREATE FUNCTION tapewatch_refresh_features_view() RETURNS void LANGUAGE plpgsql AS $body$
DECLARE listed text;
BEGIN
    SELECT string_agg(format('nullif(t.%1$I, ''NaN'') AS %1$I', attname), ', ' ORDER BY attnum) INTO listed
    FROM pg_attribute
    WHERE attrelid = 'features'::regclass AND attnum > 0 AND NOT attisdropped AND atttypid = 'real'::regtype;
    EXECUTE 'CREATE OR REPLACE VIEW v_features AS SELECT i.name AS instrument,'
        || ' timestamptz ''epoch'' + (ts_ns / 1000) * interval ''1 microsecond'' AS ts,'
        || ' l.topic, l.partition, t.log_offset, ' || listed
        || ' FROM features t JOIN instruments i ON i.id = t.instrument_id LEFT JOIN logs l ON l.id = t.log_id';
END
$body$
"""
