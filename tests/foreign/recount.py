"""Features and bars counted again from the log, by SQL over the formulas of docs/features.md, a partition at a time."""

from tests.foreign import phases
from tests.foreign.report import Report
from tests.foreign.scratch import ROWS, Scratch

SILENCE_S = 5
"""More seconds than that without any row are not watched."""
RETURNS = (1, 5, 10, 30, 60, 300, 900)
RELATIVE = 2e-6
"""float32 keeps 24 bits; the sums behind it are float64 in another order."""

_SEALED = f"""
CREATE OR REPLACE TEMP TABLE clock AS
SELECT second, min(place) // {ROWS} AS pos FROM rows WHERE partition = {{p}} AND moves GROUP BY second;
CREATE OR REPLACE TEMP TABLE sealed AS
WITH steps AS (
    SELECT second, lead(second) OVER w AS next, lead(pos) OVER w AS closed_by FROM clock WINDOW w AS (ORDER BY second)
), closed AS (
    SELECT unnest(generate_series(second, CASE WHEN next - second - 1 > {SILENCE_S} THEN second ELSE next - 1 END))
        AS second, next, closed_by, next - second - 1 > {SILENCE_S} AS silent
    FROM steps WHERE next IS NOT NULL
)
SELECT second, closed_by, second % 60 = 59 OR (silent AND next // 60 > second // 60) AS ends_minute FROM closed;
"""

_TOUCHES = """
CREATE OR REPLACE TEMP TABLE first_quote AS
SELECT instrument, min(place) AS place FROM quotes WHERE partition = {p} GROUP BY instrument;
CREATE OR REPLACE TEMP TABLE touches AS
WITH every AS (
    SELECT instrument, place, second, bid, bid_qty, ask, ask_qty FROM quotes WHERE partition = {p}
    UNION ALL
    SELECT b.instrument, b.place, second, bid, bid_qty, ask, ask_qty FROM books b
    LEFT JOIN first_quote f ON f.instrument = b.instrument
    WHERE partition = {p} AND b.place < coalesce(f.place, b.place + 1)
)
SELECT instrument, place, second, bid, CASE WHEN bid IS NULL THEN 0 ELSE bid_qty END AS bid_qty,
    ask, CASE WHEN ask IS NULL THEN 0 ELSE ask_qty END AS ask_qty FROM every;
CREATE OR REPLACE TEMP TABLE fresh AS SELECT instrument, second, max(place) AS place FROM restarts GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE touch_s AS
WITH flow AS (
    SELECT *, CASE WHEN bid + ask + lag(bid) OVER w + lag(ask) OVER w IS NULL THEN 0 ELSE
        (bid >= lag(bid) OVER w)::INT * bid_qty - (bid <= lag(bid) OVER w)::INT * lag(bid_qty) OVER w
        + (ask >= lag(ask) OVER w)::INT * lag(ask_qty) OVER w - (ask <= lag(ask) OVER w)::INT * ask_qty END AS e
    FROM touches WINDOW w AS (PARTITION BY instrument ORDER BY place)
)
SELECT t.instrument, t.second,
    max_by({{'bid': bid, 'bid_qty': bid_qty, 'ask': ask, 'ask_qty': ask_qty}}, t.place) AS touch,
    sum(e) FILTER (t.place > coalesce(f.place, -1)) AS ofi
FROM flow t LEFT JOIN fresh f ON f.instrument = t.instrument AND f.second = t.second GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE update_s AS
SELECT u.instrument, u.second, count(*) FILTER (u.place > coalesce(f.place, -1)) AS updates
FROM (SELECT instrument, place, second FROM quotes WHERE partition = {p}
    UNION ALL SELECT instrument, place, second FROM books WHERE partition = {p}) u
LEFT JOIN fresh f ON f.instrument = u.instrument AND f.second = u.second GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE book_s AS
SELECT instrument, second, max_by({{'bid5': bid5, 'ask5': ask5, 'bid10': bid10, 'ask10': ask10}}, place) AS book
FROM books WHERE partition = {p} GROUP BY ALL;
"""

