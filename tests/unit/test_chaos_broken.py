"""What the kit broke by hand, told from what a reconcile loop had to mend without being asked to."""

import json
from pathlib import Path

from infra.chaos.broken import broken, note_broken, restored_unasked


def round_of(**repaired: list[str]) -> str:
    counts = {store: len(ids) for store, ids in repaired.items()}
    return json.dumps({"at": "2026-11-22T00:00:00Z", "alerts": 9, "repaired": counts, "repaired_ids": repaired})


def test_what_faults_broke_is_no_loss_and_what_nobody_broke_is_one(tmp_path: Path) -> None:
    note_broken(tmp_path, "postgres", ["a", "b"])
    note_broken(tmp_path, "postgres", ["c"])
    note_broken(tmp_path, "elasticsearch", ["d"])
    assert broken(tmp_path) == {"postgres": {"a", "b", "c"}, "elasticsearch": {"d"}}
    log = tmp_path / "reconcile.log"
    mended = [
        round_of(),
        round_of(postgres=["a", "b"]),
        "comparison failed problem=gone",
        round_of(elasticsearch=["d"]),
    ]
    log.write_text("\n".join(mended))
    assert restored_unasked(log, broken(tmp_path)) == 0
    log.write_text("\n".join([*mended, round_of(postgres=["c", "d"]), round_of(elasticsearch=["a"])]))
    assert restored_unasked(log, broken(tmp_path)) == 2


def test_mended_alerts_that_are_not_named_count_as_unasked(tmp_path: Path) -> None:
    log = tmp_path / "reconcile.log"
    log.write_text(json.dumps({"at": "", "repaired": {"postgres": 30}, "repaired_ids": {"postgres": ["a"] * 20}}))
    assert restored_unasked(log, {"postgres": {"a"}}) == 10


def test_a_loop_that_never_ran_mended_nothing(tmp_path: Path) -> None:
    assert restored_unasked(tmp_path / "reconcile.log", broken(tmp_path)) == 0
