"""Four eyes over the running console: what one proposes another approves, and the commands ask for it."""

import json

import msgspec
import pytest

from detectors.model_file import content_hash
from detectors.registry import shipped
from streams.engine import control
from tapewatch.cli import main
from tapewatch.desk import proposals
from tapewatch.market_log import control_rows
from tapewatch.proof import audit
from tapewatch.settings.delivery import GovernanceSettings
from tests.integration.console_at_work import at_work, browser, configured, people
from tests.integration.in_force import forget

THRESHOLDS = "watch = false\n"


@pytest.fixture
def desk(ours):
    yield msgspec.structs.replace(configured(ours), governance=GovernanceSettings(four_eyes=True))
    forget(ours)


def test_thresholds_come_into_force_when_another_account_approves(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann, browser(address) as bob:
            await ann.log_in("approver")
            await bob.log_in("admin")
            wanted = {"kind": "configuration", "content": THRESHOLDS, "why": "too loud"}
            status, made, _ = await ann.call("POST", "/api/v1/proposals", wanted)
            assert (status, made["state"], made["who"]) == (200, "proposed", "approver")
            decision = f"/api/v1/proposals/{made['id']}/decision"
            assert (await ann.call("POST", decision, {"approve": True, "why": "mine"}))[0] == 403
            status, final, _ = await bob.call("POST", decision, {"approve": True, "why": "seen"})
            assert (status, final["state"], final["decided_by"]) == (200, "applied", "admin")
            assert (await bob.call("POST", decision, {"approve": True, "why": "again"}))[0] == 409
            assert [each["state"] for each in (await ann.call("GET", "/api/v1/proposals"))[1]] == ["applied"]
            broken = {**wanted, "content": "[no_such_scenario]\nx = 1\n"}
            assert (await ann.call("POST", "/api/v1/proposals", broken))[0] == 422
            foreign = {"kind": "promotion", "content": "../../etc/passwd", "why": "?"}
            assert (await ann.call("POST", "/api/v1/proposals", foreign))[0] == 422

    at_work(desk, scene)
    assert not control.config_in_force(control_rows.orders(desk)).watch
    applied = [entry for entry in audit.entries(audit.folder(desk.data_path)) if entry.action == "config.apply"]
    assert [entry.who for entry in applied] == ["approver, approved by admin"]


def test_the_commands_refuse_what_nobody_approved(desk, tmp_path, capsys):
    file, settings = tmp_path / "t.toml", tmp_path / "tapewatch.toml"
    file.write_text(THRESHOLDS)
    settings.write_text(f'[kafka]\nbootstrap = "{desk.kafka.bootstrap}"\n[governance]\nfour_eyes = true\n')
    base = ["--settings", str(settings), "--data", desk.data]
    apply = [*base, "config", "apply", str(file), "--why", "alone"]
    model = content_hash(shipped()["kmeans"])
    alone = proposals.made("configuration", proposals.content_hash(file.read_bytes()), THRESHOLDS, "ann", "why")
    proposals.write(desk, [alone])
    assert main(apply) == main([*apply, "--proposal", alone.id]) == main([*apply, "--proposal", "0" * 32]) == 1
    assert main([*base, "models", "promote", model, "--why", "alone"]) == 1
    told = capsys.readouterr().err
    assert "four_eyes" in told and "is proposed" in told and "does not exist" in told
    self_approved = msgspec.structs.replace(alone, revision=1, state="approved", decided_by="ann")
    proposals.write(desk, [self_approved])
    assert main([*apply, "--proposal", alone.id]) == 1
    proposals.write(desk, [msgspec.structs.replace(self_approved, revision=2, decided_by="bob")])
    file.write_text(THRESHOLDS + "# changed\n")
    assert main([*apply, "--proposal", alone.id]) == 1
    file.write_text(THRESHOLDS)
    assert main([*apply, "--proposal", alone.id, "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"]
    assert main([*apply, "--proposal", alone.id]) == 0