# A trade row's side, where nobody knows it, by the quote rule; without trade rows, the growth of the quotes' volume.
_PRINTS = """
CREATE OR REPLACE TEMP TABLE first_print AS
SELECT instrument, min(place) AS place FROM (
    SELECT instrument, place FROM trades WHERE partition = {p} AND condition IN (0, 1)
    UNION ALL SELECT instrument, place FROM bars_in WHERE partition = {p}
) GROUP BY instrument;
CREATE OR REPLACE TEMP TABLE early_quotes AS
SELECT q.instrument, q.place, q.second, bid, ask, last, volume, coalesce(s.value, 0) AS session
FROM (SELECT q.* FROM quotes q LEFT JOIN first_print f ON f.instrument = q.instrument
    WHERE partition = {p} AND q.place < coalesce(f.place, q.place + 1)) q
ASOF LEFT JOIN sessions s ON s.instrument = q.instrument AND q.place > s.place;
CREATE OR REPLACE TEMP TABLE prints AS
WITH unsigned AS (
    SELECT t.instrument, t.place, t.second, price, qty,
        CASE WHEN price >= q.ask THEN 1 WHEN price <= q.bid THEN -1 ELSE 0 END AS side
    FROM (SELECT * FROM trades WHERE partition = {p} AND condition = 0 AND side = 0) t
    ASOF LEFT JOIN touches q ON q.instrument = t.instrument AND t.place > q.place
), traded AS (
    SELECT instrument, place, second, price, qty, CASE condition WHEN 1 THEN 0 ELSE side END AS side FROM trades
    WHERE partition = {p} AND (condition = 1 OR (condition = 0 AND side <> 0))
    UNION ALL SELECT * FROM unsigned
    UNION ALL
    SELECT instrument, place, second, last, traded, CASE WHEN last >= ask THEN 1 WHEN last <= bid THEN -1 ELSE 0 END
    FROM (SELECT *, volume - lag(volume) OVER (PARTITION BY instrument, session ORDER BY place) AS traded
        FROM early_quotes) WHERE last IS NOT NULL AND traded > 0
), every AS (
    SELECT instrument, place, second, price AS open, price AS high, price AS low, price AS close, qty, 1 AS number,
        1 AS trades, qty * side AS signed, (side > 0)::INT AS buys, (side < 0)::INT AS sells FROM traded
    UNION ALL
    SELECT instrument, place, second, open, high, low, close, volume,
        CASE WHEN volume > 0 THEN greatest(trades, 1) ELSE 0 END,
        trades, 0, 0, 0 FROM bars_in WHERE partition = {p}
)
SELECT e.*, coalesce(s.value, 0) AS session FROM every e
ASOF LEFT JOIN sessions s ON s.instrument = e.instrument AND e.place > s.place;
CREATE OR REPLACE TEMP TABLE print_s AS
SELECT t.instrument, t.second, sum(qty) FILTER (t.place > coalesce(f.place, -1)) AS volume,
    sum(number) FILTER (t.place > coalesce(f.place, -1)) AS number,
    sum(signed) FILTER (t.place > coalesce(f.place, -1)) AS signed
FROM prints t LEFT JOIN fresh f ON f.instrument = t.instrument AND f.second = t.second GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE session_s AS
SELECT instrument, session, second, sum(close * qty) AS value, sum(qty) AS volume FROM prints GROUP BY ALL;
CREATE OR REPLACE TEMP TABLE last_s AS
SELECT instrument, second, max_by(last, place) AS last FROM (
    SELECT instrument, place, second, close AS last FROM prints
    UNION ALL SELECT instrument, place, second, last FROM early_quotes WHERE last IS NOT NULL
) GROUP BY ALL;
"""

