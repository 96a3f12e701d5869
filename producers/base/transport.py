"""One request and its answer over aiohttp, with the body as it was sent; what went wrong as a reason."""

import ssl
from collections.abc import Mapping

import aiohttp

from producers.base.answers import Answer, HttpError, unzipped
from tapewatch.clock import Clock
from tapewatch.settings.venues import ProduceSettings

CONNECTIONS = 32
"""Connections to a host at most; more requests wait their turn."""
_READ_BYTES = 1 << 16


class Transport:
    """A session with one host."""

    def __init__(
        self, settings: ProduceSettings, headers: Mapping[str, str], clock: Clock, limit: int, *, cookies: bool
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._session = aiohttp.ClientSession(
            headers={"Accept-Encoding": "gzip, deflate", "User-Agent": "tapewatch", **headers},
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout_s, sock_connect=settings.connect_timeout_s, connect=None
            ),
            connector=aiohttp.TCPConnector(limit_per_host=CONNECTIONS),
            cookie_jar=aiohttp.CookieJar(unsafe=True) if cookies else aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """End the session."""
        await self._session.close()

    async def exchange(
        self, method: str, url: str, params: Mapping[str, str], body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Send a request and read its whole answer, whatever its status; HttpError where none came."""
        asked = self._clock.now()
        try:
            async with self._session.request(
                method, url, params=params, data=body, headers=headers, allow_redirects=False
            ) as found:
                raw = await self._read(found)
                received = self._clock.now()
                encoding = found.headers.get("Content-Encoding", "")
                try:
                    text = unzipped(raw, encoding, self._limit)
                except HttpError as error:
                    if found.status < 400:
                        raise
                    text = error.body  # an error's status says more than its torn page
                return Answer(found.status, found.headers, text, asked, received)
        except TimeoutError:
            raise HttpError("timeout", "no answer in time") from None
        except aiohttp.ClientConnectorDNSError:
            raise HttpError("no_connection", "the host name is not known") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise HttpError("tls", _tls_detail(error)) from None
        except aiohttp.ClientOSError as error:
            raise HttpError("no_connection", error.strerror or type(error).__name__) from None
        except aiohttp.ServerDisconnectedError:
            raise HttpError("no_connection", "the server closed the connection") from None
        except aiohttp.ClientPayloadError:
            raise HttpError("truncated", "the body broke off") from None
        except aiohttp.ClientError as error:
            raise HttpError("no_connection", type(error).__name__) from None

    async def _read(self, found: aiohttp.ClientResponse) -> bytes:
        """The body as sent, up to the limit."""
        body = bytearray()
        async for part in found.content.iter_chunked(_READ_BYTES):
            body += part
            if len(body) > self._limit:
                raise HttpError("too_large", f"more than {self._limit} bytes", found.status)
        return bytes(body)


def _tls_detail(error: Exception) -> str:
    """The reason OpenSSL gives, which holds no secret."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(error).__name__)
