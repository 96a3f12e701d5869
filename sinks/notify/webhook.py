"""Webhooks by the Standard Webhooks specification 1.0.0: signed, under one id, whatever is not 2xx a failure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from sinks.notify.outcome import MOST_RETRY_AFTER_S, Outcome
from tapewatch.clock import NANOS
from tapewatch.security.guarded_http import GuardedHttpClient, HttpRequestError, HttpResponse

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of secrets, none itself
_ASKS_FOR_PAUSE = frozenset({429, 502, 503, 504})


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 over id.timestamp.body. secret : whsec_..."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook; one signature for each secret, so that a receiver may hold either in a rotation."""
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp_s, body) for secret in secrets),
    }


async def deliver(
    outgoing: GuardedHttpClient,
    address: str,
    secrets: Sequence[str],
    message_id: str,
    body: bytes,
    now_ns: int,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """One attempt; never an exception. A redirect is a failure: neither body nor signature goes anywhere else.

    more : headers beside the specification's
    """
    sent = headers(secrets, message_id, now_ns // NANOS, body) | dict(more)
    try:
        answer = await outgoing.request("POST", address, headers=sent, body=body)
    except HttpRequestError as error:
        if error.reason == "too_large" and 200 <= error.status < 300:
            return Outcome(error.status)
        return Outcome(error.status, f"{error.reason}: {error.detail}"[:300])
    return _judged(answer, now_ns)


def _judged(answer: HttpResponse, now_ns: int) -> Outcome:
    """What the receiver's status says."""
    if 200 <= answer.status < 300:
        return Outcome(answer.status)
    pause_s = _retry_after_s(answer.headers.get("Retry-After", ""), now_ns) if answer.status in _ASKS_FOR_PAUSE else 0.0
    return Outcome(answer.status, f"HTTP {answer.status}", pause_s, gone=answer.status == 410)


def _retry_after_s(header: str, now_ns: int) -> float:
    """A Retry-After header, seconds or an HTTP date, as seconds from now; 0 where it says nothing."""
    if header.strip().isdecimal():
        return min(float(header[:12]), MOST_RETRY_AFTER_S)
    try:
        at_s = parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(at_s - now_ns / NANOS, 0.0), MOST_RETRY_AFTER_S)
