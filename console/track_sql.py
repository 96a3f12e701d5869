"""SQL of the track record: predictions, and what the bars say happened after them."""

_FITTING = """
    SELECT p.*, i.name AS instrument
    FROM predictions p JOIN instruments i ON i.id = p.instrument_id
    WHERE p.as_of_ns >= :since AND p.as_of_ns < :until AND {named}
        AND (:target = '' OR p.target = :target) AND (:horizon = '' OR p.horizon = :horizon)
        AND i.name LIKE ANY(:wanted) AND i.name LIKE ANY(:seen)
        AND (:begins OR (p.as_of_ns, p.id) < (:after_ns, :after_id))
    ORDER BY p.as_of_ns DESC, p.id DESC LIMIT {limit}
"""
_NEWEST = f"""
WITH chosen AS ({_FITTING.format(named="(:model = '' OR p.name = :model)", limit=":limit")})
"""
_OF_EACH = f"""
WITH RECURSIVE every AS (
    (SELECT name FROM predictions WHERE :model = '' OR name = :model ORDER BY name LIMIT 1)
    UNION ALL SELECT (SELECT name FROM predictions WHERE name > every.name ORDER BY name LIMIT 1) FROM every
    WHERE every.name IS NOT NULL AND :model = ''
), named AS (
    SELECT name FROM every WHERE name IS NOT NULL LIMIT 100
), chosen AS (
    SELECT of_one.* FROM named CROSS JOIN LATERAL (
        {_FITTING.format(named="p.name = named.name", limit="greatest(1, :limit / (SELECT count(*) FROM named))")}
    ) of_one
)
"""  # noqa: S608 - of constants alone
"""As many of each model: minute by minute one alone would fill the whole."""

_SPANS = """, spans AS (
    SELECT *,
        CASE WHEN horizon ~ '^[0-9]{1,3}d$' THEN rtrim(horizon, 'd')::int ELSE 0 END AS days,
        CASE WHEN horizon ~ '^[0-9]{1,5}[smh]$'
            THEN left(horizon, -1)::bigint * CASE right(horizon, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 ELSE 3600 END
            ELSE 0 END AS seconds,
        coalesce((SELECT key FROM jsonb_each(classes) ORDER BY value DESC, key LIMIT 1), '') AS likeliest
    FROM chosen
)
"""
_BOUNDS = """
SELECT min(as_of_ns) - 864000000000000 AS low_ns,
    max(as_of_ns) + (2 * max(days) + 10) * 86400000000000 + max(seconds) * 1000000000 AS high_ns
FROM spans
"""
"""Between which times the bars lie that a record looks at; null where no prediction fits."""

LISTED_BOUNDS = _NEWEST + _SPANS + _BOUNDS
BY_DAY_BOUNDS = _OF_EACH + _SPANS + _BOUNDS

_BARS = """, based AS (
    SELECT spans.*, base.close AS base, coalesce(outcome.close, told.close) AS outcome,
        coalesce(outcome.ts_ns, told.ts_ns) AS outcome_ns
    FROM spans
    LEFT JOIN LATERAL (
        SELECT coalesce(CASE WHEN target <> 'return' THEN reference END, (
            SELECT close FROM bars
            WHERE instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = CASE WHEN days > 0 THEN 86400 ELSE 60 END
                AND ts_ns <= as_of_ns AND ts_ns > as_of_ns - 10 * 86400000000000
            ORDER BY ts_ns DESC LIMIT 1
        )) AS close
    ) base ON true
    LEFT JOIN LATERAL (
        SELECT close, ts_ns FROM (
            (
                SELECT DISTINCT ON (ts_ns) close, ts_ns FROM bars
                WHERE days > 0 AND instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = 86400
                    AND ts_ns > as_of_ns AND ts_ns <= as_of_ns + (2 * days + 10) * 86400000000000
                ORDER BY ts_ns LIMIT 1 OFFSET greatest(days - 1, 0)
            ) UNION ALL (
                SELECT close, ts_ns FROM bars
                WHERE seconds > 0 AND instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = 60
                    AND ts_ns >= as_of_ns + seconds * 1000000000
                    AND ts_ns <= as_of_ns + seconds * 1000000000 + 10 * 86400000000000
                ORDER BY ts_ns LIMIT 1
            )
        ) either
    ) outcome ON true
    LEFT JOIN LATERAL (
        SELECT DISTINCT ON (period) value AS close, published_ns AS ts_ns FROM factors
        WHERE days > 0 AND outcome.ts_ns IS NULL AND series = 'close' AND instrument_id = spans.instrument_id
            AND published_ns > as_of_ns AND published_ns <= as_of_ns + (2 * days + 10) * 86400000000000
            AND period ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' AND value > 0 AND period > coalesce((
                SELECT max(period) FROM factors
                WHERE series = 'close' AND instrument_id = spans.instrument_id AND length(period) = 10
                    AND published_ns <= as_of_ns AND published_ns > as_of_ns - 20 * 86400000000000
            ), '')
        ORDER BY period, revision, published_ns LIMIT 1 OFFSET greatest(days - 1, 0)
    ) told ON true
), moved AS (
    SELECT *,
        outcome / nullif(base, 0) - 1 AS realised,
        CASE WHEN target = 'return' THEN value ELSE value / nullif(base, 0) - 1 END AS expected
    FROM based
), signed AS (
    SELECT *,
        CASE WHEN value IS NOT NULL THEN sign(expected)
            WHEN likeliest = 'up' OR left(likeliest, 4) = 'rise' THEN 1
            WHEN likeliest = 'down' OR left(likeliest, 4) = 'fall' THEN -1
            ELSE 0 END AS side
    FROM moved
), judged AS (
    SELECT *, CASE WHEN side <> 0 AND realised <> 0 THEN side = sign(realised) END AS hit FROM signed
)
"""
"""Parameters of each statement: those of its bounds (since, until, model, target, horizon, wanted, seen, begins,
after_ns, after_id, limit), and low_ns, high_ns as they gave them: PostgreSQL plans over the partitions of those days
alone.

Daily horizons: the n-th daily bar after the prediction, or where there is none the n-th day's close among the factors
that was not known yet, as first published; others: the first minute bar that ends after so long or later.
Both are looked for within ten days more (daily: twice as long and ten), so that what has no bars costs little.
"""

LISTED = (
    _NEWEST
    + _SPANS
    + _BARS
    + """SELECT id, instrument, as_of_ns, horizon, target, name, model, base, value, likeliest,
    (classes ->> likeliest)::float8 AS probability, outcome, outcome_ns, realised, expected, hit
FROM judged ORDER BY as_of_ns DESC, id DESC
"""
)

BY_DAY = (
    _OF_EACH
    + _SPANS
    + _BARS
    + """SELECT name, target, horizon, as_of_ns / 86400000000000 AS day, count(*) AS made, count(realised) AS known,
    count(hit) AS judged, count(*) FILTER (WHERE hit) AS hits,
    count(*) FILTER (WHERE hit IS NOT NULL AND realised > 0) AS rises,
    count(*) FILTER (WHERE expected IS NOT NULL AND realised IS NOT NULL) AS errors,
    coalesce(sum((expected - realised) ^ 2), 0) AS squares,
    coalesce(sum(realised ^ 2) FILTER (WHERE expected IS NOT NULL), 0) AS naive,
    min(as_of_ns) AS first_ns, max(as_of_ns) AS last_ns
FROM judged GROUP BY name, target, horizon, day ORDER BY name, target, horizon, day
"""
)
