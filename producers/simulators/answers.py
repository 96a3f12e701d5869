"""REST answers of a simulated venue, and the ways in which they come wrong."""

import asyncio
import gzip
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from producers.simulators.faults import Fault, FaultKind
from tapewatch.clock import NANOS

SLOW_PIECES = 10
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Please enable cookies.</body></html>"
_STATUS = {
    FaultKind.HTTP_429: (429, b'{"code":-1003,"msg":"Too many requests."}'),
    FaultKind.HTTP_418: (418, b'{"code":-1003,"msg":"Way too many requests; IP banned."}'),
    FaultKind.HTTP_403: (403, b'{"code":0,"msg":"Forbidden by the web application firewall."}'),
    FaultKind.HTTP_500: (500, b'{"code":-1000,"msg":"An unknown error occurred."}'),
    FaultKind.HTTP_503: (503, b'{"code":-1008,"msg":"Server is currently overloaded."}'),
}


def json_answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A document as JSON; bytes stand as they are."""
    body = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def refusal(fault: Fault) -> web.Response:
    """What comes in the place of the wanted answer."""
    if fault.kind is FaultKind.HTML:
        return web.Response(body=_PAGE, content_type="text/html")
    status, body = _STATUS[fault.kind]
    headers = {"Retry-After": f"{max(1, round(fault.seconds))}"} if status in (429, 418) else None
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def truncated(answer: web.Response) -> web.Response:
    """Half of the answer's gzip bytes, which say nothing of being half."""
    whole = gzip.compress(body_of(answer), mtime=0)
    headers = {"Content-Encoding": "gzip"}
    half = whole[: len(whole) // 2]
    return web.Response(body=half, status=answer.status, headers=headers, content_type=answer.content_type)


async def slowly(request: web.Request, answer: web.Response, seconds: float) -> web.StreamResponse:
    """The answer's headers at once and its body in pieces over `seconds`."""
    body = body_of(answer)
    stream = web.StreamResponse(status=answer.status)
    stream.content_type = answer.content_type
    stream.content_length = len(body)
    await stream.prepare(request)
    size = max(1, -(-len(body) // SLOW_PIECES))
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / SLOW_PIECES)
        await stream.write(body[start : start + size])
    await stream.write_eof()
    return stream


def body_of(answer: web.Response) -> bytes:
    """The answer's body as bytes."""
    body = answer.body
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else b""


def http_date(now: int) -> str:
    """A Date header. now : UTC ns"""
    return formatdate(now / NANOS, usegmt=True)
