"""A token bucket that tasks share: requests within a venue's stated limits, first come, first served."""

import asyncio
import math

from producers.base.backoff import LOOP, Timer


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
