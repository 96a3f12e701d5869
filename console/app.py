"""The aiohttp application: the API's routes behind one door, and the pages' files."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from aiohttp import web

from console.identity import Account, Identify
from console.routing import Call, Nothing, RefusedError, Route
from console.services import HangsUp, Part, Services
from tapewatch import audit, logs
from tapewatch.errors import TapewatchError

WEB = Path(__file__).with_name("web")
MAX_BODY = 1024 * 1024
NOBODY = Account("", "viewer", (), (), ())

_log = logs.get("console")


def make_app(
    services: Services, identify: Identify, routes: Sequence[Route], parts: dict[str, Part] | None = None
) -> web.Application:
    """The application over services whose parts it starts and ends.

    identify : finds the account of a request; routes : of the API
    """
    app = web.Application(client_max_size=MAX_BODY)
    app.cleanup_ctx.append(partial(_parts, services=services, parts=parts or {}))
    app.on_shutdown.append(partial(_hang_up, services))
    for route in routes:
        app.router.add_route(route.method, route.path, _door(route, services, identify))
    app.router.add_get("/api/{rest:.*}", _no_such_route)
    app.router.add_static("/static/", WEB, append_version=False, follow_symlinks=False)
    app.router.add_get("/{page:.*}", _page)
    return app


async def _parts(app: web.Application, services: Services, parts: dict[str, Part]) -> AsyncIterator[None]:
    async with services.running(parts):
        yield


async def _hang_up(services: Services, _: web.Application) -> None:
    """End the open streams, so that the server need not wait for them."""
    for part in services.parts.values():
        if isinstance(part, HangsUp):
            part.hang_up()


def _door(route: Route, services: Services, identify: Identify) -> Callable[[web.Request], Any]:
    """What aiohttp calls: the account, its rights, the parameters, the handler, the audit log, the answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            account = await identify(request)
            _check_rights(route, account)
            call = Call(
                services,
                account or NOBODY,
                dict(request.match_info),
                _query(route, request),
                await _body(route, request),
                request,
            )
            answer = await route.handler(call)
            if route.audit:
                await record(services, call.account, route.audit, " ".join(call.path.values()))
            return answer if isinstance(answer, web.StreamResponse) else answered(200, answer)
        except RefusedError as refused:
            return answered(refused.status, {"error": refused.reason, "next": refused.hint})
        except TapewatchError as error:
            return answered(503, {"error": error.message, "next": error.hint})
        except sa.exc.OperationalError as error:
            _log.warning("database", problem=" ".join(str(error.orig).split())[:200])
            return answered(503, {"error": "the database does not answer", "next": "Try again in a moment."})
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            number = secrets.token_hex(4)
            _log.error("a call failed", number=number, path=route.path, error=repr(error)[:500])
            return answered(500, {"error": f"something went wrong (number {number})", "next": "See the console's log."})

    return handle


async def record(
    services: Services, account: Account, action: str, subject: str, why: str = "", **details: Any
) -> None:
    """Append an act to the audit log, in a thread."""
    path = audit.folder(services.settings.data_path)
    act = partial(audit.append, path, action=action, subject=subject, why=why, details=details, who=account.name)
    await asyncio.to_thread(act)


def _check_rights(route: Route, account: Account | None) -> None:
    """RefusedError where the account may not call the route."""
    if route.role is None:
        return
    if account is None:
        raise RefusedError(401, "you are not logged in", "Log in.")
    if not account.is_at_least(route.role):
        raise RefusedError(403, f"this takes the role {route.role}", "Ask an administrator.")
    if not account.sees_page(route.page):
        raise RefusedError(403, "this page is not part of your seat", "Ask an administrator.")
    if route.needs_scope not in account.scopes:
        raise RefusedError(403, f"the token lacks the scope {route.needs_scope}", "Use another token.")


def _query(route: Route, request: web.Request) -> Any:
    """The query parameters as the route's struct; text becomes what the fields want."""
    tree: dict[str, Any] = {}
    many = {field.name for field in msgspec.structs.fields(route.query) if "tuple" in str(field.type)}
    for name in request.query:
        tree[name] = request.query.getall(name) if name in many else request.query[name]
    try:
        return msgspec.convert(tree, route.query, strict=False) if route.query is not Nothing or tree else Nothing()
    except msgspec.ValidationError as error:
        raise RefusedError(422, f"parameters: {error}") from error


async def _body(route: Route, request: web.Request) -> Any:
    """The body as the route's struct."""
    if route.body is None:
        return None
    if request.content_type != "application/json":
        raise RefusedError(415, "the body must be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=route.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(422, f"body: {error}") from error


def answered(status: int, value: Any) -> web.Response:
    """A JSON response; NaN becomes null."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


async def _no_such_route(request: web.Request) -> web.StreamResponse:
    return answered(404, {"error": "there is no such operation", "next": "See /api/v1/openapi.json."})


async def _page(request: web.Request) -> web.StreamResponse:
    """The one page that draws all others."""
    return web.FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})
