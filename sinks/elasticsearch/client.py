"""A client of the server that the settings name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from elastic_transport import BaseNode
    from elasticsearch import Elasticsearch

REQUEST_S = 60.0
"""Longest wait for an answer. A bulk request that takes longer is sent again."""


def connect(settings: Settings) -> Elasticsearch:
    """A client that leaves all repeating to its caller. TapewatchError where the library is missing."""
    try:
        from elasticsearch import Elasticsearch
    except ImportError as error:
        raise TapewatchError(
            "the Elasticsearch client is not installed", "Run `pip install 'tapewatch[elasticsearch]'`."
        ) from error
    chosen = settings.elasticsearch
    more: dict[str, Any] = {}
    if chosen.api_key_file:
        more["node_class"] = _by_key(KeyFile(Path(chosen.api_key_file).expanduser()))
    if chosen.ca_file:
        more["ca_certs"] = chosen.ca_file
    return Elasticsearch(
        settings.elasticsearch_url(), request_timeout=REQUEST_S, max_retries=0, retry_on_timeout=False, **more
    )


def server_errors() -> tuple[type[Exception], ...]:
    """What the client raises where the server does not answer, or refuses; nothing where there is no client."""
    try:
        from elasticsearch import ApiError, TransportError
    except ImportError:
        return ()
    return ApiError, TransportError


class KeyFile:
    """The API key in a file, as it stands there now: a new one counts from the next request on.

    A file that is gone or empty for a moment, because somebody replaces it, leaves the key as it was.
    """

    def __init__(self, file: Path) -> None:
        """TapewatchError where there is none to begin with."""
        self._file, self._seen, self._key = file, (0, 0, 0), ""
        try:
            self._look()
        except OSError as error:
            raise TapewatchError(
                f"elasticsearch.api_key_file {file} cannot be read: {error.strerror}", "Name a readable file."
            ) from error

    def key(self) -> str:
        """The newest key."""
        with suppress(OSError):
            self._look()
        return self._key

    def _look(self) -> None:
        about = self._file.stat()
        seen = (about.st_ino, about.st_mtime_ns, about.st_size)
        if seen != self._seen:
            self._key = self._file.read_text(encoding="utf-8").strip() or self._key
            self._seen = seen


def _by_key(kept: KeyFile) -> type[BaseNode]:
    """Connections that send the key with every request."""
    from elastic_transport import HttpHeaders, Urllib3HttpNode
    from elastic_transport.client_utils import DEFAULT, DefaultType

    class ApiKeyNode(Urllib3HttpNode):
        def perform_request(
            self,
            method: str,
            target: str,
            body: bytes | None = None,
            headers: HttpHeaders | None = None,
            request_timeout: DefaultType | float | None = DEFAULT,
        ) -> Any:
            named = HttpHeaders(headers or {})
            named["authorization"] = f"ApiKey {kept.key()}"
            return super().perform_request(method, target, body, named, request_timeout)

    return ApiKeyNode
