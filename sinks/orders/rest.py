"""Requests over HTTP, and how certain one can be of what each has done."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from sinks.orders.venue import NotSentError, UnansweredError
from tapewatch.errors import SettingsError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LIMITED = frozenset({418, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """A venue's answer. body : decoded JSON, None where it is none"""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300


class RestClient:
    """A session with one address. After a rate limit nothing is sent until the time the venue named."""

    def __init__(self, address: str, timeout_s: float) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise SettingsError(
                f"orders.address {address!r} is no https:// address", "Set the venue's base address under [orders]."
            )
        self._address, self._timeout = address.rstrip("/"), aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._held_until = 0.0

    async def open(self) -> None:
        """Begin."""
        self._session = aiohttp.ClientSession(timeout=self._timeout)

    async def close(self) -> None:
        """End."""
        if self._session is not None:
            await self._session.close()

    def hold(self, seconds: float) -> None:
        """Send nothing for that long."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    async def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send a request; `target` is path and query, already encoded, and goes out as it is.

        NotSentError where no connection came about or a rate limit stood in the way, UnansweredError where the answer
        failed to come, came broken or spoke of an error inside the venue.
        """
        left = self._held_until - asyncio.get_running_loop().time()
        if left > 0:
            raise NotSentError("held back by the venue's rate limit", left)
        if self._session is None:
            raise NotSentError("not connected")
        try:
            url = URL(self._address + target, encoded=True)
            async with self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as found:
                raw = await found.read()
                answer = Answer(found.status, found.headers, _json(raw))
        except aiohttp.ClientConnectorError as error:
            raise NotSentError(f"no connection: {error.strerror or 'refused'}") from None
        except (TimeoutError, aiohttp.ClientError) as error:
            raise UnansweredError(f"no answer: {type(error).__name__}") from None
        if answer.status in _LIMITED:
            wait = _seconds(answer.headers.get("Retry-After", ""))
            self.hold(wait)
            raise NotSentError(f"rate limited (HTTP {answer.status})", wait)
        if answer.status >= 500 or (answer.ok and answer.body is None):
            raise UnansweredError(f"HTTP {answer.status}")
        return answer


def _json(raw: bytes) -> Any:
    """The decoded body; None where it is no JSON."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None


def _seconds(text: str) -> float:
    """A Retry-After in seconds; 1 where it says nothing that can be read."""
    try:
        return max(float(text), 0.05)
    except ValueError:
        return 1.0
