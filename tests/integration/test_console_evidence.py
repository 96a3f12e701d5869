"""The console's evidence, report, coverage and label operations over real servers."""

import asyncio
import io
import tarfile
from contextlib import asynccontextmanager
from xml.etree import ElementTree

import msgspec
import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestClient, TestServer

from console.api import coverage, evidence, labels, stor
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.services import Services
from streams.engine.build import build_hash
from tapewatch.clock import WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, Label, from_rfc3339
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration.trading_console import Client
from tests.unit.evidence_scene import COIN, Scene, archive_in, archived

ROUTES = [*evidence.ROUTES, *stor.ROUTES, *coverage.ROUTES, *labels.ROUTES]
ANN = Account("ann", "analyst")
APPROVER = Account("bo", "approver")


@asynccontextmanager
async def console(settings: Settings, account: Account):
    async def identify(request):
        return account

    services = Services(settings, Database(settings.postgres.url))
    app = make_app(services, identify, ROUTES, {**evidence.PARTS, **labels.PARTS})
    async with TestClient(TestServer(app)) as client:
        yield client
    services.database.close()


async def call(client: Client, method: str, path: str, body=None, status: int = 200, **parameters):
    sent = {} if body is None else {"json": body}
    answer = await client.request(method, f"/api/v1{path}", params=parameters, **sent)
    assert answer.status == status, await answer.text()
    content = await answer.read()
    return msgspec.json.decode(content) if answer.content_type == "application/json" else content


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def kept(ours: Settings, scene: Scene) -> tuple[Settings, Alert]:
    """An alert in the database whose log is on no broker, and its bundles in the archive."""
    archived(scene, archive_in(ours.data_path, WALL))
    kafka.create_topics(ours, topics.case_topics(ours.topics))
    alerts = [messages.decode(Alert, record.value or b"") for record in scene.alerts]
    with sa.create_engine(ours.postgres.url, poolclass=sa.NullPool).begin() as session:
        put(session, "instruments", id=900, name=COIN, long_name="<img src=x onerror=alert(1)>")
        for alert in alerts:
            put(
                session, "alert_history", id=alert.id, revision=alert.revision, state=alert.state,
                updated_ns=from_rfc3339(alert.updated), message=messages.encode(alert).decode(),
            )  # fmt: skip
        times = {f"{name}_ns": from_rfc3339(getattr(alerts[-1], name)) for name in ("onset", "decided", "updated")}
        last = alerts[-1]
        put(
            session, "alerts", id=last.id, scenario=last.scenario, instrument_id=900, state=last.state,
            revision=last.revision, severity=last.severity, score=last.score, sentence=last.sentence,
            data_tier=last.data_tier, evidence=msgspec.json.encode(last.evidence).decode(),
            provenance=msgspec.json.encode(last.provenance).decode(), **times,
        )  # fmt: skip
    return ours, alerts[-1]


def put(session: sa.Connection, table: str, **columns: object) -> None:
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    session.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), columns)


def acts(settings: Settings) -> list[str]:
    return [entry.action for entry in audit.entries(audit.folder(settings.data_path))]


# About 8 s: `tapewatch verify` starts as a process of its own and compiles nothing, but imports the engine.
def test_alert_is_verified_reported_and_taken_along(kept: tuple[Settings, Alert]) -> None:
    settings, alert = kept

    async def look() -> None:
        async with console(settings, ANN) as client:
            of = f"/alerts/{alert.id}"
            assert (await call(client, "GET", f"{of}/verify"))["verified"] is None
            result = await call(client, "POST", f"{of}/verify", {})
            assert (result["verified"], result["who"], result["proof"]["source"]) == (True, "ann", "bundle"), result
            assert result["proof"]["build"] == build_hash()
            assert await call(client, "GET", f"{of}/verify") == result
            page = (await call(client, "GET", f"{of}/report.html")).decode()
            assert "Proved: its evidence bundle gives this alert" in page
            assert "<img" not in page
            assert (await call(client, "GET", f"{of}/report.pdf")).startswith(b"%PDF-")
            bundles = await call(client, "GET", f"{of}/bundles")
            with tarfile.open(fileobj=io.BytesIO(await call(client, "GET", f"{of}/bundle"))) as tar:
                assert "manifest.json" in tar.getnames()
            assert bundles[-1]["proved"] is True
            await call(client, "GET", f"/alerts/{'0' * 32}/report.html", status=404)
        async with console(settings, Account("vic", "viewer", ("2330.XTAI",))) as client:
            for path in ("verify", "report.html", "report.pdf", "bundles"):
                await call(client, "GET", f"{of}/{path}", status=404)
            await call(client, "POST", f"{of}/verify", {}, status=403)

    asyncio.run(look())
    # The last is what a viewer may not do.
    done = ["evidence.verify", "evidence.report", "evidence.report", "evidence.export", "refused"]
    assert acts(settings) == done


