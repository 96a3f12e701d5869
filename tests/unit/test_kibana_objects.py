"""Kibana's saved objects: whole, in step with the code, and sent as Kibana's import interface wants them."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import BodyPartReader, web

from infra.kibana import content
from infra.kibana.install import install
from tapewatch.cli import main
from tapewatch.errors import TapewatchError

TYPES = {"index-pattern", "lens", "dashboard", "search"}


class FakeKibana:
    """The import interface, as far as we use it."""

    def __init__(self, answer: dict[str, object], status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.headers: dict[str, str] = {}
        self.path = self.file = self.name = ""

    async def take(self, request: web.Request) -> web.Response:
        self.path, self.headers = request.path_qs, dict(request.headers)
        reader = await request.multipart()
        part = await reader.next()
        assert isinstance(part, BodyPartReader) and part.filename is not None
        self.name, self.file = part.filename, (await part.read()).decode()
        assert part.name == "file"
        assert await reader.next() is None
        return web.json_response(self.answer, status=self.status)

    @contextmanager
    def at_work(self) -> Iterator[str]:
        loop = asyncio.new_event_loop()
        app = web.Application()
        app.router.add_post("/{path:.*}", self.take)
        runner = web.AppRunner(app)
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


def test_file_is_what_the_code_makes():
    assert content.FILE.read_text() == content.ndjson()


def test_every_reference_is_to_an_object_in_the_file():
    found = [json.loads(line) for line in content.ndjson().splitlines()]
    known = {(each["type"], each["id"]) for each in found}
    assert len(known) == len(found)
    assert {kind for kind, _ in known} == TYPES
    for each in found:
        assert {(one["type"], one["id"]) for one in each["references"]} <= known
        assert len({one["name"] for one in each["references"]}) == len(each["references"])


def test_panels_of_a_dashboard_name_their_references_and_fill_the_grid_without_overlap():
    for dashboard in (each for each in content.objects() if each["type"] == "dashboard"):
        panels = json.loads(dashboard["attributes"]["panelsJSON"])
        names = {one["name"]: one["type"] for one in dashboard["references"]}
        assert {f"{panel['panelIndex']}:{panel['panelRefName']}": panel["type"] for panel in panels} == names
        cells = [
            (x, y)
            for grid in (panel["gridData"] for panel in panels)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < content.WIDTH


def test_lens_panels_use_the_columns_that_they_have():
    for panel in (each for each in content.objects() if each["type"] == "lens"):
        state = panel["attributes"]["state"]
        (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
        assert layer["columnOrder"] == list(layer["columns"])
        used = json.dumps(state["visualization"])
        assert all(f'"{name}"' in used for name in layer["columns"]), panel["id"]


def test_objects_of_two_prefixes_live_side_by_side():
    ids = [{each["id"] for each in content.objects(prefix)} for prefix in ("a", "b")]
    assert not ids[0] & ids[1]


def test_install_sends_one_file_with_key_and_token_header(tmp_path, capsys):
    kibana = FakeKibana({"success": True, "successCount": 38})
    (tmp_path / "key").write_text("secret\n")
    with kibana.at_work() as url:
        words = [
            "kibana",
            "install",
            "--url",
            f"{url}/base/",
            "--space",
            "a b",
            "--api-key-file",
            str(tmp_path / "key"),
        ]
        assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"objects": 38}
    assert kibana.path == "/base/s/a%20b/api/saved_objects/_import?overwrite=true"
    assert kibana.headers["kbn-xsrf"]
    assert kibana.headers["Authorization"] == "ApiKey secret"
    assert kibana.name.endswith(".ndjson")
    assert kibana.file == content.ndjson()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"success": False, "successCount": 1, "errors": [{"id": "x", "error": {"type": "missing_references"}}]}, 200),
        ({"message": "no"}, 403),
    ],
)
def test_objects_that_kibana_refuses_are_an_error_that_says_so(answer, status):
    with FakeKibana(answer, status).at_work() as url, pytest.raises(TapewatchError) as refusal:
        install(url, content.ndjson())
    assert "missing_references" in refusal.value.message or "403" in refusal.value.message


def test_export_writes_the_file(tmp_path):
    assert main(["kibana", "export", str(tmp_path / "out.ndjson")]) == 0
    assert (tmp_path / "out.ndjson").read_text() == content.ndjson()
