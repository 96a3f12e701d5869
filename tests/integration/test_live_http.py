"""Requests against real servers on the loopback that misbehave as venues do."""

import asyncio
import gzip
import logging
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from producers.base.answers import Answer, HttpError
from producers.base.http import Http, TokenBucket
from tapewatch.errors import SettingsError
from tapewatch.settings.venues import ProduceSettings
from tests.unit.live_time import SleptTime

SETTINGS = ProduceSettings(request_timeout_s=20.0, connect_timeout_s=20.0, backoff_first_s=0.5, backoff_cap_s=60.0)
ROWS = b'{"rows": [1, 2, 3]}'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Venue:
    """Answers the first requests with `faults` in turn, later ones with ROWS. seen : paths and queries"""

    def __init__(self, *faults: Handler) -> None:
        self._faults = list(faults)
        self.seen: list[str] = []
        self.cookies: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        self.cookies.append(request.headers.get("Cookie", ""))
        if self._faults:
            return await self._faults.pop(0)(request)
        return web.Response(body=ROWS, content_type="application/json")


def status(code: int, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text="no", headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def body(data: bytes, kind: str = "application/json", **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        found = {k.replace("_", "-"): v for k, v in headers.items()}
        return web.Response(body=data, content_type=kind, headers=found)

    return answer


async def torn(request: web.Request) -> web.StreamResponse:
    """A body that breaks off before the length it promised."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"rows":')
    assert request.transport is not None
    request.transport.close()
    return response


async def never(request: web.Request) -> web.StreamResponse:
    """A body that begins and does not go on."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"rows":')
    await asyncio.sleep(30)
    return response


async def hung_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _with(venue: Venue, use: Callable[[str], Awaitable[None]]) -> None:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", venue.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await use(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def asked(venue: Venue, **options: object) -> tuple[Answer | HttpError, Http, SleptTime]:
    """The outcome of one GET against the venue, with waits that cost no time."""
    time = SleptTime()
    found: list[tuple[Answer | HttpError, Http]] = []

    async def use(address: str) -> None:
        settings = options.pop("settings", SETTINGS)
        http = Http(settings, address, timer=time, **options)  # type: ignore[arg-type]
        try:
            found.append((await http.get("/depth", {"symbol": "A", "key": "sesame"}), http))
        except HttpError as error:
            found.append((error, http))
        finally:
            await http.close()

    asyncio.run(_with(venue, use))
    return *found[0], time


def reason(outcome: Answer | HttpError) -> str:
    return outcome.reason if isinstance(outcome, HttpError) else "ok"


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (status(500), "server_error"),
        (status(503), "server_error"),
        (status(403), "forbidden"),
        (status(408), "timeout"),
        (status(429), "rate_limited"),
        (body(b"<html>maintenance</html>", "text/html"), "not_json"),
        (body(b""), "not_json"),
        (body(b'{"rows": [1, 2'), "truncated"),
        (body(gzip.compress(ROWS * 50)[:-9], Content_Encoding="gzip"), "truncated"),
        (body(b"no gzip", Content_Encoding="gzip"), "truncated"),
        (torn, "truncated"),
    ],
)
def test_request_is_sent_again_after_a_passing_fault(fault: Handler, counted: str) -> None:
    outcome, http, time = asked(Venue(fault))
    assert isinstance(outcome, Answer)
    assert outcome.body == ROWS
    assert 0 < outcome.asked <= outcome.received
    assert dict(http.failures) == {counted: 1}
    assert http.answers == 1
    assert len(time.slept) == 1


def test_request_is_sent_again_when_the_server_hangs_up() -> None:
    # aiohttp repeats a GET once by itself where a connection closes without an answer.
    outcome, http, _ = asked(Venue(hung_up, hung_up))
    assert reason(outcome) == "ok"
    assert dict(http.failures) == {"no_connection": 1}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (status(404), "not_found"),
        (status(400), "client_error"),
        (status(401), "forbidden"),
        (status(302, Location="http://elsewhere.example/"), "redirected"),
        (body(b'{"a": "' + b"x" * 5000 + b'"}'), "too_large"),
        (body(gzip.compress(b'{"a": "' + b"x" * 5000 + b'"}'), Content_Encoding="gzip"), "too_large"),
    ],
)
def test_fault_that_would_come_again_ends_the_request_at_once(fault: Handler, told: str) -> None:
    venue = Venue(fault)
    outcome, _, _ = asked(venue, body_limit=4096)
    assert reason(outcome) == told
    assert len(venue.seen) == 1


