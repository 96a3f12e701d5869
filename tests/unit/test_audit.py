"""The audit log: a chain in which every kind of tampering shows, and which a crash does not break."""

import json
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from tapewatch import cli
from tapewatch.clock import ManualClock
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit

CLOCK = ManualClock(1_700_000_000_000_000_000)


def written(path: Path, count: int = 5) -> list[audit.AuditEntry]:
    return [
        audit.append(
            path,
            action="models.promote",
            subject=f"kmeans {n}",
            why="better\nby report",
            who="eve",
            clock=CLOCK,
            details=cast(dict[str, Any], {"auroc": 0.9 + n, 7: [None, float("nan")]}),
        )
        for n in range(count)
    ]


def lines(path: Path) -> list[bytes]:
    return (path / audit.LOG_FILE).read_bytes().splitlines(keepends=True)


def rewrite(path: Path, content: list[bytes]) -> None:
    (path / audit.LOG_FILE).write_bytes(b"".join(content))


def test_untouched_chain_holds_and_entries_come_back(tmp_path: Path) -> None:
    entries = written(tmp_path)
    report = audit.verify(tmp_path)
    assert (report.intact, report.entries, report.head, report.note) == (True, 5, entries[-1].hash, "")
    assert audit.entries(tmp_path) == entries
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].at == "2023-11-14T22:13:20.000000000Z"


def test_log_and_its_folder_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "audit"
    written(folder, 2)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in (audit.LOG_FILE, audit.HEAD_FILE)}
    assert modes == {audit.LOG_FILE: 0o600, audit.HEAD_FILE: 0o600}


def test_no_log_at_all_holds_with_no_entries(tmp_path: Path) -> None:
    assert audit.verify(tmp_path / "none") == audit.AuditReport(True, 0, audit.GENESIS)


@pytest.mark.parametrize("at", range(0, 330, 7))
def test_any_changed_byte_names_its_entry(tmp_path: Path, at: int) -> None:
    written(tmp_path)
    content = lines(tmp_path)
    line = bytearray(content[2])
    line[at % (len(line) - 1)] ^= 1
    rewrite(tmp_path, [*content[:2], bytes(line), *content[3:]])
    report = audit.verify(tmp_path)
    assert (report.intact, report.broken, report.entries) == (False, 3, 2)


def test_white_space_within_an_entry_is_a_change(tmp_path: Path) -> None:
    written(tmp_path)
    content = lines(tmp_path)
    rewrite(tmp_path, [content[0], content[1].replace(b":", b": ", 1), *content[2:]])
    assert audit.verify(tmp_path).broken == 2


def test_removed_entry_shows_where_it_was(tmp_path: Path) -> None:
    written(tmp_path)
    content = lines(tmp_path)
    rewrite(tmp_path, content[:1] + content[2:])
    report = audit.verify(tmp_path)
    assert (report.broken, "removed" in report.problem) == (2, True)


def test_swapped_entries_show_at_the_first(tmp_path: Path) -> None:
    written(tmp_path)
    one, two, three, *rest = lines(tmp_path)
    rewrite(tmp_path, [one, three, two, *rest])
    assert audit.verify(tmp_path).broken == 2


def test_cut_tail_shows_by_the_head(tmp_path: Path) -> None:
    written(tmp_path)
    rewrite(tmp_path, lines(tmp_path)[:3])
    report = audit.verify(tmp_path)
    assert (report.broken, "tail was cut" in report.problem) == (4, True)
    with pytest.raises(TapewatchError, match="does not end"):
        written(tmp_path, 1)


def test_replaced_entry_with_a_hash_of_its_own_breaks_the_link(tmp_path: Path) -> None:
    written(tmp_path)
    other = tmp_path / "other"
    written(other, 1)
    audit.append(other, action="models.promote", subject="forged", why="", who="mallory", clock=CLOCK)
    content = lines(tmp_path)
    rewrite(tmp_path, [content[0], lines(other)[1], *content[2:]])
    report = audit.verify(tmp_path)
    assert (report.broken, "replaced" in report.problem) == (3, True)


def test_log_written_anew_shows_by_the_head_or_by_an_anchor(tmp_path: Path) -> None:
    anchor = written(tmp_path)[-1].hash
    anew = tmp_path / "anew"
    for n in range(5):
        audit.append(anew, action="models.promote", subject=f"other {n}", why="", who="mallory", clock=CLOCK)
    rewrite(tmp_path, lines(anew))
    assert "written anew" in audit.verify(tmp_path).problem
    (tmp_path / audit.HEAD_FILE).write_bytes((anew / audit.HEAD_FILE).read_bytes())
    assert audit.verify(tmp_path).intact
    assert not audit.verify(tmp_path, anchor).intact


def test_missing_head_shows(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / audit.HEAD_FILE).unlink()
    assert not audit.verify(tmp_path).intact
    with pytest.raises(TapewatchError, match="does not end"):
        written(tmp_path, 1)


def test_half_written_line_of_a_crash_is_cut_off_by_the_next_append(tmp_path: Path) -> None:
    written(tmp_path, 2)
    with (tmp_path / audit.LOG_FILE).open("ab") as log:
        log.write(b'{"action":"models.pro')
    assert (audit.verify(tmp_path).intact, "interrupted" in audit.verify(tmp_path).note) == (True, True)
    assert written(tmp_path, 1)[0].sequence == 3
    assert audit.verify(tmp_path) == audit.AuditReport(True, 3, audit.entries(tmp_path)[-1].hash)


def test_whole_entry_whose_head_was_lost_in_a_crash_is_taken_over(tmp_path: Path) -> None:
    written(tmp_path, 2)
    head = (tmp_path / audit.HEAD_FILE).read_bytes()
    written(tmp_path, 1)
    (tmp_path / audit.HEAD_FILE).write_bytes(head)
    assert (audit.verify(tmp_path).intact, audit.verify(tmp_path).entries) == (True, 3)
    assert written(tmp_path, 1)[0].sequence == 4
    assert audit.verify(tmp_path).note == ""


def write_ten(path: Path) -> None:
    for n in range(10):
        audit.append(path, action="config.apply", subject=str(n), why="race")


def test_writers_in_several_processes_take_turns(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(write_ten, [tmp_path] * 3))
    report = audit.verify(tmp_path)
    assert (report.intact, report.entries) == (True, 30)


def test_command_verifies_and_exits_with_1_at_the_broken_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit.folder(tmp_path)
    written(path)
    assert cli.main(["--data", str(tmp_path), "audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 5
    rewrite(path, lines(path)[1:])
    assert cli.main(["--data", str(tmp_path), "audit", "verify"]) == 1
    assert "BROKEN at entry 1" in capsys.readouterr().out


def test_command_shows_entries_on_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(audit.folder(tmp_path))
    assert cli.main(["--data", str(tmp_path), "audit", "show", "--last", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert "kmeans 4" in shown[1]
