"""Requests to addresses that others have named: what is refused, and that what was judged is what is connected to."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from tapewatch.errors import SettingsError
from tapewatch.security.guarded_http import GuardedHttpClient, HttpRequestError, HttpResponse, checked_headers
from tapewatch.security.networks import AllowedAddresses

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
INSIDE = [
    "127.0.0.1", "127.255.1.2", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.9", "203.0.113.5",
    "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:a00:1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "fe80::1",
    "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1",
    "100::1", "3fff::1", "localhost", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert AllowedAddresses().refusal(address) == ""


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_the_operators_network_is_refused(address: str) -> None:
    assert AllowedAddresses().refusal(address) != ""


def test_an_allowed_network_may_be_reached_in_every_spelling_and_no_other() -> None:
    reach = AllowedAddresses(["10.1.0.0/16", "fd00::/8"])
    assert [reach.refusal(host) for host in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1")] == [""] * 4
    assert all(reach.refusal(host) for host in ("10.2.0.1", "127.0.0.1", "fc00::1", "::1"))
    with pytest.raises(SettingsError):
        AllowedAddresses(["10.1.2.3/16"])


REFUSED_URLS = [
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "javascript:alert(1)", "//x/", "",
    "https://", "https:///x", "https://user@example.com/", "https://u:p@example.com/", "https://:x@example.com/",
    "https://example.com\\@127.0.0.1/", "https://example.com /", "https://exam\nple.com/", "https://x.example/\r\nX: y",
    "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/", "https://10.0.0.1:8443/", "https://169.254.169.254/latest/meta-data/", "https://0/",
    "https://0.0.0.0/", "https://127.1/", "https://2130706433/", "https://017700000001/", "https://0177.0.0.1/",
    "https://example.com:0/", "https://example.com:99999/", "https://[::1", "https://[64:ff9b::7f00:1]/",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED_URLS)
def test_a_tricky_address_is_refused_before_anything_is_resolved(address: str) -> None:
    with pytest.raises(HttpRequestError) as error:
        GuardedHttpClient().check(address)
    assert error.value.reason == "refused"


@pytest.mark.parametrize("host", ["0x7f.0.0.1", "0x7f000001", "localtest.me", "LOCALHOST", "127.0.0.1.", "①②⑦.⓪.⓪.①"])
def test_a_name_for_this_machine_is_refused_when_it_is_resolved(host: str) -> None:
    async def loopback(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def ask() -> None:
        async with GuardedHttpClient(resolve=loopback) as out:
            await out.request("GET", f"https://{host}/")

    with pytest.raises(HttpRequestError) as error:
        asyncio.run(ask())
    assert error.value.reason == "refused"


def test_a_name_with_one_address_inside_is_refused_as_a_whole() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(HttpRequestError, match=r"10\.0\.0\.1"):
        asyncio.run(GuardedHttpClient(resolve=mixed).judge("https://example.com/"))


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "1\r\nX-B: 2"}, {"X-A": "1\n2"}, {"X-A": "nul\0"}, {"X A": "1"}, {"X\r\nB": "1"}, {"Host": "y"},
     {"Content-Length": "0"}, {"X-A": "\u2028"}],
)  # fmt: skip
def test_a_header_that_could_add_another_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HttpRequestError):
        checked_headers(headers)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Names = dict[str, list[list[str]]]


class Site:
    """A server on loopback under any name; what it was asked; and a name server whose answers change."""

    def __init__(self, handler: Handler, names: Names | None = None, **options: object) -> None:
        self.asked: list[tuple[str, str, str, dict[str, str], bytes]] = []
        self.resolved: list[str] = []
        self._handler, self._names = handler, names or {}
        self._options = {"allowed": ["127.0.0.0/8"], "plain": True, **options}
        self.port = 0

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.host, request.path, dict(request.headers), await request.read()))
        return await self._handler(request)

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        answers = self._names.get(host, [["127.0.0.1"]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def ask(self, method: str, url: str, **given: object) -> HttpResponse:
        """One request; `{port}` in the URL is the server's."""

        async def run() -> HttpResponse:
            runner = web.AppRunner(_app(self._handle))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            try:
                async with GuardedHttpClient(resolve=self._resolve, **self._options) as out:  # type: ignore[arg-type]
                    return await out.request(method, url.format(port=self.port), **given)  # type: ignore[arg-type]
            finally:
                await runner.cleanup()

        return asyncio.run(run())


