"""Saved objects into a Kibana, by its import interface."""

import http.client
import json
import secrets
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

from tapewatch.errors import TapewatchError

TIMEOUT_S = 60.0
_HINT = "Check the address, the API key and its rights: docs/kibana.md."


def install(url: str, content: str, api_key: str = "", space: str = "", ca_file: str = "") -> int:
    """Import objects, in place of those of the same ids; how many were taken.

    url : http(s)://host:port[/base path]; space : empty for the default one; ca_file : certificates to trust beside
    the system's. TapewatchError where Kibana does not take all of them.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TapewatchError(f"{url} is not an address of Kibana", "Write it as https://host:5601.")
    within = f"/s/{quote(space, safe='')}" if space else ""
    path = f"{parts.path.rstrip('/')}{within}/api/saved_objects/_import?overwrite=true"
    body, kind = _multipart(content)
    headers = {"kbn-xsrf": "tapewatch", "Content-Type": kind}
    if api_key:
        headers["Authorization"] = f"ApiKey {api_key}"
    connection = _connection(parts.scheme, parts.hostname, parts.port, ca_file)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise TapewatchError(f"Kibana at {url} does not answer: {error}", _HINT) from error
    finally:
        connection.close()
    return _taken(answer.status, said)


def _connection(scheme: str, host: str, port: int | None, ca_file: str) -> http.client.HTTPConnection:
    """A connection, verified where it is encrypted."""
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def _multipart(content: str) -> tuple[bytes, str]:
    """The one file of a form, and the form's content type."""
    boundary = f"tapewatch-{secrets.token_hex(16)}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="tapewatch.ndjson"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
    )
    return f"{head}{content}\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _taken(status: int, said: bytes) -> int:
    """How many objects were taken; TapewatchError where not all were."""
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:
        answer = {}
    if status != http.client.OK:
        told = str(answer.get("message") or said[:200].decode("utf-8", "replace"))
        raise TapewatchError(f"Kibana answers {status}: {told}", _HINT)
    if not answer.get("success"):
        first = (answer.get("errors") or [{}])[0]
        raise TapewatchError(
            f"Kibana took {answer.get('successCount', 0)} objects and refused others: {json.dumps(first)[:300]}", _HINT
        )
    return int(answer.get("successCount", 0))
