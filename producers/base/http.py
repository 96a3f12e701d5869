"""Requests that outlive a venue's bad days: rate limits obeyed, retries with back-off, bodies looked at.

A token bucket that tasks share: requests within a venue's stated limits, first come, first served.

Base addresses from the settings: encrypted, except to this machine itself, where simulators listen.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from producers.base.answers import BODY_LIMIT, Answer, HttpError, json_fault, retry_after_s
from producers.base.backoff import LOOP, Backoff, Timer
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.settings.venues import ProduceSettings

if TYPE_CHECKING:
    from producers.base.transport import Transport


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked_address(address: str) -> str:
    """The address without a slash at its end, https:// or wss://; http:// and ws:// only to this machine.

    SettingsError for any other.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise SettingsError(f"{address!r} is no address", "Set the venue's base address, as in https://host.")
    if parts.scheme not in ("https", "wss") and not (parts.scheme in ("http", "ws") and host in LOOPBACK):
        raise SettingsError(
            f"{parts.scheme}://{host} is not encrypted", "Use an https:// or wss:// address outside this machine."
        )
    return address.rstrip("/")


class TokenBucket:
    """At most `burst` tokens at once and `per_second` in the long run; 0 a second is no limit but what `hold` says."""

    def __init__(self, per_second: float, burst: float, timer: Timer = LOOP) -> None:
        self._per_second = per_second
        self._burst = burst
        self._timer = timer
        self._tokens = burst
        self._filled_at = -math.inf
        self._held_until = -math.inf
        self._turn = asyncio.Lock()

    async def take(self, tokens: float = 1.0) -> None:
        """Wait for tokens; first come, first served. More than `burst` are taken on credit when the bucket is full."""
        # The lock's queue is first in, first out, and a task that is cancelled while it waits has taken nothing.
        async with self._turn:
            while (wait_s := self._wait_s(tokens)) > 0.0:
                await self._timer.sleep(wait_s)
            self._tokens -= tokens

    def hold(self, seconds: float) -> None:
        """Nothing goes out before that time has passed, as after a Retry-After; the longest hold counts."""
        self._held_until = max(self._held_until, self._timer.time() + seconds)

    def held_s(self) -> float:
        """Seconds that a hold still lasts; 0 where there is none."""
        return max(0.0, self._held_until - self._timer.time())

    def _wait_s(self, tokens: float) -> float:
        """Seconds to the moment when the tokens may be taken, as things stand."""
        now = self._timer.time()
        held_s = self._held_until - now
        if self._per_second <= 0.0:
            return held_s
        if now > self._filled_at:
            grown = (now - self._filled_at) * self._per_second
            self._tokens = min(self._burst, self._tokens + grown)
            self._filled_at = now
        missing = min(tokens, self._burst) - self._tokens
        # A billionth of a token: rounding must not turn into a wait of no length, over and over.
        return max(held_s, missing / self._per_second if missing > 1e-9 else 0.0)


ATTEMPTS = 5
FORBIDDEN_FACTOR = 20.0
"""How much longer than usual to wait after a 403, which venues send to clients that ask too often."""
BANNED_S = 120.0
"""How long nothing is sent after a 418 that does not say how long."""
PATIENCE_S = 600.0
"""A longer hold is not waited out by a request: it fails at once, and nothing is sent."""
_ONCE = frozenset({"not_found", "client_error", "redirected", "too_large"})
_REASONS = {401: "forbidden", 403: "forbidden", 404: "not_found", 408: "timeout", 410: "not_found", 418: "banned"}

Observer = Callable[[Answer, Any], None]


