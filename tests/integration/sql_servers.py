"""A MariaDB server of the tests' own, on loopback in a temporary folder; it ends with the tests, also when killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

import infra.embedded.launch
from tests.eventually import eventually, runs

SERVER, INSTALL = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/sbin:/bin"), shutil.which("mariadb-install-db")
ABSENT = "" if SERVER and INSTALL else "mariadbd is not installed (Debian: apt-get install mariadb-server)"
START_S = 60


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """A server with an empty database `source`; gives its URL."""
    assert SERVER and INSTALL
    data, log = folder / "data", folder / "mariadb.log"
    os_user = "root" if os.getuid() == 0 else str(os.getuid())
    common = ["--no-defaults", f"--datadir={data}", f"--user={os_user}"]
    subprocess.run(
        [INSTALL, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = [f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}"]
    small = ["--innodb-buffer-pool-size=16M", "--skip-log-bin", "--performance-schema=OFF", "--skip-name-resolve"]
    launch = [
        sys.executable,
        "-IS",
        infra.embedded.launch.__file__,
        str(os.getpid()),
        str(int(signal.SIGKILL)),
        str(os.getuid()),
    ]
    with log.open("wb") as out:
        server = subprocess.Popen([*launch, SERVER, *common, *places, *small], stdout=out, stderr=out)
    try:
        url = f"mariadb+pymysql://root@127.0.0.1:{port}"
        _await(url, server, log)
        yield f"{url}/source"
    finally:
        server.terminate()
        server.wait(600)


def _await(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    engine = create_engine(f"{url}/mysql")

    def said() -> str:
        return log.read_text(errors="replace")[-2000:]

    def answers() -> bool:
        runs(server, said)
        try:
            with engine.begin() as connection:
                connection.execute(text("CREATE DATABASE source CHARACTER SET utf8mb4"))
        except SQLAlchemyError:
            return False
        return True

    eventually(answers, what="the server answers", seconds=START_S, pause=0.1, told=said)
    engine.dispose()
