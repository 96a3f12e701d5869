"""Every key once, every record of the log in one transaction, and as many rows as the commit records say."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.foreign.report import Report
from tests.foreign.scratch import Scratch

_KEYS = {
    "features": ("instrument", "ts"),
    "bars": ("instrument", "ts"),
    "scores": ("instrument", "ts", "detector"),
}


def check_keys(scratch: Scratch, report: Report) -> None:
    """A key of `features`, `bars` and `scores` stands there once for each input partition."""
    for name, keys in _KEYS.items():
        check = f"{name} once"
        report.looked(check, int(scratch.one(f"SELECT count(*) FROM {name}")))
        named = ", ".join(("partition", *keys))
        rows = f"SELECT {named}, count(*) AS times FROM {name} GROUP BY ALL HAVING count(*) > 1"
        scratch.tell(report, check, "doubled", rows, "sum(times - 1)")


def check_revisions(name: str, said: Iterable[Mapping[str, Any]], report: Report) -> None:
    """Each revision of an id once, and none left out below the highest."""
    times: dict[str, dict[int, int]] = {}
    for message in said:
        mine = times.setdefault(message["id"], {})
        mine[message["revision"]] = mine.get(message["revision"], 0) + 1
    check = f"{name} once"
    report.looked(check, sum(map(len, times.values())))
    for id_, mine in times.items():
        again = [{"id": id_, "revision": revision, "times": count} for revision, count in mine.items() if count > 1]
        report.tell(check, "doubled", again, sum(mine.values()) - len(mine))
        left_out = [{"id": id_, "revision": revision} for revision in range(max(mine)) if revision not in mine]
        report.tell(check, "lost", left_out)


def check_commits(scratch: Scratch, committed: Mapping[int, int], report: Report) -> None:
    """Input ranges follow one another, leaving out no record and taking none twice, up to where the group stands."""
    check = "commit records"
    sql = scratch.sql
    sql.execute(
        """
        CREATE OR REPLACE TEMP TABLE ranges AS
        SELECT *, coalesce(max(next) OVER (PARTITION BY partition ORDER BY first, next
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS after FROM commits
        """
    )
    report.looked(check, int(scratch.one("SELECT count(*) FROM commits")))
    overlap = "SELECT partition, first, next, after AS taken_to FROM ranges WHERE first < after"
    scratch.tell(report, check, "doubled", overlap)
    # Between two ranges there may be marks of transactions, which are no records.
    hole = """
        SELECT r.partition, after AS taken_to, first, count(*) AS records FROM ranges r
        JOIN frames f ON f.partition = r.partition AND f.pos >= r.after AND f.pos < r.first GROUP BY ALL
    """
    scratch.tell(report, check, "lost", hole, "sum(records)")
    behind = """
        SELECT f.partition, coalesce(any_value(c.next), 0) AS taken_to, count(*) AS records FROM frames f
        LEFT JOIN (SELECT partition, max(next) AS next FROM commits GROUP BY ALL) c ON c.partition = f.partition
        WHERE f.pos >= coalesce(c.next, 0) GROUP BY f.partition
    """
    scratch.tell(report, check, "lost", behind, "sum(records)")
    last = dict(sql.execute("SELECT partition, max(next) FROM commits GROUP BY ALL").fetchall())
    report.tell(
        "committed offsets",
        "different",
        [
            {"partition": partition, "committed": offset, "commit_record": last.get(partition, -1)}
            for partition, offset in committed.items()
            if offset != last.get(partition, -1)
        ],
    )
    report.looked("committed offsets", len(committed))


def check_counts(
    scratch: Scratch, repeats: Mapping[int, int], written: Mapping[str, Mapping[int, int]], report: Report
) -> None:
    """The log's rows are those that commit records call accepted and refused, and outputs as many as they say.

    repeats : frames of the log that had come before, by partition; written : messages by topic and partition
    """
    sql = scratch.sql
    sql.execute("CREATE OR REPLACE TEMP TABLE found (partition INT, what VARCHAR, found BIGINT, committed BIGINT)")
    # What each says, summed by partition and name; a name that only one of them knows counts as 0 at the other.
    log = """
        SELECT partition, 'rows of ' || ['status', 'trade', 'order', 'quote', 'book', 'bar'][kind + 1] AS what,
            count(*) FILTER (NOT sealed) AS n FROM rows GROUP BY ALL
        UNION ALL SELECT partition, 'refused: ' || name, count FROM counted WHERE what = 'letters'
        UNION ALL SELECT partition, 'refused: sealed', count(*) FROM rows WHERE sealed GROUP BY ALL
        UNION ALL SELECT partition, 'frames', count(*) FROM frames WHERE outcome = 'taken' GROUP BY ALL
        UNION ALL SELECT partition, 'features', count(*) FROM features GROUP BY ALL
        UNION ALL SELECT partition, 'scores', count(*) FROM scores GROUP BY ALL
    """
    said = """
        SELECT partition, CASE what WHEN 'rows' THEN 'rows of ' ELSE 'refused: ' END || name AS what, sum(count) AS n
        FROM counted WHERE what <> 'letters' GROUP BY ALL
        UNION ALL SELECT partition, 'frames', sum(frames) FROM commits GROUP BY ALL
        UNION ALL SELECT partition, 'features', sum(features) FROM commits GROUP BY ALL
        UNION ALL SELECT partition, 'scores', sum(scores) FROM commits GROUP BY ALL
    """
    sql.execute(
        f"""
        INSERT INTO found SELECT partition, what, sum(l)::BIGINT, sum(s)::BIGINT
        FROM (SELECT partition, what, n AS l, 0 AS s FROM ({log}) UNION ALL SELECT partition, what, 0, n FROM ({said}))
        GROUP BY ALL
        """
    )
    told = {name: f"SELECT partition, sum({name}) FROM commits GROUP BY ALL" for name in ("alerts", "signals")}
    for name, question in {**told, "duplicates": "SELECT partition, sum(duplicates) FROM commits GROUP BY ALL"}.items():
        mine, here = dict(sql.execute(question).fetchall()), written.get(name, repeats)
        for partition in mine.keys() | here.keys():
            numbers = partition, name, here.get(partition, 0), int(mine.get(partition, 0))
            sql.execute("INSERT INTO found VALUES (?, ?, ?, ?)", numbers)
    check = "counts"
    report.looked(
        check, int(scratch.one("SELECT coalesce(sum(found), 0)::BIGINT FROM found WHERE what LIKE 'rows of %'"))
    )
    # Of input the log is the truth, of output the commit record.
    output = "what IN ('features', 'scores', 'alerts', 'signals')"
    more, less = "SELECT * FROM found WHERE found > committed", "SELECT * FROM found WHERE found < committed"
    scratch.tell(report, check, "lost", f"{more} AND NOT {output}", "sum(found - committed)")
    scratch.tell(report, check, "lost", f"{less} AND {output}", "sum(committed - found)")
    scratch.tell(report, check, "doubled", f"{more} AND {output}", "sum(found - committed)")
    scratch.tell(report, check, "doubled", f"{less} AND NOT {output}", "sum(committed - found)")