class Http:
    """A venue's web service.

    address : base address, https:// unless on this machine
    bucket : the venue's limit, shared with whoever else asks it; on_answer : sees every answer that is given out, with
    the caller's `want`
    attempts : how often a request is sent at most; body_limit : bytes of a body, unzipped
    expect_json : whether a body that is none is an error; cookies : whether to keep what the venue sets
    host : of its address; answers : given out so far; failures : attempts that failed, by reason
    """

    def __init__(
        self,
        settings: ProduceSettings,
        address: str,
        *,
        bucket: TokenBucket | None = None,
        clock: Clock = WALL,
        timer: Timer = LOOP,
        headers: Mapping[str, str] | None = None,
        on_answer: Observer | None = None,
        attempts: int = ATTEMPTS,
        body_limit: int = BODY_LIMIT,
        expect_json: bool = True,
        cookies: bool = False,
    ) -> None:
        self.address = checked_address(address)
        self.host = urlsplit(self.address).hostname or ""
        self.bucket = bucket or TokenBucket(0.0, 1.0, timer)
        self.answers = 0
        self.failures: Counter[str] = Counter()
        self._settings = settings
        self._clock = clock
        self._timer = timer
        self._headers = dict(headers or {})
        self._on_answer = on_answer
        self._attempts = attempts
        self._body_limit = body_limit
        self._expect_json = expect_json
        self._cookies = cookies
        self._log = logs.get("http", host=self.host)
        self._open: Transport | None = None

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        weight: float = 1.0,
        want: Any = None,
        expect_json: bool | None = None,
    ) -> Answer:
        """The answer to a GET; weight : tokens it costs. HttpError where retries did not help or cannot."""
        return await self._request("GET", path, params or {}, None, headers or {}, weight, want, expect_json)

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        weight: float = 1.0,
        want: Any = None,
        expect_json: bool | None = None,
    ) -> Answer:
        """The answer to a POST that asks for data and changes nothing: it is retried like a GET."""
        return await self._request("POST", path, {}, body, headers or {}, weight, want, expect_json)

    async def close(self) -> None:
        """End the session; a later request opens another."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str],
        weight: float,
        want: Any,
        expect_json: bool | None,
    ) -> Answer:
        usual = Backoff(self._settings.backoff_first_s, self._settings.backoff_cap_s)
        slow = Backoff(self._settings.backoff_first_s * FORBIDDEN_FACTOR, self._settings.backoff_cap_s)
        as_json = self._expect_json if expect_json is None else expect_json
        for attempt in range(1, self._attempts + 1):
            await self._turn(path, weight)
            try:
                answer = await self._transport().exchange(method, self.address + path, params, body, headers)
                self._check(answer, as_json)
            except HttpError as error:
                self.failures[error.reason] += 1
                self._hold(error)
                if attempt == self._attempts or error.reason in _ONCE or error.status == 401:
                    raise HttpError(
                        error.reason, f"{path}: {error.detail}", error.status, error.body, error.retry_after_s
                    ) from None
                wait_s = (slow if error.reason == "forbidden" else usual).next()
                self._log.warning(
                    "request failed, trying again",
                    path=path,
                    reason=error.reason,
                    detail=error.detail,
                    attempt=attempt,
                    wait_s=round(max(wait_s, self.bucket.held_s()), 3),
                )
                await self._timer.sleep(wait_s)
            else:
                self.answers += 1
                if self._on_answer is not None:
                    self._on_answer(answer, want)
                return answer
        raise AssertionError("the last attempt returns or raises")

    async def _turn(self, path: str, weight: float) -> None:
        """Wait for tokens, unless the venue has shut us out for long."""
        held_s = self.bucket.held_s()
        if held_s > PATIENCE_S:
            raise HttpError("banned", f"{path}: nothing is sent for {held_s:.0f} s, as the venue said")
        await self.bucket.take(weight)

    def _check(self, answer: Answer, as_json: bool) -> None:
        """HttpError where the answer is not what was asked for."""
        status = answer.status
        if status == 304 or 200 <= status < 300:
            fault = json_fault(answer.body) if as_json and status not in (204, 304) else ""
            if fault:
                kind = answer.headers.get("Content-Type", "")[:60]
                raise HttpError(fault, f"{len(answer.body)} bytes of {kind or 'no type'}", status, answer.body)
            return
        after_s = retry_after_s(answer.headers.get("Retry-After"), answer.received)
        raise HttpError(_reason(status), f"HTTP {status}", status, answer.body, after_s)

    def _hold(self, error: HttpError) -> None:
        """Nothing is sent before the venue's Retry-After has passed."""
        seconds = error.retry_after_s
        if seconds is None and error.reason == "banned":
            seconds = BANNED_S
        if seconds:
            self.bucket.hold(seconds)
            self._log.warning("venue asks for a pause", reason=error.reason, seconds=seconds)

    def _transport(self) -> Transport:
        if self._open is None:
            try:
                from producers.base.transport import Transport
            except ImportError as error:
                raise TapewatchError(
                    "live sources need aiohttp", "Install the extra: pip install 'tapewatch[live]'."
                ) from error
            self._open = Transport(self._settings, self._headers, self._clock, self._body_limit, cookies=self._cookies)
        return self._open


def _reason(status: int) -> str:
    """The reason of an HTTP status that is no success."""
    if status == 429:
        return "rate_limited"
    if 300 <= status < 400:
        return "redirected"
    if status >= 500:
        return "server_error"
    return _REASONS.get(status, "client_error")
