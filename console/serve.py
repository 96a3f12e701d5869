"""Running the console: listen, say where, and end in order at SIGTERM with every stream closed."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Callable

import sqlalchemy as sa
from aiohttp import web

from console import api
from console.accounts.enter import identifier
from console.app import make_app
from console.database import Database
from console.services import Services
from console.watching import watch
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ConsoleSettings

REVISION = "0008"
"""The oldest schema that the console reads."""

SHUTDOWN_S = 5.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check(settings: ConsoleSettings) -> None:
    """TapewatchError where it would listen to a network without TLS, or by no name that browsers could use."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise TapewatchError("console.tls_cert and console.tls_key belong together", "Set both.")
    if settings.host in _LOOPBACK:
        return
    if not settings.tls_cert and not settings.behind_proxy:
        raise TapewatchError(
            f"the console would listen on {settings.host} without TLS",
            "Set console.tls_cert and console.tls_key, or console.behind_proxy where a TLS proxy stands before it.",
        )
    if settings.host in ("0.0.0.0", "::") and not settings.allowed_hosts:  # noqa: S104 - compared, not bound
        raise TapewatchError("console.allowed_hosts is empty", "Name the hosts by which browsers call the console.")


def check_schema(session: sa.Connection) -> None:
    """TapewatchError where the database is not at a schema that the console reads."""
    there = session.execute(sa.text("SELECT to_regclass('alembic_version')")).scalar_one()
    found = session.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if there else ""
    if (found or "") < REVISION:
        raise TapewatchError(
            f"the database is at revision {found or 'none'}, the console needs {REVISION}",
            "Run `tapewatch db migrate`.",
        )


async def serve(settings: Settings, opened: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. opened : told the address once it can be called"""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    async with running(settings) as address:
        opened(address)
        await ending.wait()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The console while the context lasts; its address."""
    wanted = settings.console
    check(wanted)
    database = Database(settings.postgres_url())
    try:
        await database.run(check_schema)
        services = Services(settings, database)
        app = make_app(services, identifier(services), api.routes(), api.parts())
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=wanted.request_timeout_s,
            shutdown_timeout=SHUTDOWN_S,
            lingering_time=wanted.request_timeout_s,
            max_line_size=8190,
            max_field_size=8190,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, wanted.host, wanted.port, ssl_context=_tls(wanted), backlog=256).start()
            services.monitor.ready()
            beating = asyncio.create_task(watch(services.monitor, database))
            try:
                with services.monitor:
                    yield address(wanted, runner.addresses[0][1])
            finally:
                beating.cancel()
        finally:
            await runner.cleanup()
    finally:
        database.close()


def address(settings: ConsoleSettings, port: int) -> str:
    """The console's address as a browser on this machine writes it."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    return f"{'https' if settings.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


def _tls(settings: ConsoleSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with the operator's certificate; None without one."""
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise TapewatchError(
            f"the TLS certificate cannot be used: {error}", "Give PEM files in console.tls_cert and console.tls_key."
        ) from error
    return context