_LINES = """
CREATE OR REPLACE TEMP TABLE state AS
SELECT g.instrument, g.second, closed_by, ends_minute, last_value(touch IGNORE NULLS) OVER w AS touch,
    last_value(last IGNORE NULLS) OVER w AS last, last_value(book IGNORE NULLS) OVER w AS book,
    coalesce(last_value(h.open IGNORE NULLS) OVER w, 1) = 1 AS open,
    count(t.number) OVER w > 0 AS traded, count(u.updates) OVER w > 0 AS quoted,
    coalesce(last_value(n.session IGNORE NULLS) OVER w, 0) AS session,
    coalesce(t.volume, 0) AS volume, coalesce(t.number, 0) AS number, coalesce(t.signed, 0) AS signed,
    coalesce(ofi, 0) AS ofi, coalesce(updates, 0) AS updates, f.place IS NOT NULL AS restarted
FROM (SELECT a.instrument, s.* FROM active a JOIN sealed s ON s.second >= a.second) g
LEFT JOIN touch_s USING (instrument, second)
LEFT JOIN last_s USING (instrument, second)
LEFT JOIN book_s USING (instrument, second)
LEFT JOIN update_s u USING (instrument, second)
LEFT JOIN print_s t USING (instrument, second)
LEFT JOIN fresh f USING (instrument, second)
LEFT JOIN (SELECT instrument, second, max_by(value, place) AS open FROM phases GROUP BY ALL) h
    USING (instrument, second)
LEFT JOIN (SELECT instrument, second, max_by(value, place) AS session FROM sessions GROUP BY ALL) n
    USING (instrument, second)
WINDOW w AS (PARTITION BY g.instrument ORDER BY g.second ROWS UNBOUNDED PRECEDING);
CREATE OR REPLACE TEMP TABLE lines AS
WITH priced AS (
    SELECT s.*, CASE WHEN touch.bid + touch.ask IS NOT NULL THEN 0.5 * (touch.bid + touch.ask)
        ELSE coalesce(last, touch.bid, touch.ask) END AS price,
        sum(v.value) OVER w AS session_value, sum(v.volume) OVER w AS session_volume
    FROM state s LEFT JOIN session_s v USING (instrument, session, second)
    WINDOW w AS (PARTITION BY s.instrument, s.session ORDER BY s.second ROWS UNBOUNDED PRECEDING)
), begun AS (
    SELECT *, restarted OR lag(second) OVER w IS DISTINCT FROM second - 1 AS begins FROM priced
    WHERE open AND price IS NOT NULL WINDOW w AS (PARTITION BY instrument ORDER BY second)
), runs AS (
    SELECT *, sum(begins::INT) OVER (PARTITION BY instrument ORDER BY second ROWS UNBOUNDED PRECEDING) AS run FROM begun
)
SELECT *, row_number() OVER (PARTITION BY instrument, run ORDER BY second) - 1 AS age FROM runs;
"""