def test_report_is_drafted_written_and_made_final_by_an_approver(kept: tuple[Settings, Alert]) -> None:
    settings, alert = kept

    async def write() -> None:
        async with console(settings, ANN) as client:
            made = await call(client, "POST", f"/alerts/{alert.id}/stor", {})
            assert made["content"]["suspicion"]["reasons"].startswith(alert.sentence)
            content = made["content"]
            content["submitter"] |= {"person": "Ann Lee", "entity": "Exchange Ltd", "contact_name": "Ann Lee"}
            path = f"/stor/{made['id']}"
            second = await call(client, "PUT", path, {"expected": 0, "content": content})
            assert (second["revision"], second["missing"]) == (1, [])
            await call(client, "PUT", path, {"expected": 0, "content": content}, status=409)
            await call(client, "PUT", path, {"expected": 1, "content": content, "final": True}, status=403)
            await call(client, "PUT", path, {"expected": 1, "content": content | {"nonsense": 1}}, status=422)
            assert [each["revision"] for each in await call(client, "GET", "/stor")] == [1]
            assert len(await call(client, "GET", f"/alerts/{alert.id}/stor")) == 1
        async with console(settings, APPROVER) as client:
            final = await call(client, "PUT", path, {"expected": 1, "content": content, "final": True})
            assert final["state"] == "final"
            await call(client, "PUT", path, {"expected": 2, "content": content}, status=409)
            told = await call(client, "GET", f"{path}/history")
            assert [(each["revision"], each["who"]) for each in told] == [(0, "ann"), (1, "ann"), (2, "bo")]
            root = ElementTree.fromstring(await call(client, "GET", f"{path}/report.xml"))
            assert root.attrib["revision"] == "2"
            assert (await call(client, "GET", f"{path}/report.pdf")).startswith(b"%PDF-")
        async with console(settings, Account("cy", "analyst", ("2330.XTAI",))) as client:
            await call(client, "GET", path, status=404)
            assert await call(client, "GET", "/stor") == []

    asyncio.run(write())
    assert acts(settings).count("stor.write") == 2


def test_labels_go_to_their_topic_and_come_out_as_training_data(kept: tuple[Settings, Alert]) -> None:
    settings, alert = kept

    async def label() -> None:
        async with console(settings, ANN) as client:
            (item,) = [
                each for each in await call(client, "GET", "/labels/items", limit=200) if each["subject"] == alert.id
            ]
            assert item["labels"] == []
            given = {"kind": "alert", "subject": alert.id, "label": "genuine", "why": "=1+1"}
            await call(client, "POST", "/labels", given)
            await call(client, "POST", "/labels", given | {"label": "manipulation"})
            await call(client, "POST", "/labels", given | {"label": "positive"}, status=422)
            await call(client, "POST", "/labels", given | {"subject": "0" * 32}, status=404)
            found = await call(client, "GET", "/labels", subject=alert.id)
            assert [each["label"] for each in found] == ["manipulation", "genuine"]
            left = await call(client, "GET", "/labels/items", limit=200)
            assert alert.id not in {each["subject"] for each in left}
            rows = [each for each in await call(client, "GET", "/labels/export.json") if each["subject"] == alert.id]
            assert [(row["label"], row["who"], row["instrument"]) for row in rows] == [("manipulation", "ann", COIN)]
            assert rows[0]["values"][alert.evidence[0].feature] == alert.evidence[0].value
            table = (await call(client, "GET", "/labels/export.csv")).decode()
            assert "'=1+1" in table
        async with console(settings, Account("cy", "analyst", ("2330.XTAI",))) as client:
            assert alert.id not in {each["subject"] for each in await call(client, "GET", "/labels")}
            await call(client, "POST", "/labels", given, status=404)

    asyncio.run(label())
    said: list[Label] = []
    kafka.read_all(settings, topics.LABELS, lambda each: said.append(messages.decode(Label, each.value() or b"")))
    mine = [each for each in said if each.subject == alert.id and each.at >= alert.decided]
    assert [each.label for each in mine][-2:] == ["genuine", "manipulation"]


def test_coverage_is_shown_of_the_accounts_instruments(kept: tuple[Settings, Alert]) -> None:
    settings, _ = kept
    with sa.create_engine(settings.postgres.url, poolclass=sa.NullPool).begin() as session:
        session.execute(sa.text("CREATE TABLE coverage_rest PARTITION OF coverage DEFAULT"))
        put(session, "logs", id=1, topic="market.t", partition=0)
        begin = from_rfc3339("2026-01-30T01:00:00Z")
        put(
            session, "coverage", instrument_id=900, start_ns=begin, end_ns=begin + 60 * 10**9, reason="halt",
            seconds=60, log_id=1, log_offset=0,
        )  # fmt: skip

    async def look() -> None:
        async with console(settings, ANN) as client:
            found = await call(client, "GET", "/coverage", day="2026-01-30", totals="true")
            assert [(each["instrument"], each["missed"], each["share"]) for each in found["instruments"]] == [
                (COIN, {"halt": 60}, 0.0)
            ]
            await call(client, "GET", "/coverage", day="2026-02-30", status=422)
        async with console(settings, Account("cy", "viewer", ("2330.XTAI",))) as client:
            assert (await call(client, "GET", "/coverage", day="2026-01-30"))["instruments"] == []
            await call(client, "GET", "/coverage", instrument=COIN, status=404)

    asyncio.run(look())
