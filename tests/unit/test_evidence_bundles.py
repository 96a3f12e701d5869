"""Evidence bundles: an alert is proved from its bundle alone, and whatever was changed in one is named."""

import json
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.commands import verify as verify_command
from streams.engine.verification import Proof
from streams.evidence.proving import prove, prove_archived
from tapewatch import cli
from tapewatch.clock import NANOS, ManualClock
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit, evidence
from tapewatch.proof.evidence import Archive, Entry, EvidenceRecord, records
from tests.unit.evidence_scene import Scene, archive_in, archived, settings_in

NOW = 1_800_000_000 * NANOS
YEARS_NS = 1828 * 86_400 * NANOS


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def kept(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Entry]]]:
    """A folder whose archive holds the pump's bundles; tests do not write into it."""
    folder = tmp_path_factory.mktemp("kept")
    yield folder, archived(scene, archive_in(folder, ManualClock(NOW)))


def archive(folder: Path, after_ns: int = 0) -> Archive:
    return archive_in(folder, ManualClock(NOW + after_ns))


def exported(folder: Path, entry: Entry, to: Path) -> Path:
    path = to / f"{entry.bundle}.tar"
    path.write_bytes(evidence.packed(archive(folder).bundle(entry.bundle)))
    return path


def proved(path: Path) -> Proof:
    return verify_command._of_file(path, None)


def test_each_revision_of_an_alert_is_archived_and_proved(kept: tuple[Path, list[Entry]], scene: Scene) -> None:
    _, entries = kept
    assert len(scene.alerts) >= 2
    assert [entry.subject.revisions for entry in entries] == [tuple(range(n + 1)) for n in range(len(scene.alerts))]
    assert all(entry.proved and not entry.problem for entry in entries)
    assert {entry.subject.origin for entry in entries} == {"engine"}


def test_alert_is_proved_from_its_bundle_alone(kept: tuple[Path, list[Entry]], tmp_path: Path) -> None:
    folder, entries = kept
    proof = proved(exported(folder, entries[-1], tmp_path))
    assert proof.identical
    assert proof.source == "bundle"
    assert [finding.revision for finding in proof.findings] == list(entries[-1].subject.revisions)


def test_alert_whose_log_is_gone_is_proved_from_the_archive(kept: tuple[Path, list[Entry]], scene: Scene) -> None:
    folder, entries = kept
    told = [record.value or b"" for record in scene.alerts]
    proof = prove_archived(archive(folder), entries[0].subject.alert, told)
    assert proof is not None
    assert proof.identical
    assert proof.bundles == [entries[-1].bundle]


def test_topic_that_says_something_else_than_the_archive_is_named(kept: tuple[Path, list[Entry]], scene: Scene) -> None:
    folder, entries = kept
    told = [(scene.alerts[0].value or b"").replace(b'"severity":"', b'"severity": "')]
    proof = prove_archived(archive(folder), entries[0].subject.alert, told)
    assert proof is not None
    assert not proof.identical
    (wrong,) = [finding for finding in proof.findings if not finding.identical]
    assert wrong.differences == ["the topic's record is not an archived one"]