def _app(handler: Handler) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def leads(status: int, *places: str) -> Handler:
    """Redirects /0 to the first place, /1 to the second, ...; anything else answers `here`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/")
        if name.isdecimal() and int(name) < len(places):
            place = places[int(name)].format(port=request.url.port)
            return web.Response(status=status, headers={"Location": place})
        return web.Response(text="here")

    return handler


def test_a_name_that_changes_its_address_after_the_judgement_is_not_asked_again() -> None:
    site = Site(leads(302), {"turns.example": [["127.0.0.1"], ["10.0.0.1"]]})
    assert site.ask("GET", "http://turns.example:{port}/x").body == b"here"
    assert site.resolved == ["turns.example"]


def test_a_redirect_to_a_name_that_leads_inside_is_refused() -> None:
    site = Site(leads(302, "http://inner.example/secret"), {"inner.example": [["10.0.0.1"]]})
    with pytest.raises(HttpRequestError, match=r"10\.0\.0\.1") as error:
        site.ask("GET", "http://good.example:{port}/0")
    assert error.value.reason == "refused"


@pytest.mark.parametrize(
    "place",
    ["http://169.254.169.254/latest/", "http://[::1]:{port}/", "file:///etc/passwd", "http://u:p@good.example:{port}/",
     "//10.0.0.1/", "http://2130706434/", "http://[::ffff:10.0.0.1]/", "gopher://x/", "http://[bad"],
)  # fmt: skip
def test_a_redirect_to_a_tricky_address_is_refused(place: str) -> None:
    with pytest.raises(HttpRequestError) as error:
        Site(leads(302, place)).ask("GET", "http://good.example:{port}/0")
    assert error.value.reason == "refused"


def test_redirects_are_counted() -> None:
    places = [f"/{number}" for number in range(1, 5)]
    assert Site(leads(302, *places[:3])).ask("GET", "http://a.example:{port}/0").body == b"here"
    with pytest.raises(HttpRequestError, match="more than 3 redirects"):
        Site(leads(302, *places)).ask("GET", "http://a.example:{port}/0")


def test_credentials_do_not_follow_a_redirect_to_another_origin() -> None:
    headers = {"Authorization": "Bearer x", "Cookie": "c=1", "X-Signature": "s", "Accept": "text/plain"}
    near = Site(leads(302, "/there"))
    near.ask("GET", "http://a.example:{port}/0", headers=headers)
    assert near.asked[1][3]["Authorization"] == "Bearer x"
    far = Site(leads(302, "http://b.example:{port}/there"))
    far.ask("GET", "http://a.example:{port}/0", headers=headers)
    assert far.asked[1][1].startswith("b.example")
    assert far.asked[1][3]["Accept"] == "text/plain"
    assert not {"Authorization", "Cookie", "X-Signature"} & far.asked[1][3].keys()


def test_a_post_follows_only_a_redirect_that_keeps_it_a_post() -> None:
    same = Site(leads(307, "/there"))
    same.ask("POST", "http://a.example:{port}/0", body=b"x")
    assert [(method, body) for method, _, _, _, body in same.asked] == [("POST", b"x")] * 2
    turned = Site(leads(302, "/there"))
    assert turned.ask("POST", "http://a.example:{port}/0", body=b"x").status == 302
    assert len(turned.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_body_never_goes_to_another_origin(status: int) -> None:
    site = Site(leads(status, "http://b.example:{port}/there"))
    with pytest.raises(HttpRequestError, match="another origin"):
        site.ask("POST", "http://a.example:{port}/0", body=b"x")
    assert len(site.asked) == 1


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(64):
        await answer.write(bytes(1024))
    return answer


async def _silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(1)
    return web.Response()


def test_an_answer_above_the_limit_is_cut_off_with_its_status() -> None:
    with pytest.raises(HttpRequestError) as error:
        Site(_endless, answer_limit=10_000).ask("GET", "http://a.example:{port}/")
    assert (error.value.reason, error.value.status) == ("too_large", 200)


def test_a_silent_server_costs_the_time_out_at_most() -> None:
    with pytest.raises(HttpRequestError) as error:
        Site(_silent, timeout_s=0.2).ask("GET", "http://a.example:{port}/")
    assert error.value.reason == "timeout"


def test_an_unknown_host_and_a_closed_port_are_told_apart() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async def ask(out: GuardedHttpClient, url: str) -> str:
        async with out:
            with pytest.raises(HttpRequestError) as error:
                await out.request("GET", url)
        return error.value.reason

    assert asyncio.run(ask(GuardedHttpClient(resolve=nobody), "https://nobody.example/")) == "unknown_host"
    closed = GuardedHttpClient(["127.0.0.0/8"], plain=True)
    assert asyncio.run(ask(closed, "http://127.0.0.1:1/")) == "no_connection"
