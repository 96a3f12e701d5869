"""The Elasticsearch sink by https and API key, both checked by a gate before the embedded server, which lacks them."""

import http.client
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from elasticsearch import ApiError

from infra.embedded import certificates
from sinks.elasticsearch.client import connect
from tapewatch.errors import TapewatchError
from tests.integration.elasticsearch_kept import IndexReader, alert, own, run_sink, send

KEY = "ZmFrZS1pZDpub3QtYS1yZWFsLWtleQ=="


class Gate:
    """Passes on what comes by TLS with the key, and answers 401 to all else, as a server with security on does."""

    def __init__(self, target: str, folder: Path) -> None:
        self.authority = certificates.make_authority(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.issue(folder, "elasticsearch", server=True))
        place, self.refused, self.key, outer = urlsplit(target).netloc, 0, KEY, self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Authorization") != f"ApiKey {outer.key}":
                    outer.refused += 1
                    self._answer(401, {"Content-Type": "application/json"}, b'{"error":{"type":"security_exception"}}')
                    return
                onward = http.client.HTTPConnection(place, timeout=30)
                kept = {name: value for name, value in self.headers.items() if name not in ("Host", "Authorization")}
                onward.request(self.command, self.path, body, kept)
                answer = onward.getresponse()
                content = answer.read()
                self._answer(answer.status, dict(answer.getheaders()), content)
                onward.close()

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def gate(elasticsearch, tmp_path) -> Iterator[Gate]:
    found = Gate(elasticsearch, tmp_path)
    yield found
    found.close()


def key_file(folder: Path, key: str) -> str:
    (folder / "key").write_text(key + "\n")
    return str(folder / "key")


def test_alerts_are_kept_by_key_and_certificate(settings, gate, elasticsearch, tmp_path):
    mine = own(settings, gate.url, api_key_file=key_file(tmp_path, KEY), ca_file=str(gate.authority))
    said = [alert(number, mark="KEYED") for number in range(3)]
    send(mine, said)
    run_sink(mine)
    kept = IndexReader(mine, elasticsearch).documents("alerts")
    assert set(kept) == {each.id for each in said}
    assert gate.refused == 0


def test_a_new_key_is_taken_from_its_file_without_a_new_client(settings, gate, tmp_path):
    mine = own(settings, gate.url, api_key_file=key_file(tmp_path, KEY), ca_file=str(gate.authority))
    client = connect(mine)
    assert client.info()["version"]
    gate.key = "bmV3LWlkOmFub3RoZXIta2V5"
    with pytest.raises(ApiError):
        client.info()
    key_file(tmp_path, "")
    assert gate.refused == 1
    key_file(tmp_path, gate.key)
    assert client.info()["version"]
    assert gate.refused == 1


def test_a_wrong_key_ends_the_sink_and_says_so(settings, gate, tmp_path):
    mine = own(settings, gate.url, api_key_file=key_file(tmp_path, "another"), ca_file=str(gate.authority))
    with pytest.raises(TapewatchError) as refused:
        run_sink(mine)
    assert "key" in refused.value.hint
    assert "another" not in refused.value.message


def test_a_server_of_another_authority_is_not_trusted(settings, gate, tmp_path):
    (tmp_path / "other").mkdir()
    other = certificates.make_authority(tmp_path / "other")
    mine = own(settings, gate.url, api_key_file=key_file(tmp_path, KEY), ca_file=str(other))
    with pytest.raises(TapewatchError) as refused:
        run_sink(mine)
    assert "elasticsearch.ca_file" in refused.value.hint