_FEATURES = """
CREATE OR REPLACE TEMP TABLE expected AS
WITH once AS (
    SELECT *, touch.bid AS bid, touch.ask AS ask, touch.bid_qty AS bid_qty, touch.ask_qty AS ask_qty,
        ln(price) - ln(lag(price) OVER w) AS r, 0.5 * (touch.bid + touch.ask) AS mid,
        sum(volume) OVER minute AS volume_60, sum(number) OVER minute AS number_60, sum(signed) OVER minute AS signed_60
    FROM lines WINDOW w AS (PARTITION BY instrument, run ORDER BY second),
        minute AS (PARTITION BY instrument, run ORDER BY second ROWS 59 PRECEDING)
)
SELECT instrument, (second + 1) * 1000000000 AS ts, closed_by,
    {returns},
    CASE WHEN age >= 60 THEN sqrt(sum(r * r) OVER minute) END AS rv_60s,
    CASE WHEN traded THEN volume END AS volume_1s,
    CASE WHEN traded THEN number END AS trades_1s,
    CASE WHEN traded THEN signed END AS signed_volume_1s,
    CASE WHEN traded AND age >= 59 THEN volume_60 END AS volume_60s,
    CASE WHEN traded AND age >= 59 THEN number_60 END AS trades_60s,
    CASE WHEN traded AND age >= 59 THEN CASE WHEN volume_60 > 0 THEN signed_60 / volume_60 ELSE 0 END END
        AS imbalance_60s,
    (ask - bid) / mid * 10000 AS spread_bps,
    CASE WHEN bid_qty + ask_qty > 0 THEN ((ask * bid_qty + bid * ask_qty) / (bid_qty + ask_qty) - mid) / mid * 10000 END
        AS microprice_dev_bps,
    CASE WHEN mid IS NOT NULL AND bid_qty + ask_qty > 0 THEN (bid_qty - ask_qty) / (bid_qty + ask_qty) END
        AS depth_imb_1,
    CASE WHEN book.bid5 + book.ask5 > 0 THEN (book.bid5 - book.ask5) / (book.bid5 + book.ask5) END AS depth_imb_5,
    CASE WHEN book.bid10 + book.ask10 > 0 THEN (book.bid10 - book.ask10) / (book.bid10 + book.ask10) END
        AS depth_imb_10,
    CASE WHEN quoted THEN ofi END AS ofi_1s,
    CASE WHEN quoted AND age >= 9 THEN sum(ofi) OVER (PARTITION BY instrument, run ORDER BY second ROWS 9 PRECEDING) END
        AS ofi_10s,
    CASE WHEN quoted AND age >= 59 THEN sum(ofi) OVER minute END AS ofi_60s,
    CASE WHEN quoted THEN updates END AS quote_rate_1s,
    CASE WHEN quoted AND age >= 59 THEN sum(updates) OVER minute / 60 END AS quote_rate_60s,
    CASE WHEN session_volume > 0 THEN (price / (session_value / session_volume) - 1) * 10000 END AS vwap_dev_bps,
    (price / max(price) OVER session - 1) * 10000 AS high_dist_bps,
    (price / min(price) OVER session - 1) * 10000 AS low_dist_bps,
    CASE WHEN age >= 60 THEN (price / lag(price, 60) OVER w - 1) * 100 END AS price_change_1m_pct,
    CASE WHEN age >= 119 AND lag(volume_60, 60) OVER w > 0 THEN (volume_60 / lag(volume_60, 60) OVER w - 1) * 100 END
        AS volume_change_1m_pct
FROM once WINDOW w AS (PARTITION BY instrument, run ORDER BY second),
    minute AS (PARTITION BY instrument, run ORDER BY second ROWS 59 PRECEDING),
    session AS (PARTITION BY instrument, session ORDER BY second ROWS UNBOUNDED PRECEDING);
"""

_BARS = """
CREATE OR REPLACE TEMP TABLE expected AS
SELECT instrument, (minute + 1) * 60000000000 AS ts, closed_by,
    coalesce(open, price) AS open, coalesce(high, price) AS high, coalesce(low, price) AS low,
    coalesce(close, price) AS close, coalesce(volume, 0) AS volume, coalesce(trades, 0) AS trades,
    coalesce(buys, 0) AS buys, coalesce(sells, 0) AS sells
FROM (SELECT a.instrument, s.second // 60 AS minute, s.second, s.closed_by
    FROM active a JOIN sealed s ON s.second >= a.second AND s.ends_minute) g
LEFT JOIN (SELECT instrument, second, price FROM lines) USING (instrument, second)
LEFT JOIN (
    SELECT instrument, second // 60 AS minute, min_by(open, place) AS open, max(high) AS high, min(low) AS low,
        max_by(close, place) AS close, sum(qty) AS volume, sum(trades) AS trades, sum(buys) AS buys, sum(sells) AS sells
    FROM prints GROUP BY ALL
) USING (instrument, minute)
WHERE coalesce(open, price) IS NOT NULL;
"""

FEATURES = {
    **{f"ret_{lag}s": 1e-9 for lag in RETURNS},
    # A root of what is left of a sum after its terms were taken out again.
    "rv_60s": 1e-6,
    **dict.fromkeys(("volume_1s", "trades_1s", "signed_volume_1s", "volume_60s", "trades_60s"), 1e-6),
    **dict.fromkeys(("imbalance_60s", "depth_imb_1", "depth_imb_5", "depth_imb_10"), 1e-7),
    **dict.fromkeys(("spread_bps", "microprice_dev_bps", "vwap_dev_bps", "high_dist_bps", "low_dist_bps"), 1e-6),
    **dict.fromkeys(("ofi_1s", "ofi_10s", "ofi_60s"), 1e-5),
    **dict.fromkeys(("quote_rate_1s", "quote_rate_60s", "price_change_1m_pct", "volume_change_1m_pct"), 1e-6),
}
"""Columns that are counted again, with how far apart two values near zero may lie: what rounding of sums leaves."""
BARS = dict.fromkeys(("open", "high", "low", "close", "volume", "trades", "buys", "sells"), 1e-9)