def test_request_ends_after_its_attempts_with_the_last_reason() -> None:
    venue = Venue(*[status(500)] * 9)
    outcome, http, time = asked(venue, attempts=4)
    assert isinstance(outcome, HttpError)
    assert (outcome.reason, outcome.status, outcome.body) == ("server_error", 500, b"no")
    assert len(venue.seen) == 4
    assert http.failures["server_error"] == 4
    assert len(time.slept) == 3


def test_nothing_is_sent_before_retry_after_has_passed() -> None:
    outcome, http, time = asked(Venue(status(429, Retry_After="17")))
    assert reason(outcome) == "ok"
    assert sum(time.slept) == pytest.approx(17.0)
    assert http.bucket.held_s() == 0.0


def test_ban_without_a_time_is_waited_out_for_two_minutes() -> None:
    _, _, time = asked(Venue(status(418)))
    assert sum(time.slept) == pytest.approx(120.0)


def test_long_ban_fails_requests_at_once_and_sends_none() -> None:
    venue = Venue(status(418, Retry_After="7200"))
    outcome, _, time = asked(venue)
    assert reason(outcome) == "banned"
    assert len(venue.seen) == 1
    assert sum(time.slept) < 600.0


def test_requests_share_the_bucket() -> None:
    time = SleptTime()
    bucket = TokenBucket(2.0, 2.0, time)

    async def use(address: str) -> None:
        http, other = (Http(SETTINGS, address, timer=time, bucket=bucket) for _ in range(2))
        await asyncio.gather(*(one.get("/x", weight=2.0) for one in (http, other, http)))
        await http.close()
        await other.close()

    asyncio.run(_with(Venue(), use))
    assert time.now == pytest.approx(2.0)


def test_slow_body_times_out() -> None:
    # Half a second of real time: the time-out is aiohttp's own.
    outcome, _, _ = asked(Venue(never), settings=ProduceSettings(request_timeout_s=0.5), attempts=1)
    assert reason(outcome) == "timeout"


def test_unreachable_host_is_told() -> None:
    async def use() -> HttpError:
        http = Http(SETTINGS, "http://127.0.0.1:1", timer=SleptTime(), attempts=2)
        with pytest.raises(HttpError) as caught:
            await http.get("/x")
        await http.close()
        return caught.value

    assert asyncio.run(use()).reason == "no_connection"


def test_tls_failure_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 this port speaks no TLS\r\n\r\n")
        await writer.drain()
        writer.close()

    async def use() -> HttpError:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        http = Http(SETTINGS, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", timer=SleptTime(), attempts=2)
        with pytest.raises(HttpError) as caught:
            await http.get("/x")
        await http.close()
        server.close()
        return caught.value

    assert asyncio.run(use()).reason == "tls"


def test_answers_are_observed_with_what_was_wanted() -> None:
    seen: list[tuple[bytes, object]] = []

    async def use(address: str) -> None:
        http = Http(
            SETTINGS, address, timer=SleptTime(), on_answer=lambda answer, want: seen.append((answer.body, want))
        )
        await http.get("/x", want="snapshot A")
        await http.post("/x", b"{}", want="rows")
        await http.close()

    asyncio.run(_with(Venue(status(500)), use))
    assert seen == [(ROWS, "snapshot A"), (ROWS, "rows")]


def test_text_is_taken_where_no_json_is_expected() -> None:
    outcome, _, _ = asked(Venue(body(b"a,b\n1,2\n", "text/csv")), expect_json=False)
    assert isinstance(outcome, Answer)
    assert outcome.body == b"a,b\n1,2\n"


def test_cookies_are_kept_only_on_request() -> None:
    async def use(address: str) -> None:
        for cookies in (False, True):
            http = Http(SETTINGS, address, timer=SleptTime(), cookies=cookies)
            await http.get("/1")
            await http.get("/2")
            await http.close()

    venue = Venue(*[body(ROWS, Set_Cookie="JSESSIONID=abc; Path=/")] * 4)
    asyncio.run(_with(venue, use))
    assert venue.cookies == ["", "", "", "JSESSIONID=abc"]


def test_queries_reach_neither_logs_nor_errors(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("tapewatch").propagate = True
    with caplog.at_level(logging.DEBUG, "tapewatch"):
        outcome, _, _ = asked(Venue(*[status(500)] * 9), headers={"X-Key": "sesame"})
    told = "".join(str(record.__dict__) for record in caplog.records if record.name.startswith("tapewatch"))
    assert "request failed" in told
    assert "sesame" not in told + str(outcome) + repr(outcome)


@pytest.mark.parametrize("address", ["http://example.com", "ftp://example.com", "", "https://", "http://127.0.0.2"])
def test_unencrypted_address_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        Http(SETTINGS, address)