def test_changed_byte_anywhere_in_a_bundle_is_noticed(kept: tuple[Path, list[Entry]], tmp_path: Path) -> None:
    folder, entries = kept
    path = exported(folder, entries[-1], tmp_path)
    whole = path.read_bytes()
    places = {*range(0, len(whole), len(whole) // 60), 3, 150, 600, len(whole) - 1}
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        proof = proved(path)
        assert not proof.identical, place
        assert proof.damage, place


@pytest.mark.parametrize("part", ["state.bin", "alerts.arrow", "instruments.json", "build.json"])
def test_changed_part_is_named(kept: tuple[Path, list[Entry]], tmp_path: Path, part: str) -> None:
    folder, entries = kept
    path = exported(folder, entries[-1], tmp_path)
    with tarfile.open(path) as tar:
        place = tar.getmember(part).offset_data
    changed = bytearray(path.read_bytes())
    changed[place + 5] ^= 0x20
    path.write_bytes(changed)
    assert proved(path).damage == [f"part {part} was changed: its content does not give its hash"]


def test_forged_alert_in_a_sound_bundle_is_not_proved(kept: tuple[Path, list[Entry]], tmp_path: Path) -> None:
    folder, entries = kept
    original = archive(folder).bundle(entries[-1].bundle)
    parts = {part.path: original.part(part.path) for part in original.manifest.parts}
    forged = [
        EvidenceRecord(
            0, 0, 0, record.key, (record.value or b"").replace(b'"severity":"', b'"severity":"x'), record.headers
        )
        for record in records.decode(parts["alerts.arrow"])[:1]
    ]
    parts["alerts.arrow"] = records.encode(forged)
    other = archive(tmp_path)
    proof = prove(other.bundle(other.add(original.manifest, parts).bundle))
    assert not proof.identical
    assert not proof.damage


def test_archive_is_its_owners_alone(kept: tuple[Path, list[Entry]]) -> None:
    folder = kept[0] / "evidence"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if path.stat().st_mode & 0o077]


def test_bundles_are_chained_and_share_their_parts(kept: tuple[Path, list[Entry]]) -> None:
    folder, entries = kept
    report = archive(folder).check(anchor=entries[0].bundle)
    assert report.intact
    assert report.head == entries[-1].bundle
    assert [entry.previous for entry in entries] == ["0" * 64, *(entry.bundle for entry in entries[:-1])]
    on_disk = sum(path.stat().st_size for path in (folder / "evidence/parts").rglob("*") if path.is_file())
    assert on_disk < sum(entry.size for entry in entries)
    assert not archive(folder).check(anchor="ab" * 32).intact


def test_the_same_evidence_always_gives_the_same_bytes(scene: Scene, tmp_path: Path) -> None:
    first, second = (archived(scene, archive(tmp_path / name)) for name in ("one", "two"))
    assert first == second
    one, two = (exported(tmp_path / name, first[-1], tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_damage_in_the_archive_is_named(scene: Scene, tmp_path: Path) -> None:
    entries = archived(scene, archive(tmp_path))
    bundle = archive(tmp_path).bundle(entries[0].bundle)
    part = next(part for part in bundle.manifest.parts if part.path == "alerts.arrow")
    path = tmp_path / "evidence/parts" / part.sha256[:2] / part.sha256
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    report = archive(tmp_path).check()
    assert report.problems == (
        f"bundle {entries[0].bundle[:16]}: part alerts.arrow was changed: its content does not give its hash",
    )
    proof = prove_archived(archive(tmp_path), entries[0].subject.alert)
    assert proof is not None
    assert proof.identical  # the later bundle repeats the record


def test_cut_or_changed_index_is_noticed(scene: Scene, tmp_path: Path) -> None:
    entries = archived(scene, archive(tmp_path))
    index = tmp_path / "evidence/index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join(lines[:-1]))
    assert f"bundle {entries[-1].bundle[:16]} is not in the index" in archive(tmp_path).check().problems[0]
    index.write_bytes(b"".join(lines).replace(b'"proved":true', b'"proved":false', 1))
    assert archive(tmp_path).check().problems == (
        f"bundle {entries[0].bundle[:16]}: its line in the index was changed",
    )


@pytest.mark.parametrize("died", ["before its line", "in the middle of its line"])
def test_bundle_of_a_writer_that_died_is_taken_over_once(scene: Scene, tmp_path: Path, died: str) -> None:
    entries = archived(scene, archive(tmp_path), scene.alerts[:2])
    index = tmp_path / "evidence/index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(lines[0] + (lines[1][:40] if died != "before its line" else b""))
    extra = archive(tmp_path)
    again = extra.add(extra.bundle(entries[0].bundle).manifest, {"note.txt": b"x"})
    assert [entry.bundle for entry in archive(tmp_path).entries()] == [*(e.bundle for e in entries), again.bundle]
    assert archive(tmp_path).check().intact


@pytest.mark.parametrize("died", ["before its line", "in the middle of its line", "after its line"])
@pytest.mark.parametrize("lives", ["since before", "since then"])
def test_revision_that_is_archived_by_now_is_not_archived_twice(
    scene: Scene, tmp_path: Path, died: str, lives: str
) -> None:
    other, extra = archive(tmp_path), archive(tmp_path)
    entries = archived(scene, extra, scene.alerts[:1]) if lives == "since before" else []
    entries += archived(scene, other, scene.alerts[len(entries) : 2])
    index = tmp_path / "evidence/index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    if died != "after its line":
        index.write_bytes(lines[0] + (lines[1][:40] if died != "before its line" else b""))
        newest = entries[-1].subject
        seen = extra.of_input(newest.alert, newest.topic, newest.partition)
        assert newest.revisions[-1] not in [number for entry in seen for number in entry.subject.revisions]
    again = extra.bundle(entries[1].bundle)
    parts = {part.path: again.part(part.path) for part in again.manifest.parts}
    assert extra.add_once(again.manifest, parts) is None
    assert archive(tmp_path).entries() == entries
    assert archive(tmp_path).check().intact
    assert archive(tmp_path / "new").add_once(again.manifest, parts) is not None


def test_locked_bundle_cannot_be_purged_and_a_free_one_is_given_up_with_an_audit_entry(
    scene: Scene, tmp_path: Path
) -> None:
    entries = archived(scene, archive(tmp_path))
    with pytest.raises(TapewatchError, match="locked until"):
        archive(tmp_path, YEARS_NS // 2).purge("room", names=(entries[0].bundle,))
    assert archive(tmp_path, YEARS_NS // 2).purge("room") == []
    assert archive(tmp_path, YEARS_NS).purge("five years are over", names=(entries[0].bundle,)) == [entries[0]]
    # What the later bundle holds too stays.
    assert prove(archive(tmp_path).bundle(entries[-1].bundle)).identical
    archive(tmp_path, YEARS_NS).purge("five years are over")
    assert not list((tmp_path / "evidence/parts").rglob("*/*"))
    report = archive(tmp_path).check()
    assert report.intact
    assert report.purged == len(entries)
    acts = audit.entries(audit.folder(tmp_path))
    assert [act.subject for act in acts] == [entry.bundle for entry in entries]
    proof = prove_archived(archive(tmp_path), entries[0].subject.alert)
    assert proof is not None
    assert not proof.identical
    assert "was purged" in proof.damage[0]


def test_state_is_computed_from_the_log_where_no_snapshot_is_near(scene: Scene, tmp_path: Path) -> None:
    far = Scene(snapshot_at=0.1)
    entries = archived(far, archive(tmp_path), reach=50)
    assert entries[0].subject.origin == "replayed"
    assert entries[0].subject.last_offset - entries[0].subject.state_offset <= 50
    proof = prove_archived(archive(tmp_path), entries[0].subject.alert, [each.value or b"" for each in scene.alerts])
    assert proof is not None
    assert proof.identical
    assert [finding.revision for finding in proof.findings] == list(range(len(scene.alerts)))


def test_alert_whose_log_is_gone_leaves_a_bundle_that_says_so(tmp_path: Path) -> None:
    late = Scene()
    late.low = len(late.log)
    (entry,) = archived(late, archive(tmp_path), late.alerts[:1])
    assert not entry.proved
    assert "no longer has offset" in entry.problem
    proof = prove(archive(tmp_path).bundle(entry.bundle))
    assert not proof.identical
    assert proof.damage == [entry.problem]


def test_commands_list_show_export_and_verify(
    kept: tuple[Path, list[Entry]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, entries = kept
    alert = entries[0].subject.alert

    def said(*words: str) -> dict[str, Any]:
        assert cli.main(["--data", str(folder), *words, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    assert [each["bundle"] for each in said("evidence", "list", "--alert", alert)["bundles"]] == [
        entry.bundle for entry in entries
    ]
    assert said("evidence", "show", alert)["bundle"] == entries[-1].bundle
    assert said("evidence", "verify")["intact"] is True
    file = said("evidence", "export", alert, "--to", str(tmp_path))["file"]
    assert said("verify", "--bundle", str(file))["identical"] is True
    assert said("verify", alert, "--from", "archive")["identical"] is True
    (act,) = audit.entries(audit.folder(folder))
    assert (act.action, act.subject) == ("evidence.export", entries[-1].bundle)


def test_bundle_can_be_checked_without_this_program(kept: tuple[Path, list[Entry]], tmp_path: Path) -> None:
    folder, entries = kept
    page = (Path(__file__).resolve().parents[2] / "docs/evidence.md").read_text()
    script = page.partition("```python\n")[2].partition("```")[0]
    path = exported(folder, entries[-1], tmp_path)
    told: list[str] = []
    exec(compile(script, "evidence.md", "exec"), {"FILE": str(path), "print": told.append})
    assert told[-1] == f"{entries[-1].bundle} holds"


def test_settings_name_the_archives_folder(tmp_path: Path) -> None:
    assert Archive(settings_in(tmp_path)).folder == tmp_path.resolve() / "evidence"