def recount(scratch: Scratch, partition: int, report: Report) -> None:
    """Count a partition's sealed seconds, features and bars again, and hold them against what the engine wrote."""
    phases.write(scratch, partition)
    for statements in (_SEALED, _TOUCHES, _PRINTS, _LINES):
        scratch.sql.execute(statements.format(p=partition))
    _markers(scratch, partition, report)
    returns = ", ".join(
        f"CASE WHEN age >= {n} THEN ln(price) - ln(lag(price, {n}) OVER w) END AS ret_{n}s" for n in RETURNS
    )
    scratch.sql.execute(_FEATURES.format(returns=returns))
    _hold(scratch, "features", partition, FEATURES, report)
    scratch.sql.execute(_BARS)
    _hold(scratch, "bars", partition, BARS, report)


def _markers(scratch: Scratch, partition: int, report: Report) -> None:
    """Every second that the log closes is marked once, by the record that closed it, with the rows that it has."""
    count = f"(SELECT ts, count(DISTINCT instrument) AS rows FROM features WHERE partition = {partition} GROUP BY ts)"
    expected = "SELECT (second + 1) * 1000000000 AS ts, closed_by FROM sealed"
    here = f"SELECT {partition} AS partition, ts, "
    written = f'{here} hash("offset", instruments) AS digest FROM markers WHERE partition = {partition} AND topic = '
    seconds = f"{here} hash(closed_by, coalesce(rows, 0)) AS digest FROM ({expected}) LEFT JOIN {count} USING (ts)"
    scratch.compare(report, "sealed seconds", seconds, written + "'features'", ["partition", "ts"])
    minutes = seconds + " WHERE ts % 60000000000 = 0"
    scratch.compare(report, "sealed minutes", minutes, written + "'bars'", ["partition", "ts"])


def _hold(scratch: Scratch, name: str, partition: int, columns: dict[str, float], report: Report) -> None:
    """Hold the table `expected` against the rows of a topic. columns : with their tolerance near zero"""
    for each in columns:
        scratch.sql.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {each} FLOAT")
    scratch.sql.execute(
        f"""
        CREATE OR REPLACE MACRO same(said, found, near) AS
            (said IS NULL AND found IS NULL) OR coalesce(
                abs(said - found) <= near + {RELATIVE} * greatest(abs(said), abs(found)), false);
        CREATE OR REPLACE TEMP TABLE written AS SELECT * FROM {name} WHERE partition = {partition}
        QUALIFY row_number() OVER (PARTITION BY instrument, ts ORDER BY place) = 1;
        """
    )
    wrong = ", ".join(
        f"CASE WHEN NOT same(e.{each}, nullif(w.{each}, 'nan'::DOUBLE), {near}) THEN "
        f"{{'column': '{each}', 'log': e.{each}::DOUBLE, 'written': w.{each}::DOUBLE}} END"
        for each, near in columns.items()
    )
    scratch.sql.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE held_{name} AS
        SELECT {partition} AS partition, coalesce(e.instrument, w.instrument) AS instrument, coalesce(e.ts, w.ts) AS ts,
            e.ts IS NULL AS extra, w.ts IS NULL AS missing, w."offset" IS DISTINCT FROM e.closed_by AS misplaced,
            list_filter([{wrong}], lambda x: x IS NOT NULL) AS wrong
        FROM expected e FULL JOIN written w ON w.instrument = e.instrument AND w.ts = e.ts
        """
    )
    check = f"{name} from the log"
    report.looked(check, int(scratch.one("SELECT count(*) FROM expected")))
    shown = "SELECT partition, instrument, ts"
    scratch.tell(report, check, "lost", f"{shown} FROM held_{name} WHERE missing")
    scratch.tell(report, check, "different", f"{shown}, 'the log gives none' AS why FROM held_{name} WHERE extra")
    both = f"FROM held_{name} WHERE NOT missing AND NOT extra AND"
    scratch.tell(report, check, "different", f"{shown}, wrong[1:3] AS wrong {both} len(wrong) > 0")
    scratch.tell(report, check, "different", f"{shown}, 'another offset' AS why {both} len(wrong) = 0 AND misplaced")
