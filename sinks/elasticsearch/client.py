"""A client of the server that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

if TYPE_CHECKING:
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
        more["api_key"] = _key(Path(chosen.api_key_file).expanduser())
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


def _key(file: Path) -> str:
    """The API key in a file."""
    try:
        return file.read_text().strip()
    except OSError as error:
        raise TapewatchError(
            f"elasticsearch.api_key_file {file} cannot be read: {error.strerror}", "Name a readable file."
        ) from error
