"""PostgreSQL with TLS, passwords and a role for each service: what each may do, and what it may not."""

import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
import psycopg2
import pytest
import sqlalchemy as sa

from console.database import Database
from infra import migrations
from infra.embedded import certificates, launch, postgres
from infra.embedded.layout import Layout
from infra.migrations import roles
from sinks.postgres.database import connect
from tapewatch.access.accounts import new_password
from tapewatch.settings import PostgresSettings, Settings
from tests.eventually import eventually, runs
from tests.integration.secure_stack import ran

HOST = "localhost"


class Gate:
    """TLS before the wheel's server, whose build has none: answers the request for TLS and passes the rest on."""

    _REQUEST = struct.pack("!ii", 8, 80877103)

    def __init__(self, target: int, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with suppress(OSError), caller:
            if caller.recv(8, socket.MSG_WAITALL) != self._REQUEST:
                return
            caller.sendall(b"S")
            with (
                self._context.wrap_socket(caller, server_side=True) as inside,
                socket.create_connection(("127.0.0.1", self._target)) as server,
            ):
                self._pass(inside, server)

    def _pass(self, inside: ssl.SSLSocket, server: socket.socket) -> None:
        while True:
            ready = [inside] if inside.pending() else select.select([inside, server], [], [])[0]
            for one in ready:
                content = one.recv(65_536)
                if not content:
                    return
                (server if one is inside else inside).sendall(content)

    def close(self) -> None:
        self._listening.close()


class Server:
    """A PostgreSQL that takes connections by TLS and password alone, beside its owner's socket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.layout = folder, Layout(folder / "data")
        self.layout.create()
        uid = postgres.user(self.layout)
        postgres.prepare_folders(self.layout, uid)
        subprocess.run(self._as(uid, postgres.init_command(self.layout)), check=True, capture_output=True, cwd="/")
        postgres.finish_init(self.layout)
        self.authority = certificates.make_authority(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (self.layout.cluster / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
        # A socket of the same number as the port: its folder is the test's own.
        more = {"listen_addresses": "127.0.0.1", "port": str(self.port), "password_encryption": "scram-sha-256"}
        words = [word for key, value in more.items() for word in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._as(uid, [*postgres.command(self.layout), *words]), stdout=log, stderr=log, start_new_session=True
            )
        self.owner_url = (
            f"postgresql+psycopg2://{postgres.ROLE}@:{self.port}/{postgres.DATABASE}"
            f"?host={quote(str(self.layout.socket), safe='/')}"
        )
        self._await()
        self.gate = Gate(self.port, certificates.issue(folder, "server", server=True))

    def _as(self, uid: int, command: list[str] | None) -> list[str]:
        """The command as the server's user; it ends with ours, however that ends."""
        assert command is not None
        wrapper = [sys.executable, "-IS", launch.__file__, str(os.getpid()), str(int(signal.SIGQUIT)), str(uid)]
        return [*wrapper, *command]

    def _await(self) -> None:
        log = self.folder / "log"

        def answers() -> bool:
            runs(self._process, log.read_text)
            try:
                self.run_as_owner("SELECT 1", "postgres")
            except psycopg2.OperationalError:
                return False
            return True

        eventually(answers, what="the server answers", pause=0.1, told=log.read_text)
        self.run_as_owner(f"CREATE DATABASE {postgres.DATABASE}", "postgres")

    def run_as_owner(self, statement: str, database: str = postgres.DATABASE) -> None:
        with closing(
            psycopg2.connect(host=str(self.layout.socket), port=self.port, user=postgres.ROLE, dbname=database)
        ) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(statement)

    def password(self, role: str, password: str) -> None:
        self.run_as_owner(f"ALTER ROLE tapewatch_{role} PASSWORD '{password}'")

    def url(self, role: str, **more: str) -> str:
        """By TLS with the server's name checked; the password lies in a file that libpq reads at each connection."""
        words = {"sslmode": "verify-full", "sslrootcert": str(self.authority), **more}
        options = "&".join(f"{key}={quote(value, safe='/')}" for key, value in words.items())
        return f"postgresql+psycopg2://tapewatch_{role}@{HOST}:{self.gate.port}/{postgres.DATABASE}?{options}"

    def pass_file(self, role: str, password: str) -> str:
        path = self.folder / f"{role}.pgpass"
        path.write_text(f"*:{self.gate.port}:*:tapewatch_{role}:{password}\n")
        path.chmod(0o600)
        return str(path)

    def stop(self) -> None:
        self.gate.close()
        self._process.terminate()
        self._process.wait(600)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Server(tmp_path_factory.mktemp("postgres"))
    try:
        migrations.migrate(found.owner_url)
        settings = Settings(postgres=PostgresSettings(url=found.owner_url))
        for _ in range(2):
            done = ran(settings, tmp_path_factory.mktemp("roles"), "db", "roles", "--apply", "--json")
            assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["roles"] == [f"tapewatch_{name}" for name in roles.ROLES]
        yield found
    finally:
        found.stop()


def entered(server: Server, role: str) -> str:
    """A URL by which the role comes in."""
    password = new_password()
    server.password(role, password)
    return server.url(role, passfile=server.pass_file(role, password))


def test_every_table_is_somebodys(server: Server) -> None:
    with migrations.connect(server.owner_url) as session:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '_d[0-9]{8}$'"
        found = {name for (name,) in session.execute(sa.text(query))}
    assert found == roles.tables()


def test_a_server_is_believed_by_its_certificate_and_name_alone(server: Server, tmp_path: Path) -> None:
    password = new_password()
    server.password("console", password)
    file = server.pass_file("console", password)
    assert connect(server.url("console", passfile=file)).info.ssl_in_use
    for wrong, said in (
        ({"sslrootcert": str(certificates.make_authority(tmp_path))}, "certificate verify failed"),
        ({"host": "127.0.0.2", "hostaddr": "127.0.0.1"}, "does not match host name"),
        ({"sslmode": "disable"}, "closed the connection"),
        ({"passfile": "/dev/null"}, "no password supplied"),
    ):
        with pytest.raises(psycopg2.OperationalError) as refused:
            connect(server.url("console", **{"passfile": file, **wrong}))
        assert said in str(refused.value)


@pytest.mark.parametrize("role", list(roles.ROLES))
def test_a_role_may_do_what_the_table_says_and_nothing_else(role: str, server: Server) -> None:
    wanted = roles.ROLES[role]
    writes = set(wanted.writes) | (set(roles.OWNED) if role == roles.SINK else set())
    reads = writes | set(wanted.reads)
    with closing(psycopg2.connect(entered(server, role).replace("+psycopg2", ""))) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            for table in sorted(roles.tables()):
                for statement, allowed in (
                    (f'SELECT * FROM "{table}" LIMIT 0', reads),
                    (f'DELETE FROM "{table}" WHERE false', writes),
                    (f'TRUNCATE "{table}"', set(roles.OWNED) if role == roles.SINK else set()),
                ):
                    if table in allowed:
                        cursor.execute(statement)
                    else:
                        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                            cursor.execute(statement)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("CREATE ROLE another SUPERUSER")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("COPY (SELECT 1) TO PROGRAM 'true'")


def test_the_migrations_go_on_after_the_sink_owns_its_tables(server: Server) -> None:
    assert migrations.migrate(server.owner_url) == migrations.head()
    with migrations.connect(server.owner_url) as session:
        session.execute(sa.text("ALTER TABLE quotes ADD COLUMN tried integer"))
        session.execute(sa.text("ALTER TABLE quotes DROP COLUMN tried"))


def test_a_password_changed_on_the_way_is_taken_at_the_next_connection(server: Server) -> None:
    url = entered(server, "console")
    database = Database(url)
    try:
        assert _ask(database) == 1
        changed = new_password()
        server.password("console", changed)
        server.pass_file("console", changed)
        server.run_as_owner(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tapewatch_console'"
        )
        assert _ask(database) == 1
    finally:
        database.close()


def _ask(database: Database) -> int:
    import asyncio

    return int(asyncio.run(database.rows("SELECT 1 AS one"))[0].one)


def test_the_sink_keeps_a_market_with_its_role(server: Server, settings: Settings, tmp_path: Path) -> None:
    from producers.live import SyntheticFeed, run_synthetic
    from producers.synthetic import SyntheticConfig

    show = SyntheticFeed(
        config=SyntheticConfig(instruments=3, warmup_s=10.0), seed=1, feed="roles", back_date_s=10, seconds=1
    )
    sent = run_synthetic(settings, show, stop=threading.Event(), rate=True, say=lambda _: None)
    own = msgspec.structs.replace(settings, postgres=PostgresSettings(url=entered(server, roles.SINK)))
    done = ran(own, tmp_path / "sink", "sink", "postgres", "--until-idle", "1", "--json")
    assert done.returncode == 0, done.stderr
    with migrations.connect(server.owner_url) as session:
        kept = sum(session.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
                   for table in ("quotes", "trades", "books", "orders", "status", "bars"))  # fmt: skip
        owner = session.execute(sa.text("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename ~ '^quotes_d'"))
        assert [name for (name,) in owner] == ["tapewatch_sink_postgres"]
    assert kept >= sum(sent.rows.values()) > 0
    for command in (
        ("sink", "canary", "--until-idle", "1", "--json"),
        ("sink", "notify", "--until-idle", "1", "--json"),
    ):
        other = msgspec.structs.replace(
            settings, postgres=PostgresSettings(url=entered(server, command[0] + "_" + command[1]))
        )
        done = ran(other, tmp_path / command[1], *command)
        assert done.returncode == 0, done.stderr
