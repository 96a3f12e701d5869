"""HTTP requests to addresses that others have named: no way into the operator's network, whatever a name resolves to.

A host name is resolved once, every address it has is judged, and the connection goes to the addresses judged: a second
answer of the name server is never asked for. Redirects are followed by hand, each judged anew. Needs aiohttp.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tapewatch.errors import TapewatchError
from tapewatch.security.networks import AllowedAddresses

ANSWER_LIMIT = 1 << 20
TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
REDIRECTS = 3
CONNECTIONS_PER_HOST = 16

_READ_BYTES = 1 << 14
_SAFE = frozenset({"GET", "HEAD"})
_MOVED = frozenset({301, 302, 303, 307, 308})
_SAME_REQUEST = frozenset({307, 308})
_KEPT_ELSEWHERE = frozenset({"accept", "accept-language", "user-agent"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUES = re.compile(r"[^\x20-\x7e\x80-\xff\t]")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port to IP addresses; OSError where the name is not known."""


class HttpRequestError(TapewatchError):
    """A request that brought no usable answer.

    reason : refused (address, scheme, redirect or header that is not allowed), unknown_host, timeout, tls,
    no_connection or too_large
    status : HTTP status where one came, else 0
    """

    def __init__(self, reason: str, detail: str, status: int = 0) -> None:
        hint = "Use a public https:// address, or allow the network." if reason == "refused" else "Try again later."
        super().__init__(f"{reason}: {detail}", hint)
        self.reason = reason
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer. headers : any case finds them; url : where it came from, after redirects"""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses that this machine's resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class GuardedHttpClient:
    """Guarded requests; an asynchronous context manager.

    allowed : networks (CIDR) inside the operator's that may be reached
    plain : whether http:// may be used too; redirects : followed at most
    timeout_s : of a request with its redirects and its whole answer; answer_limit : bytes of a body at most
    tls : context for https, the system's where None
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        *,
        plain: bool = False,
        redirects: int = REDIRECTS,
        timeout_s: float = TIMEOUT_S,
        answer_limit: int = ANSWER_LIMIT,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._reach = AllowedAddresses(allowed)
        self._schemes = frozenset({"https", "http"} if plain else {"https"})
        self._redirects, self._timeout_s, self._answer_limit = redirects, timeout_s, answer_limit
        self._resolve, self._tls = resolve, tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "GuardedHttpClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections; a later request opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def check(self, address: str) -> URL:
        """The address as a URL, where nothing speaks against it before its host is resolved; OutgoingError."""
        if _NOT_IN_URLS.search(address):
            raise HttpRequestError("refused", "the address holds a space, a backslash or a control character")
        try:
            url = URL(address)
            host, port = url.host, url.port
        except ValueError as error:
            raise HttpRequestError("refused", "this is no address") from error
        if url.scheme not in self._schemes:
            raise HttpRequestError(
                "refused", f"{url.scheme or 'no scheme'}: only {' and '.join(sorted(self._schemes))}"
            )
        if not host or not port:
            raise HttpRequestError("refused", "the address names no host or no port")
        if url.user is not None or url.password is not None:
            raise HttpRequestError("refused", "the address holds a user name or password")
        if "%" in host:
            raise HttpRequestError("refused", "the address names a network interface")
        if _is_ip(host) and (why := self._reach.refusal(host)):
            raise HttpRequestError("refused", why)
        return url

    async def judge(self, address: str) -> None:
        """Resolve the address's host now, and judge it as a request would; OutgoingError."""
        url = self.check(address)
        try:
            async with asyncio.timeout(self._timeout_s):
                await _Resolver(self._reach, self._resolve).resolve(str(url.host), int(url.port or 0))
        except TimeoutError:
            raise HttpRequestError("timeout", "the name server does not answer") from None
        except _RefusedAddressError as error:
            raise HttpRequestError("refused", str(error)) from None
        except OSError:
            raise HttpRequestError("unknown_host", "the host name is not known") from None

    async def request(
        self, method: str, address: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpResponse:
        """Send a request and read its whole answer, whatever its status; OutgoingError where none came.

        GET and HEAD follow redirects anywhere allowed, with no header but Accept and User-Agent to another origin.
        Other methods follow 307 and 308 within their origin only: elsewhere neither body nor signature goes.
        """
        sent = checked_headers(headers or {})
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(method.upper(), self.check(address), sent, body)
        except TimeoutError:
            raise HttpRequestError("timeout", f"no answer within {self._timeout_s:g} s") from None

    async def _follow(self, method: str, url: URL, headers: dict[str, str], body: bytes | None) -> HttpResponse:
        """One request after the other, as redirects lead."""
        for _ in range(self._redirects + 1):
            answer = await self._once(method, url, headers, body)
            if answer.status not in _MOVED or not (place := answer.headers.get("Location", "")):
                return answer
            onward = self._onward(url, place, answer.status)
            if onward.origin() != url.origin():
                if method not in _SAFE:
                    raise HttpRequestError("refused", "a redirect to another origin", answer.status)
                headers = {name: value for name, value in headers.items() if name.lower() in _KEPT_ELSEWHERE}
            if method not in _SAFE and answer.status not in _SAME_REQUEST:
                return answer
            url = onward
        raise HttpRequestError("refused", f"more than {self._redirects} redirects")

    def _onward(self, url: URL, place: str, status: int) -> URL:
        """Where a redirect leads, judged; OutgoingError where it must not."""
        try:
            onward = url.join(URL(place))
        except ValueError as error:
            raise HttpRequestError("refused", "a redirect to what is no address", status) from error
        if url.scheme == "https" and onward.scheme != "https":
            raise HttpRequestError("refused", "a redirect from https to an unencrypted address", status)
        return self.check(str(onward))

    async def _once(self, method: str, url: URL, headers: dict[str, str], body: bytes | None) -> HttpResponse:
        """Send one request and read its answer."""
        try:
            async with self._opened().request(method, url, headers=headers, data=body, allow_redirects=False) as found:
                return HttpResponse(found.status, found.headers, await self._read(found), str(found.url))
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, _RefusedAddressError):
                raise HttpRequestError("refused", str(error.os_error)) from None
            raise HttpRequestError("unknown_host", "the host name is not known") from None
        except aiohttp.ClientConnectorError as error:
            kind = "tls" if isinstance(error, aiohttp.ClientSSLError) else "no_connection"
            raise HttpRequestError(kind, error.os_error.strerror or type(error.os_error).__name__) from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise HttpRequestError("tls", type(error).__name__) from None
        except aiohttp.InvalidURL as error:
            raise HttpRequestError("refused", "this is no address") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HttpRequestError("no_connection", type(error).__name__) from None

    async def _read(self, found: aiohttp.ClientResponse) -> bytes:
        """The body as sent, up to the limit."""
        body = bytearray()
        async for part in found.content.iter_chunked(_READ_BYTES):
            body += part
            if len(body) > self._answer_limit:
                raise HttpRequestError("too_large", f"an answer of more than {self._answer_limit} bytes", found.status)
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        """The session: no cookies, no proxy of the environment, no cache of names, nothing unzipped."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_Resolver(self._reach, self._resolve),
                    use_dns_cache=False,
                    limit=256,
                    limit_per_host=CONNECTIONS_PER_HOST,
                    ssl=self._tls if self._tls is not None else True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                headers={"Accept-Encoding": "identity", "User-Agent": "tapewatch"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, where no name or value could add another one; OutgoingError."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or _NOT_IN_VALUES.search(value):
            raise HttpRequestError("refused", f"the header {name[:40]!r} holds a character that headers must not")
        if name.lower() in ("host", "content-length", "transfer-encoding", "connection"):
            raise HttpRequestError("refused", f"the header {name!r} is not the caller's to set")
    return dict(headers)


class _RefusedAddressError(OSError):
    """A name leads to an address that may not be reached."""


class _Resolver(AbstractResolver):
    """Resolves a name and refuses it where one of its addresses may not be reached."""

    def __init__(self, reach: AllowedAddresses, resolve: Resolve) -> None:
        self._reach, self._resolve = reach, resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses as aiohttp connects to them: numeric, so that nothing resolves them again."""
        found = list(dict.fromkeys(await self._resolve(host, port)))
        if not found:
            raise OSError(None, "no address")
        for address in found:
            if why := self._reach.refusal(address):
                raise _RefusedAddressError(f"{host}: {why}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _is_ip(host: str) -> bool:
    """Whether a URL's host is an address in numbers (aiohttp refuses the short and the octal forms itself)."""
    return ":" in host or re.fullmatch(r"[0-9.]+", host) is not None
